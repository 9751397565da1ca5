//! Writes one Rust file for each chapter: its cells as nested blocks of one function.
//!
//! A generated file has the chapter's own name and line numbers, so that rustc's message for a cell
//! says `…/book/src/conv2d/stride.md:37`: every line of prose becomes an empty line.

use std::error::Error;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

#[allow(dead_code)]
#[path = "../bookbinder/src/cells.rs"]
mod cells;

use cells::Segment;

fn main() -> Result<(), Box<dyn Error>> {
    let manifest = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?);
    // `cargo book check` names the root of the book that it checks.
    let root = match env::var_os("BOOKBINDER_ROOT") {
        Some(root) => PathBuf::from(root),
        None => manifest.join(".."),
    }
    .canonicalize()?;
    let src = root.join("book/src");
    let out = PathBuf::from(env::var("OUT_DIR")?);
    println!("cargo::rerun-if-env-changed=BOOKBINDER_ROOT");
    println!("cargo::rerun-if-changed={}", src.display());
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=../bookbinder/src/cells.rs");

    let summary = fs::read_to_string(src.join("SUMMARY.md"))?;
    let mut list = String::new();
    for entry in cells::summary(&summary) {
        let source = fs::read_to_string(src.join(entry.path))
            .map_err(|error| format!("{}: {error}", entry.path))?;
        let file = out.join("book/src").join(entry.path);
        fs::create_dir_all(file.parent().unwrap_or(&out))?;
        write_if_changed(&file, &generate(entry.path, &source))?;
        let name = function_name(entry.path);
        writeln!(
            list,
            "#[path = {file:?}]\nmod {name};\n#[test]\nfn {name}_runs() -> crate::Outcome {{\n    \
             crate::run({name:?}, {root:?}, {name}::cells)\n}}"
        )?;
    }
    write_if_changed(&out.join("chapters.rs"), &list)?;
    Ok(())
}

/// `conv2d/stride.md` as the name of a function: `conv2d_stride`.
fn function_name(path: &str) -> String {
    path.trim_end_matches(".md")
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
        .collect()
}

/// The chapter's function. Line n of the text is line n of the chapter.
fn generate(path: &str, source: &str) -> String {
    let mut lines = vec![String::new(); source.lines().count().max(1)];
    let head = "#![allow(warnings, clippy::all, clippy::unwrap_used, clippy::expect_used, clippy::panic)] \
                pub(crate) fn cells() -> Result<(), Box<dyn std::error::Error>> { ";
    let mut depth = 0;
    match cells::parse(source) {
        Ok(segments) => {
            for segment in segments {
                let Segment::Cell(cell) = segment else {
                    continue;
                };
                // The fences' lines hold the braces: a later cell may shadow an earlier one's items.
                put(&mut lines, cell.line, "{");
                let mut line = cell.line;
                for code in cell.code.lines() {
                    line += 1;
                    put(&mut lines, line, code);
                }
                put(&mut lines, line + 1, ";");
                depth += 1;
            }
        }
        Err(error) => {
            let message = format!("{path}: {error}");
            put(
                &mut lines,
                error.line,
                &format!("compile_error!({message:?});"),
            );
        }
    }
    let tail = format!("{} Ok(())\n}}\n", "}".repeat(depth));
    format!("{head}{}\n{tail}", lines.join("\n"))
}

fn put(lines: &mut [String], number: usize, text: &str) {
    if let Some(line) = lines.get_mut(number - 1) {
        line.push_str(text);
    }
}

fn write_if_changed(path: &Path, text: &str) -> std::io::Result<()> {
    if fs::read_to_string(path).is_ok_and(|old| old == text) {
        return Ok(());
    }
    fs::write(path, text)
}
