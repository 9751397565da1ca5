//! Stands before cargo where evcxr compiles cells: cargo takes twice as long as rustc to find out that only the cell
//! has changed. It runs cargo once for a context and notes how cargo calls rustc; after that it calls rustc itself,
//! for as long as what cargo goes by (manifest, configuration, flags) is the same. All else is cargo's.
//!
//! By its name it is `cargo` or `rustup`, of which evcxr asks where cargo is; by its own name it is what cargo calls
//! in place of rustc (`RUSTC_WRAPPER`) while a call is noted.

mod call;
mod metadata;

use std::collections::hash_map::DefaultHasher;
use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::hash::{Hash, Hasher};
use std::io::{Error, Result, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use call::{CRATE, Call, told};

/// The value that `CARGO_HOME` had, empty where it had none, while rust-analyzer is to find this program by it.
const HOME: &str = "CANDLELIGHT_CARGO_HOME";
/// Names the file for the call that is to be noted.
const NOTE: &str = "CANDLELIGHT_CALL";
/// What cargo reads in the context's folder.
const FILES: [&str; 4] = [
    "Cargo.toml",
    "Cargo.lock",
    ".cargo/config.toml",
    "../.cargo/config.toml",
];
/// What evcxr sets for cargo, and cargo goes by.
const VARIABLES: [&str; 3] = ["RUSTC", "RUSTFLAGS", "CARGO_TARGET_DIR"];
/// rustc's status where a crate has errors; any other is trouble of its own.
const HAS_ERRORS: i32 = 1;

fn main() -> ExitCode {
    let mut arguments = env::args_os();
    let name = arguments.next().unwrap_or_default();
    let arguments: Vec<OsString> = arguments.collect();
    let result = match Path::new(&name).file_name().and_then(OsStr::to_str) {
        Some("cargo") => cargo(&arguments),
        Some("rustup") => rustup(&arguments),
        _ => rustc(&arguments),
    };
    result.unwrap_or_else(|error| {
        eprintln!("error: candlelight-cargo: {error}");
        ExitCode::FAILURE
    })
}

/// Where evcxr asks for cargo it gets this program; all else rustup says.
fn rustup(arguments: &[OsString]) -> Result<ExitCode> {
    if arguments == ["which", "cargo"] {
        let own = folders().find(|folder| is_own(&folder.join("cargo")));
        let own = own.ok_or_else(|| Error::other("not on the path"))?;
        println!("{}", own.join("cargo").display());
        return Ok(ExitCode::SUCCESS);
    }
    Err(Command::new(other("rustup")?).args(arguments).exec())
}

fn cargo(arguments: &[OsString]) -> Result<ExitCode> {
    let has = |what: &str| arguments.iter().any(|word| word == what);
    if has("metadata") {
        return metadata(arguments);
    }
    let checks = has("check");
    if !checks && !has("build") {
        return Err(real_cargo()?.args(arguments).exec());
    }
    let note = Path::new("target/call-build");
    let key = key(arguments);
    if let Some(mut call) = Call::read(note).filter(|call| call.key == key) {
        if checks {
            call.check();
        }
        let artifact = call.artifact();
        // rustc shall not write into a library that is in use.
        if let Some(artifact) = &artifact {
            let _ = fs::remove_file(artifact);
        }
        let status = Command::new(&call.program)
            .args(&call.arguments)
            .envs(call.variables)
            .status()?;
        if status.success() {
            if let Some(artifact) = artifact {
                println!("{}", told(&artifact));
            }
            return Ok(ExitCode::SUCCESS);
        }
        if status.code() == Some(HAS_ERRORS) {
            return Ok(ExitCode::FAILURE);
        }
    }
    let mut command = real_cargo()?;
    command.args(arguments);
    if checks {
        return Err(command.exec());
    }
    // It is written anew only where cargo gets as far as the cell.
    let _ = fs::remove_file(note);
    command.env("RUSTC_WRAPPER", env::current_exe()?);
    let mut value = key.to_le_bytes().to_vec();
    value.extend(note.as_os_str().as_bytes());
    command.env(NOTE, hexadecimal(&value));
    Err(command.exec())
}

/// cargo itself. rust-analyzer looks for it in the folder that `CARGO_HOME` names, and finds this program there; the
/// variable's own value is that of [`HOME`].
fn real_cargo() -> Result<Command> {
    let mut command = Command::new(other("cargo")?);
    if let Some(home) = env::var_os(HOME) {
        match home.is_empty() {
            true => command.env_remove("CARGO_HOME"),
            false => command.env("CARGO_HOME", home),
        };
        command.env_remove(HOME);
    }
    Ok(command)
}

/// `cargo metadata`, for rust-analyzer.
fn metadata(arguments: &[OsString]) -> Result<ExitCode> {
    let output = real_cargo()?
        .args(arguments)
        .stderr(Stdio::inherit())
        .output()?;
    let mut text = output.stdout;
    if let Ok(mut metadata) = serde_json::from_slice(&text) {
        metadata::prune(&mut metadata);
        text = serde_json::to_vec(&metadata)?;
    }
    std::io::stdout().write_all(&text)?;
    Ok(match output.status.success() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

/// In cargo's place: notes the call where it is the cell's, and makes it.
fn rustc(arguments: &[OsString]) -> Result<ExitCode> {
    let [program, arguments @ ..] = arguments else {
        eprintln!("the kernel of Candlelight's cells calls this program");
        return Ok(ExitCode::from(2));
    };
    let is_cell = arguments
        .windows(2)
        .any(|pair| pair[0] == "--crate-name" && pair[1] == CRATE);
    let noted = env::var(NOTE).ok().and_then(|text| bytes(&text));
    if let (true, Some(noted)) = (is_cell, noted)
        && let Some((key, note)) = noted.split_first_chunk()
    {
        // Colours and messages about files are for cargo, which does not pass them on.
        let of_messages = |argument: &OsString| argument.to_string_lossy().starts_with("--json=");
        let passed = |argument: &&OsString| !of_messages(argument);
        // Not the path for libraries, which is for procedural macros of build scripts' making: with it every
        // program that rustc starts looks through dozens of folders.
        let of_cargo = |name: &OsStr| {
            let name = name.to_string_lossy();
            name.starts_with("CARGO") && name != "CARGO_MAKEFLAGS"
        };
        let call = Call {
            key: u64::from_le_bytes(*key),
            program: program.clone(),
            arguments: arguments.iter().filter(passed).cloned().collect(),
            variables: env::vars_os().filter(|(name, _)| of_cargo(name)).collect(),
        };
        call.write(Path::new(OsStr::from_bytes(note)))?;
    }
    Err(Command::new(program)
        .args(arguments)
        .env_remove(NOTE)
        .exec())
}

/// All that cargo goes by, but for the cell and whether it is checked or built.
fn key(arguments: &[OsString]) -> u64 {
    let mut hasher = DefaultHasher::new();
    let words = arguments
        .iter()
        .filter(|word| *word != "check" && *word != "build");
    words.collect::<Vec<_>>().hash(&mut hasher);
    FILES.map(|path| fs::read(path).ok()).hash(&mut hasher);
    VARIABLES.map(env::var_os).hash(&mut hasher);
    hasher.finish()
}

/// The folders where programs are.
fn folders() -> impl Iterator<Item = PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).collect::<Vec<_>>().into_iter()
}

fn is_own(path: &Path) -> bool {
    let own = env::current_exe().and_then(fs::canonicalize);
    matches!((own, fs::canonicalize(path)), (Ok(own), Ok(path)) if own == path)
}

/// The program of this name that is not this one.
fn other(name: &str) -> Result<PathBuf> {
    let mut programs = folders().map(|folder| folder.join(name));
    let other = programs.find(|path| path.is_file() && !is_own(path));
    other.ok_or_else(|| Error::other(format!("no other `{name}` is on the path")))
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes(text: &str) -> Option<Vec<u8>> {
    let pairs = (0..text.len()).step_by(2);
    pairs
        .map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok())
        .collect()
}
