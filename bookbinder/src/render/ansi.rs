//! A terminal's colours as spans with a class: `ansi-red`, `ansi-bright-blue`, `ansi-bold`. The
//! stylesheet gives each theme its own shades.

use super::push_escaped;

const COLOURS: [&str; 8] = [
    "black", "red", "green", "yellow", "blue", "magenta", "cyan", "white",
];

#[derive(Default, Clone, PartialEq, Eq)]
struct Style {
    bold: bool,
    dim: bool,
    italic: bool,
    underline: bool,
    colour: Option<String>,
}

/// Escaped text with its colours; every other control sequence is dropped.
pub(super) fn to_html(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 8);
    let mut style = Style::default();
    let mut open = false;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '\u{1b}' {
            if c == '\t' || c == '\n' || !c.is_control() {
                push_escaped(&mut out, c);
            }
            continue;
        }
        if chars.next_if_eq(&'[').is_none() {
            continue;
        }
        let mut parameters = String::new();
        let end = loop {
            match chars.next() {
                Some(c @ '\u{40}'..='\u{7e}') => break Some(c),
                Some(c @ '\u{20}'..='\u{3f}') => parameters.push(c),
                _ => break None,
            }
        };
        if end != Some('m') {
            continue;
        }
        let before = style.clone();
        style.apply(&parameters);
        if style == before {
            continue;
        }
        if open {
            out.push_str("</span>");
        }
        open = style != Style::default();
        if open {
            out.push_str("<span class=\"");
            out.push_str(&style.classes());
            out.push_str("\">");
        }
    }
    if open {
        out.push_str("</span>");
    }
    out
}

impl Style {
    fn apply(&mut self, parameters: &str) {
        let mut codes = parameters
            .split([';', ':'])
            .map(|code| code.parse::<usize>().unwrap_or(0));
        while let Some(code) = codes.next() {
            match code {
                0 => *self = Self::default(),
                1 => self.bold = true,
                2 => self.dim = true,
                3 => self.italic = true,
                4 => self.underline = true,
                22 => (self.bold, self.dim) = (false, false),
                23 => self.italic = false,
                24 => self.underline = false,
                30..=37 => self.colour = name(code - 30),
                90..=97 => self.colour = name(code - 82),
                // Of 256 colours the first 16 have names; the rest, and 24 bits, stay plain.
                38 | 48 => {
                    let kind = codes.next();
                    let index = codes.next();
                    if kind == Some(2) {
                        codes.next();
                        codes.next();
                    } else if code == 38 {
                        self.colour = index.and_then(name);
                    }
                }
                39 => self.colour = None,
                _ => {}
            }
        }
    }

    fn classes(&self) -> String {
        let mut classes = Vec::new();
        for (is_on, class) in [
            (self.bold, "ansi-bold"),
            (self.dim, "ansi-dim"),
            (self.italic, "ansi-italic"),
            (self.underline, "ansi-underline"),
        ] {
            if is_on {
                classes.push(class.to_owned());
            }
        }
        classes.extend(self.colour.as_ref().map(|colour| format!("ansi-{colour}")));
        classes.join(" ")
    }
}

fn name(index: usize) -> Option<String> {
    let bright = if index >= COLOURS.len() {
        "bright-"
    } else {
        ""
    };
    let colour = COLOURS.get(index.checked_sub(8).unwrap_or(index))?;
    Some(format!("{bright}{colour}"))
}
