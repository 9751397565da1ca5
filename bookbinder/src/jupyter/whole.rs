//! Whether what somebody types in a console is a whole cell.

use std::str::FromStr;

use jupyter_protocol::IsCompleteReply;
use proc_macro2::TokenStream;

/// Whole where every bracket, string and comment is closed; not yet where closing some makes it so.
pub fn whole(code: &str) -> IsCompleteReply {
    // evcxr's commands are no Rust.
    let lines = code
        .lines()
        .filter(|line| !line.trim_start().starts_with(':'));
    let code = lines.collect::<Vec<_>>().join("\n");
    if TokenStream::from_str(&code).is_ok() {
        return IsCompleteReply::complete();
    }
    match opened(&code) {
        Some(brackets) => IsCompleteReply::incomplete("    ".repeat(brackets)),
        None => IsCompleteReply::invalid(),
    }
}

/// How many brackets are open, where what is open can be closed.
fn opened(code: &str) -> Option<usize> {
    let mut open = Vec::new();
    let mut characters = code.char_indices().peekable();
    let mut ends = "";
    while let Some((at, character)) = characters.next() {
        let rest = &code[at..];
        match character {
            '/' if rest.starts_with("//") => {
                while characters.next_if(|&(_, next)| next != '\n').is_some() {}
            }
            '/' if rest.starts_with("/*") => match rest.find("*/") {
                Some(end) => {
                    while characters
                        .next_if(|&(next, _)| next < at + end + 2)
                        .is_some()
                    {}
                }
                None => {
                    ends = "*/";
                    break;
                }
            },
            '"' => {
                let mut closed = false;
                while let Some((_, next)) = characters.next() {
                    match next {
                        '\\' => drop(characters.next()),
                        '"' => {
                            closed = true;
                            break;
                        }
                        _ => {}
                    }
                }
                if !closed {
                    ends = "\"";
                    break;
                }
            }
            '(' | '[' | '{' => open.push(character),
            ')' | ']' | '}' if open.pop().map(closing) != Some(character) => return None,
            _ => {}
        }
    }
    let brackets: String = open.iter().rev().map(|&bracket| closing(bracket)).collect();
    let closed = format!("{code}{ends}\n{brackets}");
    TokenStream::from_str(&closed).is_ok().then_some(open.len())
}

fn closing(bracket: char) -> char {
    match bracket {
        '(' => ')',
        '[' => ']',
        _ => '}',
    }
}

#[cfg(test)]
mod tests {
    use jupyter_protocol::IsCompleteReplyStatus::{self, Complete, Incomplete, Invalid};

    use super::*;

    #[test]
    fn what_is_open_is_not_whole() {
        let cases: [(&str, IsCompleteReplyStatus, &str); 11] = [
            ("let x = 1;", Complete, ""),
            ("x.len()", Complete, ""),
            (":vars", Complete, ""),
            ("fn f() {", Incomplete, "    "),
            ("f(vec![1, 2,", Incomplete, "        "),
            ("let s = \"two", Incomplete, ""),
            ("/* a note", Incomplete, ""),
            ("// a brace {\nf();", Complete, ""),
            ("let s = \"{\"; g(", Incomplete, "    "),
            ("f(1]", Invalid, ""),
            ("}", Invalid, ""),
        ];
        for (code, status, indent) in cases {
            let found = whole(code);
            assert_eq!(
                (found.status, found.indent.as_str()),
                (status, indent),
                "{code}"
            );
        }
    }
}
