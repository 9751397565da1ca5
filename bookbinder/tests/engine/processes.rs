//! Kernels beside each other, and their end.

use std::time::{Duration, Instant};

use bookbinder::engine::{self, Engine};
use bookbinder::project::Project;
use kernel_protocol::{Event, Output};
use tokio::runtime::Runtime;

use crate::common;
use crate::harness::{Kernel, kernel, stdout};

#[test]
fn another_kernel_is_there_soon_and_has_variables_of_its_own() {
    let mut kernel = kernel();
    kernel.ok("let whose = 1;");
    let start = Instant::now();
    let mut other = Kernel::start();
    // On Linux it is a copy of a warm one. That takes two seconds, here perhaps beside other tests; by itself it
    // would take fifteen.
    if cfg!(target_os = "linux") {
        let took = start.elapsed();
        assert!(took < Duration::from_secs(8), "{took:?}");
        let (kind, message, _) = other.fails(":dep rand = \"0.9\"", false);
        assert_eq!(kind, "compile error");
        assert!(message.contains("cells/Cargo.toml"), "{message}");
    }
    assert!(other.fails("whose", false).1.contains("whose"));
    other.ok("let whose = 2;");
    assert_eq!(kernel.ok("println!(\"{whose}\");"), [stdout("1\n")]);
    // Each may crash and go on by itself.
    assert!(other.run("std::process::abort();").done.lost);
    assert_eq!(other.ok("println!(\"alive\");"), [stdout("alive\n")]);
    assert_eq!(kernel.ok("println!(\"{whose}\");"), [stdout("1\n")]);
}

#[test]
fn an_engine_that_ends_leaves_nothing_behind() {
    drop(kernel());
    let project = Project::at(&common::workspace());
    let runtime = Runtime::new().unwrap();
    let ended = runtime.block_on(async {
        let (engine, mut events) = Engine::start(&project).unwrap();
        engine::ready(&mut events, &mut |_| {}).await.unwrap();
        engine
            .execute("println!(\"{}\", std::process::id());\nloop {}")
            .unwrap();
        let cell: u32 = loop {
            if let Some(Event::Output {
                output: Output::Stream { text, .. },
                ..
            }) = events.recv().await
            {
                break text.trim().parse().unwrap();
            }
        };
        engine.shutdown().await;
        cell
    });
    let process = format!("/proc/{ended}/cwd");
    assert!(std::fs::read_link(process).is_err());
}
