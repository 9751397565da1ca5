//! Cell after cell in one kernel: its memory stays nearly what it is.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use bookbinder::bench::memory;
use bookbinder::engine::{self, Engine};
use bookbinder::project::Project;
use tokio::runtime::Runtime;

/// A thousand cells take six to ten minutes; `SOAK_CELLS` names another number.
const CELLS: usize = 100;
/// After so many everything that a kernel keeps is there once.
const WARM: usize = 40;

/// In kilobytes. Measured over 200 cells: 74.
const MOST_A_CELL: f64 = 150.0;

/// What a reader does again and again; `{}` is different each time.
const ROUND: [(&str, bool); 8] = [
    ("use candlelight::prelude::*;\nlet rate = 0.{};", true),
    ("rate + {}.0", true),
    (
        "let much = Tensor::zeros((1000, 1000, 10), DType::F32, &Device::Cpu)?;",
        true,
    ),
    (
        "plot::bars(\"Loss\", \"\", \"loss\", &[(\"train\", 2.3), (\"test\", 0.{})])?",
        true,
    ),
    ("for line in 0..10_000 { println!(\"{line} {}\"); }", true),
    ("let wrong: String = {};", false),
    ("panic!(\"on purpose {}\");", false),
    ("\"{}x\".parse::<i32>()?;", false),
];

#[test]
fn cell_after_cell_leaves_memory_flat() {
    let project = Project::at(&common::workspace());
    engine::ensure_built(&project, &mut |_| {}).unwrap();
    let cells = std::env::var("SOAK_CELLS").map_or(CELLS, |number| number.parse().unwrap());
    let program = project.kernel_program();
    let megabytes = || memory::of(&program).unwrap_or(f64::NAN) / 1e6;
    Runtime::new().unwrap().block_on(async {
        let (engine, mut events) = Engine::start(&project).unwrap();
        engine::ready(&mut events, &mut |_| {}).await.unwrap();
        let (mut first, mut last) = (f64::NAN, f64::NAN);
        for cell in 0..cells {
            let (code, fits) = ROUND[cell % ROUND.len()];
            let code = code.replace("{}", &format!("{}", 100 + cell));
            let (outputs, done) = engine::run_cell(&engine, &mut events, &code).await.unwrap();
            assert_eq!((done.ok, done.lost), (fits, false), "{code}: {outputs:?}");
            if cell + 1 == WARM {
                first = megabytes();
            }
            if (cell + 1) % 100 == 0 || cell + 1 == cells {
                last = megabytes();
                println!("after {} cells: {last:.0} MB", cell + 1);
            }
        }
        let grown = 1000.0 * (last - first) / (cells - WARM) as f64;
        println!("after {WARM} cells {first:.0} MB, after {cells} {last:.0}: {grown:.0} kB a cell");
        // Each cell's library stays loaded, since variables point into it.
        assert!(
            cells <= WARM || first.is_nan() || grown < MOST_A_CELL,
            "{grown:.0} kB a cell"
        );
        engine.shutdown().await;
    });
}
