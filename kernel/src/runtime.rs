//! The process that loads and runs cells, in place of evcxr's own.
//!
//! evcxr's runtime takes commands on stdin and prints a completion line on stdout, where the cell reads
//! and prints, too: a cell that reads stdin, or prints text without a newline at the end, hangs. Here
//! both pipes are moved out of the cell's reach. The cell's stdin is empty; its stdout and stderr go
//! straight to the kernel (see [`crate::outputs`]), which answers with evcxr's lines at the cell's end.

use std::env::{self, JoinPathsError};
use std::ffi::OsString;
use std::fs::File;
use std::io::{BufRead, BufReader, Error, Read, Result, Write};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::{Receiver, channel};

use crate::system::{self, Variables};
use crate::{memory, template, wire};

/// The first argument that makes this program a runtime.
pub const ARGUMENT: &str = "run-cells";
/// The socket in the context's folder.
pub const SOCKET: &str = "outputs.sock";

/// The variable that names the context's folder. The command is the same for all copies of a context.
pub const CONTEXT: &str = "CANDLELIGHT_CONTEXT";
/// The variable that names, below that folder, where the shared library lies that the cells are compiled against.
const LIBRARIES: &str = "CANDLELIGHT_LIBRARIES";

/// Where the system looks for shared libraries before it looks where a library says.
const LIBRARY_PATH: &str = if cfg!(target_os = "macos") {
    "DYLD_LIBRARY_PATH"
} else {
    "LD_LIBRARY_PATH"
};

/// The command that evcxr starts, and starts again after a crash.
pub fn command(program: &Path, project: &Path) -> anyhow::Result<Command> {
    let mut command = Command::new(program);
    command.arg(ARGUMENT).current_dir(project);
    command.env(LIBRARIES, template::libraries()?);
    // candle's own element-wise threads spin while they wait, and take the processor from the
    // threads of candlelight's kernels.
    if env::var_os("CANDLE_NUM_THREADS").is_none() {
        command.env("CANDLE_NUM_THREADS", "1");
    }
    // A line that begins with a carriage return, and a named picture, take the last one's place: told to
    // `candlelight::progress_line` and `LiveFigure`.
    command.env("CANDLELIGHT_REDRAWS", "1");
    Ok(command)
}

fn library_path(first: PathBuf) -> std::result::Result<OsString, JoinPathsError> {
    let others = env::var_os(LIBRARY_PATH).unwrap_or_default();
    let others = env::split_paths(&others).filter(|path| !path.as_os_str().is_empty());
    env::join_paths(std::iter::once(first).chain(others))
}

/// Runs cells until evcxr closes the pipe.
pub fn run() -> Result<()> {
    let context = env::var_os(CONTEXT).ok_or_else(|| Error::other("no context is named"))?;
    let context = Path::new(&context);
    if let Some(libraries) = env::var_os(LIBRARIES) {
        // `cargo test` and `cargo run` name their own folders there, in which another build of the cells'
        // crate may lie under the same name: the context's comes first. A program is asked at its start.
        let path = library_path(context.join(libraries)).map_err(Error::other)?;
        return Err(Command::new(env::current_exe()?)
            .arg(ARGUMENT)
            .env(LIBRARY_PATH, path)
            .env_remove(LIBRARIES)
            .exec());
    }
    let limit = memory::limit().map_err(Error::other)?;
    system::set_up_cells(limit.map(|bytes| bytes.saturating_add(memory::taken())));
    let (commands, mut evcxr) = system::take_standard_streams()?;
    let home = env::current_dir()?;
    // A socket's path may have about 100 characters: name it from its own folder.
    env::set_current_dir(context)?;
    let mut out = UnixStream::connect(SOCKET)?;
    let mut err = UnixStream::connect(SOCKET)?;
    env::set_current_dir(home)?;

    let mut variables = Variables::new();
    for command in watch(commands) {
        let mut words = command.splitn(3, ' ');
        let (Some("LOAD_AND_RUN"), Some(library), Some(function)) =
            (words.next(), words.next(), words.next())
        else {
            return Err(Error::other(format!("unknown command `{command}`")));
        };
        // The cell before may have closed them.
        system::replace(&out, 1)?;
        system::replace(&err, 2)?;
        variables
            .run(Path::new(library), function)
            .map_err(Error::other)?;
        err.write_all(wire::END)?;
        out.write_all(wire::END)?;
        evcxr.write_all(&answer(&mut out)?)?;
        writeln!(evcxr, "EVCXR_EXECUTION_COMPLETE")?;
    }
    Ok(())
}

/// The lines that the kernel has for evcxr about the cell that ended.
fn answer(out: &mut UnixStream) -> Result<Vec<u8>> {
    let mut length = [0; 4];
    out.read_exact(&mut length)?;
    let mut lines = vec![0; u32::from_le_bytes(length) as usize];
    out.read_exact(&mut lines)?;
    Ok(lines)
}

/// Reads commands in a thread of its own, which ends this process when evcxr is gone, even from within
/// an endless loop.
fn watch(commands: File) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(commands).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
        system::leave();
    });
    receiver
}
