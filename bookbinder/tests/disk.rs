//! A disk that is full while a cell is compiled.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::fs;
use std::io::{BufRead, BufReader, Lines, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use bookbinder::engine::{self, Engine};
use bookbinder::project::Project;
use kernel_protocol::{Event, Output, Request};
use tokio::runtime::Runtime;

/// A disk for the kernel's folder alone, of a few megabytes more than what cells depend on.
const MOUNTED: &str = r#"set -e
size=$(du -sk "$2/template" | cut -f1)
mount -t tmpfs -o size=$((size + 300000))k tmpfs "$1"
mkdir "$1/cells"
cp -a "$2/template" "$2/.cargo" "$1/cells"
exec "$0" "$1/cells" "$3" "$4""#;

struct Kernel {
    process: Child,
    requests: Option<ChildStdin>,
    events: Lines<BufReader<ChildStdout>>,
}

impl Kernel {
    fn next(&mut self) -> Event {
        let line = self.events.next().unwrap().unwrap();
        serde_json::from_str(&line).unwrap()
    }

    /// A cell's outputs, and whether it ended well and lost nothing.
    fn run(&mut self, code: &str) -> (Vec<Output>, bool) {
        let (id, code) = (1, code.to_owned());
        let request = serde_json::to_string(&Request::Execute { id, code }).unwrap();
        writeln!(self.requests.as_mut().unwrap(), "{request}").unwrap();
        let mut outputs = Vec::new();
        loop {
            match self.next() {
                Event::Output { output, .. } => outputs.push(output),
                Event::Done { ok, lost, .. } => {
                    assert!(!lost);
                    return (outputs, ok);
                }
                _ => {}
            }
        }
    }
}

impl Drop for Kernel {
    fn drop(&mut self) {
        self.requests = None;
        let _ = self.process.wait();
    }
}

/// What cells depend on, made by a kernel's first start.
fn build_template(project: &Project) {
    Runtime::new().unwrap().block_on(async {
        let (engine, mut events) = Engine::start(project).unwrap();
        engine::ready(&mut events, &mut |_| {}).await.unwrap();
        engine.shutdown().await;
    });
}

#[test]
fn a_full_disk_is_told_and_loses_nothing() {
    let probe = Command::new("unshare").args(["-Urm", "true"]).status();
    if !probe.is_ok_and(|status| status.success()) {
        eprintln!("not run: this system lets no one mount a disk of their own");
        return;
    }
    let project = Project::at(&common::workspace());
    engine::ensure_built(&project, &mut |_| {}).unwrap();
    build_template(&project);
    let folder = std::env::temp_dir().join(format!("candlelight-disk-{}", std::process::id()));
    let (disk, free) = (folder.join("disk"), folder.join("free"));
    fs::create_dir_all(&disk).unwrap();
    let cells = project.target().join("cells");
    let mut command = Command::new("unshare");
    for name in engine::of_cargo() {
        command.env_remove(name);
    }
    let mut process = command
        .args(["-Urm", "sh", "-c", MOUNTED])
        .arg(project.kernel_program())
        .args([&disk, &cells, &project.workspace, &project.root])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut kernel = Kernel {
        requests: process.stdin.take(),
        events: BufReader::new(process.stdout.take().unwrap()).lines(),
        process,
    };
    while kernel.next() != Event::Ready {}

    let kept = Output::Stream {
        name: "stdout".into(),
        text: "kept\n".into(),
    };
    assert!(kernel.run("let kept = \"kept\";").1);
    let fill = format!(
        "std::thread::spawn(|| {{
    use std::io::Write;
    let mut file = std::fs::File::create({fill:?}).unwrap();
    while file.write_all(&[1; 4096]).is_ok() {{}}
    std::fs::write({full:?}, \"\").unwrap();
    while !std::path::Path::new({free:?}).exists() {{
        std::thread::sleep(std::time::Duration::from_millis(20));
    }}
    std::fs::remove_file({fill:?}).unwrap();
}});
while !std::path::Path::new({full:?}).exists() {{
    std::thread::sleep(std::time::Duration::from_millis(20));
}}",
        fill = disk.join("fill"),
        full = folder.join("full"),
    );
    assert!(kernel.run(&fill).1);
    for _ in 0..2 {
        let (outputs, ok) = kernel.run("let number = 5;");
        let Some(Output::Error {
            evalue, traceback, ..
        }) = outputs.last()
        else {
            panic!("{outputs:?}");
        };
        assert!(!ok && evalue.contains("the disk is full"), "{evalue}");
        let traceback = traceback.join("\n");
        assert!(traceback.contains("All variables are kept"), "{traceback}");
    }
    fs::write(&free, "").unwrap();
    std::thread::sleep(Duration::from_millis(300));
    let (outputs, ok) = kernel.run("println!(\"{kept}\");");
    assert!(ok && outputs == [kept], "{outputs:?}");
    drop(kernel);
    fs::remove_dir_all(&folder).unwrap();
}
