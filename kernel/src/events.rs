//! Events to the parent, one line each, from any thread.

use std::fs::File;
use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

use kernel_protocol::Event;

/// Where events go.
#[derive(Clone)]
pub struct Events(Arc<Mutex<File>>);

impl Events {
    /// Writes events to this file.
    pub fn new(file: File) -> Self {
        Self(Arc::new(Mutex::new(file)))
    }

    /// Sends one event. When the parent is gone nobody is left to hear of a failure, and the thread that
    /// reads requests ends this process.
    pub fn send(&self, event: &Event) {
        if let Ok(mut line) = serde_json::to_vec(event) {
            line.push(b'\n');
            let _ = self
                .0
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .write_all(&line);
        }
    }

    /// Tells a person what goes on.
    pub fn preparing(&self, what: &str) {
        let what = what.to_owned();
        self.send(&Event::Preparing { what });
    }
}
