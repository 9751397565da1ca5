//! The kernel program: built when its sources are newer.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::SystemTime;

use anyhow::{Context, Result, bail};

use crate::project::Project;

/// What the program is made from, below the workspace.
const SOURCES: [&str; 8] = [
    ".cargo/config.toml",
    "Cargo.toml",
    "Cargo.lock",
    "kernel/Cargo.toml",
    "kernel/src",
    "kernel/vendor",
    "protocol/Cargo.toml",
    "protocol/src",
];

/// Builds the kernel program where it is older than its sources, and returns its path. The first time
/// takes minutes; `report` hears a line for each crate.
///
/// # Errors
///
/// Where Rust's own sources are not installed, which evcxr needs to infer a variable's type, and where
/// the program does not build. The message names the cure.
pub fn ensure_built(project: &Project, report: &mut dyn FnMut(&str)) -> Result<PathBuf> {
    require_rust_src(&project.workspace)?;
    let program = project.kernel_program();
    if !is_fresh(&program, &project.workspace) {
        build(project, report)?;
    }
    Ok(program)
}

fn require_rust_src(workspace: &Path) -> Result<()> {
    let output = Command::new("rustc")
        .args(["--print", "sysroot"])
        .current_dir(workspace)
        .output()
        .context("rustc cannot be run; install Rust from https://rustup.rs")?;
    let sysroot = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    if !sysroot.join("lib/rustlib/src/rust/library/core").is_dir() {
        bail!("the cells need Rust's own sources; run `rustup component add rust-src`");
    }
    Ok(())
}

fn is_fresh(program: &Path, workspace: &Path) -> bool {
    let Some(built) = modified(program) else {
        return false;
    };
    SOURCES
        .iter()
        .all(|source| newest(&workspace.join(source)).is_some_and(|time| time <= built))
}

fn modified(path: &Path) -> Option<SystemTime> {
    path.metadata().ok()?.modified().ok()
}

fn newest(path: &Path) -> Option<SystemTime> {
    if !path.is_dir() {
        return modified(path);
    }
    let entries = std::fs::read_dir(path).ok()?;
    entries
        .filter_map(|entry| newest(&entry.ok()?.path()))
        .max()
}

fn build(project: &Project, report: &mut dyn FnMut(&str)) -> Result<()> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["build", "--locked", "--profile", "book"])
        .args(["--package", "candlelight-kernel"])
        .arg("--target-dir")
        .arg(project.target())
        .current_dir(&project.workspace)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .context("cargo cannot be run")?;
    let mut error = None;
    let mut crates = 0;
    if let Some(stderr) = cargo.stderr.take() {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            if let Some(name) = line.trim_start().strip_prefix("Compiling ") {
                crates += 1;
                let name = name.split(' ').next().unwrap_or(name);
                report(&format!(
                    "building the kernel, once (minutes): crate {crates}, {name}"
                ));
            } else if error.is_none() && line.starts_with("error") {
                error = Some(line);
            }
        }
    }
    if !cargo.wait()?.success() {
        bail!(
            "the kernel does not build ({}); see \
             `cargo build --profile book --package candlelight-kernel`",
            error.as_deref().unwrap_or("no message")
        );
    }
    Ok(())
}
