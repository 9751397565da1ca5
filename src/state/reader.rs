use std::cell::RefCell;
use std::collections::BTreeSet;

use candle_core::{DType, Tensor, Var};

use super::StateDict;
use crate::{Error, Result};

/// Takes a state apart and refuses what does not fit: an entry that is missing, that nobody asked for,
/// or that has another shape or type.
pub(crate) struct Reader<'a> {
    state: &'a StateDict,
    owner: &'static str,
    /// Where another state is to be had.
    cure: &'static str,
    used: RefCell<BTreeSet<String>>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(state: &'a StateDict, owner: &'static str, cure: &'static str) -> Self {
        Self {
            state,
            owner,
            cure,
            used: RefCell::default(),
        }
    }

    /// The error that this entry has this problem.
    pub(crate) fn refuse<T>(&self, name: &str, problem: impl Into<String>) -> Result<T> {
        Err(Error::WrongState {
            owner: self.owner.to_string(),
            problem: format!("{name} {}", problem.into()),
            cure: self.cure,
        })
    }

    fn entry(&self, name: &str) -> Option<&'a Tensor> {
        let found = self.state.get(name)?;
        self.used.borrow_mut().insert(name.to_string());
        Some(found)
    }

    /// A copy of the entry, which must fit `var`, on `var`'s device; none where there is none.
    pub(crate) fn optional(&self, name: &str, var: &Var) -> Result<Option<Tensor>> {
        let Some(found) = self.entry(name) else {
            return Ok(None);
        };
        if found.shape() != var.shape() {
            let (got, expected) = (found.dims(), var.dims());
            return self.refuse(name, format!("has shape {got:?}, expected {expected:?}"));
        }
        if found.dtype() != var.dtype() {
            let (got, expected) = (found.dtype(), var.dtype());
            return self.refuse(name, format!("has dtype {got:?}, expected {expected:?}"));
        }
        let contiguous = found.force_contiguous()?;
        Ok(Some(match contiguous.device().same_device(var.device()) {
            true => contiguous,
            false => contiguous.to_device(var.device())?,
        }))
    }

    /// As [`optional`](Self::optional), for an entry that must be there.
    pub(crate) fn tensor(&self, name: &str, var: &Var) -> Result<Tensor> {
        match self.optional(name, var)? {
            Some(tensor) => Ok(tensor),
            None => self.refuse(name, "is missing"),
        }
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.state.get(name).is_some()
    }

    pub(crate) fn number(&self, name: &str) -> Result<f64> {
        let Some(found) = self.entry(name) else {
            return self.refuse(name, "is missing");
        };
        if found.rank() != 0 || found.dtype() != DType::F64 {
            let (shape, dtype) = (found.dims(), found.dtype());
            let problem =
                format!("has shape {shape:?} and dtype {dtype:?}, expected one number of F64");
            return self.refuse(name, problem);
        }
        Ok(found.to_scalar()?)
    }

    pub(crate) fn flag(&self, name: &str) -> Result<bool> {
        match self.number(name)? {
            0.0 => Ok(false),
            1.0 => Ok(true),
            other => self.refuse(name, format!("is {other}, expected 0 or 1")),
        }
    }

    pub(crate) fn count(&self, name: &str) -> Result<u64> {
        let number = self.number(name)?;
        // Beyond 2⁵³ an f64 skips integers.
        if number.fract() != 0.0 || !(0.0..=9.0e15).contains(&number) {
            return self.refuse(name, format!("is {number}, expected a count"));
        }
        Ok(number as u64)
    }

    /// All entries must have been asked for.
    pub(crate) fn finish(self) -> Result<()> {
        let used = self.used.borrow();
        match self.state.names().find(|name| !used.contains(*name)) {
            Some(name) => self.refuse(name, "is not known here"),
            None => Ok(()),
        }
    }
}
