//! The engine drives the real kernel program; all tests share one kernel process.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use bookbinder::engine::{self, Done, Engine};
use bookbinder::project::Project;
use bookbinder::render;
use kernel_protocol::{Event, Output, Request};
use tokio::runtime::Runtime;
use tokio::sync::mpsc::UnboundedReceiver;

struct Kernel {
    runtime: Runtime,
    engine: Engine,
    events: UnboundedReceiver<Event>,
}

/// A cell's end.
struct Ran {
    outputs: Vec<Output>,
    done: Done,
}

fn kernel() -> MutexGuard<'static, Kernel> {
    static KERNEL: OnceLock<Mutex<Kernel>> = OnceLock::new();
    let kernel = KERNEL.get_or_init(|| Mutex::new(Kernel::start()));
    kernel.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Kernel {
    fn start() -> Self {
        let project = Project::at(&common::workspace());
        engine::ensure_built(&project, &mut |what| eprintln!("{what}")).unwrap();
        let runtime = Runtime::new().unwrap();
        let (engine, mut events) = {
            let _inside = runtime.enter();
            Engine::start(&project).unwrap()
        };
        let start = Instant::now();
        let report = &mut |what: &str| eprintln!("{what}");
        runtime
            .block_on(engine::ready(&mut events, report))
            .unwrap();
        eprintln!("ready after {:.1} s", start.elapsed().as_secs_f64());
        Self {
            runtime,
            engine,
            events,
        }
    }

    fn run(&mut self, code: &str) -> Ran {
        let (outputs, done) = self
            .runtime
            .block_on(engine::run_cell(&self.engine, &mut self.events, code))
            .unwrap();
        eprintln!("{:.2} s: {}", done.seconds, code.lines().last().unwrap());
        Ran { outputs, done }
    }

    /// Runs a cell that must not fail.
    fn ok(&mut self, code: &str) -> Vec<Output> {
        let ran = self.run(code);
        assert!(ran.done.ok && !ran.done.lost, "{code}: {:?}", ran.outputs);
        ran.outputs
    }

    /// Runs a cell that must fail: its last output's kind, line and whole text without colours.
    fn fails(&mut self, code: &str, lost: bool) -> (String, String, String) {
        let ran = self.run(code);
        assert!(!ran.done.ok, "{code}: {:?}", ran.outputs);
        assert_eq!(ran.done.lost, lost, "{code}: {:?}", ran.outputs);
        match ran.outputs.last() {
            Some(Output::Error {
                ename,
                evalue,
                traceback,
            }) => (ename.clone(), evalue.clone(), plain(&traceback.join("\n"))),
            other => panic!("{code}: {other:?}"),
        }
    }

    fn next(&mut self) -> Event {
        let event =
            async { tokio::time::timeout(Duration::from_secs(60), self.events.recv()).await };
        self.runtime.block_on(event).unwrap().unwrap()
    }
}

fn plain(text: &str) -> String {
    let mut out = String::new();
    let mut parts = text.split("\x1b[");
    out.push_str(parts.next().unwrap());
    for part in parts {
        out.push_str(part.split_once('m').unwrap().1);
    }
    out
}

fn stdout(text: &str) -> Output {
    stream("stdout", text)
}

fn stream(name: &str, text: &str) -> Output {
    Output::Stream {
        name: name.into(),
        text: text.into(),
    }
}

fn result(outputs: &[Output]) -> &str {
    match outputs {
        [Output::ExecuteResult { data, .. }] => &data["text/plain"],
        other => panic!("{other:?}"),
    }
}

#[test]
fn state_carries_over_and_a_last_expression_shows() {
    let mut kernel = kernel();
    kernel.ok("use candlelight::prelude::*;\nlet carried = vec![1, 2, 3];\nfn twice(x: i32) -> i32 { 2 * x }");
    assert_eq!(result(&kernel.ok("carried.len()")), "3");
    assert_eq!(
        kernel.ok("println!(\"{}\", twice(carried[1]))"),
        [stdout("4\n")]
    );
    assert_eq!(kernel.ok("let unused = 1;"), []);
}

