//! Cells that take their process with them.

use std::time::{Duration, Instant};

use kernel_protocol::{Event, Output, Request};

use crate::harness::{kernel, stdout};

#[test]
fn an_abort_loses_variables_and_says_so() {
    let mut kernel = kernel();
    kernel.ok("let gone = 1;");
    for (code, message) in [
        (
            "println!(\"last words\");\nstd::process::abort();",
            "SIGABRT",
        ),
        ("std::process::exit(3);", "exit status: 3"),
        (
            "unsafe { std::ptr::null_mut::<u8>().write_volatile(1) };",
            "SIG",
        ),
        (
            "fn deep(x: u64) -> u64 { if x == 0 { 0 } else { deep(x + 1) + std::hint::black_box(x) } }\ndeep(1)",
            "SIG",
        ),
    ] {
        let ran = kernel.run(code);
        assert!(ran.done.lost && !ran.done.ok);
        if code.contains("last words") {
            assert_eq!(ran.outputs[0], stdout("last words\n"));
        }
        match ran.outputs.last() {
            Some(Output::Error {
                evalue, traceback, ..
            }) => {
                assert!(evalue.contains(message), "{evalue}");
                assert!(traceback.join("\n").contains("Run all above"));
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(kernel.ok("println!(\"alive\");"), [stdout("alive\n")]);
    }
    assert!(kernel.fails("gone", false).1.contains("gone"));
}

#[test]
fn an_endless_loop_is_interrupted() {
    let mut kernel = kernel();
    kernel
        .engine
        .send(Request::Execute {
            id: 900,
            code: "println!(\"begun\");\nloop {}".into(),
        })
        .unwrap();
    while !matches!(kernel.next(), Event::Output { id: 900, .. }) {}
    let start = Instant::now();
    kernel.engine.send(Request::Interrupt).unwrap();
    let mut kinds = Vec::new();
    loop {
        match kernel.next() {
            Event::Output {
                output: Output::Error { ename, .. },
                ..
            } => kinds.push(ename),
            Event::Done { ok, lost, .. } => {
                assert!(!ok && lost);
                break;
            }
            _ => {}
        }
    }
    assert!(
        start.elapsed() < Duration::from_secs(1),
        "{:?}",
        start.elapsed()
    );
    assert_eq!(kinds, ["interrupt"]);
    // An interrupt while nothing runs is nothing.
    kernel.engine.send(Request::Interrupt).unwrap();
    assert_eq!(kernel.ok("println!(\"alive\");"), [stdout("alive\n")]);
}

#[test]
fn more_memory_than_cells_may_have_is_refused_with_the_cure() {
    let mut kernel = kernel();
    let (kind, message, _) = kernel.fails("let much = vec![1_u8; 4 << 30];", true);
    assert_eq!(kind, "abort");
    assert!(message.contains("asked for 4.3 GB"), "{message}");
    assert!(message.contains("may have 3.0 GB together"), "{message}");
    assert!(message.contains("CANDLELIGHT_CELL_MEMORY"), "{message}");
    kernel.ok("let enough = vec![1_u8; 1 << 30];\ndrop(enough);");
}

#[test]
fn a_checkpoint_is_found_again_after_a_kill() {
    let mut kernel = kernel();
    let folder =
        std::env::temp_dir().join(format!("candlelight-checkpoint-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("run.safetensors");
    let code = format!(
        "use candlelight::prelude::*;
manual_seed(0);
let net = Net::new(var_builder(DType::F32, &Device::Cpu))?;
let sgd = Sgd::builder(net.parameters(), 0.01).build()?;
let test = Mnist::builder(\"data\").train(false).build()?;
let loader = DataLoader::builder(Subset::new(test, (0..640).collect())?).batch_size(64).build()?;
let criterion = CrossEntropyLoss::builder().build()?;
let mut trainer = Trainer::builder(net, criterion, sgd).epochs(3).checkpoint({path:?}).on_progress(|p| BREAK).build()?;
RESUME
println!(\"{{}} steps\", trainer.fit(&loader, None)?.steps.len());"
    );
    let broken = code.replace("BREAK", "if p.epoch == 3 { std::process::abort() }");
    let (_, _, text) = kernel.fails(&broken.replace("RESUME", ""), true);
    assert!(text.contains("Run all above"), "{text}");
    let resume = format!("trainer.resume({path:?})?");
    assert!(text.contains(&resume), "{text}");
    assert!(text.contains("after 2 epochs"), "{text}");
    // As it says.
    let whole = code.replace("BREAK", "assert_eq!(p.epoch, 3)");
    let shown = kernel.ok(&whole.replace("RESUME", &format!("{resume};")));
    assert_eq!(shown, [stdout("30 steps\n")]);

    // Where it was written is not where it is: nothing is promised.
    std::fs::remove_dir_all(&folder).unwrap();
    let (_, _, text) = kernel.fails("std::process::abort();", true);
    assert!(!text.contains("checkpoint"), "{text}");
}
