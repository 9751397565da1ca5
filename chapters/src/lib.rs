//! Every chapter as a native test: its cells one after the other, without evcxr. A failing test's
//! message, and rustc's, name the chapter's own file and line.

/// What a chapter's cells return; `?` in a cell takes any error.
#[cfg(test)]
type Outcome = Result<(), Box<dyn std::error::Error>>;

/// One chapter at a time: in the book each has a process, and with it `manual_seed`'s generator, for itself.
#[cfg(test)]
static ALONE: std::sync::Mutex<()> = std::sync::Mutex::new(());

#[cfg(test)]
fn run(chapter: &str, root: &str, cells: fn() -> Outcome) -> Outcome {
    let _alone = ALONE
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    // The folder in which a notebook's setup cell puts itself; the same for every test here.
    std::env::set_current_dir(root)?;
    cells().map_err(|error| format!("{chapter}: {error}").into())
}

#[cfg(test)]
mod generated {
    include!(concat!(env!("OUT_DIR"), "/chapters.rs"));
}
