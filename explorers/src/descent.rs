//! Optimizers on a loss of two parameters.

use candlelight::candle_core::{Device, Result as CandleResult, Tensor, Var};
use wasm_bindgen::prelude::wasm_bindgen;

use crate::maps::told;
use crate::optimizer::build;
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
    let (mut optimizer, call) = build(&mut options, vec![place.clone()], 0.1)?;
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
