//! The index of all exercises: in a chapter of a folder, the line `<!-- exercises -->` stands for a list of what the
//! chapters' sections `## Exercises` ask, so that it cannot fall behind them.

use std::fmt::Write as _;

use anyhow::{Context, Result};

use crate::project::Project;

const MARK: &str = "<!-- exercises -->";
const HEADING: &str = "## Exercises";
/// What an exercise begins with.
const KINDS: [&str; 3] = ["**Predict.**", "**Code.**", "**Explain.**"];

/// The chapter with such a line replaced by the list.
///
/// # Errors
///
/// Where the book's chapters cannot be read.
pub fn expand(project: &Project, source: &str) -> Result<String> {
    if !source.lines().any(|line| line.trim() == MARK) {
        return Ok(source.to_owned());
    }
    let mut list = String::new();
    for chapter in project.chapters()? {
        let text = std::fs::read_to_string(&chapter.source)
            .with_context(|| format!("{} cannot be read", chapter.source.display()))?;
        let exercises = of(&text);
        if exercises.is_empty() {
            continue;
        }
        let _ = writeln!(
            list,
            "\n**[{}](../{}.md#exercises)**\n",
            chapter.title, chapter.name
        );
        for exercise in exercises {
            let _ = writeln!(list, "- {exercise}");
        }
    }
    Ok(source.replace(MARK, list.trim()))
}

/// What the exercises of a chapter ask, each in one line: its first paragraph.
fn of(chapter: &str) -> Vec<String> {
    let Some((_, section)) = chapter.split_once(HEADING) else {
        return Vec::new();
    };
    let section = section.split("\n## ").next().unwrap_or_default();
    let paragraphs = section
        .split("\n\n")
        .map(|text| text.split_whitespace().collect::<Vec<_>>().join(" "));
    paragraphs
        .filter(|text| KINDS.iter().any(|kind| text.starts_with(kind)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exercise_is_its_first_paragraph() {
        let chapter = "# A\n\n**Code.** No exercise.\n\n## Exercises\n\n**Predict.** Two\nlines?\n\n<details>\n\n\
                       **Hint** no\n\n</details>\n\n**Explain.** Why?\n\n## Versions\n\n**Code.** No.\n";
        assert_eq!(
            of(chapter),
            ["**Predict.** Two lines?", "**Explain.** Why?"]
        );
        assert!(of("# B\n").is_empty());
    }
}
