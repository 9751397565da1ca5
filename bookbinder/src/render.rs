//! Outputs as HTML: one renderer for stored outputs and live ones.
//!
//! An element comes out on a single line, newlines in text as `&#10;`: Markdown ends a block of HTML
//! at its first blank line, and a list item at a line that is not indented.

mod ansi;
mod html;
mod svg;

use std::collections::BTreeMap;

use kernel_protocol::Output;

/// More lines than this scroll.
const LONG: usize = 40;

/// One output as one HTML element, on one line (but for a script in a cell's own HTML).
#[must_use]
pub fn output(output: &Output) -> String {
    match output {
        Output::Stream { name, text } => {
            let class = if name == "stderr" { "stderr" } else { "stdout" };
            element(&format!("output-stream output-{class}"), text)
        }
        Output::DisplayData { data, .. } => richest("output-display", data),
        Output::ExecuteResult { data, .. } => richest("output-result", data),
        Output::Error {
            ename,
            evalue,
            traceback,
        } => {
            let trace = traceback.join("\n");
            let trace = if trace.trim().is_empty() {
                format!("{ename}: {evalue}")
            } else {
                trace
            };
            element("output-error", &trace)
        }
    }
}

/// Outputs one after the other.
#[must_use]
pub fn outputs(outputs: &[Output]) -> String {
    outputs.iter().map(output).collect()
}

/// Text for an element or a quoted attribute, its newlines as `&#10;`.
#[must_use]
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() + text.len() / 8);
    for c in text.chars() {
        push_escaped(&mut escaped, c);
    }
    escaped
}

fn push_escaped(out: &mut String, c: char) {
    match c {
        '&' => out.push_str("&amp;"),
        '<' => out.push_str("&lt;"),
        '>' => out.push_str("&gt;"),
        '"' => out.push_str("&quot;"),
        '\'' => out.push_str("&#39;"),
        '\n' => out.push_str("&#10;"),
        '\r' | '\0' => {}
        // A template's marks: mdBook must not read them.
        '{' => out.push_str("&#123;"),
        '}' => out.push_str("&#125;"),
        c => out.push(c),
    }
}

fn element(class: &str, text: &str) -> String {
    let long = if text.lines().count() > LONG {
        " output-long"
    } else {
        ""
    };
    format!(
        "<div class=\"output {class}{long}\"><pre>{}</pre></div>",
        ansi::to_html(text.trim_end_matches('\n'))
    )
}

/// The richest of an output's forms.
fn richest(class: &str, data: &BTreeMap<String, String>) -> String {
    let get = |mime: &str| data.get(mime).map(String::as_str);
    let content = if let Some(text) = get("text/html") {
        html::one_line(text)
    } else if let Some(text) = get("image/svg+xml") {
        svg::inline(text)
    } else if let Some((mime, content)) = ["image/png", "image/jpeg", "image/gif"]
        .into_iter()
        .find_map(|mime| Some((mime, get(mime)?)))
    {
        let content: String = content.split_whitespace().collect();
        format!(
            "<img alt=\"\" src=\"data:{mime};base64,{}\">",
            escape(&content)
        )
    } else {
        let text = get("text/plain").or_else(|| data.values().next().map(String::as_str));
        return element(class, text.unwrap_or_default());
    };
    format!("<div class=\"output {class}\">{content}</div>")
}

#[cfg(test)]
mod tests;
