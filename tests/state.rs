//! Saved state of optimizers, schedules and networks: it goes on where it was saved, what does not fit is
//! named, and a kill leaves a whole file.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use candlelight::prelude::*;
use candlelight::{Error, nn};

/// A folder of the test's own, which goes when the test is over.
fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

fn bits(net: &Net) -> Vec<u32> {
    let bits = |var: &Var| {
        let values = var.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        values.into_iter().map(f32::to_bits)
    };
    net.parameters().iter().flat_map(bits).collect()
}

/// A loop of one's own, over f64, without a schedule, interrupted after each step.
#[test]
fn each_optimizer_goes_on_after_any_step() {
    let build = |name: &str, x: &Var| -> Box<dyn Optimizer> {
        let p = vec![x.clone()];
        match name {
            "Sgd" => Box::new(Sgd::builder(p, 0.1).momentum(0.9).build().unwrap()),
            "Adam" => Box::new(Adam::builder(p).amsgrad(true).build().unwrap()),
            "AdamW" => Box::new(AdamW::builder(p).build().unwrap()),
            "RmsProp" => Box::new(
                RmsProp::builder(p)
                    .momentum(0.9)
                    .centered(true)
                    .build()
                    .unwrap(),
            ),
            _ => Box::new(
                Adagrad::builder(p)
                    .initial_accumulator_value(0.3)
                    .build()
                    .unwrap(),
            ),
        }
    };
    let gradients = |x: &Var| x.sin().unwrap().sum_all().unwrap().backward().unwrap();
    let values = |x: &Var| x.to_vec1::<f64>().unwrap();
    for name in ["Sgd", "Adam", "AdamW", "RmsProp", "Adagrad"] {
        let start = Tensor::new(&[1f64, -2.0, 0.3], &Device::Cpu).unwrap();
        let x = Var::from_tensor(&start).unwrap();
        let mut optimizer = build(name, &x);
        for _ in 0..5 {
            let state = optimizer.state_dict().unwrap();
            let copy = Var::from_tensor(&x.copy().unwrap()).unwrap();
            optimizer.step(&gradients(&x)).unwrap();
            // What was saved before the step did not change with it.
            let mut fresh = build(name, &copy);
            fresh.load_state_dict(&state).unwrap();
            fresh.step(&gradients(&copy)).unwrap();
            assert_eq!(values(&copy), values(&x), "{name}");
        }
    }
}

#[test]
fn an_optimizers_state_that_does_not_fit_is_named() {
    let var = |shape: &[usize], dtype| Var::zeros(shape, dtype, &Device::Cpu).unwrap();
    let trained = |var: &Var| {
        let mut adam = Adam::builder(vec![var.clone()]).build().unwrap();
        let loss = var.sum_all().unwrap();
        adam.step(&loss.backward().unwrap()).unwrap();
        adam.state_dict().unwrap()
    };
    let x = var(&[3, 2], DType::F32);
    let good = trained(&x);
    let mut adam = Adam::builder(vec![x.clone()]).lr(0.7).build().unwrap();
    let message = |adam: &mut Adam, state: &StateDict| {
        let error = adam.load_state_dict(state).unwrap_err();
        assert_eq!(adam.lr(), 0.7, "nothing has changed");
        error.to_string()
    };
    let cure = "; load what an optimizer of the same kind, over the same parameters, has saved";
    let without = |name: &str| -> StateDict {
        let keep = |(key, _): &(&String, &Tensor)| key.as_str() != name;
        let kept = good.iter().filter(keep);
        kept.map(|(name, tensor)| (name.clone(), tensor.clone()))
            .collect()
    };
    let with = |name: &str, value: f64| {
        let mut state = good.clone();
        state.insert_number(name, value).unwrap();
        state
    };
    for (state, problem) in [
        (without("state.0.exp_avg"), "state.0.exp_avg is missing"),
        (
            without("param_groups.0.eps"),
            "param_groups.0.eps is missing",
        ),
        (
            trained(&var(&[2, 3], DType::F32)),
            "state.0.exp_avg has shape [2, 3], expected [3, 2]",
        ),
        (
            trained(&var(&[3, 2], DType::F64)),
            "state.0.exp_avg has dtype F64, expected F32",
        ),
        (with("state.7.step", 1.0), "state.7.step is not known here"),
        (
            with("state.0.step", 0.5),
            "state.0.step is 0.5, expected a count",
        ),
        (
            with("param_groups.0.params", 2.0),
            "param_groups.0.params is 2, but there are 1 here",
        ),
        (
            with("param_groups.0.amsgrad", 1.0),
            "state.0.max_exp_avg_sq is missing",
        ),
        (
            AdamW::builder(vec![x.clone()])
                .build()
                .unwrap()
                .state_dict()
                .unwrap(),
            "param_groups.0.decoupled_weight_decay says that it is the state of AdamW",
        ),
    ] {
        assert_eq!(message(&mut adam, &state), format!("Adam: {problem}{cure}"));
    }
    assert_eq!(
        message(&mut adam, &with("param_groups.0.eps", -1.0)),
        "Adam: eps=-1 must be a number of at least 0"
    );
    adam.load_state_dict(&good).unwrap();
    assert_eq!(adam.lr(), 1e-3);
}