#[test]
fn variables_of_two_cells_have_gradients_of_their_own() {
    let mut kernel = kernel();
    kernel.ok("use candlelight::prelude::*;\nlet v1 = Var::new(2f32, &Device::Cpu)?;");
    kernel.ok("let v2 = Var::new(3f32, &Device::Cpu)?;");
    kernel.ok("let grads = (v1.as_tensor() * v2.as_tensor())?.backward()?;");
    let shown = kernel.ok(
        "println!(\"{} {}\", grads.get(&v1).unwrap().to_scalar::<f32>()?, grads.get(&v2).unwrap().to_scalar::<f32>()?);",
    );
    assert_eq!(shown, [stdout("3 2\n")]);
}

#[test]
fn text_without_a_newline_arrives() {
    let mut kernel = kernel();
    assert_eq!(kernel.ok("print!(\"abc\");"), [stdout("abc")]);
    assert_eq!(kernel.ok("eprint!(\"é\");"), [stream("stderr", "é")]);
    assert_eq!(
        kernel
            .ok("println!(\"\\r1 of 2\"); println!(\"\\r2 of 2\");")
            .len(),
        1
    );
}

#[test]
fn stdin_is_empty() {
    let mut kernel = kernel();
    let shown = kernel.ok(
        "let mut line = String::new();\nlet read = std::io::stdin().read_line(&mut line)?;\nprintln!(\"{read}\");",
    );
    assert_eq!(shown, [stdout("0\n")]);
}

#[test]
fn a_panic_keeps_earlier_variables() {
    let mut kernel = kernel();
    kernel.ok("let kept = String::from(\"kept\");");
    let (kind, message, text) = kernel.fails(
        "// a comment\nlet lost = 1;\nprintln!(\"before\");\nlet values = vec![1, 2, 3];\nlet x = values[7];",
        false,
    );
    assert_eq!(kind, "panic");
    assert_eq!(
        message,
        "index out of bounds: the len is 3 but the index is 7"
    );
    assert!(text.contains("--> cell:5:"), "{text}");
    assert!(text.contains("5 | let x = values[7];"), "{text}");
    let told = "Lost with this cell: `lost`, `values` and `x`. All other variables are kept.";
    assert!(text.contains(told), "{text}");
    assert_eq!(kernel.ok("println!(\"{kept}\");"), [stdout("kept\n")]);
    assert!(
        kernel
            .fails("println!(\"{lost}\");", false)
            .2
            .contains("lost")
    );
}

#[test]
fn a_caught_panic_is_text() {
    let mut kernel = kernel();
    let shown =
        kernel.ok("println!(\"{}\", std::panic::catch_unwind(|| panic!(\"caught\")).is_err());");
    assert!(shown.contains(&stdout("true\n")), "{shown:?}");
    let told = |output: &Output| matches!(output, Output::Stream { name, text } if name == "stderr" && text.contains("caught"));
    assert!(shown.iter().any(told), "{shown:?}");
}

