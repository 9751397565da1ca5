//! What a front end asks for, one thing after another: cells above all.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, anyhow};
use jupyter_protocol::{
    CommInfoReply, CompleteReply, ExecuteInput, ExecuteReply, ExecuteRequest, ExecutionCount,
    HistoryReply, InspectReply, JupyterMessage, JupyterMessageContent, ReplyError, ReplyStatus,
    Status,
};
use jupyter_zmq_client::KernelShellConnection;
use kernel_protocol::{Event, Output, Request};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::timeout;

use super::messages::{kernel_info, media, published, redrawn};
use super::whole::whole;
use super::{Publisher, Running, next};
use crate::engine::{self, Engine};
use crate::project::Project;

/// Seconds that a warm context waits for the next notebook after the last one was closed, where the variable
/// [`kernel_protocol::LINGERS`] names no other.
const LINGERS: u64 = 3600;
/// How long after an error the cells that were already asked for may take to be read.
const ALREADY_ASKED: Duration = Duration::from_millis(10);

type Starting = JoinHandle<Result<(Arc<Engine>, UnboundedReceiver<Event>)>>;

/// See the module.
pub struct Shell {
    project: Project,
    front: KernelShellConnection,
    publisher: Publisher,
    running: Running,
    starting: Option<Starting>,
    events: Option<UnboundedReceiver<Event>>,
    count: usize,
    last: u64,
}

impl Shell {
    /// Starts the engine as well.
    pub fn new(
        project: &Project,
        front: KernelShellConnection,
        publisher: Publisher,
        running: Running,
    ) -> Self {
        Self {
            project: project.clone(),
            front,
            publisher,
            running,
            starting: Some(start(project.clone())),
            events: None,
            count: 0,
            last: 0,
        }
    }

    /// Answers until the front end is gone.
    pub async fn requests(&mut self) -> Result<()> {
        loop {
            let asked = next(&mut self.front).await?;
            let behind = self.answer(&asked, false).await?;
            for asked in behind {
                self.answer(&asked, true).await?;
            }
        }
    }

    /// Where a cell failed, what had been asked for behind it: cells there shall not run.
    async fn answer(&mut self, asked: &JupyterMessage, abort: bool) -> Result<Vec<JupyterMessage>> {
        self.publisher.send(Status::busy(), asked);
        let mut behind = Vec::new();
        let reply: Option<JupyterMessageContent> = match &asked.content {
            JupyterMessageContent::ExecuteRequest(_) if abort => {
                let reply = ExecuteReply {
                    status: ReplyStatus::Aborted,
                    execution_count: ExecutionCount(self.count),
                    ..ExecuteReply::default()
                };
                Some(reply.into())
            }
            JupyterMessageContent::ExecuteRequest(request) => {
                let reply = self.execute(request, asked).await;
                if request.stop_on_error && reply.status != ReplyStatus::Ok {
                    // Before the reply: what is asked for after it is asked knowingly.
                    while let Ok(asked) = timeout(ALREADY_ASKED, next(&mut self.front)).await {
                        behind.push(asked?);
                    }
                }
                Some(reply.into())
            }
            JupyterMessageContent::CompleteRequest(request) => {
                let reply = self.complete(&request.code, request.cursor_pos).await;
                Some(reply.into())
            }
            JupyterMessageContent::InspectRequest(request) => {
                let reply = self.inspect(&request.code, request.cursor_pos).await;
                Some(reply.into())
            }
            JupyterMessageContent::IsCompleteRequest(request) => Some(whole(&request.code).into()),
            JupyterMessageContent::KernelInfoRequest(_) => Some(kernel_info().into()),
            // Front ends keep the history themselves.
            JupyterMessageContent::HistoryRequest(_) => Some(HistoryReply::new(Vec::new()).into()),
            JupyterMessageContent::CommInfoRequest(_) => Some(CommInfoReply::default().into()),
            _ => None,
        };
        if let Some(reply) = reply {
            self.front
                .send(JupyterMessage::new(reply, Some(asked)))
                .await?;
        }
        self.publisher.send(Status::idle(), asked);
        Ok(behind)
    }

    async fn execute(&mut self, request: &ExecuteRequest, asked: &JupyterMessage) -> ExecuteReply {
        if request.store_history && !request.silent {
            self.count += 1;
        }
        let count = ExecutionCount(self.count);
        if !request.silent {
            let code = request.code.clone();
            let input = ExecuteInput {
                code,
                execution_count: count,
            };
            self.publisher.send(input, asked);
        }
        let error = match self
            .run(&without_dependency(&request.code), request.silent, asked)
            .await
        {
            Ok(error) => error,
            Err(why) => {
                // The next cell starts another.
                self.events = None;
                self.running.get().take();
                let message = format!("{why:#}");
                let output = Output::Error {
                    ename: "kernel".to_owned(),
                    evalue: message.clone(),
                    traceback: vec![message],
                };
                let error = error_of(&output);
                if !request.silent {
                    self.publisher.send(published(output, count), asked);
                }
                error
            }
        };
        ExecuteReply {
            status: match error {
                None => ReplyStatus::Ok,
                Some(_) => ReplyStatus::Error,
            },
            execution_count: count,
            user_expressions: Some(std::collections::HashMap::new()),
            error: error.map(Box::new),
            ..ExecuteReply::default()
        }
    }

