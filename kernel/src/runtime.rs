//! The process that loads and runs cells, in place of evcxr's own.
//!
//! evcxr's runtime takes commands on stdin and prints a completion line on stdout, where the cell reads
//! and prints, too: a cell that reads stdin, or prints text without a newline at the end, hangs. Here
//! both pipes are moved out of the cell's reach. The cell's stdin is empty; its stdout and stderr go
//! straight to the kernel (see [`crate::outputs`]), which answers with evcxr's lines at the cell's end.

use std::fs::File;
use std::io::{BufRead, BufReader, Error, Read, Result, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc::{Receiver, channel};

use crate::system::{self, Variables};
use crate::wire;

/// The first argument that makes this program a runtime.
pub const ARGUMENT: &str = "run-cells";
/// The socket in the context's folder.
pub const SOCKET: &str = "outputs.sock";

/// The command that evcxr starts, and starts again after a crash.
pub fn command(program: &Path, context: &Path, project: &Path) -> Command {
    let mut command = Command::new(program);
    command.arg(ARGUMENT).arg(context).current_dir(project);
    // candle's own element-wise threads spin while they wait, and take the processor from the
    // threads of candlelight's kernels.
    if std::env::var_os("CANDLE_NUM_THREADS").is_none() {
        command.env("CANDLE_NUM_THREADS", "1");
    }
    command
}

/// Runs cells until evcxr closes the pipe.
pub fn run(context: &Path) -> Result<()> {
    system::set_up_cells();
    let (commands, mut evcxr) = system::take_standard_streams()?;
    let home = std::env::current_dir()?;
    // A socket's path may have about 100 characters: name it from its own folder.
    std::env::set_current_dir(context)?;
    let mut out = UnixStream::connect(SOCKET)?;
    let mut err = UnixStream::connect(SOCKET)?;
    std::env::set_current_dir(home)?;
    system::replace(&out, 1)?;
    system::replace(&err, 2)?;

    let mut variables = Variables::new();
    for command in watch(commands) {
        let mut words = command.splitn(3, ' ');
        let (Some("LOAD_AND_RUN"), Some(library), Some(function)) =
            (words.next(), words.next(), words.next())
        else {
            return Err(Error::other(format!("unknown command `{command}`")));
        };
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
