//! The stack machine that a pickle is a program for.

use std::collections::HashMap;

use super::pickle::{Id, Problem, Value};

/// What a pickle's program made.
pub(super) struct Made {
    pub values: Vec<Value>,
    pub root: Id,
    /// How many bytes the program takes.
    pub at: usize,
}

pub(super) struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    values: Vec<Value>,
    stack: Vec<Id>,
    /// How high the stack stood at each mark.
    marks: Vec<usize>,
    memo: HashMap<u32, Id>,
}

impl<'a> Machine<'a> {
    /// Runs the program at the start of `bytes`.
    pub fn run(bytes: &'a [u8]) -> Result<Made, Problem> {
        let mut machine = Self {
            bytes,
            at: 0,
            values: Vec::new(),
            stack: Vec::new(),
            marks: Vec::new(),
            memo: HashMap::new(),
        };
        while machine.step()? {}
        Ok(Made {
            root: machine.pop()?,
            values: machine.values,
            at: machine.at,
        })
    }

    /// One instruction; `false` after the last.
    fn step(&mut self) -> Result<bool, Problem> {
        let instruction = self.byte()?;
        match instruction {
            // PROTO and FRAME: how it was written.
            0x80 => drop(self.byte()?),
            0x95 => drop(self.take(8)?),
            b'.' => return Ok(false),

            b'N' => self.push(Value::None),
            0x88 => self.push(Value::Bool(true)),
            0x89 => self.push(Value::Bool(false)),
            b'J' => self.int(4, true)?,
            b'K' => self.int(1, false)?,
            b'M' => self.int(2, false)?,
            0x8a => self.long()?,
            b'G' => {
                self.take(8)?;
                self.push(Value::Float);
            }
            // Texts; Python 2's byte strings are names and keys too.
            b'X' | b'T' => self.text(4)?,
            b'U' | 0x8c => self.text(1)?,
            0x8d => self.text(8)?,
            b'B' => self.binary(4)?,
            b'C' => self.binary(1)?,

            b'(' => self.marks.push(self.stack.len()),
            b')' => self.push(Value::Tuple(Vec::new())),
            b't' => {
                let items = self.pop_to_mark()?;
                self.push(Value::Tuple(items));
            }
            0x85..=0x87 => {
                let mut items = Vec::new();
                for _ in 0x85..=instruction {
                    items.push(self.pop()?);
                }
                items.reverse();
                self.push(Value::Tuple(items));
            }
            b']' => self.push(Value::List(Vec::new())),
            b'a' => {
                let item = self.pop()?;
                self.extend_list(vec![item])?;
            }
            b'e' => {
                let items = self.pop_to_mark()?;
                self.extend_list(items)?;
            }
            b'}' => self.push(Value::Dict(Vec::new())),
            b's' => {
                let value = self.pop()?;
                let key = self.pop()?;
                self.extend_dict(vec![key, value])?;
            }
            b'u' => {
                let items = self.pop_to_mark()?;
                self.extend_dict(items)?;
            }

            b'c' => {
                let module = self.line()?;
                let name = self.line()?;
                self.push(Value::Global(format!("{module}.{name}")));
            }
            0x93 => {
                let (name, module) = (self.pop_text()?, self.pop_text()?);
                self.push(Value::Global(format!("{module}.{name}")));
            }
            // REDUCE and NEWOBJ
            b'R' | 0x81 => self.call()?,
            // BUILD: attributes of the object, such as a state dict's _metadata. No value has any here.
            b'b' => drop(self.pop()?),
            b'Q' => {
                let id = self.pop()?;
                self.push(Value::Outside(id));
            }

            b'q' => {
                let key = self.number(1)?;
                self.remember(key as u32)?;
            }
            b'r' => {
                let key = self.number(4)?;
                self.remember(key as u32)?;
            }
            0x94 => self.remember(self.memo.len() as u32)?,
            b'h' => self.recall(1)?,
            b'j' => self.recall(4)?,
            other => {
                return Err(format!(
                    "not a pickle of PyTorch's (instruction {other:#04x})"
                ));
            }
        }
        Ok(true)
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], Problem> {
        let rest = &self.bytes[self.at..];
        let (taken, _) = rest
            .split_at_checked(count)
            .ok_or("truncated: its pickle ends early")?;
        self.at += count;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, Problem> {
        Ok(self.take(1)?[0])
    }

    /// `width` bytes, lowest first.
    fn number(&mut self, width: usize) -> Result<u64, Problem> {
        let bytes = self.take(width)?;
        Ok(bytes
            .iter()
            .rev()
            .fold(0, |number, &byte| number << 8 | u64::from(byte)))
    }

    fn line(&mut self) -> Result<String, Problem> {
        let rest = &self.bytes[self.at..];
        let length = rest
            .iter()
            .position(|&byte| byte == b'\n')
            .ok_or("truncated: its pickle ends early")?;
        let line = self.take(length + 1)?;
        Ok(String::from_utf8_lossy(&line[..length]).into_owned())
    }

    fn push(&mut self, value: Value) {
        self.stack.push(Id(self.values.len()));
        self.values.push(value);
    }

    fn pop(&mut self) -> Result<Id, Problem> {
        let floor = self.marks.last().copied().unwrap_or(0);
        match self.stack.pop() {
            Some(id) if self.stack.len() >= floor => Ok(id),
            _ => Err("its pickle takes a value that it did not make".into()),
        }
    }

    fn pop_text(&mut self) -> Result<String, Problem> {
        let id = self.pop()?;
        match &self.values[id.0] {
            Value::Text(text) => Ok(text.clone()),
            _ => Err("its pickle names a class by something else than a text".into()),
        }
    }

    fn pop_to_mark(&mut self) -> Result<Vec<Id>, Problem> {
        let height = self
            .marks
            .pop()
            .filter(|&height| height <= self.stack.len())
            .ok_or("its pickle goes back to a mark that it did not set")?;
        Ok(self.stack.split_off(height))
    }

    fn top(&mut self) -> Result<Id, Problem> {
        let id = self.pop()?;
        self.stack.push(id);
        Ok(id)
    }

    fn int(&mut self, width: usize, signed: bool) -> Result<(), Problem> {
        let number = self.number(width)?;
        let number = match signed {
            true => i64::from(number as u32 as i32),
            false => number as i64,
        };
        self.push(Value::Int(number));
        Ok(())
    }

    fn long(&mut self) -> Result<(), Problem> {
        let width = usize::from(self.byte()?);
        let bytes = self.take(width)?;
        if width > 8 {
            self.push(Value::Huge(bytes.to_vec()));
            return Ok(());
        }
        let sign = bytes.last().is_some_and(|&byte| byte >= 0x80);
        let mut whole = [if sign { 0xff } else { 0 }; 8];
        whole[..width].copy_from_slice(bytes);
        self.push(Value::Int(i64::from_le_bytes(whole)));
        Ok(())
    }

    fn text(&mut self, width: usize) -> Result<(), Problem> {
        let bytes = self.counted(width)?;
        self.push(Value::Text(String::from_utf8_lossy(bytes).into_owned()));
        Ok(())
    }

    fn binary(&mut self, width: usize) -> Result<(), Problem> {
        self.counted(width)?;
        self.push(Value::Bytes);
        Ok(())
    }

    /// Bytes behind their own count, which takes `width` bytes.
    fn counted(&mut self, width: usize) -> Result<&'a [u8], Problem> {
        let length = self.number(width)?;
        self.take(usize::try_from(length).map_err(|_| "truncated: its pickle ends early")?)
    }

