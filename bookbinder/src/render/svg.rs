//! A picture inside the page: no scripts, no handlers, no outside addresses, and ids of its own.

use super::html::find_ignoring_case;
use crate::cells;

/// The SVG as an inline element on one line. Its ids get a prefix from its own content, so that two
/// pictures on a page never share one by accident.
pub(super) fn inline(text: &str) -> String {
    let prefix = format!("f{}-", cells::hash(text).get(..8).unwrap_or_default());
    let mut out = String::with_capacity(text.len() + text.len() / 8);
    let mut rest = text;
    while let Some(at) = rest.find('<') {
        let (words, tag) = rest.split_at(at);
        push_text(&mut out, words);
        let (end, kept) = take_tag(tag, &prefix);
        out.push_str(&kept);
        rest = tag.get(end..).unwrap_or_default();
    }
    push_text(&mut out, rest);
    out.trim().to_owned()
}

fn push_text(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '\n' => out.push_str("&#10;"),
            '\r' => {}
            c => out.push(c),
        }
    }
}

/// The length of the markup that the text begins with, and what stays of it.
fn take_tag(text: &str, prefix: &str) -> (usize, String) {
    let until = |end: &str| text.find(end).map_or(text.len(), |at| at + end.len());
    if text.starts_with("<!--") {
        return (until("-->"), String::new());
    }
    if let Some(rest) = text.strip_prefix("<![CDATA[") {
        let words = rest.split("]]>").next().unwrap_or_default();
        return (until("]]>"), super::escape(words));
    }
    if text.starts_with("<?") || text.starts_with("<!") {
        return (until(">"), String::new());
    }
    let end = tag_end(text);
    let tag = text.get(..end).unwrap_or_default();
    let name = tag_name(tag);
    // These run code or carry a whole page of their own.
    for removed in ["script", "foreignobject"] {
        if name == removed {
            if tag.ends_with("/>") || tag.starts_with("</") {
                return (end, String::new());
            }
            let close = find_ignoring_case(text, &format!("</{removed}")).unwrap_or(text.len());
            let close_end = close + tag_end(text.get(close..).unwrap_or_default());
            return (close_end, String::new());
        }
    }
    if name == "style" && !tag.ends_with("/>") && !tag.starts_with("</") {
        // A style sheet in a picture would style the whole page.
        let close = find_ignoring_case(text, "</style").unwrap_or(text.len());
        return (
            close + tag_end(text.get(close..).unwrap_or_default()),
            String::new(),
        );
    }
    (end, clean(tag, prefix))
}

fn tag_name(tag: &str) -> String {
    tag.trim_start_matches(['<', '/'])
        .split(|c: char| c.is_whitespace() || c == '/' || c == '>')
        .next()
        .unwrap_or_default()
        .to_ascii_lowercase()
}

/// Where a tag ends: the first `>` outside of quotes.
fn tag_end(text: &str) -> usize {
    let mut quote = None;
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), c) if open == c => quote = None,
            (None, '>') => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// A tag with its attributes read, judged, and written again.
fn clean(tag: &str, prefix: &str) -> String {
    let inner = tag.trim_start_matches('<').trim_end_matches('>');
    let (inner, self_closing) = match inner.strip_suffix('/') {
        Some(inner) => (inner, true),
        None => (inner, false),
    };
    let name_end = inner.find(char::is_whitespace).unwrap_or(inner.len());
    let (name, mut rest) = inner.split_at(name_end);
    let mut out = format!("<{name}");
    loop {
        rest = rest.trim_start();
        let Some(equals) = rest.find('=') else { break };
        let (key, after) = rest.split_at(equals);
        let after = after.get(1..).unwrap_or_default().trim_start();
        let Some(quote) = after.chars().next().filter(|c| matches!(c, '"' | '\'')) else {
            break;
        };
        let value = after.get(1..).unwrap_or_default();
        let (value, left) = value.split_once(quote).unwrap_or((value, ""));
        rest = left;
        if let Some(value) = attribute(key.trim(), value, prefix) {
            let value = value.replace('"', "&quot;").replace(['\n', '\r'], " ");
            out.push_str(&format!(" {}=\"{value}\"", key.trim()));
        }
    }
    out.push_str(if self_closing { "/>" } else { ">" });
    out
}

fn attribute(key: &str, value: &str, prefix: &str) -> Option<String> {
    let lower = key.to_ascii_lowercase();
    if lower.starts_with("on") {
        return None;
    }
    match lower.as_str() {
        "id" => Some(format!("{prefix}{value}")),
        "href" | "xlink:href" => match value.strip_prefix('#') {
            Some(id) => Some(format!("#{prefix}{id}")),
            None => value.starts_with("data:image/").then(|| value.to_owned()),
        },
        "aria-labelledby" | "aria-describedby" => {
            let ids: Vec<_> = value
                .split_whitespace()
                .map(|id| format!("{prefix}{id}"))
                .collect();
            Some(ids.join(" "))
        }
        _ => Some(value.replace("url(#", &format!("url(#{prefix}"))),
    }
}
