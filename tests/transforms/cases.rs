//! The cases that `generate.py` made.

use std::collections::HashMap;
use std::path::PathBuf;

use candlelight::candle_core::{Device, Tensor, safetensors};
use serde_json::Value;

pub struct Case {
    pub index: usize,
    pub op: String,
    pub args: Value,
    pub fields: Value,
    tensors: HashMap<String, Tensor>,
}

/// The cases of one transform: those of the folder named by `TRANSFORM_CASES`, or those that came
/// with the project.
pub fn read(op: &str) -> Vec<Case> {
    let folder = match std::env::var_os("TRANSFORM_CASES") {
        Some(folder) => PathBuf::from(folder),
        None => PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/transforms"),
    };
    let bytes = std::fs::read(folder.join(format!("{op}.safetensors"))).unwrap();
    let (_, header) = ::safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    let listed = header.metadata().as_ref().unwrap()["cases"].clone();
    let listed: Vec<Value> = serde_json::from_str(&listed).unwrap();
    let mut tensors: Vec<HashMap<String, Tensor>> = vec![HashMap::new(); listed.len()];
    for (name, tensor) in safetensors::load_buffer(&bytes, &Device::Cpu).unwrap() {
        let (index, name) = name.split_once('/').unwrap();
        tensors[index.parse::<usize>().unwrap()].insert(name.to_string(), tensor);
    }
    let case = |(index, (fields, tensors)): (usize, (Value, _))| Case {
        index,
        op: fields["op"].as_str().unwrap().to_string(),
        args: fields["args"].clone(),
        fields,
        tensors,
    };
    listed
        .into_iter()
        .zip(tensors)
        .enumerate()
        .map(case)
        .collect()
}

impl Case {
    pub fn find(&self, name: &str) -> Option<&Tensor> {
        self.tensors.get(name)
    }

    pub fn get(&self, name: &str) -> &Tensor {
        self.find(name)
            .unwrap_or_else(|| panic!("{self} has no {name}"))
    }

    pub fn seed(&self) -> u64 {
        self.fields["seed"].as_u64().unwrap()
    }

    /// What torchvision gives for the input, time after time.
    pub fn outputs(&self) -> impl Iterator<Item = &Tensor> {
        (0..).map_while(|time| self.find(&format!("y{time}")))
    }
}

impl std::fmt::Display for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} case {} seed {} {}",
            self.op, self.index, self.fields["seed"], self.args
        )
    }
}
