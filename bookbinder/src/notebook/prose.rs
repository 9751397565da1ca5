//! Prose for Jupyter: links that lead on from the notebook's folder, no mdBook directives, and no
//! `<details>` around a cell, for each of a notebook's cells is a document of its own.

use std::ops::Range;
use std::path::{Component, Path, PathBuf};

use pulldown_cmark::{Event, Options, Parser, Tag};

use crate::project::{Chapter, Project, notebook_name};

/// A link or an image in Markdown.
pub(crate) struct Link {
    /// Where it leads, as written.
    pub(crate) target: String,
    /// The bytes of the whole link.
    pub(crate) range: Range<usize>,
}

/// The links and images of a chapter, in order. Code is not searched.
pub(crate) fn links(source: &str) -> Vec<Link> {
    let parser = Parser::new_ext(source, options());
    let mut found: Vec<Link> = parser
        .reference_definitions()
        .iter()
        .map(|(_, definition)| Link {
            target: definition.dest.to_string(),
            range: definition.span.clone(),
        })
        .collect();
    for (event, range) in parser.into_offset_iter() {
        if let Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) = event {
            // A reference's target stands in its definition.
            let target = dest_url.to_string();
            if source
                .get(range.clone())
                .is_some_and(|text| text.contains(&target))
            {
                found.push(Link { target, range });
            }
        }
    }
    found.sort_by_key(|link| link.range.start);
    found
}

/// mdBook's own extensions of Markdown, and [`crate::formulas`].
pub(crate) fn options() -> Options {
    Options::ENABLE_TABLES
        | Options::ENABLE_FOOTNOTES
        | Options::ENABLE_STRIKETHROUGH
        | Options::ENABLE_TASKLISTS
        | Options::ENABLE_HEADING_ATTRIBUTES
        | Options::ENABLE_GFM
        | Options::ENABLE_DEFINITION_LIST
        | Options::ENABLE_MATH
}

/// Whether a link has a scheme (`https:`, `mailto:`).
pub(crate) fn is_external(target: &str) -> bool {
    target.split_once(':').is_some_and(|(scheme, _)| {
        scheme
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '+')
    }) || target.starts_with("//")
}

/// A path without `.` and `..`, by its text alone.
pub(crate) fn normalise(path: &Path) -> PathBuf {
    let mut parts = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                if !parts.pop() {
                    parts.push("..");
                }
            }
            part => parts.push(part),
        }
    }
    parts
}

/// The chapter with its relative links as the notebook needs them: another chapter's page becomes its
/// notebook, any other file is reached through `..`.
pub(super) fn relink(project: &Project, chapter: &Chapter, source: &str) -> String {
    replace_targets(without_directives(source), |target| {
        from_notebooks(project, chapter, target)
    })
}

/// The chapter with its links to notebooks as the built page needs them: they lie in `notebooks/` of
/// the built book.
pub(super) fn relink_for_page(project: &Project, chapter: &Chapter, source: &str) -> String {
    replace_targets(source.to_owned(), |target| {
        let folder = chapter.source.parent().unwrap_or(&project.root);
        let file = normalise(&folder.join(target));
        match file.strip_prefix(project.notebooks()) {
            Ok(name) => {
                let up = "../".repeat(chapter.name.matches('/').count());
                format!("{up}notebooks/{}", slashes(name))
            }
            Err(_) => target.to_owned(),
        }
    })
}

fn replace_targets(mut text: String, new: impl Fn(&str) -> String) -> String {
    for link in links(&text).into_iter().rev() {
        if is_external(&link.target) || link.target.starts_with('#') {
            continue;
        }
        let new = new(&link.target);
        if let Some(whole) = text.get(link.range.clone())
            && let Some(at) = whole.rfind(&link.target)
        {
            let start = link.range.start + at;
            text.replace_range(start..start + link.target.len(), &new);
        }
    }
    text
}

fn from_notebooks(project: &Project, chapter: &Chapter, target: &str) -> String {
    let (path, anchor) = match target.split_once('#') {
        Some((path, anchor)) => (path, format!("#{anchor}")),
        None => (target, String::new()),
    };
    let folder = chapter.source.parent().unwrap_or(&project.root);
    let file = normalise(&folder.join(path));
    if let Ok(page) = file.strip_prefix(project.src())
        && page.extension().is_some_and(|extension| extension == "md")
    {
        let name = page.with_extension("");
        return notebook_name(&slashes(&name)) + &anchor;
    }
    if let Ok(notebook) = file.strip_prefix(project.notebooks()) {
        return slashes(notebook) + &anchor;
    }
    match file.strip_prefix(&project.root) {
        Ok(file) => format!("../{}{anchor}", slashes(file)),
        Err(_) => target.to_owned(),
    }
}

fn slashes(path: &Path) -> String {
    path.to_string_lossy().replace('\\', "/")
}

/// Without lines that only mdBook understands (`{{#title …}}`, `{{#include …}}`).
fn without_directives(source: &str) -> String {
    source
        .split_inclusive('\n')
        .filter(|line| !(line.trim_start().starts_with("{{#") && line.trim_end().ends_with("}}")))
        .collect()
}

/// Follows `<details>` from one piece of prose to the next.
#[derive(Default)]
pub(super) struct Folded {
    depth: usize,
}

impl Folded {
    /// Whether the next cell is inside a `<details>`.
    pub(super) fn is_open(&self) -> bool {
        self.depth > 0
    }

    /// The prose, with a `<details>` that a cell parts turned into a line in bold.
    pub(super) fn unfold(&mut self, text: &str) -> String {
        let before = self.depth;
        let opened = text.matches("<details").count();
        let closed = text.matches("</details>").count();
        self.depth = (before + opened).saturating_sub(closed);
        if before == 0 && self.depth == 0 {
            return text.to_owned();
        }
        let mut out = String::new();
        let mut rest = text;
        // Those that close within this piece of prose stay as they are.
        if before > 0
            && let Some((folded, after)) = rest.split_once("</details>")
        {
            out.push_str(folded);
            rest = after;
        }
        if self.depth == 0 {
            return out + rest;
        }
        let Some(at) = rest.rfind("<details") else {
            return out + rest;
        };
        let (kept, open) = rest.split_at(at);
        out.push_str(kept);
        let open = open.split_once('>').map_or("", |(_, after)| after);
        match open.split_once("</summary>") {
            Some((summary, after)) => {
                let summary = summary.trim().trim_start_matches("<summary>").trim();
                out.push_str(&format!("**{summary}**{after}"));
            }
            None => out.push_str(open),
        }
        out
    }
}
