//! How the ranks find each other where the backend does not do it: rank 0 hands each of the others some bytes.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream, ToSocketAddrs};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::Launch;
use crate::Result;
use crate::error::invalid;

const NAME: &str = "init_process_group";

/// How long a rank waits for the others, as PyTorch's `timeout`: machines of a cluster do not start at once.
const PATIENCE: Duration = Duration::from_secs(10 * 60);

/// Where rank 0 is, by `MASTER_ADDR` and `MASTER_PORT`.
pub(super) fn address(variable: impl Fn(&str) -> Option<String>) -> Result<(String, u16)> {
    let cure = "is not set; give rank 0's address and a free port in MASTER_ADDR and MASTER_PORT, as torchrun does";
    let Some(host) = variable("MASTER_ADDR") else {
        return invalid(NAME, "MASTER_ADDR", "", cure);
    };
    let Some(port) = variable("MASTER_PORT") else {
        return invalid(NAME, "MASTER_PORT", "", cure);
    };
    let Ok(number) = port.parse::<u16>() else {
        return invalid(NAME, "MASTER_PORT", port, "must be a number below 65536");
    };
    // There torchrun itself listens; the next one is ours.
    let taken = variable("TORCHELASTIC_USE_AGENT_STORE").is_some_and(|used| used == "True");
    Ok((host, number.saturating_add(u16::from(taken))))
}

/// Rank 0's bytes, on every rank.
pub(super) fn share<const N: usize>(
    launch: Launch,
    (host, port): &(String, u16),
    own: impl FnOnce() -> Result<[u8; N]>,
) -> Result<[u8; N]> {
    let at = (host.as_str(), *port);
    let end = Instant::now() + PATIENCE;
    match launch.rank {
        0 => {
            let bytes = own()?;
            match hand_out(launch, at, &bytes, end) {
                Ok(()) => Ok(bytes),
                Err(error) => refused(at, &format!("cannot hand out to the other ranks ({error})")),
            }
        }
        rank => match fetch(rank, at, end) {
            Ok(bytes) => Ok(bytes),
            Err(error) => refused(at, &format!("does not answer as rank 0 does ({error})")),
        },
    }
}

fn refused<T>((host, port): (&str, u16), what: &str) -> Result<T> {
    let problem = format!("{what}; check that rank 0 runs there and that the port is free");
    invalid(NAME, "MASTER_ADDR", format!("{host}:{port}"), problem)
}

fn hand_out<const N: usize>(
    launch: Launch,
    at: (&str, u16),
    bytes: &[u8; N],
    end: Instant,
) -> std::io::Result<()> {
    let listener = TcpListener::bind(at)?;
    listener.set_nonblocking(true)?;
    let mut missing: Vec<u64> = (1..launch.world_size as u64).collect();
    while !missing.is_empty() {
        match listener.accept() {
            Ok((mut stream, _)) => {
                stream.set_nonblocking(false)?;
                stream.set_read_timeout(Some(Duration::from_secs(10)))?;
                let mut rank = [0; 8];
                // Whoever else has found the port is let go.
                if stream.read_exact(&mut rank).is_err() {
                    continue;
                }
                let rank = u64::from_le_bytes(rank);
                if let Some(place) = missing.iter().position(|&missing| missing == rank)
                    && stream.write_all(bytes).is_ok()
                {
                    missing.swap_remove(place);
                }
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock && Instant::now() < end => {
                sleep(Duration::from_millis(20));
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                let text = format!("ranks {missing:?} have not come");
                return Err(std::io::Error::new(ErrorKind::TimedOut, text));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn fetch<const N: usize>(rank: usize, at: (&str, u16), end: Instant) -> std::io::Result<[u8; N]> {
    loop {
        let once = || {
            let addresses = at.to_socket_addrs()?;
            let mut last = ErrorKind::AddrNotAvailable.into();
            for address in addresses {
                match TcpStream::connect_timeout(&address, Duration::from_secs(10)) {
                    Ok(mut stream) => {
                        stream.write_all(&(rank as u64).to_le_bytes())?;
                        let mut bytes = [0; N];
                        stream.read_exact(&mut bytes)?;
                        return Ok(bytes);
                    }
                    Err(error) => last = error,
                }
            }
            Err(last)
        };
        match once() {
            Ok(bytes) => return Ok(bytes),
            // Rank 0 may start later.
            Err(_) if Instant::now() < end => sleep(Duration::from_millis(50)),
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_ranks_get_rank_0s_bytes_and_a_stranger_none() {
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let at = ("127.0.0.1".to_string(), port);
        let rank = |rank| {
            let at = at.clone();
            let launch = Launch {
                rank,
                world_size: 3,
                local_rank: rank,
            };
            std::thread::spawn(move || share(launch, &at, || Ok([7u8; 128])).unwrap())
        };
        // Before rank 0 is there.
        let second = rank(2);
        let first = rank(0);
        let mut stranger = loop {
            match TcpStream::connect(("127.0.0.1", port)) {
                Ok(stream) => break stream,
                Err(_) => sleep(Duration::from_millis(5)),
            }
        };
        stranger.write_all(&9u64.to_le_bytes()).unwrap();
        let mut nothing = Vec::new();
        stranger.read_to_end(&mut nothing).unwrap();
        assert!(nothing.is_empty());
        let last = rank(1);
        for rank in [first, second, last] {
            assert_eq!(rank.join().unwrap(), [7; 128]);
        }
    }

    #[test]
    fn the_address_is_torchruns() {
        let of = |agent: bool, port: &str| {
            address(|name| match name {
                "MASTER_ADDR" => Some("localhost".into()),
                "MASTER_PORT" => Some(port.into()),
                "TORCHELASTIC_USE_AGENT_STORE" => Some(if agent { "True" } else { "False" }.into()),
                _ => None,
            })
        };
        assert_eq!(of(true, "29500").unwrap(), ("localhost".into(), 29501));
        assert_eq!(of(false, "29500").unwrap(), ("localhost".into(), 29500));
        assert_eq!(
            of(false, "http").unwrap_err().to_string(),
            "init_process_group: MASTER_PORT=http must be a number below 65536"
        );
        let error = address(|_| None).unwrap_err().to_string();
        assert!(error.starts_with("init_process_group: MASTER_ADDR= is not set; give rank 0's"));
    }
}
