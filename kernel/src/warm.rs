//! The warm context: evcxr with rust-analyzer loaded, from which each kernel is a copy made by `fork`. A copy shares
//! the memory that neither changes, and is ready at once.
//!
//! A copy has but the thread that was copied. So what evcxr's other threads do must be done before: rust-analyzer's
//! loader runs when the dependencies change, which [`Session`](crate::session::Session) refuses; the threads that
//! read a process's streams end with that process, which is ended here.

use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{WaitOptions, setsid, wait};

use crate::context::Context;
use crate::handover::{self, LOCK, SOCKET, STALE, TAKEN, Wanted};
use crate::session::Warm;
use crate::template::Folders;
use crate::{runtime, serve, system};

/// The first argument that makes this program keep a warm context.
pub const ARGUMENT: &str = "keep-warm";
/// How long the first kernel may take to ask: who started this process waits for it.
const FIRST: Duration = Duration::from_secs(10);
/// How long who asks may take to say what it wants.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often ended copies are looked for.
const LOOK: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 250_000_000,
};

/// Warms up, and hands out copies until nobody has wanted one for long.
pub fn run(folders: &Folders, project: &Path) -> Result<()> {
    // It outlives who started it, and no signal to their group is meant for it. It fails where it leads already.
    let _ = setsid();
    let lock = File::create(folders.home.join(LOCK))?;
    if lock.try_lock().is_err() {
        return Ok(());
    }
    let key = handover::key(folders, project)?;
    let (warm, context) = Warm::start(folders, project)?;
    let mut kept = Kept {
        warm,
        _context: context,
        lock,
        listener: bind()?,
    };
    let mut copies = 0;
    let (mut last, mut linger) = (Instant::now(), None);
    while copies > 0 || last.elapsed() < linger.unwrap_or(FIRST) {
        let mut watched = [PollFd::new(&kept.listener, PollFlags::IN)];
        if poll(&mut watched, Some(&LOOK)).is_ok_and(|n| n > 0) {
            let (mut stream, _) = kept.listener.accept()?;
            // Others wait meanwhile.
            stream.set_read_timeout(Some(PATIENCE))?;
            match handover::receive(&mut stream) {
                Ok((wanted, _)) if wanted.key != key => {
                    // Whoever asked finds the lock free when it has heard this.
                    unbind()?;
                    drop(kept);
                    let _ = stream.write_all(&[STALE]);
                    return Ok(());
                }
                Ok((wanted, streams)) => {
                    linger = linger.max(Some(Duration::from_secs(wanted.linger)));
                    kept = copy(kept, stream, wanted, streams, folders)?;
                    copies += 1;
                }
                Err(error) => eprintln!("{error:#}"),
            }
        }
        while copies > 0 && matches!(wait(WaitOptions::NOHANG), Ok(Some(_))) {
            copies -= 1;
            last = Instant::now();
        }
    }
    // Before the lock is free, so that another's socket is not taken for this one.
    unbind()
}

/// What the first process has, and its copies have not.
struct Kept {
    warm: Warm,
    _context: Context,
    lock: File,
    listener: UnixListener,
}

/// From the context's folder, which lies in that of the contexts.
fn socket() -> PathBuf {
    Path::new("..").join(SOCKET)
}

fn bind() -> Result<UnixListener> {
    match std::fs::remove_file(socket()) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    UnixListener::bind(socket()).context("no socket for kernels")
}

fn unbind() -> Result<()> {
    Ok(std::fs::remove_file(socket())?)
}

/// Forks. The copy serves the streams and does not return.
fn copy(
    kept: Kept,
    mut stream: UnixStream,
    wanted: Wanted,
    [input, output, errors]: [OwnedFd; 3],
    folders: &Folders,
) -> Result<Kept> {
    if system::fork()? {
        return Ok(kept);
    }
    let Kept {
        warm,
        _context,
        lock,
        listener,
    } = kept;
    // A lock is held for as long as any process has its file open.
    drop((_context, lock, listener));
    let served = (|| {
        setsid()?;
        system::replace(&errors, 2)?;
        drop(errors);
        system::replace_environment(&wanted.environment);
        stream.write_all(&[TAKEN])?;
        let lock = folders.lock(&mut |_| {})?;
        let context = Context::take(folders)?;
        drop(lock);
        std::env::set_current_dir(&context.path)?;
        system::set_variable(runtime::CONTEXT, &context.path);
        serve(warm, context, File::from(input), File::from(output))
    })();
    if let Err(error) = served {
        eprintln!("{error:#}");
    }
    system::end_group()
}

/// Waits until so many threads of this process have ended.
pub fn wait_for_ends(before: usize, ended: usize) -> Result<()> {
    let start = Instant::now();
    while threads()? + ended > before {
        if start.elapsed() > Duration::from_secs(5) {
            bail!("threads that read what cells print do not end");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

/// How many threads this process has.
pub fn threads() -> Result<usize> {
    Ok(std::fs::read_dir("/proc/self/task")?.count())
}
