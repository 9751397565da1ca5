//! Questions about a place in a cell: what could stand there, what stands there.

use std::collections::HashMap;

use kernel_protocol::{Event, Request};
use tokio::sync::mpsc::UnboundedSender;

use super::Session;
use crate::serve::message::{Place, ToPage};

/// What is asked about a place.
#[derive(Debug, Clone, Copy)]
pub(super) enum Look {
    /// What could stand there.
    Complete,
    /// What stands there.
    Inspect,
}

type Page = UnboundedSender<ToPage>;

/// The questions that have no answer yet.
#[derive(Default)]
pub(super) struct Looks {
    /// Asked before the kernel was ready: the newest, since the reader has typed on.
    waiting: Option<(Look, Place, Page)>,
    /// The kernel's number for it, and the page's.
    asked: HashMap<u64, (u64, Page)>,
}

impl Looks {
    /// Hands the kernel's answer to the page that asked.
    pub fn found(&mut self, event: Event) {
        let id = match &event {
            Event::Completed { id, .. } | Event::Inspected { id, .. } => *id,
            _ => return,
        };
        let Some((ask, page)) = self.asked.remove(&id) else {
            return;
        };
        let message = match event {
            Event::Completed {
                start,
                end,
                matches,
                ..
            } => ToPage::Completed {
                ask,
                start,
                end,
                matches,
            },
            Event::Inspected { mut data, .. } => ToPage::Inspected {
                ask,
                text: data.remove("text/plain").unwrap_or_default(),
            },
            _ => return,
        };
        // A page that was closed needs none.
        let _ = page.send(message);
    }

    /// The kernel that was asked is gone.
    pub fn forget(&mut self) {
        self.asked.clear();
    }
}

/// Nothing is known.
fn refuse(look: Look, place: &Place, page: &Page) {
    let (ask, position) = (place.ask, place.position);
    let message = match look {
        Look::Complete => ToPage::Completed {
            ask,
            start: position,
            end: position,
            matches: Vec::new(),
        },
        Look::Inspect => ToPage::Inspected {
            ask,
            text: String::new(),
        },
    };
    // As above.
    let _ = page.send(message);
}

impl Session {
    /// Asks the kernel; while that runs a cell, nothing is known.
    pub(super) fn look(&mut self, look: Look, place: Place, page: Page) {
        if self.running.is_some() || !place.code.is_char_boundary(place.position) {
            return refuse(look, &place, &page);
        }
        if let Some((look, place, page)) = self.looks.waiting.replace((look, place, page)) {
            refuse(look, &place, &page);
        }
        if self.kernel.is_none() {
            self.acquire();
        }
        self.look_now();
    }

    /// Asks what waits, where the kernel is ready.
    pub(super) fn look_now(&mut self) {
        let Some(started) = self.kernel.as_mut().filter(|_| self.is_ready) else {
            return;
        };
        let Some((look, place, page)) = self.looks.waiting.take() else {
            return;
        };
        self.next_id += 1;
        let id = self.next_id;
        let Place {
            ask,
            code,
            position,
        } = place;
        self.looks.asked.insert(id, (ask, page));
        started.kernel.send(match look {
            Look::Complete => Request::Complete { id, code, position },
            Look::Inspect => Request::Inspect { id, code, position },
        });
    }
}
