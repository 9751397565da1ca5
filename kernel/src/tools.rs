//! Where evcxr finds cargo: it gets `candlelight-cargo`, which calls rustc itself for a cell.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use anyhow::{Context, Result};

/// Built beside this program.
const PROGRAM: &str = "candlelight-cargo";
/// The names that it goes by: evcxr asks rustup where cargo is.
const NAMES: [&str; 2] = ["cargo", "rustup"];

/// The path for programs, that one's names first; they lie below `home`.
pub fn path(home: &Path) -> Result<OsString> {
    let program = env::current_exe()?.with_file_name(PROGRAM);
    let folder = home.join("bin");
    let make = || {
        fs::create_dir_all(&folder)?;
        for name in NAMES {
            let link = folder.join(name);
            if fs::read_link(&link).is_ok_and(|there| there == program) {
                continue;
            }
            // Another kernel may look at it now.
            let beside = folder.join(format!("{name}.{}", std::process::id()));
            symlink(&program, &beside)?;
            fs::rename(beside, link)?;
        }
        Ok::<_, std::io::Error>(())
    };
    make().with_context(|| format!("{} cannot be made", folder.display()))?;
    let others = env::var_os("PATH").unwrap_or_default();
    let all = std::iter::once(folder).chain(env::split_paths(&others));
    Ok(env::join_paths(all)?)
}

/// With these variables rust-analyzer finds that one, too: it looks below `CARGO_HOME` first. The second has the first's
/// own value, for cargo itself.
#[cfg(target_os = "linux")]
pub fn cargo_home(home: &Path) -> [(&'static str, OsString); 2] {
    let own = env::var_os("CARGO_HOME").unwrap_or_default();
    [("CARGO_HOME", home.into()), ("CANDLELIGHT_CARGO_HOME", own)]
}
