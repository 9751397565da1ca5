//! Cases that PyTorch computed: `tests/golden/*.safetensors`. The metadata's `cases` is a JSON list;
//! the tensors of case i are named `i/…`.
#![allow(dead_code, missing_docs, clippy::unwrap_used, clippy::panic)]

use std::path::Path;

use candlelight::candle_core::{DType, Device, Tensor, Var, safetensors};
use candlelight::size::Size2;
use serde_json::Value;

pub struct Golden {
    tensors: std::collections::HashMap<String, Tensor>,
    pub cases: Vec<Case>,
}

#[derive(Clone)]
pub struct Case {
    pub index: usize,
    pub op: String,
    pub args: Value,
    pub raises: bool,
    pub fields: Value,
}

impl Golden {
    pub fn read(name: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/golden")
            .join(format!("{name}.safetensors"));
        let bytes = std::fs::read(&path).unwrap();
        let (_, header) = ::safetensors::SafeTensors::read_metadata(&bytes).unwrap();
        let cases = header.metadata().as_ref().unwrap()["cases"].clone();
        let cases: Vec<Value> = serde_json::from_str(&cases).unwrap();
        let case = |(index, fields): (usize, Value)| Case {
            index,
            op: fields["op"].as_str().unwrap().to_string(),
            args: fields["args"].clone(),
            raises: fields["raises"].as_bool().unwrap_or(false),
            fields,
        };
        Self {
            tensors: safetensors::load_buffer(&bytes, &Device::Cpu).unwrap(),
            cases: cases.into_iter().enumerate().map(case).collect(),
        }
    }

    pub fn find(&self, case: &Case, name: &str) -> Option<&Tensor> {
        self.tensors.get(&format!("{}/{name}", case.index))
    }

    pub fn get(&self, case: &Case, name: &str) -> &Tensor {
        self.find(case, name)
            .unwrap_or_else(|| panic!("{case} has no {name}"))
    }

    pub fn var(&self, case: &Case, name: &str) -> Var {
        Var::from_tensor(self.get(case, name)).unwrap()
    }

    /// The tensors of a case whose name begins with `prefix`, under the rest of their names.
    pub fn named(&self, case: &Case, prefix: &str) -> std::collections::HashMap<String, Tensor> {
        let prefix = format!("{}/{prefix}", case.index);
        let strip = |(name, tensor): (&String, &Tensor)| {
            Some((name.strip_prefix(&prefix)?.to_string(), tensor.clone()))
        };
        self.tensors.iter().filter_map(strip).collect()
    }
}

impl std::fmt::Display for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "case {} ({} {})", self.index, self.op, self.args)
    }
}

impl Case {
    pub fn usize(&self, name: &str) -> usize {
        self.args[name].as_u64().unwrap() as usize
    }

    pub fn bool(&self, name: &str) -> bool {
        self.args[name].as_bool().unwrap_or(false)
    }

    pub fn f64(&self, name: &str) -> f64 {
        self.args[name].as_f64().unwrap_or(0.0)
    }

    pub fn str(&self, name: &str) -> Option<&str> {
        self.args[name].as_str()
    }

    /// An int or a pair; `None` where it is null or text.
    pub fn size(&self, name: &str) -> Option<Size2> {
        let value = &self.args[name];
        match value.as_array() {
            Some(pair) => {
                let at = |i: usize| pair[i].as_u64().unwrap() as usize;
                Some(Size2::from((at(0), at(1))))
            }
            None => value.as_u64().map(|both| Size2::from(both as usize)),
        }
    }
}

/// The tensors agree within `tolerance`, absolute and relative to the largest value expected.
pub fn assert_close(what: &str, got: &Tensor, expected: &Tensor, tolerance: f64) {
    assert_eq!(got.dims(), expected.dims(), "{what}: shape");
    let flat = |tensor: &Tensor| {
        let tensor = tensor.to_dtype(DType::F64).unwrap();
        tensor.flatten_all().unwrap().to_vec1::<f64>().unwrap()
    };
    let (got, expected) = (flat(got), flat(expected));
    let largest = expected
        .iter()
        .fold(0f64, |a, b| if b.is_finite() { a.max(b.abs()) } else { a });
    let allowed = tolerance * largest.max(1.0);
    for (i, (got, expected)) in got.iter().zip(&expected).enumerate() {
        let same = got == expected || (got.is_nan() && expected.is_nan());
        assert!(
            same || (got - expected).abs() <= allowed,
            "{what}: element {i} is {got}, expected {expected}"
        );
    }
}
