//! Whether every link inside the book leads somewhere: pages, anchors, images, notebooks. Addresses on
//! other hosts are not fetched.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;

use anyhow::Result;
use pulldown_cmark::{Event, Parser, Tag, TagEnd};

use super::Finding;
use crate::notebook::prose::{is_external, links, normalise, options};
use crate::project::{Chapter, Project};

/// What a chapter offers and asks for.
struct Page {
    anchors: HashSet<String>,
    /// Targets with their lines.
    targets: Vec<(String, usize)>,
}

pub(super) fn check(project: &Project, chapters: &[Chapter]) -> Result<Vec<Finding>> {
    let mut pages = HashMap::new();
    for chapter in chapters {
        pages.insert(normalise(&chapter.source), page(&chapter.read()?));
    }
    let mut findings = Vec::new();
    for chapter in chapters {
        let Some(page) = pages.get(&normalise(&chapter.source)) else {
            continue;
        };
        for (target, line) in &page.targets {
            if let Some(why) = broken(project, chapter, target, &pages) {
                findings.push(Finding {
                    chapter: chapter.name.clone(),
                    line: *line,
                    message: format!("the link `{target}` is broken: {why}"),
                });
            }
        }
    }
    Ok(findings)
}

fn broken(
    project: &Project,
    chapter: &Chapter,
    target: &str,
    pages: &HashMap<PathBuf, Page>,
) -> Option<String> {
    if target.is_empty() || is_external(target) {
        return target.is_empty().then(|| "it is empty".to_owned());
    }
    let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
    let path = path.split('?').next().unwrap_or_default();
    let own = normalise(&chapter.source);
    let folder = own.parent().unwrap_or(&project.root);
    let mut file = if path.is_empty() {
        own.clone()
    } else {
        normalise(&folder.join(path))
    };
    if file
        .extension()
        .is_some_and(|extension| extension == "html")
    {
        file.set_extension("md");
    }
    if let Some(page) = pages.get(&file) {
        let known = anchor.is_empty() || page.anchors.contains(anchor);
        return (!known).then(|| format!("that page has no `#{anchor}`"));
    }
    if !file.is_file() {
        return Some(format!("{} is not there", file.display()));
    }
    if file.starts_with(normalise(&project.notebooks())) {
        return None;
    }
    if !file.starts_with(normalise(&project.src())) {
        return Some("it leads out of the book".to_owned());
    }
    file.extension()
        .is_some_and(|extension| extension == "md")
        .then(|| "that page is not in SUMMARY.md".to_owned())
}

fn page(source: &str) -> Page {
    let mut anchors = HashSet::new();
    let mut targets: Vec<_> = links(source)
        .into_iter()
        .map(|link| (link.target, line_of(source, link.range.start)))
        .collect();
    let mut counts: HashMap<String, usize> = HashMap::new();
    let mut heading: Option<(Option<String>, String)> = None;
    for (event, range) in Parser::new_ext(source, options()).into_offset_iter() {
        match event {
            Event::Start(Tag::Heading { id, .. }) => {
                heading = Some((id.map(|id| id.to_string()), String::new()));
            }
            Event::Text(text) | Event::Code(text) => {
                if let Some((_, words)) = heading.as_mut() {
                    words.push_str(&text);
                }
            }
            Event::End(TagEnd::Heading(_)) => {
                if let Some((id, words)) = heading.take() {
                    anchors.insert(id.unwrap_or_else(|| unique(slug(&words), &mut counts)));
                }
            }
            Event::Html(html) | Event::InlineHtml(html) => {
                for attribute in ["id", "name"] {
                    anchors.extend(values(&html, attribute));
                }
                for attribute in ["href", "src"] {
                    let line = line_of(source, range.start);
                    targets.extend(values(&html, attribute).map(|target| (target, line)));
                }
            }
            _ => {}
        }
    }
    let cells = crate::cells::parse(source).map_or(0, |segments| segments.len());
    anchors.extend((1..=cells).map(|number| format!("cell-{number}")));
    targets.sort_by_key(|(_, line)| *line);
    Page { anchors, targets }
}

/// mdBook's anchor of a heading.
fn slug(words: &str) -> String {
    words
        .trim()
        .chars()
        .filter_map(|c| match c {
            c if c.is_alphanumeric() || c == '_' || c == '-' => Some(c),
            c if c.is_whitespace() => Some('-'),
            _ => None,
        })
        .flat_map(char::to_lowercase)
        .collect()
}

fn unique(slug: String, counts: &mut HashMap<String, usize>) -> String {
    let count = counts.entry(slug.clone()).or_insert(0);
    *count += 1;
    match *count {
        1 => slug,
        count => format!("{slug}-{}", count - 1),
    }
}

/// The values of an attribute in a piece of HTML.
fn values(html: &str, attribute: &str) -> impl Iterator<Item = String> {
    let double = format!(" {attribute}=\"");
    let single = format!(" {attribute}='");
    let find = |start: &str, end: char| {
        html.split(start)
            .skip(1)
            .filter_map(|rest| rest.split(end).next())
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let mut found = find(&double, '"');
    found.extend(find(&single, '\''));
    found.into_iter()
}

fn line_of(source: &str, at: usize) -> usize {
    source
        .get(..at)
        .map_or(0, |before| before.matches('\n').count())
        + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn anchors_are_mdbooks() {
        let page = page(
            "# One digit, five strides\n## `stride`\n## `stride`\n## X {#y}\n<a id=\"z\"></a>\n",
        );
        for anchor in ["one-digit-five-strides", "stride", "stride-1", "y", "z"] {
            assert!(
                page.anchors.contains(anchor),
                "{anchor}: {:?}",
                page.anchors
            );
        }
    }

    #[test]
    fn links_are_found_with_their_lines_and_not_in_code() {
        let page = page(
            "a\n\n[x](y.md#z) `[n](no.md)`\n\n```text\n[n](no.md)\n```\n\n<img src=\"p.png\">\n",
        );
        assert_eq!(
            page.targets,
            [("y.md#z".to_owned(), 3), ("p.png".to_owned(), 9)]
        );
    }
}
