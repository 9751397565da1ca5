//! Cells that are not run.

use kernel_protocol::Output;

use super::message::{Done, FromPage, ToPage};
use crate::cells::{self, Segment};
use crate::project::Project;
use crate::render;

/// The longest cell that runs, in bytes.
const LONGEST: usize = 1_000_000;

/// What a page is told that asks for what cannot be run: the cell, with its error.
pub fn refusal(project: &Project, chapter: &str, asked: &FromPage) -> Option<[ToPage; 3]> {
    let FromPage::Run { cell, code, source } = asked else {
        return None;
    };
    let megabytes = |bytes: usize| bytes as f64 / 1e6;
    let why = if code.len() > LONGEST {
        format!(
            "this cell has {:.1} MB, and at most {:.1} run; read large data from a file",
            megabytes(code.len()),
            megabytes(LONGEST)
        )
    } else if !has(project, chapter, cell) {
        format!("the chapter {chapter} has no cell `{cell}` now; load the page again")
    } else {
        return None;
    };
    let error = Output::Error {
        ename: "not run".to_owned(),
        evalue: why,
        traceback: Vec::new(),
    };
    let began = ToPage::Began {
        cell: cell.clone(),
        began: 0.0,
        source: source.clone(),
    };
    let output = ToPage::Output {
        cell: cell.clone(),
        html: render::output(&error),
        at: 0,
    };
    let done = Done {
        ok: false,
        lost: false,
        seconds: 0.0,
    };
    let cell = cell.clone();
    Some([began, output, ToPage::Done { cell, done }])
}

/// Whether the chapter has this cell as it now stands on the disk.
fn has(project: &Project, chapter: &str, cell: &str) -> bool {
    let chapters = project.chapters().unwrap_or_default();
    let Some(known) = chapters.iter().find(|known| known.name == chapter) else {
        return false;
    };
    let text = std::fs::read_to_string(&known.source).unwrap_or_default();
    let is_it = |segment: &Segment<'_>| matches!(segment, Segment::Cell(found) if found.id == cell);
    cells::parse(&text).is_ok_and(|segments| segments.iter().any(is_it))
}
