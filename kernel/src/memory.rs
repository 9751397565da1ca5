//! How much memory the cells of one chapter may have: a slip of the pen shall not take the reader's machine down.

use std::env;

/// The variable that names another limit, in GB; 0 for none.
pub const VARIABLE: &str = "CANDLELIGHT_CELL_MEMORY";
/// Ten times what training the larger net takes.
const USUAL: f64 = 3.0;
const GB: f64 = 1e9;

/// In bytes; none where the reader wants none.
pub fn limit() -> Option<u64> {
    let asked = env::var(VARIABLE).ok();
    let gb = asked.and_then(|text| text.trim().parse::<f64>().ok());
    let gb = gb
        .filter(|gb| gb.is_finite() && *gb >= 0.0)
        .unwrap_or(USUAL);
    (gb > 0.0).then_some((gb * GB) as u64)
}

/// How many bytes a cell could not have, where it says so; Rust's own words before it aborts.
pub fn refused(text: &str) -> Option<u64> {
    let (_, rest) = text.split_once("memory allocation of ")?;
    rest.split_once(" bytes failed")?.0.parse().ok()
}

/// What a reader is told.
pub fn message(asked: u64) -> String {
    let asked = asked as f64 / GB;
    match limit() {
        Some(limit) => format!(
            "the cell asked for {asked:.1} GB of memory; a chapter's cells may have {:.1} GB together \
             (the variable {VARIABLE} names another number, 0 for no limit)",
            limit as f64 / GB
        ),
        None => {
            format!("the cell asked for {asked:.1} GB of memory, which the system does not have")
        }
    }
}
