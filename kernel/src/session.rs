//! One evcxr context, and the cells that run in it.

use std::mem::ManuallyDrop;
use std::os::unix::net::UnixListener;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use anyhow::{Context as _, Result, anyhow};
use evcxr::{CommandContext, Error, EvalContext, EvalOutputs};
use kernel_protocol::{Event, Mark, Output};

use crate::context::Context;
use crate::control::Control;
use crate::diagnostic;
use crate::events::Events;
use crate::lost::lost;
use crate::marks;
use crate::outputs::{Ending, Outputs, shown};
use crate::places::Places;
use crate::template::Folders;
use crate::{failure, runtime};

/// Compiled into every cell.
const PRELUDE: &str = include_str!("prelude.rs");
/// The first `let` costs seconds of type inference, and each new type some more. After that the compiler refuses the
/// cell, so that nothing runs and no variable stays behind.
const WARM_UP: &str = include_str!("warm_up.rs");
/// A copy's first cell takes longer to infer, since memory is copied meanwhile, and to compile, since its folder is
/// new. This variable is moved away, so it does not stay.
const BREAK_IN: &str = "let warm_up = String::new();\ndrop(warm_up);";
/// evcxr learns from a compile error that cells use `?`, and where that stands in a cell's last
/// expression it gives up on showing that as a picture: so let it learn before the first cell.
const QUESTION_MARK: &str = "Ok::<(), String>(())?;";

/// The system's words where a disk is full, passed on by compiler and linker.
const FULL: &str = "No space left on device";

/// evcxr's commands that change the manifest, upon which rust-analyzer reads all sources anew: in a copy of the warm
/// context there is no thread for that.
const MANIFEST: [&str; 3] = [":dep", ":opt", ":load_config"];

/// evcxr, ready for cells, but without a process that runs them.
pub struct Warm {
    pub(crate) commands: CommandContext,
    dependency: String,
    /// Where cells run.
    project: PathBuf,
}

impl Warm {
    /// Makes a context in a folder of its own, where this process then is, and warms it up. The template has been
    /// built.
    pub fn start(folders: &Folders, project: &Path) -> Result<(Self, Context)> {
        let lock = folders.lock(&mut |_| {})?;
        let context = Context::take(folders)?;
        drop(lock);
        // Where evcxr finds its settings.
        std::env::set_current_dir(&context.path)?;
        let program = std::env::current_exe()?;
        #[cfg_attr(
            target_os = "linux",
            expect(unused_mut, reason = "a copy is told by its environment")
        )]
        let mut command = runtime::command(&program, project)?;
        #[cfg(target_os = "linux")]
        crate::system::set_variable(runtime::CONTEXT, &context.path);
        #[cfg(not(target_os = "linux"))]
        command.env(runtime::CONTEXT, &context.path);
        // What is printed meanwhile is nobody's.
        let nowhere = Events::new(std::fs::File::create("/dev/null")?);
        Outputs::listen(listener(&context)?, nowhere);
        let (evaluator, _) = EvalContext::with_subprocess_command(command).map_err(plain)?;
        let mut warm = Self {
            commands: CommandContext::with_eval_context(evaluator),
            dependency: folders.dependency(),
            project: project.to_owned(),
        };
        warm.prepare()?;
        // Its error is what is wanted.
        let _ = warm.commands.execute(WARM_UP);
        // With the next change rust-analyzer lets go of most syntax trees. Otherwise each copy would do it, and so have
        // to copy what holds them.
        warm.commands.execute(QUESTION_MARK).map_err(plain)?;
        warm.end_process()?;
        Ok((warm, context))
    }

    /// What every cell may count on.
    fn prepare(&mut self) -> Result<()> {
        let code = format!(":linker system\n:dep {}\n{PRELUDE}", self.dependency);
        self.commands.execute(&code).map_err(plain)?;
        self.commands
            .execute(QUESTION_MARK)
            .map(drop)
            .map_err(plain)
    }

    /// Ends the process that ran the first cells, and the threads that read what they print.
    fn end_process(&self) -> Result<()> {
        #[cfg(target_os = "linux")]
        let before = crate::warm::threads()?;
        let process = self.commands.process_handle();
        let mut process = process.lock().unwrap_or_else(PoisonError::into_inner);
        process.kill()?;
        // evcxr will ask for its end, which a copy could not wait for.
        process.wait()?;
        // Ours, one for each stream; evcxr's own ended when the process took its stderr elsewhere.
        #[cfg(target_os = "linux")]
        crate::warm::wait_for_ends(before, 2)?;
        Ok(())
    }
}

