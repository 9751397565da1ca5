//! The compiler's messages, with the cell's lines in place of the generated source's.

use evcxr::CompilationError;
use kernel_protocol::Output;

use crate::places::Places;

const RED: &str = "\x1b[1;31m";
const GREEN: &str = "\x1b[1;32m";
const YELLOW: &str = "\x1b[1;33m";
const BLUE: &str = "\x1b[1;34m";
const CYAN: &str = "\x1b[1;36m";
const BOLD: &str = "\x1b[1m";
const PLAIN: &str = "\x1b[0m";

/// All errors as one output.
pub fn compile_error(errors: &[CompilationError], places: &Places<'_>) -> Output {
    let errors: Vec<_> = severe(errors).collect();
    let mut traceback = Vec::new();
    for error in &errors {
        if !traceback.is_empty() {
            traceback.push(String::new());
        }
        traceback.extend(render(error, places).iter().map(|line| colour(line)));
        if let Some(hint) = error.evcxr_extra_hint() {
            traceback.push(format!("{CYAN}help{PLAIN}: {hint}"));
        }
    }
    let mut evalue = errors.first().map_or_else(String::new, |error| {
        let message = named(&error.message());
        let first = message.lines().next().unwrap_or_default();
        match error.code() {
            Some(code) => format!("{code}: {first}"),
            None => first.to_owned(),
        }
    });
    if errors.len() > 1 {
        evalue.push_str(&format!(" (and {} more)", errors.len() - 1));
    }
    Output::Error {
        ename: "compile error".to_owned(),
        evalue,
        traceback,
    }
}

/// The errors; where there are none, everything.
pub fn severe(errors: &[CompilationError]) -> impl Iterator<Item = &CompilationError> {
    let is_error = |error: &&CompilationError| error.level() == "error";
    let any = errors.iter().any(|error| is_error(&error));
    errors.iter().filter(move |error| !any || is_error(error))
}

/// A place in the cell as the compiler shows one, coloured.
pub fn pointer(places: &Places<'_>, line: usize, column: usize) -> Vec<String> {
    let number = line.to_string();
    let indent = " ".repeat(number.len());
    let spaces = " ".repeat(column.saturating_sub(1));
    [
        format!("{indent}--> cell:{line}:{column}"),
        format!("{indent} |"),
        format!("{number} | {}", places.text(line)),
        format!("{indent} | {spaces}^"),
    ]
    .iter()
    .map(|line| colour(line))
    .collect()
}

fn render(error: &CompilationError, places: &Places<'_>) -> Vec<String> {
    let rendered = named(&error.rendered());
    if rendered.is_empty() {
        return plain(error);
    }
    let mut lines: Vec<String> = Vec::new();
    // Whether the snippet is of the generated source, and whether its last line is the cell's.
    let (mut ours, mut keep) = (false, true);
    for line in rendered.trim_end().lines() {
        if let Some((before, path)) = arrow(line) {
            let place = path.strip_prefix("src/lib.rs:").and_then(|place| {
                let (line, column) = place.split_once(':')?;
                Some((line.parse().ok()?, column))
            });
            ours = place.is_some();
            match place.map(|(line, column)| (places.line(line), column)) {
                Some((Some(line), column)) => lines.push(format!("{before}cell:{line}:{column}")),
                Some((None, _)) => {
                    keep = false;
                    // What is said of evcxr's own code helps nobody.
                    if lines.last().is_some_and(|line| line.starts_with("note")) {
                        lines.pop();
                    }
                }
                None => lines.push(line.to_owned()),
            }
        } else if let Some((number, rest)) = gutter(line).filter(|_| ours) {
            let width = line.len() - rest.len() - 1;
            keep = false;
            if let Some(at) = places.line(number) {
                lines.push(format!("{at:<width$} {rest}"));
                keep = true;
            }
        } else if line.trim_start().starts_with(['|', '.']) {
            if keep || !ours {
                lines.push(line.to_owned());
            }
        } else {
            keep = true;
            lines.push(line.replace("`evcxr_variable_store`", "the end of the cell"));
        }
    }
    narrow(lines)
}

