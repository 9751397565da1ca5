//! The pages, and the web socket behind each.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Deserialize;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tower_http::services::{ServeDir, ServeFile};

use super::access::{self, Access};
use super::message::FromPage;
use super::pool::Pool;
use super::refusal::refusal;
use super::session::{Command, Session};
use crate::project::Project;

/// The longest message that is read: a cell that is too long to run is told so.
const LARGEST: usize = 32 << 20;

/// What every request shares.
pub struct Site {
    project: Project,
    pool: Arc<Pool>,
    sessions: Mutex<HashMap<String, UnboundedSender<Command>>>,
}

impl Site {
    /// A site without readers.
    #[must_use]
    pub fn new(project: &Project, pool: &Arc<Pool>) -> Arc<Self> {
        Arc::new(Self {
            project: project.clone(),
            pool: Arc::clone(pool),
            sessions: Mutex::default(),
        })
    }

    /// The built book in this folder, and `/ws`, behind the guard.
    pub fn router(self: &Arc<Self>, access: Arc<Access>, folder: &std::path::Path) -> Router {
        let missing = ServeFile::new(folder.join("404.html"));
        Router::new()
            .route("/ws", get(socket))
            .fallback_service(ServeDir::new(folder).not_found_service(missing))
            .layer(middleware::from_fn_with_state(access, access::guard))
            .with_state(Arc::clone(self))
    }

    /// Tells every page to load itself again.
    pub fn reload(&self) {
        let sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        for session in sessions.values() {
            // It lives as long as the server.
            let _ = session.send(Command::Reload);
        }
    }

    fn session(&self, chapter: &str) -> Option<UnboundedSender<Command>> {
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(session) = sessions.get(chapter) {
            return Some(session.clone());
        }
        let chapters = self.project.chapters().ok()?;
        if !chapters.iter().any(|known| known.name == chapter) {
            return None;
        }
        let session = Session::spawn(chapter, &self.pool);
        sessions.insert(chapter.to_owned(), session.clone());
        Some(session)
    }
}

#[derive(Deserialize)]
struct Asked {
    chapter: String,
}

async fn socket(
    State(site): State<Arc<Site>>,
    Query(Asked { chapter }): Query<Asked>,
    upgrade: WebSocketUpgrade,
) -> Response {
    match site.session(&chapter) {
        Some(session) => upgrade
            .max_message_size(LARGEST)
            .on_upgrade(|socket| talk(socket, session, site, chapter)),
        None => (StatusCode::NOT_FOUND, "404: the book has no such chapter\n").into_response(),
    }
}

async fn talk(
    mut socket: WebSocket,
    session: UnboundedSender<Command>,
    site: Arc<Site>,
    chapter: String,
) {
    let (page, mut messages) = unbounded_channel();
    if session.send(Command::Join(page.clone())).is_err() {
        return;
    }
    loop {
        tokio::select! {
            message = messages.recv() => {
                let Some(Ok(text)) = message.map(|message| serde_json::to_string(&message)) else { return };
                if socket.send(Message::Text(text.into())).await.is_err() {
                    return;
                }
            }
            asked = socket.recv() => match asked {
                Some(Ok(Message::Text(text))) => match serde_json::from_str::<FromPage>(&text) {
                    Ok(asked) => match refusal(&site.project, &chapter, &asked) {
                        // It is this task that reads them.
                        Some(refusal) => for message in refusal { let _ = page.send(message); },
                        None => if session.send(Command::Page(asked, page.clone())).is_err() { return },
                    },
                    Err(error) => tracing::warn!("a page asks what no page asks: {error}"),
                },
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return,
            }
        }
    }
}
