//! PyTorch's `.pt` files: the values that PyTorch wrote, in both serialisations, and no panic whatever
//! the bytes. `tests/pt/generate.py` makes the files.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use candlelight::Error;
use candlelight::candle_core::safetensors;
use candlelight::prelude::*;
use candlelight::pt::read_state_dict;

fn file(name: &str) -> PathBuf {
    Path::new("tests/pt").join(name)
}

fn expected(name: &str) -> HashMap<String, Tensor> {
    safetensors::load(file(name), &Device::Cpu).unwrap()
}

fn bytes(tensor: &Tensor) -> Vec<f64> {
    let tensor = tensor.to_dtype(DType::F64).unwrap();
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

#[test]
fn a_net_from_pytorch_gives_pytorchs_logits() {
    let golden = expected("net.safetensors");
    for name in ["net.pt", "net_legacy.pt"] {
        let net = Net::new(var_builder(DType::F32, &Device::Cpu)).unwrap();
        load_pt(&net, file(name)).unwrap();
        let logits = net.forward(&golden["images"]).unwrap();
        let difference = (logits - &golden["logits"]).unwrap().abs().unwrap();
        let difference = difference.max_all().unwrap().to_scalar::<f32>().unwrap();
        assert!(difference < 1e-6, "{name}: {difference}");
    }
}

#[test]
fn the_names_come_in_the_files_order() {
    let net = Net::new(var_builder(DType::F32, &Device::Cpu)).unwrap();
    let names: Vec<String> = net
        .named_parameters()
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    for name in ["net.pt", "net_legacy.pt"] {
        let state = read_state_dict(file(name)).unwrap();
        let found: Vec<String> = state.into_iter().map(|(name, _)| name).collect();
        assert_eq!(found, names);
    }
}

#[test]
fn every_dtype_and_layout_is_read_to_the_bit() {
    let golden = expected("tensors.safetensors");
    for name in [
        "tensors.pt",
        "tensors_legacy.pt",
        "tensors_protocol4.pt",
        "tensors_protocol4_legacy.pt",
    ] {
        let state = read_state_dict(file(name)).unwrap();
        assert_eq!(state.len(), golden.len());
        assert_eq!(state[0].0, "f64");
        for (key, tensor) in state {
            let expected = &golden[&key];
            assert_eq!(tensor.dtype(), expected.dtype(), "{name}: {key}");
            assert_eq!(tensor.dims(), expected.dims(), "{name}: {key}");
            assert_eq!(bytes(&tensor), bytes(expected), "{name}: {key}");
        }
    }
}

#[test]
fn i64_is_exact() {
    let state = read_state_dict(file("tensors.pt")).unwrap();
    let (_, tensor) = state.iter().find(|(name, _)| name == "i64").unwrap();
    assert_eq!(tensor.to_vec1::<i64>().unwrap(), [-(1 << 40), 0, 1 << 62]);
}

#[test]
fn values_become_the_parameters_dtype() {
    let net = Net::new(var_builder(DType::F64, &Device::Cpu)).unwrap();
    load_pt(&net, file("net.pt")).unwrap();
    let single = Net::new(var_builder(DType::F32, &Device::Cpu)).unwrap();
    load_pt(&single, file("net.pt")).unwrap();
    for (double, single) in net.parameters().iter().zip(single.parameters()) {
        assert_eq!(double.dtype(), DType::F64);
        assert_eq!(bytes(double), bytes(&single));
    }
}

#[test]
fn another_networks_state_changes_nothing() {
    struct Part(Linear, Linear);
    impl Network for Part {
        fn forward(&self, images: &Tensor) -> Result<Tensor> {
            self.1.forward(&self.0.forward(images)?)
        }
        fn named_parameters(&self) -> Vec<(String, Var)> {
            let named = |layer: &str, parameters: Vec<(String, Var)>| {
                let name = |(name, var)| (format!("{layer}.{name}"), var);
                parameters.into_iter().map(name).collect::<Vec<_>>()
            };
            let mut all = named("fc1", self.0.named_parameters());
            all.extend(named("fc3", self.1.named_parameters()));
            all
        }
    }
    let vb = var_builder(DType::F32, &Device::Cpu);
    let net = Part(
        Linear::builder(320, 50).build(vb.pp("fc1")).unwrap(),
        Linear::builder(50, 10).build(vb.pp("fc3")).unwrap(),
    );
    let before: Vec<_> = net.parameters().iter().map(|var| bytes(var)).collect();
    for name in ["net.pt", "net_legacy.pt"] {
        let error = load_pt(&net, file(name)).unwrap_err();
        assert!(matches!(error, Error::WrongState { .. }));
        let message = error.to_string();
        for part in [
            name,
            "fc3.weight is missing, fc3.bias is missing",
            "conv1.weight is not in the network",
            "fc2.bias is not in the network",
            "load it into the network that it was saved from",
        ] {
            assert!(message.contains(part), "{message}");
        }
        assert!(!message.contains("fc1"), "{message}");
    }
    let after: Vec<_> = net.parameters().iter().map(|var| bytes(var)).collect();
    assert_eq!(before, after);
}

#[test]
fn what_is_no_state_dict_is_named() {
    for (name, problem) in [
        (
            "checkpoint",
            "under \"epoch\" it holds an int where a tensor stands",
        ),
        (
            "tensor",
            "it holds a \"torch._utils._rebuild_tensor_v2\" where a state dict stands",
        ),
        (
            "complex",
            "under \"weight\" it holds torch.ComplexFloatStorage, of a type that candle has not",
        ),
    ] {
        for name in [format!("{name}.pt"), format!("{name}_legacy.pt")] {
            let error = read_state_dict(file(&name)).unwrap_err();
            assert!(matches!(error, Error::CorruptFile { .. }));
            assert_eq!(
                error.to_string(),
                format!(
                    "tests/pt/{name}: {problem}; save it again with torch.save(net.state_dict(), path)"
                )
            );
        }
    }
    let error = read_state_dict(file("nowhere.pt")).unwrap_err();
    assert!(matches!(error, Error::MissingFile { .. }));
    let error = read_state_dict(file("net.safetensors")).unwrap_err();
    assert!(
        error.to_string().contains("not a file of torch.save"),
        "{error}"
    );
}

/// What a file with these bytes gives: an error of one line that names it, or tensors.
fn read(path: &Path, bytes: &[u8]) -> Option<Error> {
    std::fs::write(path, bytes).unwrap();
    let error = read_state_dict(path).err()?;
    let message = error.to_string();
    assert!(message.starts_with(path.to_str().unwrap()), "{message}");
    assert!(!message.contains('\n'), "{message}");
    Some(error)
}

fn scratch(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("candlelight-pt-{name}-{}.pt", std::process::id()))
}

