//! The program in which CUDA's kernels run without a card: compiled as C++, their threads taking turns.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// The program, compiled once a process; none, and a line that says so, where there is no C++ compiler.
pub fn program() -> Option<&'static PathBuf> {
    static PROGRAM: OnceLock<Option<PathBuf>> = OnceLock::new();
    PROGRAM.get_or_init(compile).as_ref()
}

fn compile() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    // Of a process, since others compile it meanwhile.
    let name = format!("candlelight-cuda-emulated-{}", std::process::id());
    let program = std::env::temp_dir().join(name);
    compile_to(&root.join("tests/cuda_emulated/main.cpp"), program)
}

/// The program of `source`; none, and a line that says so, where there is no C++ compiler.
pub fn compile_to(source: &Path, program: PathBuf) -> Option<PathBuf> {
    let mut compiler = Command::new("c++");
    compiler.args(["-std=c++17", "-O1", "-Wall", "-Werror", "-Dreal=double"]);
    // A program need not use every kernel, and unrolling is for a card.
    compiler.args(["-Wno-unused-function", "-Wno-unknown-pragmas"]);
    compiler.arg(source);
    match compiler.arg("-o").arg(&program).status() {
        Ok(status) => {
            assert!(status.success(), "CUDA's kernels do not compile as C++");
            Some(program)
        }
        Err(error) => {
            println!("CUDA's kernels: skipped, for there is no C++ compiler: {error}");
            None
        }
    }
}

/// What the kernels write for these words and bytes, in whichever order the threads come.
pub fn run(program: &Path, words: &[String], input: &[u8]) -> Vec<u8> {
    let output = run_once(Command::new(program), words, input);
    let mut reversed = Command::new(program);
    reversed.env("EMULATED_REVERSED", "yes");
    assert!(
        output == run_once(reversed, words, input),
        "{words:?}: threads do not wait for each other"
    );
    output
}

fn run_once(mut command: Command, words: &[String], input: &[u8]) -> Vec<u8> {
    let command = command
        .args(words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{words:?}");
    output.stdout
}

/// For the program's input.
pub fn bytes(numbers: &[f64]) -> Vec<u8> {
    numbers
        .iter()
        .flat_map(|number| number.to_le_bytes())
        .collect()
}

/// Takes numbers off the front of its output.
pub fn take(bytes: &mut &[u8], n: usize) -> Vec<f64> {
    let (own, rest) = bytes.split_at(8 * n);
    *bytes = rest;
    let number = |bytes: &[u8]| f64::from_le_bytes(bytes.try_into().unwrap());
    own.chunks_exact(8).map(number).collect()
}
