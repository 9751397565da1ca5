//! The book over HTTP, with a kernel behind every page that runs a cell.
//!
//! [`access`] decides who may speak, [`site`] serves pages and web sockets, a [`session`] is a chapter's
//! state, and the [`pool`] keeps the kernels.

pub mod access;
pub mod launch;
pub mod message;
pub mod pool;
mod refusal;
pub mod session;
pub mod site;
mod terminal;
mod watch;

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use tokio::net::TcpListener;

use crate::build;
use crate::project::Project;
use access::Access;
use launch::Launcher;
use pool::Pool;
use site::Site;

/// How long a kernel may be unused before its memory is freed.
const IDLE: Duration = Duration::from_secs(3600);
/// How often those are looked for.
const LOOK_FOR_IDLE: Duration = Duration::from_secs(60);

/// How `cargo book serve` was called.
#[derive(Debug, Clone)]
pub struct Options {
    /// The address that it listens at; another than loopback lets other machines in.
    pub host: IpAddr,
    /// The port; 0 takes any that is free.
    pub port: u16,
    /// Whether to open the address in a browser.
    pub open: bool,
}

/// Builds the book and serves it until interrupted.
///
/// # Errors
///
/// One line where the port is taken or the book cannot be built.
pub fn run(project: &Project, options: &Options) -> Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    let launcher = Arc::new(launch::Engines::new(project));
    let served = runtime.block_on(async {
        let at = SocketAddr::new(options.host, options.port);
        let server = Server::bind_at(project, launcher, at).await?;
        terminal::done("book: built; Ctrl-C ends the server and every kernel");
        if let Some(warning) = server.access.warning() {
            eprintln!("{warning}");
        }
        println!("{}", server.address());
        if options.open {
            open(server.address());
        }
        server.run(interrupted()).await
    });
    // A build of the kernel that is under way would hold the process back.
    runtime.shutdown_background();
    served
}

/// A server that has its port and its book.
pub struct Server {
    listener: TcpListener,
    address: String,
    access: Arc<Access>,
    folder: PathBuf,
    project: Project,
    pool: Arc<Pool>,
}

impl Server {
    /// Takes the port, then builds the book.
    ///
    /// # Errors
    ///
    /// One line where the port is taken or the book cannot be built.
    pub async fn bind(project: &Project, launcher: Arc<dyn Launcher>, port: u16) -> Result<Self> {
        Self::bind_at(project, launcher, (Ipv4Addr::LOCALHOST, port).into()).await
    }

    /// As [`bind`](Self::bind), at another address than 127.0.0.1.
    ///
    /// # Errors
    ///
    /// As there, and where the machine has no such address.
    pub async fn bind_at(
        project: &Project,
        launcher: Arc<dyn Launcher>,
        at: SocketAddr,
    ) -> Result<Self> {
        let port = at.port();
        let listener = TcpListener::bind(at)
            .await
            .map_err(|error| match error.kind() {
                ErrorKind::AddrInUse => anyhow!(
                    "port {port} is taken; end the program that uses it or choose another: `cargo book --port {}`",
                    port.checked_add(1).unwrap_or(3000)
                ),
                ErrorKind::PermissionDenied => {
                    anyhow!("port {port} needs rights that this user lacks; choose one above 1023 with --port")
                }
                ErrorKind::AddrNotAvailable => anyhow!(
                    "this machine has no address {}; --host takes one of its own, or 0.0.0.0 for all of them",
                    at.ip()
                ),
                _ => anyhow!("{at} cannot be listened on: {error}"),
            })?;
        terminal::doing("book: building");
        let building = project.clone();
        let folder = tokio::task::spawn_blocking(move || build::build(&building))
            .await
            .context("the build of the book was broken off")??;
        let access = Arc::new(Access::new(listener.local_addr()?)?);
        Ok(Self {
            listener,
            address: access.address(),
            access,
            folder,
            project: project.clone(),
            pool: Pool::new(launcher),
        })
    }

    /// What the reader opens: the address with its token.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Serves, prepares a kernel meanwhile and watches the sources, until `end`.
    ///
    /// # Errors
    ///
    /// Where the port is taken away.
    pub async fn run(self, end: impl Future<Output = ()>) -> Result<()> {
        let site = Site::new(&self.project, &self.pool);
        let router = site.router(self.access, &self.folder);
        let pool = Arc::clone(&self.pool);
        let kernels = tokio::spawn(async move {
            pool.warm().await;
            loop {
                tokio::time::sleep(LOOK_FOR_IDLE).await;
                pool.let_go(IDLE);
            }
        });
        let watching = tokio::spawn(watch::watch(self.project, site));
        let served = tokio::select! {
            served = axum::serve(self.listener, router) => served.context("the server ended"),
            () = end => Ok(()),
        };
        watching.abort();
        kernels.abort();
        self.pool.close().await;
        served
    }
}

/// Ctrl-C, or a polite request from the system to end.
async fn interrupted() {
    #[cfg(unix)]
    if let Ok(mut end) = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
        tokio::select! {
            _ = end.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
        return;
    }
    // Where no signal can be waited for, the process ends as the system ends it.
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending().await
    }
}

fn open(address: &str) {
    let (program, arguments): (_, &[&str]) = if cfg!(target_os = "macos") {
        ("open", &[])
    } else if cfg!(windows) {
        ("cmd", &["/C", "start", ""])
    } else {
        ("xdg-open", &[])
    };
    let started = Command::new(program)
        .args(arguments)
        .arg(address)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    if started.is_err() {
        terminal::done(&format!(
            "no browser opens with `{program}`; open the address by hand"
        ));
    }
}
