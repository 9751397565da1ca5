//! PyTorch in a process of its own, which sleeps while the other side is measured.

use std::error::Error;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

/// How long PyTorch's threads spin after their last work, and a little more.
const REST: Duration = Duration::from_millis(300);

pub struct PyTorch {
    pub version: String,
    variant: String,
    process: Child,
    tasks: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl PyTorch {
    /// A process with as many threads; an error says what is missing.
    pub fn start(variant: &str, threads: usize) -> Result<Self, String> {
        let python = std::env::var("PYTHON").unwrap_or_else(|_| "python3".into());
        let folder = env!("CARGO_MANIFEST_DIR");
        let process = Command::new(&python)
            .arg(format!("{folder}/benches/vs_pytorch.py"))
            .arg(format!("{folder}/data/MNIST/raw"))
            .args([variant, &threads.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        let cure =
            "install it with `pip install torch numpy`, or name the Python that has it in PYTHON";
        let mut process = process.map_err(|error| format!("{python}: {error}; {cure}"))?;
        let (Some(tasks), Some(answers)) = (process.stdin.take(), process.stdout.take()) else {
            return Err("no pipes to the process".into());
        };
        let mut side = Self {
            version: String::new(),
            variant: variant.into(),
            process,
            tasks,
            answers: BufReader::new(answers),
        };
        let hello = side
            .answer()
            .map_err(|_| format!("{python} has no PyTorch; {cure}"))?;
        side.version = hello["version"].as_str().unwrap_or("?").into();
        Ok(side)
    }

    pub fn name(&self) -> String {
        format!("PyTorch {}", self.variant)
    }

    /// What it answers to a task: mostly how many seconds it took.
    pub fn ask(&mut self, task: &Value) -> Result<f64, Box<dyn Error>> {
        writeln!(self.tasks, "{task}")?;
        let answer = self.answer()?;
        std::thread::sleep(REST);
        answer["answer"]
            .as_f64()
            .ok_or_else(|| format!("no number: {answer}").into())
    }

    fn answer(&mut self) -> Result<Value, Box<dyn Error>> {
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        Ok(serde_json::from_str(&line)?)
    }
}

impl Drop for PyTorch {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
