//! One cell from its first output to its last.

use anyhow::{Result, anyhow, bail};
use kernel_protocol::{Event, Output};
use tokio::sync::mpsc::UnboundedReceiver;

use super::Engine;
use crate::outputs::Outputs;

/// How a cell ended.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Done {
    /// Whether it ended without an error.
    pub ok: bool,
    /// Whether the variables of earlier cells are gone too.
    pub lost: bool,
    /// From the request to the end.
    pub seconds: f64,
}

/// Waits until the kernel is ready for a cell; what it does meanwhile is reported, a line each.
///
/// # Errors
///
/// The kernel's own reason where it cannot get ready.
pub async fn ready(
    events: &mut UnboundedReceiver<Event>,
    report: &mut (dyn FnMut(&str) + Send),
) -> Result<()> {
    loop {
        match events.recv().await {
            Some(Event::Ready) => return Ok(()),
            Some(Event::Preparing { what }) => report(&what),
            Some(Event::Failed { why }) => bail!(why),
            Some(_) => {}
            None => bail!("the kernel process is gone"),
        }
    }
}

/// Runs one cell to its end and collects its outputs, text of one stream joined.
///
/// # Errors
///
/// Where the kernel process is gone. A cell that fails is no error: its last output says why.
pub async fn run_cell(
    engine: &Engine,
    events: &mut UnboundedReceiver<Event>,
    code: &str,
) -> Result<(Vec<Output>, Done)> {
    let mine = engine.execute(code)?;
    let mut outputs = Outputs::default();
    loop {
        let event = events.recv().await;
        match event.ok_or_else(|| anyhow!("the kernel process is gone"))? {
            Event::Output {
                id,
                output,
                display,
            } if id == mine => {
                outputs.add(output, display);
            }
            Event::Done {
                id,
                ok,
                lost,
                seconds,
            } if id == mine => {
                let done = Done { ok, lost, seconds };
                return Ok((outputs.into_all(), done));
            }
            Event::Failed { why } => bail!(why),
            _ => {}
        }
    }
}
