//! How a cell fails, and what is kept.

use kernel_protocol::{Event, Output, Request};

use crate::harness::{kernel, plain, stdout, stream};

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
