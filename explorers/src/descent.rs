//! Optimizers on a loss of two parameters.

use candlelight::candle_core::{DType, Device, Result as CandleResult, Tensor, Var};
use candlelight::optim::{Adagrad, Adam, AdamW, Optimizer, RmsProp, Sgd};
use wasm_bindgen::prelude::wasm_bindgen;

use crate::maps::told;
use crate::options::Options;

/// Where an optimizer went, and what it was called with.
#[wasm_bindgen]
#[derive(Debug)]
pub struct Path {
    points: Vec<f64>,
    losses: Vec<f64>,
    rust: String,
    python: String,
}

#[wasm_bindgen]
impl Path {
    /// x and y of each place, the start first; a path ends where it is no number any more.
    #[wasm_bindgen(getter)]
    #[must_use]
    pub fn points(&self) -> Vec<f64> {
        self.points.clone()
    }

    /// The loss at each place.
    #[wasm_bindgen(getter)]
    #[must_use]
    pub fn losses(&self) -> Vec<f64> {
        self.losses.clone()
    }

    /// The optimizer in Rust.
    #[wasm_bindgen(getter)]
    #[must_use]
    pub fn rust(&self) -> String {
        self.rust.clone()
    }

    /// The optimizer in Python.
    #[wasm_bindgen(getter)]
    #[must_use]
    pub fn python(&self) -> String {
        self.python.clone()
    }
}

/// The loss of the surface `name` at (x, y).
fn loss(name: &str, x: &Tensor, y: &Tensor) -> CandleResult<Tensor> {
    match name {
        // As steep in both directions.
        "bowl" => (x.sqr()? + y.sqr()?)? * 0.5,
        // Forty times as steep along y as along x.
        "ravine" => ((x.sqr()? * 0.05)? + (y.sqr()? * 2.0)?)?.affine(1.0, 0.0),
        // Down along y, on both sides.
        "saddle" => {
            let rim = y.sqr()?.sqr()?.affine(0.1, 0.0)?;
            ((x.sqr()? - y.sqr()?)? + rim)?.affine(0.5, 1.25)
        }
        // A bent valley: (1 − x)² + 10 (y − x²)².
        "rosenbrock" => {
            let first = x.affine(-1.0, 1.0)?.sqr()?;
            first + ((y - x.sqr()?)?.sqr()? * 10.0)?
        }
        other => candlelight::candle_core::bail!(
            "surface={other} is not known; choose bowl, ravine, saddle or rosenbrock"
        ),
    }
}

/// The loss over a grid, row after row from the highest y down.
///
/// # Errors
///
/// Where there is no such surface.
#[wasm_bindgen]
pub fn surface(name: &str, columns: usize, rows: usize, range: &[f64]) -> Result<Vec<f64>, String> {
    let [left, right, low, high] = *range else {
        return Err("a range has four numbers: left, right, low, high".into());
    };
    let part = |i: usize, n: usize| (i as f64 + 0.5) / n as f64;
    let xs: Vec<f64> = (0..rows * columns)
        .map(|i| left + (right - left) * part(i % columns, columns))
        .collect();
    let ys: Vec<f64> = (0..rows * columns)
        .map(|i| high - (high - low) * part(i / columns, rows))
        .collect();
    let tensor = |values: Vec<f64>| Tensor::new(values, &Device::Cpu);
    let losses = tensor(xs).and_then(|xs| loss(name, &xs, &tensor(ys)?));
    losses.and_then(|losses| losses.to_vec1()).map_err(told)
}

/// The path of an optimizer from (x, y): `surface`, `optimizer`, `steps` and the optimizer's parameters by
/// PyTorch's names.
///
/// # Errors
///
/// The message of the optimizer, or which option cannot be read.
#[wasm_bindgen]
pub fn descend(options: &str, x: f64, y: f64) -> Result<Path, String> {
    let mut options = Options::parse(options)?;
    let name = options.text("surface", "ravine");
    let steps: usize = options.or("steps", 60)?;
    let place = Tensor::new(&[x, y], &Device::Cpu).and_then(|place| Var::from_tensor(&place));
    let place = place.map_err(told)?;
    let (mut optimizer, call) = build(&mut options, &place)?;
    options.end()?;
    let (mut points, mut losses) = (Vec::new(), Vec::new());
    for step in 0..=steps {
        let parts = |i| place.narrow(0, i, 1)?.squeeze(0);
        let here = parts(0)
            .and_then(|x| loss(name, &x, &parts(1)?))
            .map_err(told)?;
        let at: Vec<f64> = place.to_vec1().map_err(told)?;
        let height: f64 = here.to_scalar().map_err(told)?;
        if !(height.is_finite() && at.iter().all(|value| value.is_finite())) {
            break;
        }
        points.extend(at);
        losses.push(height);
        if step < steps {
            optimizer
                .step(&here.backward().map_err(told)?)
                .map_err(told)?;
        }
    }
    Ok(Path {
        points,
        losses,
        rust: call.rust(),
        python: call.python(),
    })
}

