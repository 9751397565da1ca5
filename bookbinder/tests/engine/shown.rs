//! What a cell shows.

use std::time::Duration;

use bookbinder::render;
use kernel_protocol::Output;

use crate::harness::{kernel, stdout, stream};

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

#[test]
fn a_live_picture_is_redrawn_in_its_place() {
    let mut kernel = kernel();
    let show = "for x in [1.0, 2.0] { live.show(&plot::lines(\"t\", \"x\", \"y\", &[(\"a\", vec![(0.0, 0.0), (x, x)])])?); }";
    let outputs = kernel.ok(&format!(
        "use candlelight::prelude::*;\nlet mut live = LiveFigure::new();\n{show}\nprintln!(\"text\");\n{show}"
    ));
    assert!(
        matches!(&outputs[..], [Output::DisplayData { .. }, text] if *text == stdout("text\n")),
        "{outputs:?}"
    );
    // In another cell it has another place.
    let outputs = kernel.ok(show);
    assert!(
        matches!(&outputs[..], [Output::DisplayData { .. }]),
        "{outputs:?}"
    );

    kernel.ok(TRAINING);
    let outputs = kernel.ok("train(live_plot(), progress_line(), 3)?;");
    let [
        Output::DisplayData { data, .. },
        Output::Stream { text, .. },
    ] = &outputs[..]
    else {
        panic!("{outputs:?}");
    };
    let svg = &data["image/svg+xml"];
    assert!(svg.contains("smoothed") && svg.contains("30"), "{svg}");
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(text.contains("epoch 3/3  step 10/10"), "{text}");
    // Whichever is told first.
    let outputs = kernel.ok("train(progress_line(), live_plot(), 3)?;");
    assert_eq!(outputs.len(), 2, "{outputs:?}");
}

/// Some epochs of ten batches, under both callbacks.
const TRAINING: &str = "use candlelight::prelude::*;
fn train(one: impl FnMut(&Progress) + Send + 'static, two: impl FnMut(&Progress) + Send + 'static, epochs: usize) -> Result<History> {
    manual_seed(0);
    let net = Net::new(var_builder(DType::F32, &Device::Cpu))?;
    let sgd = Sgd::builder(net.parameters(), 0.01).build()?;
    let test = Mnist::builder(\"data\").train(false).build()?;
    let loader = DataLoader::builder(Subset::new(test, (0..640).collect())?).batch_size(64).build()?;
    let criterion = CrossEntropyLoss::builder().build()?;
    Trainer::builder(net, criterion, sgd).epochs(epochs).on_progress(one).on_progress(two).build()?.fit(&loader, None)
}";
