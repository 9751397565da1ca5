//! A page of the book, without a browser.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::{HeaderValue, header};
use tokio_tungstenite::{WebSocketStream, client_async};

use crate::serve::message::{Done, FromPage, ToPage};

/// The cell in whose place all are run.
const CELL: &str = "cell-1";
/// What takes longer is broken; a first start builds for minutes.
const PATIENCE: Duration = Duration::from_secs(1800);

/// An open page.
pub struct Page {
    socket: WebSocketStream<TcpStream>,
}

/// A cell that ended.
#[derive(Debug)]
pub struct Ran {
    /// From the request to the end.
    pub seconds: f64,
    /// How it ended, by the server.
    pub done: Done,
    /// Its outputs.
    pub html: String,
}

impl Page {
    /// Opens a chapter's page at the address that the server printed.
    ///
    /// # Errors
    ///
    /// Where the server does not let it in.
    pub async fn open(address: &str, chapter: &str) -> Result<Self> {
        let host = address
            .strip_prefix("http://")
            .and_then(|rest| rest.split_once('/'))
            .map(|(host, _)| host)
            .ok_or_else(|| anyhow!("{address} is no address"))?;
        let cookie = cookie(address, host).await?;
        let mut request = format!("ws://{host}/ws?chapter={chapter}").into_client_request()?;
        let headers = request.headers_mut();
        headers.insert(header::COOKIE, HeaderValue::from_str(&cookie)?);
        let origin = HeaderValue::from_str(&format!("http://{host}"))?;
        headers.insert(header::ORIGIN, origin);
        let (socket, _) = client_async(request, TcpStream::connect(host).await?).await?;
        Ok(Self { socket })
    }

    /// Runs a cell to its end.
    ///
    /// # Errors
    ///
    /// Where the connection is closed before.
    pub async fn run(&mut self, code: &str) -> Result<Ran> {
        self.run_as(CELL, code).await
    }

    /// Runs the cell with this id.
    ///
    /// # Errors
    ///
    /// As [`run`](Self::run).
    pub async fn run_as(&mut self, cell: &str, code: &str) -> Result<Ran> {
        let start = Instant::now();
        self.ask(&FromPage::Run {
            cell: cell.to_owned(),
            code: code.to_owned(),
            source: String::new(),
        })
        .await?;
        let mut all = String::new();
        loop {
            match self.hear().await? {
                ToPage::Output { html, .. } => all.push_str(&html),
                ToPage::Done { done, .. } => {
                    return Ok(Ran {
                        seconds: start.elapsed().as_secs_f64(),
                        done,
                        html: all,
                    });
                }
                _ => {}
            }
        }
    }

    /// Presses Reset and waits until the kernel is ready; the seconds that it took.
    ///
    /// # Errors
    ///
    /// As [`run`](Self::run).
    pub async fn reset(&mut self) -> Result<f64> {
        let start = Instant::now();
        self.ask(&FromPage::Reset {}).await?;
        loop {
            if let ToPage::Status { status } = self.hear().await?
                && status.is_empty()
            {
                return Ok(start.elapsed().as_secs_f64());
            }
        }
    }

    /// Sends one message.
    ///
    /// # Errors
    ///
    /// Where the connection is closed.
    pub async fn ask(&mut self, what: &FromPage) -> Result<()> {
        let text = serde_json::to_string(what)?;
        Ok(self.socket.send(Message::text(text)).await?)
    }

    /// The next message.
    ///
    /// # Errors
    ///
    /// Where there is none for half an hour, or the connection is closed.
    pub async fn hear(&mut self) -> Result<ToPage> {
        loop {
            let message = tokio::time::timeout(PATIENCE, self.socket.next()).await;
            let message = message.context("the server says nothing more")?;
            match message.ok_or_else(|| anyhow!("the server closed the page's connection"))?? {
                Message::Text(text) => return Ok(serde_json::from_str(&text)?),
                Message::Close(_) => bail!("the server closed the page's connection"),
                _ => {}
            }
        }
    }
}

impl Ran {
    /// How long it took, if it ended well and its output holds this.
    ///
    /// # Errors
    ///
    /// Where not.
    pub fn shows(&self, what: &str) -> Result<f64> {
        ensure!(self.done.ok, "a cell failed: {}", self.html);
        ensure!(
            self.html.contains(what),
            "a cell's output lacks `{what}`: {}",
            self.html
        );
        Ok(self.seconds)
    }
}

/// What a browser gets for the token.
async fn cookie(address: &str, host: &str) -> Result<String> {
    let path = address
        .strip_prefix(&format!("http://{host}"))
        .unwrap_or("/");
    let mut stream = TcpStream::connect(host).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let cookie = answer.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        let is_cookie = name.eq_ignore_ascii_case("set-cookie");
        is_cookie.then(|| value.split(';').next().unwrap_or(value).to_owned())
    });
    cookie.context("the server gave no cookie for its token")
}
