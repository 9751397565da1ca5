//! A data set's files: where they come from, unpacking, and the check of their content.

use std::fs;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flate2::read::MultiGzDecoder;
use md5::{Digest, Md5};

use super::idx::Idx;
use crate::{Error, Result};

/// One file of the data set: its name, and the MD5 of its content once unpacked.
pub(super) struct Source {
    pub name: &'static str,
    pub md5: &'static str,
}

/// Where to get a file again.
const MIRROR: &str = "https://ossci-datasets.s3.amazonaws.com/mnist/";

/// The content of a file, unpacked, and the path that it was read from.
pub(super) fn read(folder: &Path, source: &Source) -> Result<(PathBuf, Vec<u8>)> {
    let packed = folder.join(format!("{}.gz", source.name));
    let plain = folder.join(source.name);
    let path = if !packed.exists() && plain.exists() {
        plain
    } else {
        packed
    };
    let bytes = fs::read(&path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => Error::MissingFile {
            path: path.clone(),
            cure: cure(source),
        },
        _ => Error::Io {
            path: path.clone(),
            source: error,
        },
    })?;
    if path.extension().is_none_or(|extension| extension != "gz") {
        return Ok((path, bytes));
    }
    let mut content = Vec::new();
    match MultiGzDecoder::new(bytes.as_slice()).read_to_end(&mut content) {
        Ok(_) => Ok((path, content)),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Err(corrupt(
            &path,
            "truncated: the gzip stream ends early".into(),
            source,
        )),
        Err(error) => Err(corrupt(
            &path,
            format!("not a valid gzip file ({error})"),
            source,
        )),
    }
}

/// The sizes and elements of a file's content, whose MD5 must be the source's.
pub(super) fn elements(
    path: &Path,
    bytes: &[u8],
    rank: u8,
    source: &Source,
) -> Result<(Vec<usize>, Arc<[u8]>)> {
    let array = Idx::parse(bytes, path, rank).map_err(|error| match error {
        Error::CorruptFile { problem, .. } => corrupt(path, problem, source),
        other => other,
    })?;
    let md5: String = Md5::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    if md5 != source.md5 {
        return Err(corrupt(
            path,
            format!("its content has MD5 {md5}, expected {}", source.md5),
            source,
        ));
    }
    Ok((array.dims, array.elements.into()))
}

pub(super) fn corrupt(path: &Path, problem: String, source: &Source) -> Error {
    Error::CorruptFile {
        path: path.into(),
        problem,
        cure: cure(source),
    }
}

fn cure(source: &Source) -> String {
    format!(
        "restore it from the project's repository (git checkout -- data) or get {MIRROR}{}.gz",
        source.name
    )
}
