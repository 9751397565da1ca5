//! The pickle inside a `.pt` file: Python's way to write objects down, as a program for a stack machine.
//!
//! Nothing that the file names is called: a call stays a value, for the reader to recognise. The values
//! stand in one table and refer to each other by number, so that a file can neither nest them deeper
//! than a stack holds nor multiply them beyond its own length.

use super::machine::Machine;

/// What is wrong with a file, in words.
pub(super) type Problem = String;

/// The number of a value in its pickle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Id(pub usize);

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    None,
    Bool(bool),
    Int(i64),
    /// An integer of more than 64 bits, lowest byte first.
    Huge(Vec<u8>),
    Float,
    Bytes,
    Text(String),
    Tuple(Vec<Id>),
    List(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    /// A function or class: `module.name`.
    Global(String),
    Call {
        function: Id,
        arguments: Id,
    },
    /// What is kept outside the pickle: PyTorch's storages.
    Outside(Id),
}

/// One pickle: its values, and the one that it is about.
#[derive(Debug)]
pub(super) struct Pickle {
    values: Vec<Value>,
    pub root: Id,
}

impl Pickle {
    /// The first pickle in `bytes`, and how many bytes it takes.
    pub fn parse(bytes: &[u8]) -> Result<(Self, usize), Problem> {
        let made = Machine::run(bytes)?;
        let pickle = Self {
            values: made.values,
            root: made.root,
        };
        Ok((pickle, made.at))
    }

    pub fn value(&self, id: Id) -> &Value {
        &self.values[id.0]
    }

    pub fn ids(&self) -> impl Iterator<Item = Id> {
        (0..self.values.len()).map(Id)
    }

    pub fn text(&self, id: Id) -> Result<&str, Problem> {
        match self.value(id) {
            Value::Text(text) | Value::Global(text) => Ok(text),
            other => Err(format!("{} where a text stands", self.describe(other))),
        }
    }

    pub fn tuple(&self, id: Id) -> Result<&[Id], Problem> {
        match self.value(id) {
            Value::Tuple(items) | Value::List(items) => Ok(items),
            other => Err(format!("{} where a tuple stands", self.describe(other))),
        }
    }

    /// A size, an offset, a stride.
    pub fn size(&self, id: Id) -> Result<usize, Problem> {
        match self.value(id) {
            Value::Int(size) => {
                usize::try_from(*size).map_err(|_| format!("{size} where a size stands"))
            }
            other => Err(format!("{} where a size stands", self.describe(other))),
        }
    }

    pub fn sizes(&self, id: Id) -> Result<Vec<usize>, Problem> {
        self.tuple(id)?.iter().map(|&id| self.size(id)).collect()
    }

    /// The kind of a value, for an error.
    pub fn describe(&self, value: &Value) -> String {
        match value {
            Value::None => "None".into(),
            Value::Bool(_) => "a bool".into(),
            Value::Int(_) | Value::Huge(_) => "an int".into(),
            Value::Float => "a float".into(),
            Value::Bytes => "bytes".into(),
            Value::Text(_) => "a text".into(),
            Value::Tuple(_) => "a tuple".into(),
            Value::List(_) => "a list".into(),
            Value::Dict(_) => "a dict".into(),
            Value::Global(name) => format!("{name:?}"),
            Value::Outside(_) => "a storage".into(),
            Value::Call { function, .. } => match self.value(*function) {
                Value::Global(name) => format!("a {name:?}"),
                _ => "an object".into(),
            },
        }
    }
}