    /// A cell's error, where it ended with one; what it shows is published on the way.
    async fn run(
        &mut self,
        code: &str,
        silent: bool,
        asked: &JupyterMessage,
    ) -> Result<Option<ReplyError>> {
        self.ready().await?;
        self.last += 1;
        let mine = self.last;
        let code = code.to_owned();
        self.ask(Request::Execute { id: mine, code })?;
        let mut error = None;
        let mut displayed = HashSet::new();
        loop {
            match self.next().await? {
                Event::Output {
                    id,
                    output,
                    display,
                } if id == mine => {
                    error = error_of(&output).or(error);
                    if !silent {
                        let count = ExecutionCount(self.count);
                        let content = match display {
                            Some(name) => {
                                // Unique in the notebook, across kernels too.
                                let id = format!("{}-{name}", asked.header.msg_id);
                                let is_first = displayed.insert(name);
                                redrawn(output, count, id, is_first)
                            }
                            None => published(output, count),
                        };
                        self.publisher.send(content, asked);
                    }
                }
                Event::Done { id, .. } if id == mine => return Ok(error),
                _ => {}
            }
        }
    }

    async fn complete(&mut self, code: &str, cursor: usize) -> CompleteReply {
        let nothing = CompleteReply {
            cursor_start: cursor,
            cursor_end: cursor,
            ..CompleteReply::default()
        };
        let position = bytes_before(code, cursor);
        let request = |id| Request::Complete {
            id,
            code: code.to_owned(),
            position,
        };
        let found = |event| match event {
            Event::Completed {
                start,
                end,
                matches,
                ..
            } => Some((start, end, matches)),
            _ => None,
        };
        match self.look(request, found).await {
            Ok((start, end, matches)) if !matches.is_empty() => CompleteReply {
                matches,
                cursor_start: characters_before(code, start),
                cursor_end: characters_before(code, end),
                ..CompleteReply::default()
            },
            _ => nothing,
        }
    }

    async fn inspect(&mut self, code: &str, cursor: usize) -> InspectReply {
        let position = bytes_before(code, cursor);
        let request = |id| Request::Inspect {
            id,
            code: code.to_owned(),
            position,
        };
        let found = |event| match event {
            Event::Inspected { data, .. } => Some(data),
            _ => None,
        };
        let data: BTreeMap<_, _> = self.look(request, found).await.unwrap_or_default();
        InspectReply {
            found: !data.is_empty(),
            data: media(data),
            ..InspectReply::default()
        }
    }

    /// Asks the engine something, and waits for the answer.
    async fn look<T>(
        &mut self,
        request: impl FnOnce(u64) -> Request,
        found: impl Fn(Event) -> Option<T>,
    ) -> Result<T> {
        self.ready().await?;
        self.last += 1;
        self.ask(request(self.last))?;
        loop {
            if let Some(found) = found(self.next().await?) {
                return Ok(found);
            }
        }
    }

    fn ask(&self, request: Request) -> Result<()> {
        let engine = self.running.get().clone();
        engine
            .ok_or_else(|| anyhow!("no kernel process"))?
            .send(request)
    }

    async fn next(&mut self) -> Result<Event> {
        let events = self
            .events
            .as_mut()
            .ok_or_else(|| anyhow!("no kernel process"))?;
        match events.recv().await {
            Some(Event::Failed { why }) => Err(anyhow!(why)),
            Some(event) => Ok(event),
            None => Err(anyhow!("the kernel process is gone")),
        }
    }

    /// Waits until there is a kernel that takes cells.
    async fn ready(&mut self) -> Result<()> {
        if self.events.is_some() {
            return Ok(());
        }
        let project = self.project.clone();
        let starting = self.starting.take().unwrap_or_else(|| start(project));
        let (engine, mut events) = starting.await??;
        *self.running.get() = Some(engine);
        engine::ready(&mut events, &mut |_| {}).await?;
        self.events = Some(events);
        Ok(())
    }
}

/// What a reply says of a cell that ended with this.
fn error_of(output: &Output) -> Option<ReplyError> {
    match output {
        Output::Error {
            ename,
            evalue,
            traceback,
        } => Some(ReplyError {
            ename: ename.clone(),
            evalue: evalue.clone(),
            traceback: traceback.clone(),
        }),
        _ => None,
    }
}

fn start(project: Project) -> Starting {
    tokio::spawn(async move {
        let built = project.clone();
        spawn_blocking(move || engine::ensure_built(&built, &mut |_| {})).await??;
        let seconds = std::env::var_os(kernel_protocol::LINGERS)
            .is_none()
            .then_some(LINGERS);
        let (engine, events) = Engine::start_lingering(&project, seconds)?;
        Ok((Arc::new(engine), events))
    })
}

/// The notebooks name what cells depend on, for evcxr's own kernel; here it is there.
fn without_dependency(code: &str) -> String {
    let lines = code
        .lines()
        .filter(|line| !line.starts_with(":dep candlelight "));
    lines.collect::<Vec<_>>().join("\n")
}

fn bytes_before(code: &str, characters: usize) -> usize {
    code.char_indices()
        .nth(characters)
        .map_or(code.len(), |(at, _)| at)
}

fn characters_before(code: &str, bytes: usize) -> usize {
    code.char_indices()
        .take_while(|&(at, _)| at < bytes)
        .count()
}