#[test]
fn a_truncated_file_is_refused_wherever_it_ends() {
    let path = scratch("truncated");
    for name in ["tensors.pt", "tensors_legacy.pt"] {
        let whole = std::fs::read(file(name)).unwrap();
        for length in (0..whole.len()).rev().step_by(5) {
            assert!(read(&path, &whole[..length]).is_some(), "{name}: {length}");
        }
    }
    std::fs::remove_file(path).unwrap();
}

#[test]
fn flipped_bytes_never_panic() {
    let path = scratch("flipped");
    let mut random = Generator::new(4);
    for name in [
        "tensors.pt",
        "tensors_legacy.pt",
        "tensors_protocol4_legacy.pt",
        "checkpoint_legacy.pt",
    ] {
        let whole = std::fs::read(file(name)).unwrap();
        for _ in 0..400 {
            let mut bytes = whole.clone();
            for _ in 0..1 + random.random_i64() % 4 {
                let at = random.random_i64() as usize % bytes.len();
                bytes[at] = random.random_i64() as u8;
            }
            read(&path, &bytes);
        }
    }
    std::fs::remove_file(path).unwrap();
}

#[test]
fn a_file_cannot_make_more_of_itself_than_it_is() {
    let path = scratch("large");
    // Two million tuples, each inside the next; a text of 4 GB in a file of some bytes; a value that
    // is popped from an empty stack; an unknown instruction; a mark that is not there.
    let mut nested = vec![0x80, 2, b')'];
    nested.extend(std::iter::repeat_n(0x85, 2_000_000));
    nested.push(b'.');
    for bytes in [
        nested,
        b"\x80\x02X\xff\xff\xff\xffabc.".to_vec(),
        b"\x80\x02\x8d\xff\xff\xff\xff\xff\xff\xff\xffabc.".to_vec(),
        b"\x80\x020.".to_vec(),
        b"\x80\x02a.".to_vec(),
        b"\x80\x02(a.".to_vec(),
        b"\x80\x02t.".to_vec(),
        b"\x80\x02h\x07.".to_vec(),
        b"\x80\x02cno newline".to_vec(),
        b"\x80".to_vec(),
        Vec::new(),
    ] {
        assert!(read(&path, &bytes).is_some());
    }
    std::fs::remove_file(path).unwrap();
}

