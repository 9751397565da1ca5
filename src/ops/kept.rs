//! Compiled kernels on disk, so that a program's next run, or its next net, does not compile them again: all those of a
//! net's step take one to two seconds on one core.

use std::io::Write;
use std::path::Path;

use candle_core::Result;
use md5::{Digest, Md5};
use tempfile::NamedTempFile;

/// What is compiled from all that `key` says; from the user's cache where it was before.
#[cfg(feature = "cuda")]
pub(crate) fn compiled(key: &str, compile: impl FnOnce() -> Result<Vec<u8>>) -> Result<Vec<u8>> {
    match dirs::cache_dir() {
        Some(cache) => kept_in(&cache.join("candlelight/kernels"), key, compile),
        None => compile(),
    }
}

fn kept_in(folder: &Path, key: &str, compile: impl FnOnce() -> Result<Vec<u8>>) -> Result<Vec<u8>> {
    let path = folder.join(format!("{:x}.bin", Md5::digest(key)));
    if let Some(found) = std::fs::read(&path).ok().and_then(whole) {
        return Ok(found);
    }
    let compiled = compile()?;
    // Where it cannot be kept, it is compiled again next time.
    keep(folder, &path, &compiled).ok();
    Ok(compiled)
}

/// What a file holds before its checksum. The driver is told no length and follows what it reads, so nothing else will do.
fn whole(mut file: Vec<u8>) -> Option<Vec<u8>> {
    let code = file.len().checked_sub(Md5::output_size())?;
    let sum = file.split_off(code);
    (Md5::digest(&file)[..] == sum[..]).then_some(file)
}

/// Whole or not at all, for other processes may read it meanwhile.
fn keep(folder: &Path, path: &Path, compiled: &[u8]) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    let mut file = NamedTempFile::new_in(folder)?;
    file.write_all(compiled)?;
    file.write_all(&Md5::digest(compiled))?;
    file.persist(path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_is_compiled_once_and_another_by_itself() {
        let folder = tempfile::tempdir().unwrap();
        let cache = folder.path().join("new/cache");
        let of = |key, text: &str| kept_in(&cache, key, || Ok(text.into())).unwrap();
        assert_eq!(of("a", "first"), b"first");
        assert_eq!(of("a", "second"), b"first");
        assert_eq!(of("b", "third"), b"third");
        assert!(kept_in(&cache, "c", || candle_core::bail!("no")).is_err());
        assert_eq!(of("c", "fourth"), b"fourth");
    }

    #[test]
    fn what_is_not_whole_is_compiled_again() {
        let folder = tempfile::tempdir().unwrap();
        let of = |text: &str| kept_in(folder.path(), "a", || Ok(text.into())).unwrap();
        let path = || folder.path().read_dir().unwrap().next().unwrap().unwrap();
        for spoilt in [&b""[..], b"first", b"first, and sixteen others"] {
            assert_eq!(of("first"), b"first");
            std::fs::write(path().path(), spoilt).unwrap();
            assert_eq!(of("second"), b"second");
            std::fs::remove_file(path().path()).unwrap();
        }
    }

    #[test]
    fn without_a_place_to_keep_it_a_kernel_is_compiled_each_time() {
        let file = NamedTempFile::new().unwrap();
        let of = |text: &str| kept_in(file.path(), "a", || Ok(text.into())).unwrap();
        assert_eq!(of("first"), b"first");
        assert_eq!(of("second"), b"second");
    }
}
