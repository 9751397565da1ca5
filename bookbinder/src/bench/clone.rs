//! A reader's first start: a clone, `cargo book`, and the first cell.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::cells;
use super::page::Page;
use crate::engine;
use crate::project::Project;

/// What takes longer is broken.
const PATIENCE: Duration = Duration::from_secs(3600);
/// How long the server may take to end.
const ENDING: Duration = Duration::from_secs(20);

/// Seconds from `cargo book` in a new clone on.
pub struct Start {
    /// Until the book is served.
    pub served: f64,
    /// Until a cell of a page that was opened then has shown its plot.
    pub plotted: f64,
}

/// Clones the repository to a folder of its own, which is removed afterwards, and starts the book there. What is
/// downloaded is not measured where cargo has it already.
///
/// # Errors
///
/// Where the clone, the build or the cell fails.
pub async fn start(project: &Project) -> Result<Start> {
    let folder = std::env::temp_dir().join(format!("candlelight-clone-{}", std::process::id()));
    let started = in_folder(project, &folder).await;
    let removed = std::fs::remove_dir_all(&folder);
    let started = started?;
    removed.with_context(|| format!("{} cannot be removed", folder.display()))?;
    Ok(started)
}

async fn in_folder(project: &Project, folder: &Path) -> Result<Start> {
    let cloned = Command::new("git")
        .args(["clone", "--quiet"])
        .arg(&project.root)
        .arg(folder)
        .status()
        .await
        .context("git cannot be started")?;
    ensure!(
        cloned.success(),
        "git clones no repository from {}",
        project.root.display()
    );
    let start = Instant::now();
    let mut command = Command::new("cargo");
    command
        .args(["book", "--port", "0"])
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true);
    for name in engine::of_cargo() {
        command.env_remove(name);
    }
    let mut server = command.spawn().context("cargo cannot be started")?;
    let measured = timeout(PATIENCE, measure(project, &mut server, start)).await;
    end(&mut server).await?;
    measured.context("the book does not start")?
}

async fn measure(project: &Project, server: &mut Child, start: Instant) -> Result<Start> {
    let output = server.stdout.take().context("the server prints nothing")?;
    let mut lines = BufReader::new(output).lines();
    let address = loop {
        let line = lines.next_line().await?;
        let line = line.context("`cargo book` ended before it served the book")?;
        if line.starts_with("http://") {
            break line;
        }
    };
    let served = start.elapsed().as_secs_f64();
    eprintln!("served after {served:.0} s");
    let chapters = project.chapters()?;
    let chapter = chapters.first().context("the book has no chapter")?;
    let mut page = Page::open(&address, &chapter.name).await?;
    page.run(cells::FIRST).await?.shows("<svg")?;
    let plotted = start.elapsed().as_secs_f64();
    Ok(Start { served, plotted })
}

/// As Ctrl-C does: the server ends its kernels itself.
async fn end(server: &mut Child) -> Result<()> {
    if let Some(id) = server.id() {
        let _ = Command::new("kill").arg(id.to_string()).status().await;
    }
    if timeout(ENDING, server.wait()).await.is_err() {
        server.kill().await?;
    }
    Ok(())
}
