//! A page without a browser.

use std::time::Duration;

use bookbinder::serve::message::{FromPage, Place, ToPage};
use bookbinder::serve::session::Command;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// Joined to a chapter's session.
pub struct Page {
    session: UnboundedSender<Command>,
    own: UnboundedSender<ToPage>,
    messages: UnboundedReceiver<ToPage>,
}

impl Page {
    pub fn open(session: &UnboundedSender<Command>) -> Self {
        let (page, messages) = unbounded_channel();
        session.send(Command::Join(page.clone())).ok().unwrap();
        Self {
            own: page,
            session: session.clone(),
            messages,
        }
    }

    pub fn ask(&self, asked: FromPage) {
        self.session
            .send(Command::Page(asked, self.own.clone()))
            .ok()
            .unwrap();
    }

    pub fn look(&self, look: fn(Place) -> FromPage, code: &str, position: usize) {
        self.ask(look(Place {
            ask: 7,
            code: code.to_owned(),
            position,
        }));
    }

    pub fn run(&self, cell: &str, code: &str) {
        self.ask(FromPage::Run {
            cell: cell.to_owned(),
            code: code.to_owned(),
            source: String::new(),
        });
    }

    /// What was said up to the first message that fits.
    pub async fn until(&mut self, fits: impl Fn(&ToPage) -> bool) -> Vec<ToPage> {
        let mut said = Vec::new();
        loop {
            let next = tokio::time::timeout(Duration::from_secs(5), self.messages.recv()).await;
            let Ok(Some(next)) = next else {
                panic!("not said after {said:#?}");
            };
            let is_last = fits(&next);
            said.push(next);
            if is_last {
                return said;
            }
        }
    }

    /// The outputs of a cell until it is done, and whether it ended well.
    pub async fn done(&mut self, wanted: &str) -> (String, bool) {
        let said = self
            .until(|message| matches!(message, ToPage::Done { cell, .. } if cell == wanted))
            .await;
        let ok = matches!(said.last(), Some(ToPage::Done { done, .. }) if done.ok);
        let html = said.into_iter().filter_map(|message| match message {
            ToPage::Output { cell, html, .. } if cell == wanted => Some(html),
            _ => None,
        });
        (html.collect(), ok)
    }

    pub async fn gone(&mut self) -> String {
        let said = self
            .until(|message| matches!(message, ToPage::Gone { .. }))
            .await;
        match said.into_iter().last() {
            Some(ToPage::Gone { gone }) => gone,
            _ => String::new(),
        }
    }
}
