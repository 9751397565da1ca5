//! How cargo calls rustc for a cell, noted in a file.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io::Result;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// The crate that evcxr makes of a cell.
pub const CRATE: &str = "ctx";
const SEPARATOR: u8 = 0;

/// How cargo calls rustc for a cell.
pub struct Call {
    pub key: u64,
    pub program: OsString,
    pub arguments: Vec<OsString>,
    pub variables: Vec<(OsString, OsString)>,
}

impl Call {
    pub fn write(&self, path: &Path) -> Result<()> {
        let mut fields = vec![
            self.key.to_string().into_bytes(),
            self.program.as_bytes().to_vec(),
            self.arguments.len().to_string().into_bytes(),
        ];
        fields.extend(self.arguments.iter().map(|text| text.as_bytes().to_vec()));
        for (name, value) in &self.variables {
            fields.extend([name.as_bytes().to_vec(), value.as_bytes().to_vec()]);
        }
        // Whole or not at all.
        let beside = path.with_extension("part");
        fs::write(&beside, fields.join(&SEPARATOR))?;
        fs::rename(beside, path)
    }

    pub fn read(path: &Path) -> Option<Self> {
        let text = fs::read(path).ok()?;
        let mut fields = text.split(|&byte| byte == SEPARATOR);
        let mut next = || Some(OsString::from_vec(fields.next()?.to_vec()));
        let key = next()?.to_str()?.parse().ok()?;
        let program = next()?;
        let count: usize = next()?.to_str()?.parse().ok()?;
        let arguments = (0..count).map(|_| next()).collect::<Option<_>>()?;
        let mut variables = Vec::new();
        while let Some(name) = next() {
            variables.push((name, next()?));
        }
        Some(Self {
            key,
            program,
            arguments,
            variables,
        })
    }

    /// Makes it a check, against the libraries that cells link to: `cargo check` would first check all of these. Its
    /// incremental results are not the build's.
    pub fn check(&mut self) {
        let is_incremental = |word: &OsString| word.to_string_lossy().starts_with("incremental=");
        while let Some(at) = self.arguments.iter().position(is_incremental) {
            self.arguments.drain(at - 1..=at);
        }
        for word in &mut self.arguments {
            if word.to_string_lossy().starts_with("--emit=") {
                *word = "--emit=metadata".into();
            }
        }
    }

    /// The library that it makes, if it makes one.
    pub fn artifact(&self) -> Option<PathBuf> {
        let links = |argument: &OsString| {
            let text = argument.to_string_lossy();
            text.starts_with("--emit=") && text.contains("link")
        };
        if !self.arguments.iter().any(links) {
            return None;
        }
        let at = self.arguments.iter().position(|one| one == "--out-dir")?;
        let folder = Path::new(self.arguments.get(at + 1)?);
        let (prefix, suffix) = (env::consts::DLL_PREFIX, env::consts::DLL_SUFFIX);
        Some(folder.join(format!("{prefix}{CRATE}{suffix}")))
    }
}

/// As cargo tells of a library that it has made.
pub fn told(artifact: &Path) -> String {
    let path = artifact.display().to_string();
    let path = path.replace('\\', "\\\\").replace('"', "\\\"");
    format!(
        r#"{{"reason":"compiler-artifact","target":{{"name":"{CRATE}"}},"filenames":["{path}"]}}"#
    )
}
