//! A kernel that somebody starts: it builds what is missing, and has a copy of the warm context serve its streams.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use kernel_protocol::{Event, LINGERS};
use rustix::event::{PollFd, PollFlags, poll};

use crate::events::Events;
use crate::handover::{self, LOCK, LOG, SOCKET, STALE, TAKEN, Wanted};
use crate::template::{self, Folders};
use crate::{memory, system, tools, warm};

/// How often a context that gets warm is looked for.
const LOOK: Duration = Duration::from_millis(25);
/// How long a warm context waits for the next kernel, unless [`LINGERS`] says otherwise: while the server runs it has
/// one kernel in reserve.
const LINGER_SECONDS: u64 = 2;

/// Serves this process's stdin until it closes.
pub fn run(folders: &Folders, project: &Path) -> Result<()> {
    system::lead_group();
    let events = Events::new(system::copy_of_stdout()?);
    std::thread::spawn(end_with_parent);
    match hand_over(folders, project, &events) {
        Ok(mut stream) => {
            // The copy holds the other end for as long as it lives.
            let _ = stream.read(&mut [0]);
            Ok(())
        }
        Err(error) => {
            let why = format!("{error:#}");
            events.send(&Event::Failed { why });
            Err(error)
        }
    }
}

/// Ends this process and all that it builds when the parent closes stdin, which is not read here.
fn end_with_parent() {
    let stdin = std::io::stdin();
    loop {
        // Its closing is told unasked.
        let mut watched = [PollFd::new(&stdin, PollFlags::empty())];
        if poll(&mut watched, None).is_ok_and(|n| n > 0) {
            // The copy sees it as well, and ends by itself.
            system::end_group();
        }
    }
}

fn hand_over(folders: &Folders, project: &Path, events: &Events) -> Result<UnixStream> {
    // Before anything is built for it.
    memory::limit()?;
    let mut report = |what: &str| events.preparing(what);
    let lock = folders.lock(&mut report)?;
    template::build(folders, &mut report)?;
    let mut wanted = Wanted {
        key: handover::key(folders, project)?,
        environment: std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect(),
        linger: linger()?,
    };
    drop(lock);
    // A socket's path may have about 100 characters.
    std::env::set_current_dir(&folders.home)?;
    let mut started: Option<Child> = None;
    report("starting the compiler");
    loop {
        if let Ok(mut stream) = UnixStream::connect(SOCKET) {
            if let Ok(TAKEN) = ask(&mut stream, &wanted) {
                return Ok(stream);
            }
            // It ends now, or has: it was made from something else than what is there now.
            wanted.key = handover::key(folders, project)?;
            started = None;
        } else if let Some(child) = &mut started {
            match child.try_wait()? {
                Some(status) if !status.success() => {
                    let log = std::fs::read_to_string(LOG).unwrap_or_default();
                    bail!("the compiler does not start: {}", log.trim());
                }
                // Another one was first.
                Some(_) => started = None,
                None => {}
            }
        } else if File::create(LOCK)?.try_lock().is_ok() {
            started = Some(start(folders, project)?);
        }
        std::thread::sleep(LOOK);
    }
}

fn linger() -> Result<u64> {
    match std::env::var_os(LINGERS) {
        None => Ok(LINGER_SECONDS),
        Some(given) => {
            let seconds = given.to_str().and_then(|given| given.parse().ok());
            seconds.with_context(|| format!("{LINGERS} is {given:?}; give whole seconds, as 3600"))
        }
    }
}

fn ask(stream: &mut UnixStream, wanted: &Wanted) -> Result<u8> {
    handover::send(stream, wanted)?;
    let mut answer = [STALE];
    stream.read_exact(&mut answer)?;
    Ok(answer[0])
}

fn start(folders: &Folders, project: &Path) -> Result<Child> {
    let program = std::env::current_exe()?;
    let mut log = File::create(LOG)?;
    writeln!(log, "{}", program.display())?;
    Command::new(program)
        .arg(warm::ARGUMENT)
        .arg(&folders.home)
        .arg(&folders.workspace)
        .arg(project)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        // Of evcxr alone: a copy gets the environment of who asks for it.
        .env("PATH", tools::path(&folders.home)?)
        .envs(tools::cargo_home(&folders.home))
        // What the allocator keeps, each copy may have to copy.
        .env("MIMALLOC_ARENA_EAGER_COMMIT", "0")
        .env("MIMALLOC_PURGE_DELAY", "0")
        .spawn()
        .context("the kernel program cannot start itself")
}
