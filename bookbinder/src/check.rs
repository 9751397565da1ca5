//! What the chapters, notebooks and pages must agree on.

mod compile;
mod links;
mod pictures;

use std::collections::BTreeSet;
use std::fmt;

use anyhow::Result;

use crate::cells;
use crate::project::{Chapter, Project};
use crate::{expand, formulas, notebook};

/// Something wrong with a chapter.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// The chapter's name.
    pub chapter: String,
    /// The line in the chapter, from 1; 0 where it is about the whole.
    pub line: usize,
    /// One line: what is wrong and the cure.
    pub message: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.chapter, self.message),
            line => write!(f, "{}: line {line}: {}", self.chapter, self.message),
        }
    }
}

/// Everything that is wrong, chapter by chapter.
///
/// # Errors
///
/// Where the check itself cannot be made: no SUMMARY.md, no cargo.
pub fn check(project: &Project) -> Result<Vec<Finding>> {
    let chapters = project.chapters()?;
    let mut findings = Vec::new();
    let mut unparsed = BTreeSet::new();
    for chapter in &chapters {
        let source = chapter.read()?;
        if let Err(error) = cells::parse(&source) {
            unparsed.insert(chapter.name.clone());
            findings.push(Finding {
                chapter: chapter.name.clone(),
                line: error.line,
                message: error.message,
            });
        }
        findings.extend(staleness(project, chapter, &source));
        findings.extend(pictures::check(chapter, &source));
        let formulas = formulas::check(&source).into_iter();
        findings.extend(formulas.map(|(line, message)| Finding {
            chapter: chapter.name.clone(),
            line,
            message,
        }));
    }
    findings.extend(links::check(project, &chapters)?);
    findings.extend(
        compile::check(project)?
            .into_iter()
            .filter(|finding| !unparsed.contains(&finding.chapter)),
    );
    let order = |name: &str| chapters.iter().position(|chapter| chapter.name == name);
    findings.sort_by(|a, b| {
        (order(&a.chapter), a.line, &a.message).cmp(&(order(&b.chapter), b.line, &b.message))
    });
    findings.dedup();
    Ok(findings)
}

fn staleness(project: &Project, chapter: &Chapter, source: &str) -> Option<Finding> {
    let weave = |what: &str| format!("{what}; run `cargo book weave {}`", chapter.name);
    let message = match (
        expand::expand(project, source),
        notebook::read(&chapter.notebook),
    ) {
        (Ok(source), Ok(Some(executed))) if executed.source == cells::hash(&source) => return None,
        (Ok(_), Ok(Some(_))) => weave("its notebook is older than the chapter"),
        (Ok(_), Ok(None)) => weave("it has no notebook"),
        (Ok(_), Err(error)) => weave(&format!("{error:#}")),
        (Err(error), _) => format!("{error:#}"),
    };
    Some(Finding {
        chapter: chapter.name.clone(),
        line: 0,
        message,
    })
}
