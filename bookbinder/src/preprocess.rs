//! Cells and their stored outputs as HTML, inside mdBook.

use std::io;

use anyhow::{Result, anyhow};
use mdbook_preprocessor::book::{Book, BookItem};
use mdbook_preprocessor::{Preprocessor, PreprocessorContext};

use crate::cells::{self, Cell, Segment};
use crate::notebook::{self, Executed};
use crate::project::{Chapter, Project, notebook_name};
use crate::{expand, explorers, formulas, render};

/// The preprocessor `bookbinder` of book.toml.
#[derive(Debug, Clone, Copy, Default)]
pub struct Bookbinder;

impl Preprocessor for Bookbinder {
    fn name(&self) -> &str {
        "bookbinder"
    }

    fn run(&self, ctx: &PreprocessorContext, mut book: Book) -> Result<Book> {
        let root = ctx.root.parent().unwrap_or(&ctx.root);
        let project = Project::at(root);
        let mut failure = None;
        book.for_each_mut(|item| {
            if let BookItem::Chapter(page) = item {
                let Some(path) = page.source_path.as_ref().filter(|_| failure.is_none()) else {
                    return;
                };
                let name = path.with_extension("").to_string_lossy().replace('\\', "/");
                let chapter = Chapter {
                    notebook: project.notebooks().join(notebook_name(&name)),
                    title: page.name.clone(),
                    source: project.src().join(path),
                    name,
                };
                match html(&project, &chapter, &page.content) {
                    Ok(content) => page.content = content,
                    Err(error) => failure = Some(error),
                }
            }
        });
        match failure {
            Some(error) => Err(error),
            None => Ok(book),
        }
    }

    fn supports_renderer(&self, renderer: &str) -> Result<bool> {
        Ok(supports(renderer))
    }
}

/// Whether the preprocessor has something to say to this renderer.
#[must_use]
pub fn supports(renderer: &str) -> bool {
    renderer == "html"
}

/// The preprocessor as mdBook calls it: the book on stdin, the changed book on stdout.
///
/// # Errors
///
/// Where stdin holds no book, or a chapter cannot be cut into cells.
pub fn run() -> Result<()> {
    let (ctx, book) = mdbook_preprocessor::parse_input(io::stdin())?;
    let book = Bookbinder.run(&ctx, book)?;
    serde_json::to_writer(io::stdout(), &book)?;
    Ok(())
}

/// A chapter's Markdown with each cell replaced by its HTML, and links to notebooks leading to where
/// the built book keeps them.
///
/// # Errors
///
/// Where the chapter cannot be cut into cells, its notebook cannot be read, or KaTeX does not know a formula.
pub fn html(project: &Project, chapter: &Chapter, source: &str) -> Result<String> {
    let executed = notebook::read(&chapter.notebook)?.unwrap_or_default();
    let source =
        expand::expand(project, source).map_err(|error| anyhow!("{}: {error:#}", chapter.name))?;
    let source = explorers::expand(project, &source)
        .map_err(|error| anyhow!("{}: {error:#}", chapter.name))?;
    let source = notebook::relink_for_page(project, chapter, &source);
    let segments = cells::parse(&source).map_err(|error| anyhow!("{}: {error}", chapter.name))?;
    let mut out = String::with_capacity(source.len() * 2);
    for segment in segments {
        match segment {
            Segment::Prose(prose) => {
                let prose = formulas::expand(prose)
                    .map_err(|error| anyhow!("{}: {error:#}", chapter.name))?;
                out.push_str(&prose);
            }
            Segment::Cell(cell) => {
                out.push_str(&cell_html(&chapter.name, &cell, &executed));
                // A block of HTML ends at a blank line.
                out.push_str("\n\n");
            }
        }
    }
    Ok(out)
}

fn cell_html(chapter: &str, cell: &Cell, executed: &Executed) -> String {
    let (stale, outputs) = match executed.outputs(cell) {
        Some(outputs) => ("", render::outputs(outputs)),
        None => (" data-stale=\"true\"", String::new()),
    };
    format!(
        "<div class=\"cell\" id=\"{id}\" data-cell=\"{id}\" data-chapter=\"{chapter}\"{stale}>\
         <pre><code class=\"language-rust cell-code\">{code}</code></pre>\
         <div class=\"cell-outputs\">{outputs}</div></div>",
        id = cell.id,
        chapter = render::escape(chapter),
        code = render::escape(cell.code.trim_end()),
    )
}

#[cfg(test)]
mod tests;
