//! A cell's outputs while they come, as a page and a notebook will show them.

use std::collections::HashMap;

use kernel_protocol::Output;

/// The outputs of one run of a cell, text of one stream joined.
#[derive(Debug, Default)]
pub struct Outputs {
    all: Vec<Output>,
    named: HashMap<String, usize>,
}

impl Outputs {
    /// Takes the next output. Text that goes on a stream joins the output before it, `\r` rewrites that
    /// one's last line; an output with a name takes the place of the last with this name. Returns which
    /// output is new or has changed.
    pub fn add(&mut self, next: Output, display: Option<String>) -> usize {
        let end = self.all.len();
        if let Some(name) = display {
            let at = *self.named.entry(name).or_insert(end);
            match self.all.get_mut(at) {
                Some(last) => *last = next,
                None => self.all.push(next),
            }
            return at;
        }
        match (self.all.last_mut(), next) {
            (
                Some(Output::Stream { name, text }),
                Output::Stream {
                    name: next_name,
                    text: more,
                },
            ) if *name == next_name => {
                extend(text, &more);
                return end - 1;
            }
            (_, Output::Stream { name, text }) => {
                let mut collapsed = String::new();
                extend(&mut collapsed, &text);
                self.all.push(Output::Stream {
                    name,
                    text: collapsed,
                });
            }
            (_, next) => self.all.push(next),
        }
        end
    }

    /// All so far.
    #[must_use]
    pub fn all(&self) -> &[Output] {
        &self.all
    }

    /// All of them.
    #[must_use]
    pub fn into_all(self) -> Vec<Output> {
        self.all
    }
}

/// Writes `more` after `text` as a terminal does: `\r` goes back to the line's beginning. A line that
/// begins with `\r` also replaces the line before it where that began so too, for evcxr delivers only
/// whole lines. Such a line keeps its `\r`, which [`escape`](crate::render::escape) drops.
fn extend(text: &mut String, more: &str) {
    let more = more.replace("\r\n", "\n");
    let mut pieces = more.split('\r');
    text.push_str(pieces.next().unwrap_or_default());
    for piece in pieces.filter(|piece| !piece.is_empty()) {
        let ended = text.strip_suffix('\n');
        let kept = ended.unwrap_or(text);
        let line = kept.rfind('\n').map_or(0, |at| at + 1);
        if ended.is_none() || kept.get(line..).is_some_and(|line| line.starts_with('\r')) {
            text.truncate(line);
        }
        text.push('\r');
        text.push_str(piece);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn stream(text: &str) -> Output {
        Output::Stream {
            name: "stdout".into(),
            text: text.into(),
        }
    }

    fn display(content: &str) -> Output {
        Output::DisplayData {
            data: BTreeMap::from([("text/plain".to_owned(), content.to_owned())]),
            metadata: serde_json::Map::new(),
        }
    }

    #[test]
    fn a_carriage_return_rewrites_the_line() {
        let mut outputs = Outputs::default();
        let parts = ["start\n", "\r1 of 3", "\r2 of 3\n", "\r3 of 3\n", "end\r\n"];
        for part in parts {
            assert_eq!(outputs.add(stream(part), None), 0);
        }
        assert_eq!(outputs.all(), [stream("start\n\r3 of 3\nend\n")]);
        outputs.add(stream("\rnext\n"), None);
        let shown = crate::render::output(&outputs.into_all()[0]);
        assert!(shown.contains("start&#10;3 of 3&#10;end&#10;next<"));

        let mut outputs = Outputs::default();
        outputs.add(stream("a\rb\rc\n"), None);
        assert_eq!(outputs.all(), [stream("\rc\n")]);
    }

    #[test]
    fn other_outputs_part_the_streams() {
        let mut outputs = Outputs::default();
        outputs.add(stream("1\n"), None);
        assert_eq!(outputs.add(display("x"), None), 1);
        assert_eq!(outputs.add(stream("\r2\n"), None), 2);
        assert_eq!(outputs.all()[2], stream("\r2\n"));
    }

    #[test]
    fn an_output_with_a_name_takes_the_last_ones_place() {
        let mut outputs = Outputs::default();
        let name = |name: &str| Some(name.to_owned());
        assert_eq!(outputs.add(display("a"), name("0")), 0);
        assert_eq!(outputs.add(stream("text\n"), None), 1);
        assert_eq!(outputs.add(display("b"), name("1")), 2);
        assert_eq!(outputs.add(display("c"), name("0")), 0);
        assert_eq!(outputs.add(display("d"), None), 3);
        let shown = [display("c"), stream("text\n"), display("b"), display("d")];
        assert_eq!(outputs.into_all(), shown);
    }
}
