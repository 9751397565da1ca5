//! The cells' kernel for Jupyter: the page's engine, spoken to by Jupyter's protocol.

mod install;
mod messages;
mod shell;
mod whole;

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use jupyter_protocol::{
    ConnectionInfo, InterruptReply, JupyterMessage, JupyterMessageContent, ShutdownReply, Status,
};
use jupyter_zmq_client::{
    KernelControlConnection, KernelIoPubConnection, RuntimeError, create_kernel_control_connection,
    create_kernel_heartbeat_connection, create_kernel_iopub_connection,
    create_kernel_shell_connection, create_kernel_stdin_connection,
};
use kernel_protocol::Request;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::engine::Engine;
use crate::project::Project;

pub use install::{Place, install};
use shell::Shell;

/// How often the parent is looked for.
const PARENT: Duration = Duration::from_secs(1);
/// How long what was published last has to reach the front end.
const LAST_WORDS: Duration = Duration::from_millis(100);

/// The engine, for those who may stop its cell; none until it has started.
#[derive(Clone, Default)]
struct Running(Arc<Mutex<Option<Arc<Engine>>>>);

impl Running {
    fn get(&self) -> MutexGuard<'_, Option<Arc<Engine>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where messages for all front ends go.
#[derive(Clone)]
struct Publisher(UnboundedSender<JupyterMessage>);

impl Publisher {
    fn send(&self, content: impl Into<JupyterMessageContent>, parent: &JupyterMessage) {
        let message = JupyterMessage::new(content, Some(parent)).with_zmq_identities(Vec::new());
        // It fails where this process ends.
        let _ = self.0.send(message);
    }
}

/// Serves the front end that wrote the connection file, until it asks for the end.
///
/// # Errors
///
/// Where the file cannot be read or the ports are taken. What fails in a cell is the front end's to show.
pub fn run(project: &Project, connection_file: &Path) -> Result<()> {
    let text = std::fs::read_to_string(connection_file)
        .with_context(|| format!("{} cannot be read", connection_file.display()))?;
    let connection: ConnectionInfo = serde_json::from_str(&text)
        .with_context(|| format!("{} is no connection file", connection_file.display()))?;
    let runtime = tokio::runtime::Runtime::new()?;
    let served = runtime.block_on(serve(project, &connection));
    runtime.shutdown_background();
    served
}

async fn serve(project: &Project, connection: &ConnectionInfo) -> Result<()> {
    let session = format!("candlelight-{}", std::process::id());
    let iopub = create_kernel_iopub_connection(connection, &session).await?;
    let shell = create_kernel_shell_connection(connection, &session).await?;
    let control = create_kernel_control_connection(connection, &session).await?;
    // Nobody is asked: a cell's stdin is empty. But front ends connect to it.
    let _stdin = create_kernel_stdin_connection(connection, &session).await?;
    let mut heart = create_kernel_heartbeat_connection(connection).await?;
    tokio::spawn(async move { while heart.single_heartbeat().await.is_ok() {} });
    let (publish, published) = unbounded_channel();
    tokio::spawn(send_all(iopub, published));
    let publisher = Publisher(publish);
    let running = Running::default();
    let mut shell = Shell::new(project, shell, publisher.clone(), running.clone());
    let served = tokio::select! {
        done = control_requests(control, &publisher, &running) => done,
        done = shell.requests() => done,
        () = parent_gone() => Ok(()),
    };
    tokio::time::sleep(LAST_WORDS).await;
    drop(shell);
    // The last owner ends the process.
    let engine = running.get().take();
    if let Some(engine) = engine.and_then(Arc::into_inner) {
        engine.shutdown().await;
    }
    served
}

/// The next message that can be understood. One that cannot, since it lacks what the protocol asks for, gets no
/// answer: its sender is not known then.
async fn next(from: &mut KernelControlConnection) -> Result<JupyterMessage> {
    loop {
        match from.read().await {
            Ok(message) => return Ok(message),
            Err(RuntimeError::ZmqError(error)) => {
                return Err(anyhow!("the front end is gone: {error}"));
            }
            Err(error) => tracing::warn!("a message is not understood: {error}"),
        }
    }
}

/// Returns when the process that started this kernel, if it told its number, is no more.
async fn parent_gone() {
    let parent = std::env::var("JPY_PARENT_PID").ok();
    let Some(parent) = parent.and_then(|id| id.parse::<u32>().ok()) else {
        return std::future::pending().await;
    };
    while std::os::unix::process::parent_id() == parent {
        tokio::time::sleep(PARENT).await;
    }
}

async fn send_all(mut iopub: KernelIoPubConnection, mut all: UnboundedReceiver<JupyterMessage>) {
    while let Some(message) = all.recv().await {
        if let Err(error) = iopub.send(message).await {
            tracing::warn!("a message did not reach the front end: {error}");
        }
    }
}

/// What must be heard while a cell runs. Returns when the end is asked for.
async fn control_requests(
    mut control: KernelControlConnection,
    publisher: &Publisher,
    running: &Running,
) -> Result<()> {
    loop {
        let asked = next(&mut control).await?;
        publisher.send(Status::busy(), &asked);
        let mut ends = false;
        let reply: Option<JupyterMessageContent> = match &asked.content {
            JupyterMessageContent::KernelInfoRequest(_) => Some(messages::kernel_info().into()),
            JupyterMessageContent::InterruptRequest(_) => {
                if let Some(engine) = &*running.get() {
                    // Where it is gone, its cell has ended.
                    let _ = engine.send(Request::Interrupt);
                }
                Some(InterruptReply::new().into())
            }
            JupyterMessageContent::ShutdownRequest(shutdown) => {
                ends = true;
                let reply = ShutdownReply {
                    restart: shutdown.restart,
                    ..ShutdownReply::default()
                };
                Some(reply.into())
            }
            _ => None,
        };
        if let Some(reply) = reply {
            control
                .send(JupyterMessage::new(reply, Some(&asked)))
                .await?;
        }
        publisher.send(Status::idle(), &asked);
        if ends {
            return Ok(());
        }
    }
}
