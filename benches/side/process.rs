//! A side in a process of its own, which sleeps while the others are measured.

use std::error::Error;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

/// How long PyTorch's threads spin after their last work, and a little more.
const REST: Duration = Duration::from_millis(300);

pub struct Process {
    pub name: String,
    /// What it said when it started.
    pub hello: Value,
    process: Child,
    tasks: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Process {
    /// Starts it and waits until it is ready, which it says with one line.
    pub fn start(name: impl Into<String>, command: &mut Command) -> Result<Self, Box<dyn Error>> {
        let mut process = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let (Some(tasks), Some(answers)) = (process.stdin.take(), process.stdout.take()) else {
            return Err("no pipes to the process".into());
        };
        let mut side = Self {
            name: name.into(),
            hello: Value::Null,
            process,
            tasks,
            answers: BufReader::new(answers),
        };
        side.hello = side.answer()?;
        Ok(side)
    }

    /// What it answers to a task: mostly how many seconds it took.
    pub fn ask(&mut self, task: &Value) -> Result<f64, Box<dyn Error>> {
        writeln!(self.tasks, "{task}")?;
        let answer = self.answer()?;
        std::thread::sleep(REST);
        answer["answer"]
            .as_f64()
            .ok_or_else(|| format!("{}: no number: {answer}", self.name).into())
    }

    fn answer(&mut self) -> Result<Value, Box<dyn Error>> {
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        Ok(serde_json::from_str(&line)?)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
