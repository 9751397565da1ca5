//! The two containers of a `.pt` file: a pickle, and beside it the bytes of the storages.
//!
//! | PyTorch | form |
//! |---|---|
//! | 1.6 and later | a zip archive: `NAME/data.pkl`, and each storage in `NAME/data/KEY` |
//! | before 1.6 | five pickles (a magic number, the protocol, the machine, the object, the storages' keys), then each storage: how many elements, the elements |

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io::{Cursor, Read};

use candle_core::DType;
use zip::ZipArchive;

use super::pickle::{Id, Pickle, Problem, Value};

/// `0x1950a86a20f9469cfc6c`, lowest byte first.
const MAGIC: [u8; 10] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];

/// What a `.pt` file holds.
pub(super) struct Archive {
    pub pickle: Pickle,
    storages: HashMap<String, Vec<u8>>,
}

/// A storage as the pickle names it.
pub(super) struct Storage<'a> {
    pub key: &'a str,
    class: &'a str,
}

impl Archive {
    pub fn parse(bytes: &[u8]) -> Result<Self, Problem> {
        match bytes {
            [b'P', b'K', 3, 4, ..] => zipped(bytes),
            [0x80, ..] => legacy(bytes),
            _ => Err("neither a zip archive nor a pickle, so not a file of torch.save".into()),
        }
    }

    pub fn bytes(&self, storage: &Storage<'_>) -> Result<&[u8], Problem> {
        let bytes = self.storages.get(storage.key);
        Ok(bytes.ok_or_else(|| format!("storage {:?} is not in it", storage.key))?)
    }

    /// The bytes of all storages together.
    pub fn storage_bytes(&self) -> usize {
        self.storages.values().map(Vec::len).sum()
    }
}

impl<'a> Storage<'a> {
    /// Reads `("storage", class, key, location, elements, view)`.
    pub fn of(pickle: &'a Pickle, id: Id) -> Result<Self, Problem> {
        let items = match pickle.value(id) {
            Value::Outside(inner) => pickle.tuple(*inner)?,
            other => {
                return Err(format!("{} where a storage stands", pickle.describe(other)));
            }
        };
        let (&[kind, class, key, _, _], view) = items
            .split_first_chunk::<5>()
            .ok_or("a storage is described by too few values")?;
        if pickle.text(kind)? != "storage" {
            return Err(format!("{:?} where a storage stands", pickle.text(kind)?));
        }
        if view.iter().any(|&id| *pickle.value(id) != Value::None) {
            return Err("it keeps views of storages, as PyTorch did before 0.4".into());
        }
        Ok(Self {
            key: pickle.text(key)?,
            class: pickle.text(class)?,
        })
    }

    /// The element type, of which candle has most.
    pub fn dtype(&self) -> Result<DType, Problem> {
        Ok(match self.class {
            "torch.FloatStorage" => DType::F32,
            "torch.DoubleStorage" => DType::F64,
            "torch.HalfStorage" => DType::F16,
            "torch.BFloat16Storage" => DType::BF16,
            "torch.LongStorage" => DType::I64,
            "torch.IntStorage" => DType::I32,
            "torch.ShortStorage" => DType::I16,
            // candle has no bool: its comparisons give 0 and 1 as bytes, too.
            "torch.ByteStorage" | "torch.BoolStorage" => DType::U8,
            other => return Err(format!("{other}, of a type that candle has not")),
        })
    }

    /// Bytes in an element.
    fn width(&self) -> Result<usize, Problem> {
        Ok(match self.class {
            "torch.CharStorage" => 1,
            "torch.ComplexFloatStorage" => 8,
            "torch.ComplexDoubleStorage" => 16,
            _ => self.dtype()?.size_in_bytes(),
        })
    }
}

