//! Explorers in a chapter: the line `<!-- explorer: conv2d stride=2 controls=stride,padding -->` stands for the place
//! where `book/theme/explorers.js` puts sliders. In a notebook it is a comment.

use anyhow::{Result, bail};

use crate::project::Project;
use crate::render;

/// What such a line begins and ends with.
const MARKS: (&str, &str) = ("<!-- explorer:", "-->");

/// The chapter with each such line replaced by the explorer's place.
///
/// # Errors
///
/// Where there is no such explorer, or an option is no `name=value`; the message names the line.
pub fn expand(project: &Project, source: &str) -> Result<String> {
    let mut out = String::with_capacity(source.len());
    for (index, line) in source.split_inclusive('\n').enumerate() {
        let words = line.trim().strip_prefix(MARKS.0);
        let Some(words) = words.and_then(|rest| rest.strip_suffix(MARKS.1)) else {
            out.push_str(line);
            continue;
        };
        let (kind, options) = words.trim().split_once(' ').unwrap_or((words.trim(), ""));
        let line = index + 1;
        let known = kind
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
        let script = project.src().join("explorers").join(format!("{kind}.js"));
        if !(known && script.is_file()) {
            bail!(
                "line {line}: there is no explorer {kind:?}; its script would be {}",
                script.display()
            );
        }
        if let Some(word) = options.split_whitespace().find(|word| !word.contains('=')) {
            bail!("line {line}: {word} is no option of an explorer; write name=value");
        }
        // Until the script has run, and where it does not.
        let still =
            "With JavaScript there are sliders here that redraw the pictures of this chapter.";
        out.push_str(&format!(
            "<div class=\"explorer\" data-explorer=\"{kind}\" data-options=\"{}\"><p>{still}</p></div>\n",
            render::escape(options.trim()),
        ));
    }
    Ok(out)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn a_line_becomes_a_place_and_what_is_wrong_is_named() {
        let project = Project::at(Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap());
        let html = expand(&project, "a\n<!-- explorer: conv2d stride=2,1 -->\nb\n").unwrap();
        assert!(html.starts_with(
            "a\n<div class=\"explorer\" data-explorer=\"conv2d\" data-options=\"stride=2,1\">"
        ));
        assert!(html.ends_with("</div>\nb\n"));
        let error = expand(&project, "\n<!-- explorer: conv3d -->\n")
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("line 2") && error.contains("conv3d"),
            "{error}"
        );
        let error = expand(&project, "<!-- explorer: conv2d stride -->")
            .unwrap_err()
            .to_string();
        assert!(error.contains("stride is no option"), "{error}");
    }
}