/// The socket for what cells print.
fn listener(context: &Context) -> Result<UnixListener> {
    // In the folder that this process is in: its whole path may be too long.
    let _ = std::fs::remove_file(runtime::SOCKET);
    UnixListener::bind(runtime::SOCKET)
        .with_context(|| format!("no socket in {}", context.path.display()))
}

/// A context that is ready for cells.
pub struct Session {
    /// Never dropped: a copy would wait for threads that it does not have.
    pub(crate) warm: ManuallyDrop<Warm>,
    outputs: Outputs,
    pub(crate) events: Events,
    control: Arc<Control>,
    count: u32,
    _context: Context,
}

impl Session {
    /// In this context's folder, where this process is.
    pub fn start(
        warm: Warm,
        context: Context,
        events: &Events,
        control: &Arc<Control>,
    ) -> Result<Self> {
        let mut session = Self {
            warm: ManuallyDrop::new(warm),
            outputs: Outputs::listen(listener(&context)?, events.clone()),
            events: events.clone(),
            control: Arc::clone(control),
            count: 0,
            _context: context,
        };
        let commands = &mut session.warm.commands;
        commands.execute(":restart").map_err(plain)?;
        commands.execute(BREAK_IN).map_err(plain)?;
        control.watch(commands.process_handle());
        Ok(session)
    }

    /// Forgets everything.
    pub fn reset(&mut self) -> Result<()> {
        self.warm.commands.execute(":clear").map_err(plain)?;
        self.outputs.restarted();
        self.count = 0;
        self.warm.prepare()
    }

    /// Runs one cell; its last event is its end.
    pub fn run(&mut self, id: u64, code: &str) -> Result<()> {
        let start = Instant::now();
        self.count += 1;
        self.outputs.begin(id, self.count);
        self.control.begin();
        let before = self.variables();
        let result = self.evaluate(code);
        let interrupted = self.control.end();
        let crashed = matches!(result, Ok(Err(Error::SubprocessTerminated(_))));
        let ending = self.outputs.end(crashed);
        let all_lost = interrupted || crashed;
        let checkpoints = ending.checkpoints.lines(&self.warm.project);
        if interrupted && self.control.is_dead() {
            // It was killed just after the cell's end: evcxr starts another when it notices.
            let _ = self.warm.commands.execute("0;");
            self.outputs.restarted();
        }
        let error = match result {
            Err(why) => {
                self.finish(id, Some(failure::kernel(&why.to_string())), true, start);
                return Err(why);
            }
            Ok(_) if interrupted => Some(failure::interrupted(checkpoints)),
            Ok(Ok(shown)) => {
                self.show(shown);
                self.ended_badly(id, ending, code, before)
            }
            Ok(Err(Error::SubprocessTerminated(message))) => {
                Some(failure::crashed(&message, ending.refused, checkpoints))
            }
            Ok(Err(error)) => Some(self.explain(id, error, code)),
        };
        self.finish(id, error, all_lost, start);
        Ok(())
    }

    fn finish(&self, id: u64, error: Option<Output>, lost: bool, start: Instant) {
        let ok = error.is_none();
        if let Some(error) = error {
            self.outputs.add(error);
        }
        self.outputs.close();
        self.events.send(&Event::Done {
            id,
            ok,
            lost,
            seconds: start.elapsed().as_secs_f64(),
        });
    }

