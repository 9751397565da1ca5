//! Finds the cells of a chapter: its `rust` fences.
//!
//! Only `std`, so that the build script of `chapters` includes this very file: what the page shows,
//! the notebook holds and the tests compile is found by one parser.

use std::fmt;

/// A stretch of a chapter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Segment<'a> {
    /// Markdown between cells, byte for byte.
    Prose(&'a str),
    /// A cell, in place of its fence.
    Cell(Cell),
}

/// A fenced block of Rust.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cell {
    /// `cell-1`, `cell-2`, … by position in the chapter.
    pub id: String,
    /// The line of the opening fence, from 1; the code begins on the next.
    pub line: usize,
    /// The column at which the fence stands, 0 but for a cell in a list.
    pub indent: usize,
    /// The code without its fence and its indentation, each line ended by a newline.
    pub code: String,
}

/// Why a chapter cannot be cut into cells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CellError {
    /// The line in the chapter, from 1.
    pub line: usize,
    /// One line: what is wrong and the cure.
    pub message: String,
}

impl fmt::Display for CellError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.message)
    }
}

impl std::error::Error for CellError {}

/// A chapter in SUMMARY.md.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry<'a> {
    /// The link's text.
    pub title: &'a str,
    /// The file, relative to SUMMARY.md.
    pub path: &'a str,
}

/// The chapters of a SUMMARY.md, in order.
#[must_use]
pub fn summary(text: &str) -> Vec<Entry<'_>> {
    text.lines()
        .filter_map(|line| {
            let (before, after) = line.split_once("](")?;
            let (_, title) = before.split_once('[')?;
            let (path, _) = after.split_once(')')?;
            let path = path.strip_prefix("./").unwrap_or(path);
            path.ends_with(".md").then_some(Entry { title, path })
        })
        .collect()
}

/// A 64-bit FNV-1a hash in hexadecimal: tells whether a text changed, no more.
#[must_use]
pub fn hash(text: &str) -> String {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in text.bytes().filter(|&byte| byte != b'\r') {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    format!("{hash:016x}")
}

/// Cuts a chapter into prose and cells.
///
/// # Errors
///
/// An unclosed fence, a `rust` fence with attributes, a cell in a block quote: each names its line.
pub fn parse(source: &str) -> Result<Vec<Segment<'_>>, CellError> {
    let mut scanner = Scanner::default();
    let mut segments = Vec::new();
    let mut prose_from = 0;
    let mut at = 0;
    for (index, line) in source.split_inclusive('\n').enumerate() {
        let number = index + 1;
        let start = at;
        at += line.len();
        match scanner.line(line, number)? {
            Found::Nothing => {}
            Found::CellOpens(column) => {
                let prose = source.get(prose_from..start + column).unwrap_or_default();
                if !prose.is_empty() {
                    segments.push(Segment::Prose(prose));
                }
            }
            Found::CellCloses(mut cell) => {
                scanner.cells += 1;
                cell.id = format!("cell-{}", scanner.cells);
                segments.push(Segment::Cell(cell));
                prose_from = at;
            }
        }
    }
    if let Some(fence) = scanner.fence {
        return Err(unclosed(fence.opened));
    }
    match source.get(prose_from..) {
        Some(prose) if !prose.is_empty() => segments.push(Segment::Prose(prose)),
        _ => {}
    }
    Ok(segments)
}

fn unclosed(line: usize) -> CellError {
    CellError {
        line,
        message: "this fence is never closed; end the block with a line of its own fence".into(),
    }
}

/// What a line does.
enum Found {
    Nothing,
    /// A cell's fence opens at this byte of the line.
    CellOpens(usize),
    CellCloses(Cell),
}

/// An open fence.
struct Fence {
    mark: char,
    count: usize,
    /// The column at which it stands: that much indentation is not the code's.
    indent: usize,
    /// The column at which its list item's content begins.
    container: usize,
    opened: usize,
    /// The code so far, for a cell's fence.
    code: Option<String>,
}

/// Markdown's blocks, as far as they decide what is a fence.
#[derive(Default)]
struct Scanner {
    cells: usize,
    fence: Option<Fence>,
    /// The columns at which the content of the open list items begins.
    items: Vec<usize>,
    in_comment: bool,
}

