//! How much memory the cells of one chapter may have: a slip of the pen shall not take the reader's machine down.

use std::env;

use anyhow::{Result, bail};

use crate::template;

/// The variable that names another limit, in GB; 0 for none.
pub const VARIABLE: &str = "CANDLELIGHT_CELL_MEMORY";
/// Ten times what training the larger net takes.
const USUAL: f64 = 3.0;
const GB: f64 = 1e9;

/// In bytes; none where the reader wants none.
pub fn limit() -> Result<Option<u64>> {
    let gb = match env::var_os(VARIABLE) {
        // A card's driver takes what it needs of the processor's memory.
        None if !template::features().is_empty() => 0.0,
        None => USUAL,
        Some(asked) => {
            let asked = asked.to_string_lossy();
            match asked.trim().parse::<f64>() {
                Ok(gb) if gb.is_finite() && gb >= 0.0 => gb,
                _ => bail!(
                    "{VARIABLE} is `{asked}`; it takes a number of GB, for instance {USUAL}, or 0 for no limit"
                ),
            }
        }
    };
    Ok((gb > 0.0).then_some((gb * GB) as u64))
}

/// The private memory that this process has before any cell: its allocator keeps a gigabyte of addresses, which
/// RLIMIT_DATA counts.
pub fn taken() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmData:"));
    let kilobytes =
        line.and_then(|rest| rest.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    // Elsewhere than on Linux no limit is set.
    kilobytes.unwrap_or(0) * 1024
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
        Ok(Some(limit)) => format!(
            "the cell asked for {asked:.1} GB of memory; a chapter's cells may have {:.1} GB together \
             (the variable {VARIABLE} names another number, 0 for no limit)",
            limit as f64 / GB
        ),
        _ => {
            format!("the cell asked for {asked:.1} GB of memory, which the system does not have")
        }
    }
}
