//! The IDX format, in which MNIST is kept: a magic number, the sizes, then the bytes.
//!
//! | bytes | meaning |
//! |---|---|
//! | 0, 1 | 0 |
//! | 2 | the element type; 8 is an unsigned byte, the only one read here |
//! | 3 | the number of dimensions, d |
//! | 4 to 3 + 4d | each dimension's size, big-endian |
//! | the rest | the elements, last dimension fastest |

use std::io::{ErrorKind, Read};
use std::path::Path;

use flate2::read::MultiGzDecoder;

use crate::{Error, Result, files};

/// An array of unsigned bytes.
///
/// # Example
///
/// ```
/// use candlelight::data::idx::Idx;
///
/// # fn main() -> candlelight::Result<()> {
/// let bytes = [0, 0, 8, 2, 0, 0, 0, 1, 0, 0, 0, 3, 7, 8, 9];
/// let array = Idx::parse(&bytes, "three.idx", 2)?;
/// assert_eq!(array.dims, [1, 3]);
/// assert_eq!(array.elements, [7, 8, 9]);
///
/// let error = Idx::parse(&bytes[..14], "three.idx", 2).unwrap_err();
/// assert!(error.to_string().starts_with("three.idx: truncated: 2 of 3 bytes after the header"));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Idx<'a> {
    /// The size of each dimension.
    pub dims: Vec<usize>,
    /// The elements, last dimension fastest.
    pub elements: &'a [u8],
}

impl<'a> Idx<'a> {
    /// Reads an array of `rank` dimensions from the raw content of a file; `path` only names it in
    /// errors.
    ///
    /// # Errors
    ///
    /// [`Error::CorruptFile`] when the magic number is another one, or when there are fewer or more
    /// bytes than the sizes say.
    pub fn parse(bytes: &'a [u8], path: impl AsRef<Path>, rank: u8) -> Result<Self> {
        let corrupt = |problem: String| Error::CorruptFile {
            path: path.as_ref().into(),
            problem,
            cure: "replace it with a whole one".into(),
        };
        let Some((magic, rest)) = bytes.split_first_chunk::<4>() else {
            return Err(corrupt(format!(
                "truncated: {} bytes, less than the header",
                bytes.len()
            )));
        };
        if *magic != [0, 0, 8, rank] {
            return Err(corrupt(format!(
                "magic number {:#010x} where {:#010x} stands in an IDX file of {rank} dimensions",
                u32::from_be_bytes(*magic),
                u32::from_be_bytes([0, 0, 8, rank]),
            )));
        }
        let Some((sizes, elements)) = rest.split_at_checked(4 * usize::from(rank)) else {
            return Err(corrupt(format!(
                "truncated: {} bytes, less than the header",
                bytes.len()
            )));
        };
        let dims: Vec<usize> = sizes
            .chunks_exact(4)
            .map(|b| {
                b.iter()
                    .fold(0, |size, &byte| (size << 8) | usize::from(byte))
            })
            .collect();
        let count = dims
            .iter()
            .try_fold(1usize, |product, &size| product.checked_mul(size));
        match count {
            Some(count) if count == elements.len() => Ok(Self { dims, elements }),
            Some(count) if count < elements.len() => Err(corrupt(format!(
                "{} bytes more than the {count} that its header announces",
                elements.len() - count
            ))),
            Some(count) => Err(corrupt(format!(
                "truncated: {} of {count} bytes after the header",
                elements.len()
            ))),
            None => Err(corrupt(format!(
                "its header announces an array of {dims:?}, more than memory holds"
            ))),
        }
    }
}

/// The content of a file that gzip packed: what `gunzip -c` writes.
///
/// # Errors
///
/// [`Error::MissingFile`] where there is no such file, [`Error::CorruptFile`] where it is truncated
/// or not of gzip, [`Error::Io`] where it cannot be read.
///
/// # Example
///
/// ```
/// use candlelight::data::idx;
///
/// # fn main() -> candlelight::Result<()> {
/// let bytes = idx::unpack("data/MNIST/raw/t10k-labels-idx1-ubyte.gz")?;
/// assert_eq!(bytes.len(), 8 + 10_000);
/// assert_eq!(bytes[..8], [0, 0, 8, 1, 0, 0, 0x27, 0x10]);
/// # Ok(())
/// # }
/// ```
pub fn unpack(path: impl AsRef<Path>) -> Result<Vec<u8>> {
    let path = path.as_ref();
    let cure = "replace it with a whole one";
    let packed = files::read(path, cure)?;
    gunzip(&packed).map_err(|problem| Error::CorruptFile {
        path: path.into(),
        problem,
        cure: cure.into(),
    })
}

/// The content of what gzip packed, or what is wrong with it.
pub(super) fn gunzip(packed: &[u8]) -> Result<Vec<u8>, String> {
    let mut content = Vec::new();
    match MultiGzDecoder::new(packed).read_to_end(&mut content) {
        Ok(_) => Ok(content),
        Err(error) => Err(match error.kind() {
            ErrorKind::UnexpectedEof => "truncated: the gzip stream ends early".into(),
            _ => format!("not a valid gzip file ({error})"),
        }),
    }
}
