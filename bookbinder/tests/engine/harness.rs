//! The kernel that all tests share.

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use bookbinder::engine::{self, Done, Engine};
use bookbinder::project::Project;
use kernel_protocol::{Event, Output};
use tokio::runtime::Runtime;
use tokio::sync::mpsc::UnboundedReceiver;

use crate::common;

pub struct Kernel {
    pub runtime: Runtime,
    pub engine: Engine,
    pub events: UnboundedReceiver<Event>,
}

/// A cell's end.
pub struct Ran {
    pub outputs: Vec<Output>,
    pub done: Done,
}

pub fn kernel() -> MutexGuard<'static, Kernel> {
    static KERNEL: OnceLock<Mutex<Kernel>> = OnceLock::new();
    let kernel = KERNEL.get_or_init(|| Mutex::new(Kernel::start()));
    kernel.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Kernel {
    pub fn start() -> Self {
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

    pub fn run(&mut self, code: &str) -> Ran {
        let (outputs, done) = self
            .runtime
            .block_on(engine::run_cell(&self.engine, &mut self.events, code))
            .unwrap();
        eprintln!("{:.2} s: {}", done.seconds, code.lines().last().unwrap());
        Ran { outputs, done }
    }

    /// Runs a cell that must not fail.
    pub fn ok(&mut self, code: &str) -> Vec<Output> {
        let ran = self.run(code);
        assert!(ran.done.ok && !ran.done.lost, "{code}: {:?}", ran.outputs);
        ran.outputs
    }

    /// Runs a cell that must fail: its last output's kind, line and whole text without colours.
    pub fn fails(&mut self, code: &str, lost: bool) -> (String, String, String) {
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

    pub fn next(&mut self) -> Event {
        let event =
            async { tokio::time::timeout(Duration::from_secs(60), self.events.recv()).await };
        self.runtime.block_on(event).unwrap().unwrap()
    }
}

pub fn plain(text: &str) -> String {
    let mut out = String::new();
    let mut parts = text.split("\x1b[");
    out.push_str(parts.next().unwrap());
    for part in parts {
        out.push_str(part.split_once('m').unwrap().1);
    }
    out
}

pub fn stdout(text: &str) -> Output {
    stream("stdout", text)
}

pub fn stream(name: &str, text: &str) -> Output {
    Output::Stream {
        name: name.into(),
        text: text.into(),
    }
}

pub fn result(outputs: &[Output]) -> &str {
    match outputs {
        [Output::ExecuteResult { data, .. }] => &data["text/plain"],
        other => panic!("{other:?}"),
    }
}