#[test]
fn a_question_mark_tells_the_error() {
    let mut kernel = kernel();
    kernel.ok("let before = 7;");
    let (kind, message, text) = kernel.fails(
        "println!(\"one\");\nlet number: i32 = \"x\".parse()?;",
        false,
    );
    assert_eq!(
        (kind.as_str(), message.as_str()),
        ("error", "invalid digit found in string")
    );
    assert!(text.contains("Lost with this cell: `number`."), "{text}");
    assert_eq!(kernel.ok("println!(\"{before}\");"), [stdout("7\n")]);
    let (_, _, text) = kernel.fails("\"x\".parse::<i32>()?;", false);
    assert!(text.contains("All variables are kept."), "{text}");
    kernel.ok("let moved = String::from(\"moved\");");
    let (_, _, text) = kernel.fails("drop(moved);\n\"x\".parse::<i32>()?;", false);
    assert!(text.contains("Lost with this cell: `moved`."), "{text}");
    assert!(
        kernel
            .fails("println!(\"{moved}\");", false)
            .1
            .contains("moved")
    );
    // The very words of evcxr's own code, without an error.
    let shown = kernel.ok("let error = 5;\neprintln!(\"{}\", error);");
    assert_eq!(shown, [stream("stderr", "5\n")]);
}

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
fn a_hundred_megabytes_are_cut() {
    let mut kernel = kernel();
    kernel.ok("let small = 5;");
    let ran =
        kernel.run("let line = \"x\".repeat(9_999);\nfor _ in 0..10_000 { println!(\"{line}\"); }");
    assert!(ran.done.ok && !ran.done.lost);
    assert!(ran.done.seconds < 10.0, "{}", ran.done.seconds);
    let [
        Output::Stream { text, .. },
        Output::Stream { name, text: note },
    ] = &ran.outputs[..]
    else {
        panic!("{} outputs", ran.outputs.len());
    };
    assert_eq!(text.len(), 1_000_000);
    assert_eq!(name, "stderr");
    assert_eq!(note.trim().lines().count(), 1);
    assert!(note.contains("1 MB"));
    assert_eq!(kernel.ok("println!(\"{small}\");"), [stdout("5\n")]);
}

#[test]
fn a_compile_error_carries_the_compilers_message() {
    let mut kernel = kernel();
    let ran = kernel.run("let fine = 1;\n\nlet number: i32 =\n    \"text\";");
    let Some(Output::Error {
        ename,
        evalue,
        traceback,
    }) = ran.outputs.last()
    else {
        panic!("{:?}", ran.outputs);
    };
    assert!(!ran.done.ok && !ran.done.lost);
    assert_eq!(ename, "compile error");
    assert_eq!(evalue, "E0308: mismatched types");
    let coloured = traceback.join("\n");
    assert!(coloured.contains("\x1b[1;31merror[E0308]"));
    let text = plain(&coloured);
    eprintln!("{text}");
    assert!(text.contains("--> cell:4:5"), "{text}");
    assert!(text.contains("4 |     \"text\";"), "{text}");
    assert!(text.contains("expected `i32`, found `&str`"), "{text}");

    let (_, message, text) = kernel.fails("let v = vec![1];\nv.pussh(2);", false);
    assert!(message.starts_with("E0599"), "{message}");
    assert!(
        text.contains("--> cell:2:3") && text.contains("help"),
        "{text}"
    );
    // An unclosed delimiter; a closure, which evcxr cannot keep.
    assert_eq!(kernel.fails("let broken = (1;", false).0, "compile error");
    assert!(
        kernel
            .fails("let f = |x: i32| x + 1;", false)
            .2
            .contains("closure")
    );
}