    /// evcxr's own answer; an error where evcxr itself panicked.
    fn evaluate(&mut self, code: &str) -> Result<Result<EvalOutputs, Error>> {
        let commands = code.lines().map(str::trim);
        if commands.clone().any(|line| line == ":quit") {
            return Ok(Err(Error::Message(
                "a cell cannot end the kernel".to_owned(),
            )));
        }
        let of_manifest = |line: &str| MANIFEST.contains(&line.split(' ').next().unwrap_or(line));
        if cfg!(target_os = "linux") && commands.clone().any(of_manifest) {
            return Ok(Err(Error::Message(
                "cells share what they depend on, built once: name a crate in cells/Cargo.toml, \
                 `pub use` it in cells/src/lib.rs, and reset"
                    .to_owned(),
            )));
        }
        let prepared = self
            .warm
            .commands
            .defined_item_names()
            .any(|name| name == "candlelight_cell_begin");
        if !prepared {
            self.warm.prepare()?;
        }
        let result = catch_unwind(AssertUnwindSafe(|| self.warm.commands.execute(code)));
        for line in commands {
            if matches!(line, ":clear" | ":restart") {
                self.outputs.restarted();
            }
        }
        result.map_err(|_| anyhow!("evcxr panicked over this cell"))
    }

    /// What a command such as `:vars` answers.
    fn show(&self, outputs: EvalOutputs) {
        if !outputs.is_empty() {
            let data = outputs.content_by_mime_type.into_iter().collect();
            self.outputs.add(shown(data, Some(self.count)));
        }
    }

    fn ended_badly(
        &self,
        id: u64,
        ending: Ending,
        code: &str,
        before: Vec<String>,
    ) -> Option<Output> {
        let source = self.source();
        let lost = || lost(before, &source, &self.variables());
        if let Some(panic) = ending.panic {
            let places = Places::new(code, &source);
            self.mark(id, marks::of_panic(&panic, &places).into_iter().collect());
            return Some(failure::panic(&panic, &places, &lost()));
        }
        let error = ending.error?;
        Some(failure::returned(&error, &lost()))
    }

    /// The names of all that cells may use.
    fn variables(&self) -> Vec<String> {
        let variables = self.warm.commands.variables_and_types();
        variables.map(|(name, _)| name.to_owned()).collect()
    }

    fn mark(&self, id: u64, marks: Vec<Mark>) {
        if !marks.is_empty() {
            self.events.send(&Event::Marks { id, marks });
        }
    }

    fn explain(&self, id: u64, error: Error, code: &str) -> Output {
        if plain(error.clone()).to_string().contains(FULL) {
            return failure::no_space();
        }
        match error {
            Error::CompilationErrors(errors) => {
                self.mark(id, marks::of_errors(&errors));
                let source = self.source();
                diagnostic::compile_error(&errors, &Places::new(code, &source))
            }
            Error::SubprocessTerminated(message) => failure::crashed(&message, None, Vec::new()),
            Error::TypeRedefinedVariablesLost(names) => failure::refused(&format!(
                "the type of {} was defined anew, so their values are lost",
                names.join(", ")
            )),
            Error::Message(message) => failure::refused(&message),
        }
    }

    fn source(&self) -> String {
        self.warm.commands.last_source().unwrap_or_default()
    }
}

fn plain(error: Error) -> anyhow::Error {
    match &error {
        Error::CompilationErrors(errors) => anyhow!(
            "{}",
            errors
                .iter()
                .map(|error| error.rendered() + &error.message())
                .collect::<Vec<_>>()
                .join("\n")
        ),
        _ => anyhow!("{error}"),
    }
}

/// evcxr's process for cells.
pub type Process = Arc<Mutex<std::process::Child>>;