    fn extend_list(&mut self, items: Vec<Id>) -> Result<(), Problem> {
        let id = self.top()?;
        match &mut self.values[id.0] {
            Value::List(list) => list.extend(items),
            _ => return Err("its pickle appends to something else than a list".into()),
        }
        Ok(())
    }

    fn extend_dict(&mut self, items: Vec<Id>) -> Result<(), Problem> {
        let id = self.top()?;
        match &mut self.values[id.0] {
            Value::Dict(dict) => {
                let (pairs, []) = items.as_chunks::<2>() else {
                    return Err("its pickle has a key without a value".into());
                };
                dict.extend(pairs.iter().map(|&[key, value]| (key, value)));
            }
            _ => return Err("its pickle sets items of something else than a dict".into()),
        }
        Ok(())
    }

    fn call(&mut self) -> Result<(), Problem> {
        let arguments = self.pop()?;
        let function = self.pop()?;
        let ordered = match &self.values[function.0] {
            Value::Global(name) => name == "collections.OrderedDict",
            _ => false,
        };
        let value = match ordered {
            true => Value::Dict(self.pairs(arguments)?),
            false => Value::Call {
                function,
                arguments,
            },
        };
        self.push(value);
        Ok(())
    }

    /// What an ordered dict starts with: nothing, or, as Python 2 wrote it, a list of pairs.
    fn pairs(&self, arguments: Id) -> Result<Vec<(Id, Id)>, Problem> {
        let items = |id: Id| match &self.values[id.0] {
            Value::Tuple(items) | Value::List(items) => Ok(items.as_slice()),
            _ => Err("its pickle makes an ordered dict of something else than pairs"),
        };
        let Some(&list) = items(arguments)?.first() else {
            return Ok(Vec::new());
        };
        let pair = |&id: &Id| match *items(id)? {
            [key, value] => Ok((key, value)),
            _ => Err("its pickle makes an ordered dict of something else than pairs".into()),
        };
        items(list)?.iter().map(pair).collect()
    }

    fn remember(&mut self, key: u32) -> Result<(), Problem> {
        let id = self.top()?;
        self.memo.insert(key, id);
        Ok(())
    }

    fn recall(&mut self, width: usize) -> Result<(), Problem> {
        let key = self.number(width)?;
        let id = self.memo.get(&(key as u32)).copied();
        let id = id.ok_or("its pickle recalls a value that it did not keep")?;
        self.stack.push(id);
        Ok(())
    }
}
