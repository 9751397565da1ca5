//! A kernel process: built, started, spoken to, and ended with all that it started.

mod build;
mod cell;

use std::ffi::OsString;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use kernel_protocol::{Event, FEATURES, LINGERS, Request};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;

use crate::project::Project;

pub use build::ensure_built;
pub use cell::{Done, ready, run_cell};

/// How long a kernel may take to end after its requests are closed.
const PATIENCE: Duration = Duration::from_secs(2);

/// A kernel process. It ends, with the cell that runs and all compilers, when this is dropped or when
/// this process dies: it watches the pipe that its requests come through.
#[derive(Debug)]
pub struct Engine {
    requests: UnboundedSender<Request>,
    last: AtomicU64,
    process: JoinHandle<()>,
}

impl Engine {
    /// Starts the kernel, which [`ensure_built`] has built, and gives what it will say.
    /// The first event that matters is [`Event::Ready`]; requests sent before it wait.
    ///
    /// Must be called inside a tokio runtime.
    ///
    /// # Errors
    ///
    /// Where the program cannot be started.
    pub fn start(project: &Project) -> Result<(Self, UnboundedReceiver<Event>)> {
        Self::start_lingering(project, None)
    }

    /// As [`start`](Self::start); after the kernel's end the warm context that it was made from waits so many
    /// seconds for the next.
    ///
    /// # Errors
    ///
    /// Where the program cannot be started.
    pub fn start_lingering(
        project: &Project,
        seconds: Option<u64>,
    ) -> Result<(Self, UnboundedReceiver<Event>)> {
        let program = project.kernel_program();
        let mut command = Command::new(&program);
        command
            .arg(project.contexts())
            .arg(&project.workspace)
            .arg(&project.root)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        for name in of_cargo() {
            command.env_remove(name);
        }
        command.env(FEATURES, project.features.join(","));
        if let Some(seconds) = seconds {
            command.env(LINGERS, seconds.to_string());
        }
        let mut child = command
            .spawn()
            .with_context(|| format!("{} cannot be started", program.display()))?;
        let stdin = child.stdin.take().ok_or_else(|| anyhow!("no stdin"))?;
        let stdout = child.stdout.take().ok_or_else(|| anyhow!("no stdout"))?;
        let (requests, incoming) = unbounded_channel();
        let (outgoing, events) = unbounded_channel();
        let ends = Arc::new(AtomicBool::new(false));
        tokio::spawn(write_requests(stdin, incoming, Arc::clone(&ends)));
        let engine = Self {
            requests,
            last: AtomicU64::new(0),
            process: tokio::spawn(read_events(child, stdout, outgoing, ends)),
        };
        Ok((engine, events))
    }

    /// Sends a request.
    ///
    /// # Errors
    ///
    /// Where the kernel process is gone.
    pub fn send(&self, request: Request) -> Result<()> {
        self.requests
            .send(request)
            .map_err(|_| anyhow!("the kernel process is gone"))
    }

    /// Asks for a cell to be run. Returns the number that every event about it carries.
    ///
    /// # Errors
    ///
    /// Where the kernel process is gone.
    pub fn execute(&self, code: &str) -> Result<u64> {
        let id = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        let code = code.to_owned();
        self.send(Request::Execute { id, code })?;
        Ok(id)
    }

    /// Ends the kernel process, whatever it does, and waits until it is gone.
    pub async fn shutdown(self) {
        drop(self.requests);
        // The reader ends the child itself when it is not gone in time.
        let _ = self.process.await;
    }
}

/// The variables that `cargo run` and `cargo test` set for this process, and that would change the builds of one that it
/// starts.
pub fn of_cargo() -> impl Iterator<Item = OsString> {
    let names = std::env::vars_os().map(|(name, _)| name);
    names.filter(|name| {
        let text = name.to_string_lossy();
        (text.starts_with("CARGO_") && text != "CARGO_HOME") || text == "RUSTFLAGS"
    })
}

/// Closes the kernel's stdin when no more requests can come, and notes that it is to end.
async fn write_requests(
    mut stdin: ChildStdin,
    mut incoming: UnboundedReceiver<Request>,
    ends: Arc<AtomicBool>,
) {
    while let Some(request) = incoming.recv().await {
        let Ok(mut line) = serde_json::to_vec(&request) else {
            continue;
        };
        line.push(b'\n');
        if stdin.write_all(&line).await.is_err() {
            // The kernel is gone; who sends the next request hears it from the closed channel.
            return;
        }
    }
    ends.store(true, Ordering::Relaxed);
}

async fn read_events(
    mut child: Child,
    stdout: ChildStdout,
    outgoing: UnboundedSender<Event>,
    ends: Arc<AtomicBool>,
) {
    let mut lines = BufReader::new(stdout).lines();
    let mut failed = false;
    while let Ok(Some(line)) = lines.next_line().await {
        match serde_json::from_str(&line) {
            Ok(event) => {
                failed |= matches!(event, Event::Failed { .. });
                // Nobody listens any more: read on, so that the kernel does not wait for us.
                let _ = outgoing.send(event);
            }
            Err(error) => tracing::warn!("the kernel said what is no event ({error}): {line}"),
        }
    }
    let status = match tokio::time::timeout(PATIENCE, child.wait()).await {
        Ok(Ok(status)) => status.to_string(),
        _ => {
            let _ = child.kill().await;
            "it stopped answering".to_owned()
        }
    };
    if !failed && !ends.load(Ordering::Relaxed) {
        let why = format!("the kernel process ended ({status}); its variables are lost");
        let _ = outgoing.send(Event::Failed { why });
    }
}
