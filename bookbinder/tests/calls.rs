//! What stands before cargo while a cell is compiled, with a cargo and a rustc that are none.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use bookbinder::engine;
use bookbinder::project::Project;

/// A folder with a context, and the programs.
struct Stage {
    folder: PathBuf,
}

impl Stage {
    fn new(name: &str) -> Self {
        let project = Project::at(&common::workspace());
        engine::ensure_built(&project, &mut |what| eprintln!("{what}")).unwrap();
        let folder =
            std::env::temp_dir().join(format!("candlelight-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(folder.join("context/target")).unwrap();
        fs::create_dir_all(folder.join("real")).unwrap();
        fs::create_dir_all(folder.join("bin")).unwrap();
        fs::write(folder.join("context/Cargo.toml"), "[package]\n").unwrap();
        let program = project.kernel_program().with_file_name("candlelight-cargo");
        for name in ["cargo", "rustup"] {
            symlink(&program, folder.join("bin").join(name)).unwrap();
        }
        let stage = Self { folder };
        // Calls rustc for a dependency and for the cell, in the way that it was told to.
        stage.program(
            "cargo",
            "echo \"cargo $*\" >> ../log
case \"$*\" in *build*|*check*) ;; *) exit 0;; esac
export CARGO_PKG_NAME=ctx CARGO_MAKEFLAGS=-j
$RUSTC_WRAPPER ../real/rustc --crate-name other --emit=link --out-dir target || exit
exec $RUSTC_WRAPPER ../real/rustc --crate-name ctx --json=diagnostic-rendered-ansi,artifacts --emit=dep-info,link --out-dir target",
        );
        stage.program(
            "rustc",
            "echo \"rustc $*, package $CARGO_PKG_NAME, jobs $CARGO_MAKEFLAGS\" >> ../log
test -e ../status && exit $(cat ../status)
case \"$*\" in *'name other'*) exit 0;; esac
test -e target/libctx.so && echo 'it writes into a library in use' >> ../log
touch target/libctx.so",
        );
        stage.program("rustup", "echo \"rustup $*\"");
        stage
    }

    fn program(&self, name: &str, text: &str) {
        let path = self.folder.join("real").join(name);
        fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn run(&self, program: &str, arguments: &[&str]) -> Output {
        let folders = [self.folder.join("bin"), self.folder.join("real")];
        let system = std::env::split_paths("/usr/local/bin:/usr/bin:/bin").collect::<Vec<_>>();
        let path = std::env::join_paths(folders.iter().chain(&system)).unwrap();
        Command::new(self.folder.join("bin").join(program))
            .args(arguments)
            .current_dir(self.folder.join("context"))
            .env("PATH", path)
            .output()
            .unwrap()
    }

    /// What was called since the last time.
    fn log(&self) -> Vec<String> {
        let path = self.folder.join("log");
        let text = fs::read_to_string(&path).unwrap_or_default();
        let _ = fs::remove_file(path);
        text.lines().map(str::to_owned).collect()
    }

    fn artifact(&self) -> PathBuf {
        self.folder.join("context/target/libctx.so")
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

const BUILD: [&str; 2] = ["--offline", "build"];
const CALL: &str = "rustc --crate-name ctx --emit=dep-info,link --out-dir target, \
                    package ctx, jobs ";

fn begins(log: &[String], with: &[&str]) {
    assert_eq!(log.len(), with.len(), "{log:?}");
    for (line, with) in log.iter().zip(with) {
        assert!(line.starts_with(with), "{log:?}");
    }
}

#[test]
fn cargo_is_called_once_and_then_rustc() {
    let stage = Stage::new("calls");
    let through_cargo = [
        "cargo --offline build",
        "rustc --crate-name other",
        "rustc --crate-name ctx",
    ];
    assert!(stage.run("cargo", &BUILD).status.success());
    begins(&stage.log(), &through_cargo);
    assert!(stage.artifact().exists());
    for _ in 0..2 {
        let output = stage.run("cargo", &BUILD);
        assert!(output.status.success());
        assert_eq!(stage.log(), [CALL]);
        let told = String::from_utf8(output.stdout).unwrap();
        let told: serde_json::Value = serde_json::from_str(&told).unwrap();
        assert_eq!(told["reason"], "compiler-artifact");
        assert_eq!(told["filenames"][0], "target/libctx.so");
    }
    // Each command has a call of its own.
    assert!(stage.run("cargo", &["check"]).status.success());
    begins(&stage.log()[..1], &["cargo check"]);
    // So has each manifest.
    let manifest = stage.folder.join("context/Cargo.toml");
    fs::write(&manifest, "[package]\n[profile.dev]\nopt-level = 2\n").unwrap();
    fs::remove_file(stage.artifact()).unwrap();
    assert!(stage.run("cargo", &BUILD).status.success());
    begins(&stage.log(), &through_cargo);
}

#[test]
fn errors_are_rustcs_and_trouble_is_cargos() {
    let stage = Stage::new("trouble");
    assert!(stage.run("cargo", &BUILD).status.success());
    stage.log();
    let status = |number: &str| fs::write(stage.folder.join("status"), number).unwrap();
    status("1");
    let output = stage.run("cargo", &BUILD);
    assert!(!output.status.success() && output.stdout.is_empty());
    assert_eq!(stage.log(), [CALL]);
    // The compiler itself failed: perhaps what it kept of the last time is damaged.
    status("101");
    assert!(!stage.run("cargo", &BUILD).status.success());
    begins(
        &stage.log(),
        &[CALL, "cargo --offline build", "rustc --crate-name other"],
    );
    // cargo did not get as far as the cell, so it is called again.
    fs::remove_file(stage.folder.join("status")).unwrap();
    assert!(stage.run("cargo", &BUILD).status.success());
    begins(&stage.log()[..1], &["cargo --offline build"]);
    // A call that cannot be read is none.
    fs::write(stage.folder.join("context/target/call-build"), "1\0rustc").unwrap();
    fs::remove_file(stage.artifact()).unwrap();
    assert!(stage.run("cargo", &BUILD).status.success());
    begins(&stage.log()[..1], &["cargo --offline build"]);
}

/// What cargo says of a cell's dependencies, in short: `ctx` needs candlelight, which is here in source, and that candle
/// and a TLS library, which no cell names.
const METADATA: &str = r#"{"packages": [
{"id": "ctx", "name": "ctx", "source": null},
{"id": "candlelight", "name": "candlelight", "source": null},
{"id": "candle-core 1", "name": "candle-core", "source": "registry"},
{"id": "rustls 1", "name": "rustls", "source": "registry"}],
"resolve": {"root": "ctx", "nodes": [
{"id": "ctx", "dependencies": ["candlelight"], "deps": [{"name": "candlelight", "pkg": "candlelight"}]},
{"id": "candlelight", "dependencies": ["candle-core 1", "rustls 1"],
 "deps": [{"name": "candle_core", "pkg": "candle-core 1"}, {"name": "rustls", "pkg": "rustls 1"}]},
{"id": "candle-core 1", "dependencies": [], "deps": []},
{"id": "rustls 1", "dependencies": [], "deps": []}]},
"workspace_root": "/here"}"#;

#[test]
fn rust_analyzer_hears_of_what_cells_can_name() {
    let stage = Stage::new("metadata");
    fs::write(stage.folder.join("metadata"), METADATA).unwrap();
    stage.program("cargo", "cat ../metadata");
    let output = stage.run("cargo", &["metadata", "--offline"]);
    assert!(output.status.success());
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let names = |list: &serde_json::Value, key: &str| {
        let all = list.as_array().unwrap().iter();
        all.map(|one| one[key].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let kept = ["ctx", "candlelight", "candle-core 1"];
    assert_eq!(names(&told["packages"], "id"), kept);
    let nodes = &told["resolve"]["nodes"];
    assert_eq!(names(nodes, "id"), kept);
    assert_eq!(
        nodes[1]["dependencies"],
        serde_json::json!(["candle-core 1"])
    );
    assert_eq!(names(&nodes[1]["deps"], "pkg"), ["candle-core 1"]);
    assert_eq!(told["workspace_root"], "/here");
    // What is no metadata is passed on, and so is the status.
    stage.program("cargo", "echo no; exit 3");
    let output = stage.run("cargo", &["metadata"]);
    assert!(!output.status.success());
    assert_eq!(output.stdout, b"no\n");
}

#[test]
fn a_check_is_the_noted_build_without_a_library() {
    let stage = Stage::new("check");
    assert!(stage.run("cargo", &BUILD).status.success());
    stage.log();
    fs::remove_file(stage.artifact()).unwrap();
    let output = stage.run("cargo", &["--offline", "check"]);
    assert!(output.status.success() && output.stdout.is_empty());
    assert_eq!(
        stage.log(),
        ["rustc --crate-name ctx --emit=metadata --out-dir target, package ctx, jobs "]
    );
}

#[test]
fn all_else_goes_to_the_other_programs() {
    let stage = Stage::new("else");
    assert!(
        stage
            .run("cargo", &["metadata", "--offline"])
            .status
            .success()
    );
    assert_eq!(stage.log(), ["cargo metadata --offline"]);
    let said = |arguments: &[&str]| {
        let output = stage.run("rustup", arguments);
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    assert_eq!(
        Path::new(&said(&["which", "cargo"])),
        stage.folder.join("bin/cargo")
    );
    assert_eq!(said(&["which", "rustc"]), "rustup which rustc");
    assert_eq!(
        said(&["+nightly", "which", "cargo"]),
        "rustup +nightly which cargo"
    );
}
