//! A new Jupyter notebook, seen from its front end.

use std::net::{IpAddr, Ipv4Addr};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use jupyter_protocol::{
    ConnectionInfo, ExecuteRequest, ExecutionState, JupyterMessage, JupyterMessageContent,
    KernelInfoRequest, MediaType, ShutdownRequest, Transport,
};
use jupyter_zmq_client::{
    ClientIoPubConnection, ClientShellConnection, create_client_control_connection,
    create_client_iopub_connection, create_client_shell_connection_with_identity, peek_ports,
    peer_identity_for_session,
};
use kernel_protocol::LINGERS;
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

use crate::project::Project;

const SESSION: &str = "candlelight-bench";
/// What takes longer is broken.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long the kernel may take to open its ports, and how often that is tried.
const OPENING: Duration = Duration::from_secs(10);
const TRY: Duration = Duration::from_millis(10);

/// Starts the kernel as Jupyter does and runs this cell: seconds from the start until a picture is there.
///
/// # Errors
///
/// Where the kernel does not start, or the cell shows no picture.
pub async fn first_picture(project: &Project, code: &str) -> Result<f64> {
    let connection = connection().await?;
    let file = std::env::temp_dir().join(format!(
        "candlelight-{}-{}.json",
        std::process::id(),
        connection.shell_port
    ));
    std::fs::write(&file, serde_json::to_string(&connection)?)?;
    let start = Instant::now();
    let program = std::env::current_exe()?;
    let kernel = Command::new(program)
        .args(["kernel", "run"])
        .arg(&file)
        .arg("--project")
        .arg(&project.root)
        .env("CARGO_TARGET_DIR", project.target())
        // Not an hour, as for a reader.
        .env(LINGERS, "2")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .context("the kernel does not start")?;
    let shown = timeout(PATIENCE, picture(&connection, code)).await;
    let took = start.elapsed().as_secs_f64();
    let ended = end(kernel, &connection).await;
    let _ = std::fs::remove_file(&file);
    shown.context("the notebook's cell does not end")??;
    ended?;
    Ok(took)
}

async fn connection() -> Result<ConnectionInfo> {
    let here = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let ports = peek_ports(here, 5).await?;
    let [shell, iopub, stdin, control, heart] = ports[..] else {
        bail!("no ports are free");
    };
    Ok(ConnectionInfo {
        ip: here.to_string(),
        transport: Transport::TCP,
        shell_port: shell,
        iopub_port: iopub,
        stdin_port: stdin,
        control_port: control,
        hb_port: heart,
        key: format!("candlelight-{}", std::process::id()),
        signature_scheme: "hmac-sha256".to_owned(),
        kernel_name: Some("candlelight".to_owned()),
    })
}

/// Waits until the kernel answers, and then until the cell has shown a picture.
async fn picture(connection: &ConnectionInfo, code: &str) -> Result<()> {
    let (mut shell, mut iopub) = connect(connection).await?;
    shell
        .send(JupyterMessage::new(KernelInfoRequest {}, None))
        .await?;
    shell.read().await?;
    let request = JupyterMessage::new(ExecuteRequest::new(code.to_owned()), None);
    let mine = request.header.msg_id.clone();
    shell.send(request).await?;
    loop {
        let message = iopub.read().await?;
        let parent = message.parent_header.as_ref();
        if parent.is_none_or(|parent| parent.msg_id != mine) {
            continue;
        }
        match message.content {
            JupyterMessageContent::DisplayData(shown)
                if shown
                    .data
                    .content
                    .iter()
                    .any(|media| matches!(media, MediaType::Svg(_))) =>
            {
                return Ok(());
            }
            JupyterMessageContent::ErrorOutput(error) => {
                bail!("the cell failed: {}: {}", error.ename, error.evalue);
            }
            JupyterMessageContent::Status(status)
                if status.execution_state == ExecutionState::Idle =>
            {
                bail!("the cell showed no picture");
            }
            _ => {}
        }
    }
}

async fn connect(
    connection: &ConnectionInfo,
) -> Result<(ClientShellConnection, ClientIoPubConnection)> {
    let start = Instant::now();
    loop {
        let identity = peer_identity_for_session(SESSION)?;
        let iopub = create_client_iopub_connection(connection, "", SESSION).await;
        let shell =
            create_client_shell_connection_with_identity(connection, SESSION, identity).await;
        match (shell, iopub) {
            (Ok(shell), Ok(iopub)) => return Ok((shell, iopub)),
            (Err(error), _) | (_, Err(error)) if start.elapsed() > OPENING => {
                return Err(anyhow!("the kernel opens no ports: {error}"));
            }
            _ => sleep(TRY).await,
        }
    }
}

/// Asks the kernel to end, and waits until it has.
async fn end(mut kernel: Child, connection: &ConnectionInfo) -> Result<()> {
    let mut control = create_client_control_connection(connection, SESSION).await?;
    let request = ShutdownRequest { restart: false };
    control.send(JupyterMessage::new(request, None)).await?;
    let ended = timeout(OPENING, kernel.wait()).await;
    ended.context("the kernel does not end when asked to")??;
    Ok(())
}
