use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use candle_core::Device;
use candle_core::safetensors::load_buffer;
use safetensors::{SafeTensors, serialize};

use super::StateDict;
use crate::{Error, Result, files};

/// Writes a state, and in the file's metadata what it is.
pub(crate) fn write(path: &Path, state: &StateDict, format: &str) -> Result<()> {
    // candle's own writing panics where a tensor cannot be brought to the CPU.
    let mut entries = Vec::with_capacity(state.len());
    for (name, tensor) in state {
        entries.push((name, tensor.to_device(&Device::Cpu)?));
    }
    let metadata = HashMap::from([("format".to_string(), format.to_string())]);
    let bytes = serialize(entries, Some(metadata)).map_err(candle_core::Error::from)?;
    replace(path, &bytes).map_err(|source| Error::Io {
        path: path.into(),
        source,
    })
}

/// A state, and what its file says it is.
pub(crate) fn read(path: &Path) -> Result<(StateDict, Option<String>)> {
    let bytes = files::read(path, "save one first, or check the path")?;
    let corrupt = |problem: String| Error::CorruptFile {
        path: path.into(),
        problem,
        cure: "save it again".into(),
    };
    let (_, header) = SafeTensors::read_metadata(&bytes)
        .map_err(|error| corrupt(format!("not a safetensors file ({error})")))?;
    let format = header
        .metadata()
        .as_ref()
        .and_then(|metadata| metadata.get("format").cloned());
    let tensors = load_buffer(&bytes, &Device::Cpu).map_err(|error| corrupt(error.to_string()))?;
    Ok((tensors.into_iter().collect(), format))
}

/// Whenever the process is killed, `path` holds the old bytes or the new ones: they are written beside
/// it, flushed to the disk, and renamed.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let mut beside = tempfile::Builder::new();
    beside.prefix(".candlelight-").suffix(".part");
    // As any new file: what the user's mask allows, not the owner alone.
    #[cfg(unix)]
    let beside = beside.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut file = beside.tempfile_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    // The name, too; a folder can be flushed on Unix alone.
    #[cfg(unix)]
    File::open(folder)?.sync_all()?;
    Ok(())
}
