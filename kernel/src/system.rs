//! The calls that Rust cannot check: descriptors, the process group, and a cell's library. All unsafe
//! code of the kernel is in this file.

#![allow(unsafe_code)]

use std::ffi::c_void;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::path::Path;

/// Moves this process's own stdin and stdout out of the way and returns them. Afterwards stdin is empty
/// and what a library prints goes to stderr: neither disturbs what is said over the pipes.
pub fn take_standard_streams() -> io::Result<(File, File)> {
    let input = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    let output = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    replace(&File::open("/dev/null")?, 0)?;
    replace(&io::stderr(), 1)?;
    Ok((input, output))
}

/// Where events can be written to while another process has stdout as well.
#[cfg(target_os = "linux")]
pub fn copy_of_stdout() -> io::Result<File> {
    Ok(File::from(io::stdout().as_fd().try_clone_to_owned()?))
}

/// Makes another process of this one, with this thread alone: whether this is still the first. The other may count
/// on what no other thread held.
#[cfg(target_os = "linux")]
pub fn fork() -> io::Result<bool> {
    // SAFETY: the copy goes on as any process; glibc keeps its allocator usable. Locks that other threads held
    // would stay locked; there are none, see `crate::warm`.
    match unsafe { libc::fork() } {
        ..0 => Err(io::Error::last_os_error()),
        0 => Ok(false),
        1.. => Ok(true),
    }
}

/// Sets one variable of the environment. Only to be called before any other thread.
pub fn set_variable(name: &str, value: &Path) {
    // SAFETY: nothing else runs yet that could read the environment meanwhile.
    unsafe { std::env::set_var(name, value) };
}

/// Sets the whole environment. Only to be called before any other thread.
#[cfg(target_os = "linux")]
pub fn replace_environment(variables: &std::collections::BTreeMap<String, String>) {
    let old: Vec<_> = std::env::vars_os().map(|(name, _)| name).collect();
    // SAFETY: as above.
    unsafe {
        for name in old {
            std::env::remove_var(name);
        }
        for (name, value) in variables {
            std::env::set_var(name, value);
        }
    }
}

/// Makes descriptor `number` another name for `file`.
pub fn replace(file: &impl AsFd, number: RawFd) -> io::Result<()> {
    // SAFETY: both are plain numbers to dup2, which checks the first; `number` is 0, 1 or 2, which no
    // owner in this process closes.
    if unsafe { libc::dup2(file.as_fd().as_raw_fd(), number) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Makes this process the head of a group of its own, which all that it starts belongs to.
pub fn lead_group() {
    // SAFETY: no memory is involved. It fails only where this process leads a group already.
    unsafe { libc::setpgid(0, 0) };
}

/// Ends every process of the group, this one too, at once.
pub fn end_group() -> ! {
    // SAFETY: no memory is involved; 0 is this process's own group.
    unsafe { libc::kill(0, libc::SIGKILL) };
    leave()
}

/// Ends this process without running anything: another thread may be in a cell.
pub fn leave() -> ! {
    // SAFETY: it does not return, so no invariant of this program matters afterwards.
    unsafe { libc::_exit(1) }
}

/// Sets the environment that a cell finds: errors print without a backtrace (evcxr asks for one), and
/// an abort leaves no core file in the reader's folder. Only to be called before any other thread.
///
/// They may have `memory` bytes, where the system can hold them to it.
pub fn set_up_cells(memory: Option<u64>) {
    let to = |most: u64| libc::rlimit {
        rlim_cur: most,
        rlim_max: most,
    };
    // SAFETY: nothing else runs yet that could read the environment meanwhile; setrlimit reads one
    // struct, which lives.
    unsafe {
        std::env::set_var("RUST_BACKTRACE", "0");
        std::env::remove_var("EVCXR_IS_RUNTIME");
        libc::setrlimit(libc::RLIMIT_CORE, &to(0));
        if let (Some(memory), true) = (memory, cfg!(target_os = "linux")) {
            libc::setrlimit(libc::RLIMIT_DATA, &to(memory));
        }
    }
}

/// The variables of the cells that ran so far, as evcxr's generated code keeps them.
pub struct Variables(*mut c_void);

impl Variables {
    /// None yet.
    pub fn new() -> Self {
        Self(std::ptr::null_mut())
    }

    /// Loads a cell's library, calls its function, and keeps the library for good: variables, threads and
    /// the panic hook point into it.
    pub fn run(&mut self, library: &Path, function: &str) -> Result<(), libloading::Error> {
        // SAFETY: the library was compiled a moment ago from evcxr's wrapping of the cell, which defines
        // `function` with this signature, and from prelude.rs and `cells`, which define the others. The
        // pointer is null or comes from an earlier such call in this process.
        unsafe {
            let library = libloading::Library::new(library)?;
            for begin in [&b"candlelight_cells_begin"[..], b"candlelight_cell_begin"] {
                if let Ok(begin) = library.get::<extern "C" fn()>(begin) {
                    begin();
                }
            }
            let cell = library.get::<extern "C" fn(*mut c_void) -> *mut c_void>(function)?;
            self.0 = cell(self.0);
            if let Ok(end) = library.get::<extern "C" fn()>(b"candlelight_cell_end") {
                end();
            }
            std::mem::forget(library);
        }
        Ok(())
    }
}
