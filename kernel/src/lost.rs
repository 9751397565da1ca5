//! Which variables a cell that failed took with it.

/// evcxr's line that keeps a variable after a cell.
const KEEPS: &str = "evcxr_variable_store.put_variable::<";
const NAME: &str = "(stringify!(";

/// What there was `before` the cell, and what the cell would have kept by evcxr's generated source, but is not there
/// `now`; in alphabetical order.
pub fn lost(mut before: Vec<String>, source: &str, now: &[String]) -> Vec<String> {
    before.extend(kept(source).map(str::to_owned));
    before.retain(|name| !now.contains(name));
    before.sort();
    before.dedup();
    before
}

fn kept(source: &str) -> impl Iterator<Item = &str> {
    source.split(KEEPS).skip(1).filter_map(|rest| {
        let (_, rest) = rest.split_once(NAME)?;
        Some(rest.split_once(')')?.0.trim())
    })
}
