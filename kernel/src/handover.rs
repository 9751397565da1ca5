//! How a kernel that somebody starts gets its context: it hands its own stdin, stdout and stderr to the process that
//! keeps a warm one, whose copy serves them.

use std::collections::BTreeMap;
use std::io::{IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context as _, Result, anyhow, bail};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use serde::{Deserialize, Serialize};

use crate::template::Folders;

/// The socket, in the folder of the contexts.
pub const SOCKET: &str = "warm.sock";
/// Held by the process that keeps the warm context.
pub const LOCK: &str = "warm.lock";
/// What that process says when it cannot go on.
pub const LOG: &str = "warm.log";

/// stdin, stdout and stderr.
const STREAMS: usize = 3;
/// The answers: a copy of the context has the streams; the context is another one's.
pub const TAKEN: u8 = b'+';
pub const STALE: u8 = b'-';

/// What is asked for.
#[derive(Debug, Serialize, Deserialize)]
pub struct Wanted {
    /// See [`key`].
    pub key: String,
    /// The cells' environment, as far as it is text.
    pub environment: BTreeMap<String, String>,
    /// How many seconds the warm context shall wait for the next kernel once this one has ended.
    pub linger: u64,
}

/// What a warm context was made from: this program, what the cells depend on, and where they run.
pub fn key(folders: &Folders, project: &Path) -> Result<String> {
    let program = std::env::current_exe()?;
    let library = folders.libraries()?.join(library_name());
    let stamp = |path: &PathBuf| -> Result<u128> {
        let metadata = path.metadata();
        let metadata = metadata.with_context(|| format!("{} is not there", path.display()))?;
        let since = metadata.modified()?.duration_since(SystemTime::UNIX_EPOCH);
        Ok(since?.as_nanos())
    };
    let toolchain = std::env::var("RUSTUP_TOOLCHAIN").unwrap_or_default();
    Ok(format!(
        "{} {} {} {} {} {toolchain}",
        program.display(),
        stamp(&program)?,
        stamp(&library)?,
        folders.workspace.display(),
        project.display(),
    ))
}

fn library_name() -> String {
    let (prefix, extension) = (std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
    format!("{prefix}candlelight_cells{extension}")
}

/// Sends what is wanted, and the streams of this process.
pub fn send(stream: &mut UnixStream, wanted: &Wanted) -> Result<()> {
    let wanted = serde_json::to_vec(wanted)?;
    let streams = (std::io::stdin(), std::io::stdout(), std::io::stderr());
    let streams = [streams.0.as_fd(), streams.1.as_fd(), streams.2.as_fd()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(STREAMS))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !ancillary.push(SendAncillaryMessage::ScmRights(&streams)) {
        bail!("there is no room for the streams in a message");
    }
    let length = (wanted.len() as u64).to_le_bytes();
    let first = [IoSlice::new(&length)];
    sendmsg(&*stream, &first, &mut ancillary, SendFlags::empty())?;
    stream.write_all(&wanted)?;
    Ok(())
}

/// Receives what [`send`] sends.
pub fn receive(stream: &mut UnixStream) -> Result<(Wanted, [OwnedFd; STREAMS])> {
    let mut length = [0; 8];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(STREAMS))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut first = [IoSliceMut::new(&mut length)];
    let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::WAITALL;
    let received = recvmsg(&*stream, &mut first, &mut ancillary, flags)?;
    if received.bytes != 8 {
        bail!("a kernel that asked is gone");
    }
    let streams = ancillary.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(streams) => Some(streams),
        _ => None,
    });
    let streams: Vec<OwnedFd> = streams.flatten().collect();
    let mut wanted = vec![0; usize::try_from(u64::from_le_bytes(length))?];
    stream.read_exact(&mut wanted)?;
    let streams = streams.try_into();
    let streams = streams.map_err(|_| anyhow!("a kernel that asked sent no streams"))?;
    Ok((serde_json::from_slice(&wanted)?, streams))
}