/// A file of `torch.save`: one element, and a state dict in which `names` stand for one tensor of it.
fn repeated(names: usize, size: &[i64]) -> Vec<u8> {
    let text = |text: &str| [&[b'X', text.len() as u8, 0, 0, 0], text.as_bytes()].concat();
    let long = |value: i64| [[0x8a, 8].as_slice(), &value.to_le_bytes()].concat();
    let tuple = |items: Vec<u8>| [b"(".as_slice(), &items, b"t"].concat();
    let storage = [
        text("storage"),
        b"ctorch\nFloatStorage\n".to_vec(),
        text("0"),
        text("cpu"),
        long(1),
    ];
    let arguments = [
        [tuple(storage.concat()), b"Q".to_vec()].concat(),
        long(0),
        tuple(size.iter().flat_map(|&size| long(size)).collect()),
        tuple(size.iter().flat_map(|_| long(0)).collect()),
        // requires_grad, and the hooks
        b"\x89}".to_vec(),
    ];
    let tensor = [
        b"ctorch._utils\n_rebuild_tensor_v2\n".to_vec(),
        tuple(arguments.concat()),
        b"Rq\x00".to_vec(),
    ];
    let mut pickle = [b"\x80\x02}(".to_vec(), text("0"), tensor.concat()].concat();
    for name in 1..names {
        pickle.extend([text(&name.to_string()), b"h\x00".to_vec()].concat());
    }
    pickle.extend(b"u.");
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let stored =
        zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for (name, content) in [
        ("net/data.pkl", pickle.as_slice()),
        ("net/data/0", &1.0f32.to_le_bytes()),
    ] {
        archive.start_file(name, stored).unwrap();
        std::io::Write::write_all(&mut archive, content).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

#[test]
fn many_names_of_one_element_do_not_fill_the_memory() {
    let path = scratch("names");
    // Each takes 16 MiB.
    assert!(read(&path, &repeated(4, &[1 << 22])).is_none());
    let error = read(&path, &repeated(6, &[1 << 22])).unwrap();
    assert!(
        error
            .to_string()
            .contains("under \"4\" it holds tensors that repeat its storages more than 32 times"),
        "{error}"
    );
    std::fs::remove_file(path).unwrap();
}

#[test]
fn sizes_beyond_any_memory_are_refused_where_one_is_0_too() {
    let path = scratch("sizes");
    assert!(read(&path, &repeated(1, &[0, 3, 4])).is_none());
    for size in [[0, 1 << 62, 1 << 62], [1 << 62, 0, 1 << 62]] {
        let error = read(&path, &repeated(1, &size)).unwrap();
        assert!(error.to_string().contains("beyond its storage"), "{error}");
    }
    std::fs::remove_file(path).unwrap();
}