impl Scanner {
    fn line(&mut self, line: &str, number: usize) -> Result<Found, CellError> {
        if self.fence.is_some() {
            return self.inside(line);
        }
        if self.in_comment {
            self.in_comment = !line.contains("-->");
            return Ok(Found::Nothing);
        }
        let line = line.trim_end();
        let mut column = indentation(line);
        if column == line.len() {
            return Ok(Found::Nothing);
        }
        self.items.retain(|&content| content <= column);
        // A list marker may stand before the fence on its line, more than one even.
        loop {
            let container = self.items.last().copied().unwrap_or(0);
            if column.saturating_sub(container) > 3 {
                return Ok(Found::Nothing);
            }
            let rest = line.get(column..).unwrap_or_default();
            if rest.starts_with("<!--") {
                self.in_comment = !rest.contains("-->");
                return Ok(Found::Nothing);
            }
            if let Some((mark, count)) = fence(rest) {
                let info = rest.trim_start_matches(mark).trim();
                return self.open(info, (mark, count), column, number);
            }
            if let Some(quoted) = rest.strip_prefix('>') {
                return in_quote(quoted, number);
            }
            let Some(width) = list_marker(rest) else {
                return Ok(Found::Nothing);
            };
            let content = column + width;
            column = content + indentation(line.get(content..).unwrap_or_default());
            // Nothing after the marker, or an indented block: the content begins one column on.
            self.items
                .push(if column == line.len() || column - content > 3 {
                    content
                } else {
                    column
                });
            if column == line.len() {
                return Ok(Found::Nothing);
            }
        }
    }

    fn open(
        &mut self,
        info: &str,
        (mark, count): (char, usize),
        column: usize,
        number: usize,
    ) -> Result<Found, CellError> {
        let is_cell = is_cell(info, number)?;
        self.fence = Some(Fence {
            mark,
            count,
            indent: column,
            container: self.items.last().copied().unwrap_or(0),
            opened: number,
            code: is_cell.then(String::new),
        });
        Ok(if is_cell {
            Found::CellOpens(column)
        } else {
            Found::Nothing
        })
    }

    fn inside(&mut self, line: &str) -> Result<Found, CellError> {
        let Some(open) = self.fence.as_mut() else {
            return Ok(Found::Nothing);
        };
        let text = line.trim_end_matches(['\n', '\r']);
        let column = indentation(text);
        let rest = text.get(column..).unwrap_or_default();
        if !rest.is_empty() && column < open.container {
            // The list item has ended, and Markdown ends the fence with it.
            return Err(unclosed(open.opened));
        }
        let closes = column - open.container.min(column) <= 3
            && fence(rest).is_some_and(|(mark, count)| mark == open.mark && count >= open.count)
            && rest.trim_start_matches(open.mark).trim().is_empty();
        if !closes {
            if let Some(code) = open.code.as_mut() {
                code.push_str(text.get(column.min(open.indent)..).unwrap_or_default());
                code.push('\n');
            }
            return Ok(Found::Nothing);
        }
        let (line, indent) = (open.opened, open.indent);
        let code = open.code.take();
        self.fence = None;
        Ok(code.map_or(Found::Nothing, |code| {
            Found::CellCloses(Cell {
                id: String::new(),
                line,
                indent,
                code,
            })
        }))
    }
}

fn in_quote(quoted: &str, line: usize) -> Result<Found, CellError> {
    let rest = quoted.trim_start_matches([' ', '>']);
    if let Some((mark, _)) = fence(rest)
        && is_cell(rest.trim_start_matches(mark).trim(), line)?
    {
        return Err(CellError {
            line,
            message: "a cell cannot stand in a block quote; move it out".into(),
        });
    }
    Ok(Found::Nothing)
}

fn is_cell(info: &str, line: usize) -> Result<bool, CellError> {
    if info == "rust" {
        return Ok(true);
    }
    let language = info.split([',', ' ', '{']).next().unwrap_or_default();
    if language == "rust" {
        return Err(CellError {
            line,
            message: format!(
                "`{info}`: every Rust block is a cell that runs; write `rust`, or `text` for what must not run"
            ),
        });
    }
    Ok(false)
}

/// The fence that a line begins with: its character and how many.
fn fence(rest: &str) -> Option<(char, usize)> {
    let mark = rest
        .chars()
        .next()
        .filter(|mark| matches!(mark, '`' | '~'))?;
    let info = rest.trim_start_matches(mark);
    let count = rest.len() - info.len();
    // Backticks in the info string make it inline code.
    (count >= 3 && !(mark == '`' && info.contains('`'))).then_some((mark, count))
}

/// The width of a list marker with the space that must follow it.
fn list_marker(rest: &str) -> Option<usize> {
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let marker = rest.as_bytes().get(digits)?;
    let is_marker = match digits {
        0 => matches!(marker, b'-' | b'+' | b'*'),
        1..=9 => matches!(marker, b'.' | b')'),
        _ => false,
    };
    match rest.as_bytes().get(digits + 1) {
        None if is_marker => Some(digits + 1),
        Some(b' ') if is_marker => Some(digits + 2),
        _ => None,
    }
}

fn indentation(line: &str) -> usize {
    line.bytes().take_while(|&byte| byte == b' ').count()
}

#[cfg(test)]
#[path = "cells/tests.rs"]
mod tests;
