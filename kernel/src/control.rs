//! What the thread that reads requests may do to the cell that runs.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::session::Process;

/// Shared by the thread that reads requests and the one that runs cells.
#[derive(Default)]
pub struct Control(Mutex<State>);

#[derive(Default)]
struct State {
    process: Option<Process>,
    running: bool,
    interrupted: bool,
    /// Resets asked for so far: a cell that was asked for before the last one does not run.
    resets: u64,
}

impl Control {
    /// The process to kill; evcxr puts a new one in its place after each crash.
    pub fn watch(&self, process: Process) {
        self.lock().process = Some(process);
    }

    /// A cell begins.
    pub fn begin(&self) {
        let mut state = self.lock();
        state.running = true;
        state.interrupted = false;
    }

    /// The cell ended: was it interrupted?
    pub fn end(&self) -> bool {
        let mut state = self.lock();
        state.running = false;
        state.interrupted
    }

    /// Kills the process of the cell that runs.
    pub fn interrupt(&self) {
        let mut state = self.lock();
        if state.running {
            state.interrupted = true;
            if let Some(process) = &state.process {
                // It fails where the process is gone already.
                let _ = process
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .kill();
            }
        }
    }

    /// Interrupts, and makes void what was asked for before.
    pub fn reset(&self) {
        self.lock().resets += 1;
        self.interrupt();
    }

    /// The number of resets asked for.
    pub fn resets(&self) -> u64 {
        self.lock().resets
    }

    /// Whether the process is gone; to be asked a moment after it was killed.
    pub fn is_dead(&self) -> bool {
        std::thread::sleep(Duration::from_millis(20));
        let state = self.lock();
        state.process.as_ref().is_some_and(|process| {
            let mut process = process.lock().unwrap_or_else(PoisonError::into_inner);
            !matches!(process.try_wait(), Ok(None))
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
