//! What could stand at a place in a cell, and what stands there.

use std::collections::BTreeMap;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};

use kernel_protocol::Event;

use crate::session::Session;

/// What evcxr says where rust-analyzer knows nothing.
const NOTHING: &str = "No documentation found";
/// rust-analyzer's type of what it cannot infer.
const UNKNOWN: &str = "{unknown}";

impl Session {
    /// Tells what could stand at a place in a cell.
    pub fn complete(&mut self, id: u64, code: &str, position: usize) {
        let commands = &mut self.warm.commands;
        let found = catch_unwind(AssertUnwindSafe(|| commands.completions(code, position)));
        let (start, end, matches) = match found {
            Ok(Ok(found)) => {
                let matches = found.completions.into_iter().map(|one| one.code);
                (
                    found.start_offset,
                    found.end_offset,
                    useful(matches.collect()),
                )
            }
            // Over what is half written rust-analyzer may give up.
            _ => (position, position, Vec::new()),
        };
        self.events.send(&Event::Completed {
            id,
            start,
            end,
            matches,
        });
    }

    /// Tells what stands at a place in a cell.
    pub fn inspect(&mut self, id: u64, code: &str, position: usize) {
        if !code.is_char_boundary(position) {
            let data = BTreeMap::new();
            return self.events.send(&Event::Inspected { id, data });
        }
        let name = name_at(code, position);
        let commands = &mut self.warm.commands;
        // evcxr asks of the code up to there, and takes what is called for a method.
        let end = name.end + usize::from(code[name.end..].starts_with('('));
        let found = catch_unwind(AssertUnwindSafe(|| commands.hover_at(code, end)));
        let found = match found {
            Ok(Ok((text, html))) if text != NOTHING && !text.contains(UNKNOWN) => {
                vec![("text/plain", text), ("text/html", html)]
            }
            // What follows would have told the type; for an earlier cell's variable it is known.
            _ => self.variable(&code[name]).into_iter().collect(),
        };
        let data = found.into_iter().map(|(mime, text)| (mime.into(), text));
        let data = data.collect::<BTreeMap<_, _>>();
        self.events.send(&Event::Inspected { id, data });
    }

    fn variable(&self, wanted: &str) -> Option<(&'static str, String)> {
        let mut variables = self.warm.commands.variables_and_types();
        let (name, kind) = variables.find(|(name, _)| *name == wanted)?;
        Some(("text/plain", format!("let {name}: {kind}")))
    }
}

/// The name around a place; nothing at that place where there is none.
fn name_at(code: &str, position: usize) -> Range<usize> {
    let (before, after) = code.split_at(position);
    let is_part = |letter: char| letter.is_alphanumeric() || letter == '_';
    let start = before.trim_end_matches(is_part).len();
    let end = code.len() - after.trim_start_matches(is_part).len();
    start..end
}

/// Without the fields that have a method of their name, which are not the cell's to use, and without what shows a
/// cell's value.
fn useful(mut matches: Vec<String>) -> Vec<String> {
    let called = |text: &str| text.split_once('(').map(|(name, _)| name.to_owned());
    let methods: Vec<String> = matches.iter().filter_map(|text| called(text)).collect();
    matches.retain(|text| !methods.contains(text) && !text.starts_with("evcxr_display("));
    matches
}