/// A buffer whose option is off is kept, as PyTorch keeps it, and takes no part in the steps.
#[test]
fn a_buffer_without_its_option_does_nothing() {
    let gradients = |x: &Var| x.sin().unwrap().sum_all().unwrap().backward().unwrap();
    type Build = fn(Var) -> Box<dyn Optimizer>;
    let builds: [(&str, Build); 2] = [
        ("max_exp_avg_sq", |x| {
            Box::new(Adam::builder(vec![x]).build().unwrap())
        }),
        ("grad_avg", |x| {
            Box::new(RmsProp::builder(vec![x]).build().unwrap())
        }),
    ];
    for (buffer, build) in builds {
        let x = Var::new(&[1f64, -2.0, 0.3], &Device::Cpu).unwrap();
        let mut optimizer = build(x.clone());
        optimizer.step(&gradients(&x)).unwrap();
        let copy = Var::from_tensor(&x.copy().unwrap()).unwrap();
        let mut other = build(copy.clone());
        let mut state = optimizer.state_dict().unwrap();
        let large = Tensor::new(&[0.4f64, 0.3, 0.5], &Device::Cpu).unwrap();
        state.insert(format!("state.0.{buffer}"), large);
        other.load_state_dict(&state).unwrap();
        optimizer.step(&gradients(&x)).unwrap();
        other.step(&gradients(&copy)).unwrap();
        let values = |x: &Var| x.to_vec1::<f64>().unwrap();
        assert_eq!(values(&copy), values(&x), "{buffer}");
    }
}

#[test]
fn a_tensor_without_a_name_is_not_a_buffer() {
    let x = Var::zeros(3, DType::F32, &Device::Cpu).unwrap();
    let mut sgd = Sgd::builder(vec![x.clone()], 0.1).build().unwrap();
    let mut state = sgd.state_dict().unwrap();
    state.insert("state.0.", x.as_tensor().clone());
    assert_eq!(
        sgd.load_state_dict(&state).unwrap_err().to_string(),
        "Sgd: state.0. is not known here; \
         load what an optimizer of the same kind, over the same parameters, has saved"
    );
}

