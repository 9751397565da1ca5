//! How much memory processes take.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

/// Bytes of all processes of this program and what they have started: memory that several share counts
/// once. `None` where the system does not tell (it is not Linux).
pub fn of(program: &Path) -> Option<f64> {
    let parents = parents()?;
    let program = program.canonicalize().ok()?;
    let runs_it =
        |id: u32| fs::read_link(format!("/proc/{id}/exe")).is_ok_and(|exe| exe == program);
    let belongs = |mut id: u32| {
        while let Some(&parent) = parents.get(&id) {
            if runs_it(id) {
                return true;
            }
            id = parent;
        }
        false
    };
    let all = parents.keys().filter(|&&id| belongs(id));
    Some(all.filter_map(|&id| proportional(id)).sum())
}

/// Each process's parent.
fn parents() -> Option<HashMap<u32, u32>> {
    let entries = fs::read_dir("/proc").ok()?.flatten();
    let ids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let parent = |id: u32| {
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        // The program's name may hold spaces; it ends at the last bracket.
        let after = stat.rsplit_once(')')?.1;
        Some((id, after.split_whitespace().nth(1)?.parse().ok()?))
    };
    Some(ids.filter_map(parent).collect())
}

/// A process's memory; of what it shares with others, its part.
fn proportional(id: u32) -> Option<f64> {
    let rollup = fs::read_to_string(format!("/proc/{id}/smaps_rollup")).ok()?;
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    let kilobytes: f64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024.0)
}
