//! Chapters to executed notebooks.

mod kernel;

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use indicatif::{ProgressBar, ProgressStyle};
use kernel_protocol::Output;

use crate::cells::{self, Cell, Segment};
use crate::project::{Chapter, Project};
use crate::{expand, notebook};

pub use kernel::Kernel;

/// What came of one cell.
#[derive(Debug, Clone, PartialEq)]
pub struct Ran {
    /// Its outputs, streams joined.
    pub outputs: Vec<Output>,
    /// Whether it ended without an error.
    pub ok: bool,
}

/// Something that runs cells one after the other, state carried from one to the next.
pub trait Runner {
    /// Forgets everything: the next cell is a chapter's first.
    ///
    /// # Errors
    ///
    /// Where there is no kernel to be had; the message names the cure.
    fn reset(&mut self) -> Result<()>;

    /// Runs one cell to its end.
    ///
    /// # Errors
    ///
    /// Where the kernel is gone. A cell that fails is no error: see [`Ran::ok`].
    fn run(&mut self, code: &str) -> Result<Ran>;
}

/// What was done to one chapter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Woven {
    /// Its notebook was as new as the chapter.
    Fresh,
    /// Only prose had changed: the stored outputs were kept.
    Prose,
    /// Its cells ran.
    Ran,
}

/// Brings the notebooks of these chapters up to date; `all` runs cells that did not change, too. Each
/// chapter is reported as soon as it is done.
///
/// # Errors
///
/// The chapters whose cells failed, each with the cell and its message; their notebooks stay as they
/// were, the other chapters' are written.
pub fn weave(
    project: &Project,
    chapters: &[Chapter],
    all: bool,
    runner: &mut dyn Runner,
    bar: &ProgressBar,
    report: &mut dyn FnMut(&Chapter, Woven),
) -> Result<()> {
    let mut failures = Vec::new();
    bar.set_style(ProgressStyle::with_template(
        "{spinner} {bar:24} {pos}/{len} {elapsed} {wide_msg}",
    )?);
    bar.set_length(0);
    bar.enable_steady_tick(Duration::from_millis(200));
    for chapter in chapters {
        match one(project, chapter, all, runner, bar) {
            Ok(woven) => bar.suspend(|| report(chapter, woven)),
            Err(error) => failures.push(format!("{error:#}")),
        }
    }
    bar.finish_and_clear();
    if failures.is_empty() {
        Ok(())
    } else {
        bail!("{}", failures.join("\n"))
    }
}

fn one(
    project: &Project,
    chapter: &Chapter,
    all: bool,
    runner: &mut dyn Runner,
    bar: &ProgressBar,
) -> Result<Woven> {
    let written = chapter.read()?;
    let cells = cells_of(&chapter.name, &written)?;
    let source = expand::expand(project, &written).context(chapter.name.clone())?;
    // A notebook that cannot be read is written anew.
    let stored = notebook::read(&chapter.notebook).ok().flatten();
    if let (false, Some(stored)) = (all, stored) {
        if stored.source == cells::hash(&source) {
            return Ok(Woven::Fresh);
        }
        let kept: Option<HashMap<_, _>> = cells
            .iter()
            .map(|cell| Some((cell.id.clone(), stored.outputs(cell)?.to_vec())))
            .collect();
        // The setup cell is among the stored ones.
        if let Some(kept) = kept.filter(|kept| kept.len() + 1 == stored.cells.len()) {
            save(project, chapter, &source, &kept, &stored.vectors)?;
            return Ok(Woven::Prose);
        }
    }
    let mut outputs = HashMap::new();
    if !cells.is_empty() {
        bar.inc_length(cells.len() as u64);
        bar.set_message(format!("{}: starting", chapter.name));
        runner.reset()?;
    }
    for cell in cells {
        bar.set_message(format!("{}: {}", chapter.name, cell.id));
        let ran = runner
            .run(&cell.code)
            .with_context(|| format!("{}: {}", chapter.name, cell.id))?;
        if !ran.ok {
            return Err(failed(chapter, &cell, &ran.outputs));
        }
        bar.inc(1);
        outputs.insert(cell.id, ran.outputs);
    }
    save(project, chapter, &source, &outputs, notebook::vectors())?;
    Ok(Woven::Ran)
}

fn cells_of(chapter: &str, source: &str) -> Result<Vec<Cell>> {
    let segments = cells::parse(source).map_err(|error| anyhow!("{chapter}: {error}"))?;
    Ok(segments
        .into_iter()
        .filter_map(|segment| match segment {
            Segment::Cell(cell) => Some(cell),
            Segment::Prose(_) => None,
        })
        .collect())
}

fn failed(chapter: &Chapter, cell: &Cell, outputs: &[Output]) -> anyhow::Error {
    let error = outputs.iter().rev().find_map(|output| match output {
        Output::Error { ename, evalue, .. } => Some(format!("{ename}: {evalue}")),
        _ => None,
    });
    let stderr = outputs.iter().rev().find_map(|output| match output {
        Output::Stream { name, text } if name == "stderr" => text.lines().next().map(str::to_owned),
        _ => None,
    });
    anyhow!(
        "{}: {} (line {}): {}",
        chapter.name,
        cell.id,
        cell.line,
        error.or(stderr).unwrap_or_else(|| "failed".into())
    )
}

/// Written beside and renamed: a notebook is the old one or the new one, never half of one.
fn save(
    project: &Project,
    chapter: &Chapter,
    source: &str,
    outputs: &HashMap<String, Vec<Output>>,
    vectors: &str,
) -> Result<()> {
    let text = notebook::write(project, chapter, source, outputs, vectors)?;
    let path = &chapter.notebook;
    let beside = path.with_extension("ipynb.part");
    let write = |beside: &Path| {
        std::fs::create_dir_all(project.notebooks())?;
        std::fs::write(beside, text)?;
        std::fs::rename(beside, path)
    };
    write(&beside).with_context(|| format!("{} cannot be written", path.display()))
}
