//! The files in `raw`: finding them, unpacking, and the check of their content.

use std::fs;
use std::path::{Path, PathBuf};

use md5::{Digest, Md5};

use super::super::idx::{Idx, gunzip};
use super::{HEIGHT, MnistKind, Resource, Samples, WIDTH};
use crate::{Error, Result, files};

/// Whether there is a file of this set, whatever is in it.
pub(super) fn exists(folder: &Path, resources: &[Resource; 2]) -> bool {
    let exists = |resource| path(folder, resource).exists();
    resources.iter().any(exists)
}

/// Whether the file is there and is the right one: what need not be downloaded.
pub(super) fn is_right<K: MnistKind>(folder: &Path, resource: &Resource) -> bool {
    let path = path(folder, resource);
    let Ok(bytes) = fs::read(&path) else {
        return false;
    };
    if is_packed(&path) && hex_md5(&bytes) == resource.packed_md5 {
        return true;
    }
    let Ok(content) = content::<K>(&path, bytes, resource) else {
        return false;
    };
    match resource.content_md5 {
        Some(md5) => hex_md5(&content) == md5,
        // Its form alone does not tell it from a sibling's file, which has the same name and form.
        None => false,
    }
}

/// Reads the images and the labels.
pub(super) fn read<K: MnistKind>(
    folder: &Path,
    [images, labels]: &[Resource; 2],
) -> Result<Samples> {
    let (image_path, image_bytes) = open::<K>(folder, images)?;
    let image_array = array::<K>(&image_path, &image_bytes, 3, images)?;
    if image_array.dims[1..] != [HEIGHT, WIDTH] {
        let (rows, columns) = (image_array.dims[1], image_array.dims[2]);
        let problem = format!("images of {rows} × {columns}, expected 28 × 28");
        return Err(corrupt::<K>(&image_path, problem, images));
    }
    let (label_path, label_bytes) = open::<K>(folder, labels)?;
    let label_array = array::<K>(&label_path, &label_bytes, 1, labels)?;
    let samples = Samples {
        images: image_array.elements.into(),
        labels: label_array.elements.into(),
    };
    match samples.problem(K::CLASSES.len()) {
        Some(problem) => Err(corrupt::<K>(&label_path, problem, labels)),
        None => Ok(samples),
    }
}

/// `NAME.gz`, unless there is only `NAME`.
fn path(folder: &Path, resource: &Resource) -> PathBuf {
    let packed = folder.join(format!("{}.gz", resource.name));
    let plain = folder.join(resource.name);
    match !packed.exists() && plain.exists() {
        true => plain,
        false => packed,
    }
}

fn is_packed(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "gz")
}

fn open<K: MnistKind>(folder: &Path, resource: &Resource) -> Result<(PathBuf, Vec<u8>)> {
    let path = path(folder, resource);
    let bytes = files::read(&path, cure::<K>(resource))?;
    let content = content::<K>(&path, bytes, resource)?;
    Ok((path, content))
}

/// A file's content, unpacked.
fn content<K: MnistKind>(path: &Path, bytes: Vec<u8>, resource: &Resource) -> Result<Vec<u8>> {
    if !is_packed(path) {
        return Ok(bytes);
    }
    gunzip(&bytes).map_err(|problem| corrupt::<K>(path, problem, resource))
}

/// The array in a file's content, whose MD5 must be the right one where it is known.
fn array<'a, K: MnistKind>(
    path: &Path,
    content: &'a [u8],
    rank: u8,
    resource: &Resource,
) -> Result<Idx<'a>> {
    let array = Idx::parse(content, path, rank).map_err(|error| match error {
        Error::CorruptFile { problem, .. } => corrupt::<K>(path, problem, resource),
        other => other,
    })?;
    if let Some(expected) = resource.content_md5 {
        let found = hex_md5(content);
        if found != expected {
            let problem = format!("its content has MD5 {found}, expected {expected}");
            return Err(corrupt::<K>(path, problem, resource));
        }
    }
    Ok(array)
}

pub(crate) fn hex_md5(bytes: &[u8]) -> String {
    let digest = Md5::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn corrupt<K: MnistKind>(path: &Path, problem: String, resource: &Resource) -> Error {
    Error::CorruptFile {
        path: path.into(),
        problem,
        cure: cure::<K>(resource),
    }
}

fn cure<K: MnistKind>(resource: &Resource) -> String {
    let fetch = match K::MIRRORS.first() {
        Some(mirror) => format!(
            "get it with download(true) from {mirror}{}.gz",
            resource.name
        ),
        None => "get it with download(true)".into(),
    };
    match K::IN_REPOSITORY {
        true => {
            format!("restore it from the project's repository (git checkout -- data) or {fetch}")
        }
        false => fetch,
    }
}