/// A schedule may set any learning rate and momentum, even after the last step: the state loads, and the
/// next step is the one that would have followed.
#[test]
fn what_a_schedule_set_loads() {
    let build = |name: &str, x: &Var| -> Box<dyn Optimizer> {
        let p = vec![x.clone()];
        match name {
            "Sgd" => Box::new(
                Sgd::builder(p, 0.1)
                    .momentum(0.9)
                    .nesterov(true)
                    .build()
                    .unwrap(),
            ),
            "Adam" => Box::new(Adam::builder(p).build().unwrap()),
            "AdamW" => Box::new(AdamW::builder(p).build().unwrap()),
            "RmsProp" => Box::new(RmsProp::builder(p).build().unwrap()),
            _ => Box::new(Adagrad::builder(p).build().unwrap()),
        }
    };
    let gradients = |x: &Var| x.sin().unwrap().sum_all().unwrap().backward().unwrap();
    for name in ["Sgd", "Adam", "AdamW", "RmsProp", "Adagrad"] {
        for (lr, momentum) in [(-0.1, 0.0), (0.1, 0.5), (-1.5e-18, -0.25), (0.2, 1.5)] {
            let x = Var::new(&[1f64, -2.0, 0.3], &Device::Cpu).unwrap();
            let mut optimizer = build(name, &x);
            optimizer.step(&gradients(&x)).unwrap();
            optimizer.set_lr(lr);
            if optimizer.momentum().is_some() {
                optimizer.set_momentum(momentum).unwrap();
            }
            let copy = Var::from_tensor(&x.copy().unwrap()).unwrap();
            let mut fresh = build(name, &copy);
            let state = optimizer.state_dict().unwrap();
            fresh.load_state_dict(&state).unwrap();
            assert_eq!((fresh.lr(), fresh.momentum()), (lr, optimizer.momentum()));
            optimizer.step(&gradients(&x)).unwrap();
            fresh.step(&gradients(&copy)).unwrap();
            let values = |x: &Var| x.to_vec1::<f64>().unwrap();
            assert_eq!(values(&copy), values(&x), "{name}");
        }
    }
}

#[test]
fn a_schedule_goes_on_and_refuses() {
    let mut cycle = OneCycleLr::builder(0.1, 20)
        .anneal_strategy(AnnealStrategy::Linear)
        .three_phase(true)
        .build()
        .unwrap();
    let mut milestones = MultiStepLr::builder(0.1, [2, 2, 5]).build().unwrap();
    for _ in 0..4 {
        cycle.advance().unwrap();
        milestones.advance().unwrap();
    }
    let mut other = OneCycleLr::builder(7.0, 3).build().unwrap();
    other.load_state_dict(&cycle.state_dict().unwrap()).unwrap();
    assert_eq!(other, cycle);
    let mut other = MultiStepLr::builder(7.0, []).build().unwrap();
    other
        .load_state_dict(&milestones.state_dict().unwrap())
        .unwrap();
    assert_eq!(other, milestones);

    let error = cycle
        .load_state_dict(&milestones.state_dict().unwrap())
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "OneCycleLr: max_lr is missing; load what a schedule of the same kind has saved"
    );
}

#[test]
fn a_net_is_saved_with_pytorchs_names() {
    let folder = folder();
    let path = folder.path().join("net.safetensors");
    let net = |dtype| Net::new(var_builder(dtype, &Device::Cpu)).unwrap();
    let (saved, loaded) = (net(DType::F32), net(DType::F32));
    nn::save(&saved, &path).unwrap();
    nn::load(&loaded, &path).unwrap();
    assert_eq!(bits(&saved), bits(&loaded));

    let names: Vec<String> = StateDict::load(&path)
        .unwrap()
        .names()
        .map(String::from)
        .collect();
    let mut expected: Vec<String> = ["conv1", "conv2", "fc1", "fc2"]
        .iter()
        .flat_map(|layer| [format!("{layer}.bias"), format!("{layer}.weight")])
        .collect();
    expected.sort();
    assert_eq!(names, expected);

    // Each problem is named, and nothing has changed.
    let before = bits(&loaded);
    let cure = "load it into the network that it was saved from";
    let mut state = saved.state_dict().unwrap();
    state.insert(
        "fc3.weight",
        Tensor::zeros(1, DType::F32, &Device::Cpu).unwrap(),
    );
    state.insert(
        "fc1.bias",
        Tensor::zeros(50, DType::F64, &Device::Cpu).unwrap(),
    );
    state.insert(
        "fc2.bias",
        Tensor::zeros(11, DType::F32, &Device::Cpu).unwrap(),
    );
    let error = loaded.load_state_dict(&state).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "load_state_dict: fc1.bias has dtype F64, the network's F32, \
             fc2.bias has shape [11], the network's [10], fc3.weight is not in the network; {cure}"
        )
    );
    let error = nn::load(&net(DType::F64), &path).unwrap_err().to_string();
    assert!(error.contains("net.safetensors: conv1.weight has dtype F32, the network's F64, "));
    let only: StateDict = [("fc1.bias".into(), state.get("fc3.weight").unwrap().clone())]
        .into_iter()
        .collect();
    only.save(&path).unwrap();
    let error = nn::load(&loaded, &path).unwrap_err().to_string();
    assert!(
        error.contains("conv1.weight is missing, conv1.bias is missing, "),
        "{error}"
    );
    assert_eq!(bits(&loaded), before);
}