#[test]
fn pictures_arrive_in_order() {
    let mut kernel = kernel();
    let outputs = kernel.ok(
        "fn show(n: i32) { println!(\"EVCXR_BEGIN_CONTENT image/svg+xml\\n<svg>{n}</svg>\\nEVCXR_END_CONTENT\"); }\n\
         println!(\"a\"); show(1); println!(\"b\"); show(2);",
    );
    let svg = |output: &Output| match output {
        Output::DisplayData { data, .. } => data["image/svg+xml"].clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(outputs.len(), 4, "{outputs:?}");
    assert_eq!((&outputs[0], &outputs[2]), (&stdout("a\n"), &stdout("b\n")));
    assert_eq!(
        (svg(&outputs[1]).as_str(), svg(&outputs[3]).as_str()),
        ("<svg>1</svg>", "<svg>2</svg>")
    );

    let figure = "use candlelight::prelude::*;\n\
        plot::lines(\"t\", \"x\", \"y\", &[(\"a\", &[(0.0, 0.0), (1.0, 1.0)])])?";
    let outputs = kernel.ok(figure);
    assert!(svg(&outputs[0]).contains("<svg"), "{outputs:?}");
    assert!(render::outputs(&outputs).contains("<svg"));
}

#[test]
fn reset_forgets() {
    let mut kernel = kernel();
    kernel.ok("let forgotten = 1;");
    kernel.engine.send(Request::Reset).unwrap();
    let mut nothing = |_: &str| {};
    let Kernel {
        runtime, events, ..
    } = &mut *kernel;
    runtime
        .block_on(engine::ready(events, &mut nothing))
        .unwrap();
    assert!(kernel.fails("forgotten", false).1.contains("forgotten"));
    kernel.ok("use candlelight::prelude::*;\nlet again = Tensor::new(1f32, &Device::Cpu)?;");
}

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

#[test]
fn what_is_wrong_is_marked_in_the_cell() {
    let mut kernel = kernel();
    let mut marks = |code: &str| {
        let (id, code) = (901, code.to_owned());
        kernel.engine.send(Request::Execute { id, code }).unwrap();
        let mut found = Vec::new();
        loop {
            match kernel.next() {
                Event::Marks { id: 901, marks } => found.extend(marks),
                Event::Done { id: 901, .. } => return found,
                _ => {}
            }
        }
    };
    let found = marks("let größe = 1;\n\nlet v = vec![1]; v.pussh(2);\nlet s: String = 5;");
    assert_eq!(found.len(), 2, "{found:?}");
    assert_eq!((found[0].start, found[0].end), ((3, 20), (3, 25)));
    assert!(found[0].message.starts_with("E0599: "), "{found:?}");
    assert!(found[0].message.contains("help: "), "{found:?}");
    assert_eq!((found[1].start, found[1].end), ((4, 17), (4, 18)));
    let found = marks("let fine = 1;\n    let zero: i32 = \"0\".parse()?; let x = 1 / zero;");
    assert_eq!(
        (found[0].start, found[0].end),
        ((2, 43), (2, 52)),
        "{found:?}"
    );
    assert!(found[0].message.contains("divide by zero"), "{found:?}");
    assert!(marks("let fine = 1;").is_empty());
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
fn a_cell_may_go_to_another_folder() {
    let mut kernel = kernel();
    kernel.ok("let home = std::env::current_dir()?;\nstd::env::set_current_dir(\"/\")?;");
    let shown = kernel.ok("println!(\"{}\", std::env::current_dir()?.display());");
    assert_eq!(shown, [stdout("/\n")]);
    assert!(kernel.run("std::process::abort();").done.lost);
    // The next process is where the first was.
    kernel.ok("assert!(std::path::Path::new(\"data\").is_dir());");
}

#[test]
fn a_thread_that_prints_after_its_cell_disturbs_no_other() {
    let mut kernel = kernel();
    let late = "std::thread::spawn(|| {\n    std::thread::sleep(std::time::Duration::from_millis(300));\n    \
                println!(\"late\");\n});";
    kernel.ok(late);
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(kernel.ok("println!(\"now\");"), [stdout("now\n")]);
    // What it prints while another cell runs is shown there.
    kernel.ok(&late.replace("300", "1000"));
    let slow = "std::thread::sleep(std::time::Duration::from_millis(1500));\nprintln!(\"now\");";
    assert_eq!(kernel.ok(slow), [stdout("late\nnow\n")]);
    // One that never ends, too.
    let endless = late.replace("300", "1").replace("late", "on");
    kernel.ok(&endless.replace("|| {", "|| loop {"));
    let shown = kernel.ok("println!(\"{}\", 6 * 7);");
    let is_there = |text: &str| text.contains("on\n") && text.contains("42\n");
    assert!(
        matches!(&shown[..], [Output::Stream { text, .. }] if is_there(text)),
        "{shown:?}"
    );
    assert!(kernel.run("std::process::abort();").done.lost);
}

#[test]
fn a_cell_that_closes_its_streams_silences_no_other() {
    let mut kernel = kernel();
    kernel.ok("use std::os::fd::FromRawFd;\nfor number in 1..3 {\n    \
         drop(unsafe { std::fs::File::from_raw_fd(number) });\n}\nprintln!(\"nowhere\");");
    assert_eq!(kernel.ok("println!(\"here\");"), [stdout("here\n")]);
    assert_eq!(
        kernel.ok("eprintln!(\"here\");"),
        [stream("stderr", "here\n")]
    );
}