/// The compiler left room for the generated source's line numbers: takes what the cell's do not need.
fn narrow(lines: Vec<String>) -> Vec<String> {
    let digits = |number: usize| number.to_string().len();
    let numbers = lines.iter().filter_map(|line| gutter(line));
    let needed = numbers.map(|(number, _)| digits(number)).max().unwrap_or(1);
    let arrows = lines.iter().filter_map(|line| arrow(line));
    let given = arrows
        .map(|(before, _)| before.len() - "--> ".len())
        .max()
        .unwrap_or(needed);
    let spare = " ".repeat(given.saturating_sub(needed));
    lines
        .into_iter()
        .map(|line| match gutter(&line) {
            Some((number, rest)) => format!("{number:>needed$} {rest}"),
            None if line.trim_start().starts_with(['|', '=', '-', ':']) => {
                line.strip_prefix(&spare).unwrap_or(&line).to_owned()
            }
            None => line,
        })
        .collect()
}

/// Cells know the shared library by its name in `:dep`.
pub fn named(message: &str) -> String {
    message.replace("candlelight_cells", "candlelight")
}

/// Errors that evcxr found before it asked the compiler.
fn plain(error: &CompilationError) -> Vec<String> {
    let mut lines = vec![format!("error: {}", error.message())];
    for message in error.spanned_messages() {
        if let Some(span) = message.span {
            lines.push(format!(
                " --> cell:{}:{}",
                span.start_line, span.start_column
            ));
        }
        lines.extend(message.lines.iter().map(|line| format!("  | {line}")));
    }
    lines
}

/// `  --> path` cut behind the arrow.
fn arrow(line: &str) -> Option<(&str, &str)> {
    let text = line.trim_start();
    (text.starts_with("--> ") || text.starts_with("::: "))
        .then(|| line.split_at(line.len() - text.len() + 4))
}

/// `12 | text` as 12 and `| text`.
fn gutter(line: &str) -> Option<(usize, &str)> {
    let text = line.trim_start();
    let end = text.find(|letter: char| !letter.is_ascii_digit())?;
    let number = text[..end].parse().ok()?;
    let rest = text[end..].trim_start();
    rest.starts_with(['|', '+', '-', '~'])
        .then_some((number, rest))
}

fn colour(line: &str) -> String {
    for (level, code) in [
        ("error", RED),
        ("warning", YELLOW),
        ("note", GREEN),
        ("help", CYAN),
    ] {
        if let Some(rest) = line.strip_prefix(level)
            && rest.starts_with([':', '['])
        {
            let (code_number, message) = rest.split_at(rest.find(':').unwrap_or(0));
            return format!("{code}{level}{code_number}{PLAIN}{BOLD}{message}{PLAIN}");
        }
    }
    if let Some((before, path)) = arrow(line) {
        return format!("{BLUE}{before}{PLAIN}{path}");
    }
    let text = line.trim_start();
    if let Some((_, rest)) = gutter(line) {
        let (before, mark) = (&line[..line.len() - rest.len()], &rest[..1]);
        let code = if mark == "+" {
            GREEN
        } else if mark == "-" {
            RED
        } else {
            BLUE
        };
        return format!("{BLUE}{before}{code}{mark}{PLAIN}{}", &rest[1..]);
    }
    if text.starts_with(['|', '=']) {
        let (before, rest) = line.split_at(line.len() - text.len() + 1);
        let code = if text.starts_with('=') {
            ""
        } else if rest.contains('^') {
            RED
        } else if rest.contains("++") {
            GREEN
        } else {
            BLUE
        };
        return format!("{BLUE}{before}{PLAIN}{code}{rest}{PLAIN}");
    }
    line.to_owned()
}
