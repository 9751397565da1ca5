//! The folder of one evcxr context, made from the template.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::template::Folders;

/// Larger files are shared with the template by a hard link; what cargo may write to in place is small.
const LARGE: u64 = 1 << 16;

/// A context's folder. No other kernel takes it while this lives; when a kernel dies, the system frees
/// it.
pub struct Context {
    /// evcxr's folder.
    pub path: PathBuf,
    _lock: File,
}

impl Context {
    /// Takes the first folder that no living kernel has, and makes it anew. To be called under
    /// [`Folders::lock`].
    pub fn take(folders: &Folders) -> Result<Self> {
        let mut number = 0;
        let (path, lock) = loop {
            let lock = File::create(folders.home.join(format!("{number}.lock")))?;
            if lock.try_lock().is_ok() {
                break (folders.home.join(number.to_string()), lock);
            }
            number += 1;
        };
        make(&folders.template(), &path)
            .with_context(|| format!("{} cannot be made", path.display()))?;
        Ok(Self { path, _lock: lock })
    }
}

fn make(template: &Path, path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    link(&template.join("target"), &path.join("target"))?;
    fs::copy(template.join("Cargo.lock"), path.join("Cargo.lock"))?;
    // evcxr makes it once, in the folder that it starts in.
    fs::create_dir_all(path.join("src"))?;
    // evcxr reads its settings from the current folder, and these before a reader's own.
    let settings = format!(
        "[evcxr]\ntmpdir = {:?}\nopt_level = \"0\"\noffline_mode = true\n",
        evcxr_folder(path).display().to_string()
    );
    fs::write(path.join("evcxr.toml"), settings)
}

/// evcxr keeps the name of its folder for good. On Linux that is whatever folder a process is in, so that a copy of
/// it works in its own.
fn evcxr_folder(path: &Path) -> &Path {
    match cfg!(target_os = "linux") {
        true => Path::new("/proc/self/cwd"),
        false => path,
    }
}

fn link(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let name = entry.file_name();
        if belongs_to_cell(&name.to_string_lossy()) {
            continue;
        }
        let (source, target) = (entry.path(), to.join(&name));
        let metadata = entry.metadata()?;
        if metadata.is_dir() {
            link(&source, &target)?;
        } else if metadata.len() >= LARGE {
            fs::hard_link(&source, &target)?;
        } else {
            fs::copy(&source, &target)?;
            // Cargo tells by the time whether a file is older than what it was made from.
            let copy = File::options().write(true).open(&target)?;
            copy.set_modified(metadata.modified()?)?;
        }
    }
    Ok(())
}

/// What cargo made from the template's own, empty cell, and what says who works in a folder.
fn belongs_to_cell(name: &str) -> bool {
    let starts = ["ctx-", "libctx", "libcode_", "incremental"];
    starts.iter().any(|start| name.starts_with(start))
        || name == ".rustc_info.json"
        || (name.starts_with('.') && name.ends_with("lock"))
}
