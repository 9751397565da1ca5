//! Every chapter as a native test: its cells one after the other, without evcxr. A failing test's
//! message, and rustc's, name the chapter's own file and line.

/// What a chapter's cells return; `?` in a cell takes any error.
#[cfg(test)]
type Outcome = Result<(), Box<dyn std::error::Error>>;

#[cfg(test)]
fn run(chapter: &str, root: &str, cells: fn() -> Outcome) -> Outcome {
    // The folder in which a notebook's setup cell puts itself; the same for every test here.
    std::env::set_current_dir(root)?;
    cells().map_err(|error| format!("{chapter}: {error}").into())
}

#[cfg(test)]
mod generated {
    include!(concat!(env!("OUT_DIR"), "/chapters.rs"));
}
