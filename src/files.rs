//! Reading a file, and saying which where it cannot be.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use crate::{Error, Result};

/// A file's bytes; `cure` tells how to get one that is not there.
pub(crate) fn read(path: &Path, cure: impl Into<String>) -> Result<Vec<u8>> {
    fs::read(path).map_err(|source| match source.kind() {
        ErrorKind::NotFound => Error::MissingFile {
            path: path.into(),
            cure: cure.into(),
        },
        _ => Error::Io {
            path: path.into(),
            source,
        },
    })
}
