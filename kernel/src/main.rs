//! One evcxr context: requests on stdin, events on stdout, a line of JSON each (see `kernel_protocol`).
//!
//! `candlelight-kernel CONTEXTS WORKSPACE PROJECT`: CONTEXTS is `target/cells`; WORKSPACE holds the
//! crate `cells` and `Cargo.lock`; cells run in PROJECT. When stdin closes, the context ends, and with
//! it whatever it has started.
//!
//! On Linux the context is a copy of one that a process of its own keeps warm for all kernels (see `warm`); elsewhere
//! each kernel warms up its own.

mod checkpoints;
#[cfg(target_os = "linux")]
mod client;
mod context;
mod control;
mod diagnostic;
mod events;
mod failure;
#[cfg(target_os = "linux")]
mod handover;
mod look;
mod lost;
mod marks;
mod memory;
mod outputs;
mod places;
mod runtime;
mod session;
mod system;
mod template;
mod tools;
#[cfg(target_os = "linux")]
mod warm;
mod wire;

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use anyhow::Result;
use kernel_protocol::{Event, Request};

use context::Context;
use control::Control;
use events::Events;
use session::{Session, Warm};
use template::Folders;

/// rust-analyzer makes and drops small things all the time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let result = match arguments.iter().map(Path::new).collect::<Vec<_>>()[..] {
        [first] if first == Path::new(runtime::ARGUMENT) => runtime::run().map_err(Into::into),
        #[cfg(target_os = "linux")]
        [first, contexts, workspace, project] if first == Path::new(warm::ARGUMENT) => {
            evcxr::runtime_hook();
            warm::run(&Folders::new(contexts, workspace), project)
        }
        #[cfg(target_os = "linux")]
        [contexts, workspace, project] => client::run(&Folders::new(contexts, workspace), project),
        #[cfg(not(target_os = "linux"))]
        [contexts, workspace, project] => {
            evcxr::runtime_hook();
            alone(&Folders::new(contexts, workspace), project)
        }
        _ => {
            eprintln!("usage: candlelight-kernel CONTEXTS WORKSPACE PROJECT");
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

/// A request, and how many resets had been asked for before it.
type Asked = (u64, Request);

/// A context of this process's own.
#[cfg(not(target_os = "linux"))]
fn alone(folders: &Folders, project: &Path) -> Result<()> {
    system::lead_group();
    system::set_variable("PATH", Path::new(&tools::path(&folders.home)?));
    let (input, output) = system::take_standard_streams()?;
    let events = Events::new(output.try_clone()?);
    let made = (|| {
        memory::limit()?;
        let mut report = |what: &str| events.preparing(what);
        let lock = folders.lock(&mut report)?;
        template::build(folders, &mut report)?;
        drop(lock);
        report("starting the compiler");
        Warm::start(folders, project)
    })();
    match made {
        Ok((warm, context)) => serve(warm, context, input, output),
        Err(error) => {
            let why = format!("{error:#}");
            events.send(&Event::Failed { why });
            Err(error)
        }
    }
}

/// Serves requests, in this context's folder, until there are no more.
fn serve(warm: Warm, context: Context, input: File, output: File) -> Result<()> {
    let events = Events::new(output);
    let control = Arc::new(Control::default());
    let (sender, requests) = channel();
    let reader = Arc::clone(&control);
    std::thread::spawn(move || listen(input, &reader, &sender));
    let result = Session::start(warm, context, &events, &control)
        .and_then(|mut session| work(&mut session, &requests, &events, &control));
    if let Err(error) = &result {
        let why = format!("{error:#}");
        events.send(&Event::Failed { why });
    }
    result
}

/// Reads requests until the parent is gone. Only what stops a cell is done here, at once.
fn listen(input: File, control: &Control, requests: &Sender<Asked>) {
    for line in BufReader::new(input).lines().map_while(Result::ok) {
        match serde_json::from_str(&line) {
            Ok(Request::Interrupt) => control.interrupt(),
            Ok(request) => {
                if request == Request::Reset {
                    control.reset();
                }
                // It fails where the session could not start; the parent has been told why.
                let _ = requests.send((control.resets(), request));
            }
            Err(error) => eprintln!("what came is no request ({error}): {line}"),
        }
    }
    system::end_group();
}

fn work(
    session: &mut Session,
    requests: &Receiver<Asked>,
    events: &Events,
    control: &Control,
) -> Result<()> {
    events.send(&Event::Ready);
    for (resets, request) in requests {
        match request {
            Request::Execute { id, .. } if resets < control.resets() => {
                events.send(&Event::Done {
                    id,
                    ok: false,
                    lost: true,
                    seconds: 0.0,
                });
            }
            Request::Execute { id, code } => session.run(id, &code)?,
            Request::Complete { id, code, position } => session.complete(id, &code, position),
            Request::Inspect { id, code, position } => session.inspect(id, &code, position),
            Request::Reset => {
                events.preparing("forgetting all variables");
                session.reset()?;
                events.send(&Event::Ready);
            }
            Request::Interrupt => {}
        }
    }
    Ok(())
}