/// How the reader writes it.
struct Call {
    name: &'static str,
    lr: f64,
    /// Parameters that are not at their default.
    set: Vec<(&'static str, String)>,
}

impl Call {
    fn rust(&self) -> String {
        let lr = number(self.lr);
        let mut text = match self.name {
            "Sgd" => format!("let mut sgd = Sgd::builder(net.parameters(), {lr})"),
            name => format!("let mut optimizer = {name}::builder(net.parameters()).lr({lr})"),
        };
        for (name, value) in &self.set {
            text.push_str(&format!(".{name}({value})"));
        }
        text + ".build()?;"
    }

    fn python(&self) -> String {
        let name = match self.name {
            "Sgd" => "SGD",
            "RmsProp" => "RMSprop",
            name => name,
        };
        let mut text = format!(
            "optimizer = optim.{name}(net.parameters(), lr={}",
            number(self.lr)
        );
        for (name, value) in &self.set {
            let value = if value == "true" { "True" } else { value };
            text.push_str(&format!(", {name}={value}"));
        }
        text + ")"
    }
}

fn number(value: f64) -> String {
    match value.fract() == 0.0 {
        true => format!("{value:.1}"),
        false => value.to_string(),
    }
}

fn build(options: &mut Options, place: &Var) -> Result<(Box<dyn Optimizer>, Call), String> {
    debug_assert_eq!(place.dtype(), DType::F64);
    let parameters = vec![place.clone()];
    let optimizer = options.text("optimizer", "sgd");
    let lr = options.or("lr", 0.1)?;
    let mut set = Vec::new();
    let mut take = |options: &mut Options, name: &'static str, default: f64| {
        let value = options.or(name, default)?;
        if value != default {
            set.push((name, number(value)));
        }
        Ok::<f64, String>(value)
    };
    let (name, built): (_, candlelight::Result<Box<dyn Optimizer>>) = match optimizer {
        "sgd" => {
            let momentum = take(options, "momentum", 0.0)?;
            let dampening = take(options, "dampening", 0.0)?;
            let weight_decay = take(options, "weight_decay", 0.0)?;
            let nesterov = options.or("nesterov", false)?;
            if nesterov {
                set.push(("nesterov", "true".into()));
            }
            let builder = Sgd::builder(parameters, lr)
                .momentum(momentum)
                .dampening(dampening)
                .weight_decay(weight_decay)
                .nesterov(nesterov);
            ("Sgd", builder.build().map(|sgd| Box::new(sgd) as _))
        }
        "adam" | "adamw" => {
            let betas = (options.or("beta1", 0.9)?, options.or("beta2", 0.999)?);
            if betas != (0.9, 0.999) {
                set.push((
                    "betas",
                    format!("({}, {})", number(betas.0), number(betas.1)),
                ));
            }
            let default = if optimizer == "adam" { 0.0 } else { 0.01 };
            let weight_decay = options.or("weight_decay", default)?;
            if weight_decay != default {
                set.push(("weight_decay", number(weight_decay)));
            }
            if optimizer == "adam" {
                let builder = Adam::builder(parameters).lr(lr).betas(betas);
                let adam = builder.weight_decay(weight_decay).build();
                ("Adam", adam.map(|adam| Box::new(adam) as _))
            } else {
                let builder = AdamW::builder(parameters).lr(lr).betas(betas);
                let adam_w = builder.weight_decay(weight_decay).build();
                ("AdamW", adam_w.map(|adam_w| Box::new(adam_w) as _))
            }
        }
        "rmsprop" => {
            let alpha = take(options, "alpha", 0.99)?;
            let momentum = take(options, "momentum", 0.0)?;
            let builder = RmsProp::builder(parameters).lr(lr).alpha(alpha);
            let built = builder.momentum(momentum).build();
            ("RmsProp", built.map(|rms_prop| Box::new(rms_prop) as _))
        }
        "adagrad" => {
            let lr_decay = take(options, "lr_decay", 0.0)?;
            let built = Adagrad::builder(parameters)
                .lr(lr)
                .lr_decay(lr_decay)
                .build();
            ("Adagrad", built.map(|adagrad| Box::new(adagrad) as _))
        }
        other => {
            return Err(format!(
                "optimizer={other} is not known; choose sgd, adam, adamw, rmsprop or adagrad"
            ));
        }
    };
    Ok((built.map_err(told)?, Call { name, lr, set }))
}