fn zipped(bytes: &[u8]) -> Result<Archive, Problem> {
    let broken = |error| format!("not a whole zip archive ({error})");
    let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(broken)?;
    let names: Vec<String> = archive
        .file_names_raw()
        .map(|name| String::from_utf8_lossy(name).into_owned())
        .collect();
    let prefix = names
        .iter()
        .filter_map(|name| name.strip_suffix("data.pkl"))
        .find(|prefix| prefix.matches('/').count() == 1)
        .ok_or("a zip archive without data.pkl, so not a file of torch.save")?;

    // PyTorch compresses nothing: entries that hold more than the file hold some bytes twice.
    let mut left = bytes.len() as u64;
    let mut read = |name: &str| -> Result<Vec<u8>, Problem> {
        let broken = |error: &dyn std::fmt::Display| format!("{name} cannot be read ({error})");
        let file = archive.by_name(name).map_err(|error| broken(&error))?;
        let size = file.size();
        left = left
            .checked_sub(size)
            .ok_or_else(|| format!("{name} is larger than the whole file"))?;
        let mut content = Vec::new();
        // To one byte beyond the end, where the checksum is compared.
        file.take(size + 1)
            .read_to_end(&mut content)
            .map_err(|error| broken(&error))?;
        Ok(content)
    };
    let order = format!("{prefix}byteorder");
    if names.contains(&order) && read(&order)? != b"little" {
        return Err("written on a big-endian machine".into());
    }
    let (pickle, _) = Pickle::parse(&read(&format!("{prefix}data.pkl"))?)?;
    let mut storages = HashMap::new();
    for value in named_storages(&pickle) {
        let key = value?.key.to_string();
        // A storage that tensors share is there once.
        if let Entry::Vacant(entry) = storages.entry(key) {
            let content = read(&format!("{prefix}data/{}", entry.key()))?;
            entry.insert(content);
        }
    }
    Ok(Archive { pickle, storages })
}

fn legacy(bytes: &[u8]) -> Result<Archive, Problem> {
    let mut rest = bytes;
    let mut next = || -> Result<Pickle, Problem> {
        let (pickle, length) = Pickle::parse(rest)?;
        rest = &rest[length..];
        Ok(pickle)
    };
    let magic = next()?;
    if *magic.value(magic.root) != Value::Huge(MAGIC.to_vec()) {
        return Err("a pickle without PyTorch's magic number, so not a file of torch.save".into());
    }
    let (_protocol, machine, pickle, keys) = (next()?, next()?, next()?, next()?);
    let big_endian = |(key, value): &(Id, Id)| {
        machine.text(*key).is_ok_and(|key| key == "little_endian")
            && *machine.value(*value) == Value::Bool(false)
    };
    match machine.value(machine.root) {
        Value::Dict(entries) if entries.iter().any(big_endian) => {
            return Err("written on a big-endian machine".into());
        }
        _ => {}
    }
    let mut widths = HashMap::new();
    for storage in named_storages(&pickle) {
        let storage = storage?;
        widths.insert(storage.key, storage.width()?);
    }
    let mut storages = HashMap::new();
    for &key in keys.tuple(keys.root)? {
        let key = keys.text(key)?;
        let truncated = || format!("truncated: storage {key:?} ends early");
        let (count, elements) = rest.split_first_chunk::<8>().ok_or_else(truncated)?;
        let width = widths
            .get(key)
            .ok_or_else(|| format!("storage {key:?} belongs to no tensor"))?;
        let length = usize::try_from(u64::from_le_bytes(*count))
            .ok()
            .and_then(|count| count.checked_mul(*width));
        let (content, behind) = length
            .and_then(|length| elements.split_at_checked(length))
            .ok_or_else(truncated)?;
        storages.insert(key.to_string(), content.to_vec());
        rest = behind;
    }
    Ok(Archive { pickle, storages })
}

fn named_storages(pickle: &Pickle) -> impl Iterator<Item = Result<Storage<'_>, Problem>> {
    let outside = pickle
        .ids()
        .filter(|&id| matches!(pickle.value(id), Value::Outside(_)));
    outside.map(|id| Storage::of(pickle, id))
}
