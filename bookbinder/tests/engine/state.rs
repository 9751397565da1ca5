//! What stays from cell to cell, and what does not.

use bookbinder::engine;
use kernel_protocol::Request;

use crate::harness::{Kernel, kernel, result, stdout};

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
fn a_cell_may_go_to_another_folder() {
    let mut kernel = kernel();
    kernel.ok("let home = std::env::current_dir()?;\nstd::env::set_current_dir(\"/\")?;");
    let shown = kernel.ok("println!(\"{}\", std::env::current_dir()?.display());");
    assert_eq!(shown, [stdout("/\n")]);
    assert!(kernel.run("std::process::abort();").done.lost);
    // The next process is where the first was.
    kernel.ok("assert!(std::path::Path::new(\"data\").is_dir());");
}