#[test]
fn a_file_that_cannot_be_is_named() {
    let folder = folder();
    let path = folder.path().join("net.safetensors");
    let net = Net::new(var_builder(DType::F32, &Device::Cpu)).unwrap();
    nn::save(&net, &path).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    for length in [0, 7, 100, bytes.len() - 1] {
        std::fs::write(&path, &bytes[..length]).unwrap();
        let error = nn::load(&net, &path).unwrap_err();
        assert!(matches!(error, Error::CorruptFile { .. }), "{error}");
        assert_eq!(error.to_string().lines().count(), 1);
    }
    let nowhere = folder.path().join("no/such/folder/net");
    assert!(matches!(nn::save(&net, nowhere), Err(Error::Io { .. })));
    assert!(matches!(
        nn::load(&net, folder.path()),
        Err(Error::Io { .. })
    ));
    // Nothing stays behind: neither of the failures nor of the successes.
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[cfg(unix)]
#[test]
fn a_saved_file_has_a_new_files_permissions() {
    use std::os::unix::fs::PermissionsExt;
    let folder = folder();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode();
    let (plain, saved) = (folder.path().join("plain"), folder.path().join("saved"));
    std::fs::write(&plain, "").unwrap();
    StateDict::new().save(&saved).unwrap();
    assert_eq!(mode(&saved), mode(&plain));
}

/// The process of the test below that saves until it is killed.
const SAVE_FOREVER: &str = "CANDLELIGHT_TEST_SAVE_FOREVER";

#[test]
fn a_kill_leaves_a_whole_file() {
    let state = |value: f32| {
        let mut state = StateDict::new();
        let tensor = Tensor::full(value, 500_000, &Device::Cpu).unwrap();
        state.insert("a", tensor.contiguous().unwrap());
        state.insert_number("b", f64::from(value)).unwrap();
        state
    };
    if let Some(path) = std::env::var_os(SAVE_FOREVER) {
        for value in 1.. {
            state(value as f32).save(&path).unwrap();
        }
    }
    let folder = folder();
    let path: PathBuf = folder.path().join("state");
    state(0.0).save(&path).unwrap();
    let (mut saved, mut unfinished) = (0, 0);
    // At least so many kills; and more until they struck between two saves and in the middle of one.
    for round in 0..1000u64 {
        if round >= 40 && saved * unfinished > 0 {
            break;
        }
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "a_kill_leaves_a_whole_file"])
            .env(SAVE_FOREVER, &path)
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_micros(8_000 + round * 1_733));
        child.kill().unwrap();
        child.wait().unwrap();

        let found = StateDict::load(&path).unwrap();
        let number = found.number("b").unwrap();
        let values = found.get("a").unwrap().to_vec1::<f32>().unwrap();
        assert_eq!(values.len(), 500_000);
        assert!(values.iter().all(|&value| f64::from(value) == number));
        saved += usize::from(number > 0.0);
        for entry in std::fs::read_dir(folder.path()).unwrap() {
            let entry = entry.unwrap().path();
            if entry != path {
                unfinished += 1;
                std::fs::remove_file(entry).unwrap();
            }
        }
    }
    assert!(
        saved > 0 && unfinished > 0,
        "{saved} saved, {unfinished} unfinished"
    );
}
