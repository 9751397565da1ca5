//! A cell's own HTML: as it is, but safe inside Markdown.

/// The same HTML on one line: outside of scripts and styles a newline becomes `&#10;`, which the
/// browser reads as a newline. A style's newlines become spaces; a script keeps its lines, without
/// the blank ones.
pub(super) fn one_line(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text.trim();
    while let Some((at, tag)) = next_raw(rest) {
        let (before, raw) = rest.split_at(at);
        out.push_str(&newlines_as_entities(before));
        let close = format!("</{tag}");
        let end = find_ignoring_case(raw, &close).unwrap_or(raw.len());
        let (raw, after) = raw.split_at(end);
        let lines = raw.lines().filter(|line| !line.trim().is_empty());
        let joined: Vec<_> = lines.collect();
        out.push_str(&joined.join(if tag == "script" { "\n" } else { " " }));
        rest = after;
    }
    out.push_str(&newlines_as_entities(rest));
    out
}

fn newlines_as_entities(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\n', "&#10;")
}

/// Where the next element begins whose text is not parsed.
fn next_raw(text: &str) -> Option<(usize, &'static str)> {
    ["script", "style"]
        .into_iter()
        .filter_map(|tag| Some((find_ignoring_case(text, &format!("<{tag}"))?, tag)))
        .min()
}

/// `str::find` for an ASCII needle in lower case, whatever the case of the text.
pub(super) fn find_ignoring_case(text: &str, needle: &str) -> Option<usize> {
    text.to_ascii_lowercase().find(needle)
}
