//! Whether every cell compiles: the package `chapters`, whose generated files carry the chapters' own
//! names and line numbers.

use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::Finding;
use crate::project::Project;

/// The generated files' place below the build script's output folder.
const GENERATED: &str = "out/book/src/";

pub(super) fn check(project: &Project) -> Result<Vec<Finding>> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // Set needlessly, it would compile the chapters anew for the next `cargo test`.
    if project.root != project.workspace {
        cargo.env("BOOKBINDER_ROOT", &project.root);
    }
    let output = cargo
        .args(["check", "--quiet", "--package", "chapters", "--tests"])
        .args(["--message-format", "json"])
        .current_dir(&project.workspace)
        .output()
        .context("cargo cannot be started")?;
    let findings: Vec<_> = String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| finding(&serde_json::from_str(line).ok()?))
        .collect();
    if findings.is_empty() && !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        let why = stderr
            .lines()
            .find(|line| line.starts_with("error"))
            .unwrap_or("see `cargo check --package chapters --tests`");
        bail!("the chapters' cells cannot be compiled: {why}");
    }
    Ok(findings)
}

/// A compiler's message about a cell. One that is about no chapter (the support crate does not
/// compile) is given to the package.
fn finding(record: &Value) -> Option<Finding> {
    let message = record.get("message")?;
    if message.get("level")?.as_str()? != "error" {
        return None;
    }
    let text = message.get("message")?.as_str()?;
    let spans = message.get("spans")?.as_array()?;
    let place = spans
        .iter()
        .filter(|span| is_primary(span))
        .chain(spans)
        .find_map(place);
    let code = message.pointer("/code/code").and_then(Value::as_str);
    let code = code.map(|code| format!("[{code}]")).unwrap_or_default();
    match place {
        Some((chapter, line)) => Some(Finding {
            chapter,
            line,
            message: format!("error{code}: {}", one_line(text)),
        }),
        // "aborting due to 2 previous errors"
        None if spans.is_empty() => None,
        None => Some(Finding {
            chapter: record.pointer("/target/name")?.as_str()?.to_owned(),
            line: 0,
            message: format!("error{code}: {}", one_line(text)),
        }),
    }
}

fn is_primary(span: &Value) -> bool {
    span.get("is_primary").and_then(Value::as_bool) == Some(true)
}

/// The chapter and line of a span, or of the macro call that it comes from.
fn place(span: &Value) -> Option<(String, usize)> {
    let file = span.get("file_name")?.as_str()?.replace('\\', "/");
    if let Some((_, page)) = file.split_once(GENERATED) {
        let line = usize::try_from(span.get("line_start")?.as_u64()?).ok()?;
        return Some((page.trim_end_matches(".md").to_owned(), line));
    }
    place(span.pointer("/expansion/span")?)
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
