//! `CANDLELIGHT_CELL_MEMORY`, as a reader sets it.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use bookbinder::engine;
use bookbinder::project::Project;
use kernel_protocol::{Event, Output, Request};

/// What a kernel says to one cell, to its end or the kernel's.
fn said(limit: &str, code: &str) -> Vec<Event> {
    let project = Project::at(&common::workspace());
    engine::ensure_built(&project, &mut |_| {}).unwrap();
    let mut command = Command::new(project.kernel_program());
    for name in engine::of_cargo() {
        command.env_remove(name);
    }
    let mut kernel = command
        .arg(project.target().join("cells"))
        .args([&project.workspace, &project.root])
        .env("CANDLELIGHT_CELL_MEMORY", limit)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let (id, code) = (1, code.to_owned());
    let request = serde_json::to_string(&Request::Execute { id, code }).unwrap();
    let mut stdin = kernel.stdin.take().unwrap();
    // A kernel that refuses to start may be gone already.
    let _ = writeln!(stdin, "{request}");
    let mut said = Vec::new();
    for line in BufReader::new(kernel.stdout.take().unwrap()).lines() {
        let event: Event = serde_json::from_str(&line.unwrap()).unwrap();
        let is_last = matches!(event, Event::Done { .. } | Event::Failed { .. });
        said.push(event);
        if is_last {
            break;
        }
    }
    drop(stdin);
    kernel.wait().unwrap();
    said
}

#[test]
fn another_limit_holds_and_none_does_not() {
    let code = "let much = vec![1_u8; 3 << 29];\nprintln!(\"{}\", much.len());";
    let events = said("1", code);
    let refused = |event: &Event| {
        matches!(event, Event::Output { output: Output::Error { evalue, .. }, .. }
        if evalue.contains("asked for 1.6 GB") && evalue.contains("may have 1.0 GB together"))
    };
    assert!(events.iter().any(refused), "{events:?}");
    let events = said("0", &code.replace("1_u8; 3 << 29", "0_u8; 7 << 29"));
    assert!(
        matches!(events.last(), Some(Event::Done { ok: true, .. })),
        "{events:?}"
    );
}

#[test]
fn what_is_no_limit_is_named_with_the_cure() {
    for limit in ["8GB", "-1", "", "inf"] {
        let events = said(limit, "1");
        let Some(Event::Failed { why }) = events.last() else {
            panic!("{limit}: {events:?}");
        };
        let told = format!("CANDLELIGHT_CELL_MEMORY is `{limit}`; it takes a number of GB");
        assert!(why.contains(&told), "{why}");
    }
}
