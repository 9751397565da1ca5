//! How long a reader waits for a cell, measured as a page would, over its web socket, and as a notebook, over
//! Jupyter's protocol.

mod cells;
pub mod clone;
pub mod memory;
pub mod notebook;
pub mod page;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::project::Project;
use crate::serve::{Server, launch};
use page::Page;

/// How long a page has been open when its reader first presses Run.
const OPEN: Duration = Duration::from_secs(15);
/// How many pages are open at once where memory is measured.
const PAGES: usize = 4;
/// How often an edited cell is run in a round.
const EDITS: usize = 3;

/// How `cargo book bench` was called.
#[derive(Debug, Clone)]
pub struct Options {
    /// How many pages are opened, one after another.
    pub rounds: usize,
    /// Also from a clone of the repository, which takes minutes.
    pub clone: bool,
}

/// Measures, and prints a table.
///
/// # Errors
///
/// One line where the server does not start, or where a cell does not do what it should.
pub fn run(project: &Project, options: &Options) -> Result<()> {
    project.require_data()?;
    let runtime = tokio::runtime::Runtime::new()?;
    let measured = runtime.block_on(async {
        // Before anything is warm.
        let cold = notebook::first_picture(project, cells::FIRST).await?;
        let measured = served(project, async |address: &str| {
            measure(project, address, options.rounds).await
        });
        let measured = measured.await?;
        // With nothing else that a round has left.
        let memory = served(project, async |address: &str| {
            memory(project, address).await
        });
        let memory = memory.await?;
        anyhow::Ok(Measured {
            cold,
            memory,
            ..measured
        })
    });
    runtime.shutdown_background();
    measured?.print();
    if options.clone {
        let runtime = tokio::runtime::Runtime::new()?;
        let start = runtime.block_on(clone::start(project))?;
        println!("\nfrom a bare clone, s                        at most");
        println!(
            "{:28} {:8.0} {:13}",
            "the book is served", start.served, 180
        );
        println!("{:28} {:8.0} {:13}", "a cell has run", start.plotted, 720);
    }
    Ok(())
}

/// All that was measured.
#[derive(Default)]
struct Measured {
    first: Vec<f64>,
    edited: Vec<Vec<f64>>,
    new: Vec<f64>,
    reset: Vec<f64>,
    /// From the start of a notebook's kernel to its first plot: when nothing is warm, and beside the book.
    cold: f64,
    notebook: Vec<f64>,
    /// Bytes with one page more each time.
    memory: Vec<f64>,
}

/// What this does with the address of a book that is served meanwhile.
async fn served<T>(project: &Project, work: impl AsyncFnOnce(&str) -> Result<T>) -> Result<T> {
    let launcher = Arc::new(launch::Engines::new(project));
    let server = Server::bind(project, launcher, 0).await?;
    let address = server.address().to_owned();
    let (end, ended) = tokio::sync::oneshot::channel::<()>();
    let serving = tokio::spawn(server.run(async {
        // The sender is dropped, and never sends.
        let _ = ended.await;
    }));
    let done = work(&address).await;
    drop(end);
    serving.await.context("the server was broken off")??;
    done
}

/// Bytes that kernels take with one page open, two, and so on, each of which has run a cell.
async fn memory(project: &Project, address: &str) -> Result<Vec<f64>> {
    let mut pages = Vec::new();
    let mut bytes = Vec::new();
    for chapter in project.chapters()?.iter().take(PAGES) {
        let mut page = Page::open(address, &chapter.name).await?;
        page.run(cells::FIRST).await?.shows("<svg")?;
        pages.push(page);
        // The kernel in reserve is there again.
        tokio::time::sleep(OPEN).await;
        bytes.extend(memory::of(&project.kernel_program()));
    }
    Ok(bytes)
}

async fn measure(project: &Project, address: &str, rounds: usize) -> Result<Measured> {
    let chapters = project.chapters()?;
    ensure!(!chapters.is_empty(), "the book has no chapter");
    let mut all = Measured {
        edited: vec![Vec::new(); cells::EDITED.len()],
        ..Measured::default()
    };
    for chapter in chapters.iter().cycle().take(rounds) {
        let mut page = Page::open(address, &chapter.name).await?;
        tokio::time::sleep(OPEN).await;
        all.first.push(page.run(cells::FIRST).await?.shows("<svg")?);
        for (edited, seconds) in cells::EDITED.iter().zip(&mut all.edited) {
            for edit in 0..=EDITS {
                let code = edited.code.replace("{}", &(10 + edit).to_string());
                let took = page.run(&code).await?.shows(edited.shows)?;
                // The first time it is a cell of a new shape.
                match edit {
                    0 => all.new.push(took),
                    _ => seconds.push(took),
                }
            }
        }
        for code in cells::NEW {
            all.new.push(page.run(code).await?.shows("")?);
        }
        all.reset.push(page.reset().await?);
        all.notebook
            .push(notebook::first_picture(project, cells::FIRST).await?);
    }
    Ok(all)
}

impl Measured {
    fn print(&self) {
        println!("seconds                      minimum   median  maximum   at most");
        let open = format!("first Run, open for {} s", OPEN.as_secs());
        row(&open, &self.first, 1.0);
        for (edited, seconds) in cells::EDITED.iter().zip(&self.edited) {
            row(&format!("again, {}", edited.name), seconds, edited.target);
        }
        row("a cell of a new shape", &self.new, 0.6);
        row("Reset", &self.reset, 1.0);
        row("a new notebook's first plot", &self.notebook, 5.0);
        println!("{:28} {:8.2}", "before the book is started", self.cold);
        if let [first, rest @ ..] = &self.memory[..] {
            println!("\nmemory, MB                                  at most");
            println!("{:28} {:8.0} {:13}", "one page", first / 1e6, 1200);
            if let Some(last) = rest.last() {
                let each = (last - first) / rest.len() as f64;
                let name = format!("each of {} more", rest.len());
                println!("{name:28} {:8.0} {:13}", each / 1e6, 600);
            }
        }
    }
}

fn row(name: &str, seconds: &[f64], target: f64) {
    let mut sorted = seconds.to_vec();
    sorted.sort_by(f64::total_cmp);
    if let (Some(least), Some(median), Some(most)) =
        (sorted.first(), sorted.get(sorted.len() / 2), sorted.last())
    {
        println!("{name:28} {least:8.2} {median:8.2} {most:8.2} {target:9.2}");
    }
}
