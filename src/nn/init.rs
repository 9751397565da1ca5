//! First weights, in PyTorch's distribution and in PyTorch's order.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use candle_core::{DType, Device, Shape, Tensor, Var, bail};
use candle_nn::var_builder::SimpleBackend;
use candle_nn::{Init, VarBuilder};

use crate::ops::buffer::fits;
use crate::random::{Generator, with_global};

/// The distribution of a weight's first values: what `kaiming_uniform_(a=√5)` gives in
/// `torch.nn.Conv2d` and `torch.nn.Linear`, uniform in ±1/√fan_in.
pub(crate) fn weight_init(fan_in: usize) -> Init {
    // PyTorch's own arithmetic, rounding included: gain·√3/√fan_in with gain = √(2/(1 + a²)).
    let slope = 5f64.sqrt();
    let gain = (2.0 / (1.0 + slope * slope)).sqrt();
    let bound = 3f64.sqrt() * (gain / (fan_in.max(1) as f64).sqrt());
    Init::Uniform {
        lo: -bound,
        up: bound,
    }
}

/// The distribution of a bias's first values: uniform in ±1/√fan_in; drawn, but 0, for no inputs.
pub(crate) fn bias_init(fan_in: usize) -> Init {
    let bound = match fan_in {
        0 => 0.0,
        _ => 1.0 / (fan_in as f64).sqrt(),
    };
    Init::Uniform {
        lo: -bound,
        up: bound,
    }
}

/// A [`VarBuilder`] whose new variables draw their first values from the global generator, in the
/// order in which the layers are built.
///
/// After [`manual_seed`](crate::random::manual_seed) a network built on it has the weights, to the
/// last digit, that PyTorch gives the same network after `torch.manual_seed` with the same seed.
///
/// # Errors
///
/// None here. Asking it for a normal distribution is an error of candle, when asked: the layers of
/// this crate draw uniformly. So is asking for more than fits into memory.
///
/// # Differences from PyTorch
///
/// The values are drawn on the CPU and then copied to `device`, so that they are the same on each
/// device.
///
/// # Example
///
/// ```
/// use candlelight::prelude::*;
///
/// # fn main() -> Result<()> {
/// manual_seed(0);
/// let vb = var_builder(DType::F32, &Device::Cpu);
/// let fc = Linear::builder(1, 2).build(vb.pp("fc"))?;
/// // torch.manual_seed(0); torch.nn.Linear(1, 2).weight
/// assert_eq!(fc.weight().to_vec2::<f32>()?, [[-0.0074868202], [0.5364436]]);
/// # Ok(())
/// # }
/// ```
pub fn var_builder(dtype: DType, device: &Device) -> VarBuilder<'static> {
    build(Source::Global, dtype, device)
}

/// As [`var_builder`], drawing from a generator of one's own.
///
/// The generator is shared: clones of the [`Arc`] go on where the last draw left it.
///
/// # Example
///
/// ```
/// use std::sync::{Arc, Mutex};
/// use candlelight::prelude::*;
///
/// # fn main() -> Result<()> {
/// let generator = Arc::new(Mutex::new(Generator::new(0)));
/// let vb = var_builder_from(generator, DType::F32, &Device::Cpu);
/// let fc = Linear::builder(1, 2).build(vb.pp("fc"))?;
/// assert_eq!(fc.weight().to_vec2::<f32>()?, [[-0.0074868202], [0.5364436]]);
/// # Ok(())
/// # }
/// ```
pub fn var_builder_from(
    generator: Arc<Mutex<Generator>>,
    dtype: DType,
    device: &Device,
) -> VarBuilder<'static> {
    build(Source::Own(generator), dtype, device)
}

fn build(source: Source, dtype: DType, device: &Device) -> VarBuilder<'static> {
    let backend = Drawn {
        source,
        vars: Mutex::new(HashMap::new()),
    };
    VarBuilder::from_backend(Box::new(backend), dtype, device.clone())
}

enum Source {
    Global,
    Own(Arc<Mutex<Generator>>),
}

impl Source {
    fn draw<T>(&self, draw: impl FnOnce(&mut Generator) -> T) -> T {
        match self {
            Self::Global => with_global(draw),
            Self::Own(own) => draw(&mut own.lock().unwrap_or_else(PoisonError::into_inner)),
        }
    }
}

/// Draws a variable when it is first asked for; the same name gives the same variable again.
struct Drawn {
    source: Source,
    vars: Mutex<HashMap<String, Var>>,
}

impl Drawn {
    fn values(
        &self,
        shape: &Shape,
        name: &str,
        init: Init,
        dtype: DType,
    ) -> candle_core::Result<Tensor> {
        let dims = shape.dims();
        let n = dims.iter().try_fold(1usize, |n, &dim| n.checked_mul(dim));
        // The values, and the variable that is made of them.
        let room = |n: &usize| match dtype {
            DType::F64 => fits::<f64>(*n, 2),
            _ => fits::<f32>(*n, 2),
        };
        let Some(n) = n.filter(room) else {
            bail!(
                "var_builder: {name} of shape {dims:?} does not fit into memory; use a smaller layer"
            );
        };
        match init {
            Init::Const(value) => Tensor::full(value, shape, &Device::Cpu)?.to_dtype(dtype),
            Init::Uniform { lo, up } if dtype == DType::F64 => {
                let values = self
                    .source
                    .draw(|generator| generator.uniform_f64(n, lo, up));
                Tensor::from_vec(values, shape, &Device::Cpu)
            }
            Init::Uniform { lo, up } => {
                let values = self.source.draw(|generator| generator.uniform(n, lo, up));
                let values = Tensor::from_vec(values, shape, &Device::Cpu)?;
                match dtype {
                    DType::F32 => Ok(values),
                    _ => rounded(&values, lo, up, dtype),
                }
            }
            Init::Randn { .. } | Init::Kaiming { .. } => bail!(
                "var_builder: {name} asks for {init:?}, which is not drawn here; use Init::Uniform or Init::Const"
            ),
        }
    }
}

/// `values` in a type with fewer digits: as in PyTorch, what rounds to `up`, which the range
/// excludes, becomes `lo`.
fn rounded(values: &Tensor, lo: f64, up: f64, dtype: DType) -> candle_core::Result<Tensor> {
    let values = values.to_dtype(dtype)?;
    let full =
        |value: f64| Tensor::full(value as f32, values.shape(), &Device::Cpu)?.to_dtype(dtype);
    values.eq(&full(up)?)?.where_cond(&full(lo)?, &values)
}

impl SimpleBackend for Drawn {
    fn get(
        &self,
        shape: Shape,
        name: &str,
        init: Init,
        dtype: DType,
        device: &Device,
    ) -> candle_core::Result<Tensor> {
        let mut vars = self.vars.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(var) = vars.get(name) {
            if var.shape() != &shape {
                bail!(
                    "var_builder: {name} exists with shape {:?}, not {shape:?}; name it differently with pp",
                    var.shape()
                );
            }
            return Ok(var.as_tensor().clone());
        }
        let values = self.values(&shape, name, init, dtype)?.to_device(device)?;
        let var = Var::from_tensor(&values)?;
        vars.insert(name.to_string(), var.clone());
        Ok(var.as_tensor().clone())
    }

    fn get_unchecked(&self, name: &str, _: DType, _: &Device) -> candle_core::Result<Tensor> {
        let vars = self.vars.lock().unwrap_or_else(PoisonError::into_inner);
        match vars.get(name) {
            Some(var) => Ok(var.as_tensor().clone()),
            None => bail!("var_builder: there is no {name} yet, and its shape is not known"),
        }
    }

    fn contains_tensor(&self, _: &str) -> bool {
        // Whatever is asked for is drawn.
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_drawn_once() -> crate::Result<()> {
        let vb = var_builder_from(
            Arc::new(Mutex::new(Generator::new(1))),
            DType::F32,
            &Device::Cpu,
        );
        let first = vb.get_with_hints((2, 3), "w", weight_init(3))?;
        let again = vb.get_with_hints((2, 3), "w", weight_init(3))?;
        assert_eq!(first.id(), again.id());
        assert!(first.is_variable());
        assert!(vb.get_with_hints((3, 2), "w", weight_init(3)).is_err());
        Ok(())
    }

    /// `torch.manual_seed(0); torch.nn.Linear(33, 30, dtype=…)`: the sums of weight and bias. Some of
    /// the draws round to the bound.
    #[test]
    fn halves_are_pytorchs() -> crate::Result<()> {
        for (dtype, weight, bias) in [
            (DType::BF16, -2.3014731407165527, -0.1633453369140625),
            (DType::F16, -0.2253778576850891, -0.16357803344726562),
        ] {
            let generator = Arc::new(Mutex::new(Generator::new(0)));
            let vb = var_builder_from(generator, dtype, &Device::Cpu);
            let fc = crate::nn::Linear::builder(33, 30).build(vb)?;
            let sum = |tensor: &Tensor| tensor.to_dtype(DType::F64)?.sum_all()?.to_scalar::<f64>();
            assert_eq!(sum(fc.weight())?, weight);
            assert_eq!(fc.bias().map(sum).transpose()?, Some(bias));
        }
        Ok(())
    }

    #[test]
    fn what_does_not_fit_into_memory_is_an_error() {
        for dtype in [DType::F32, DType::F64, DType::F16] {
            let vb = var_builder(dtype, &Device::Cpu);
            let error = crate::nn::Linear::builder(1 << 24, 1 << 24)
                .build(vb.pp("fc"))
                .unwrap_err();
            let expected = "var_builder: fc.weight of shape [16777216, 16777216] does not fit into \
                            memory; use a smaller layer";
            assert!(error.to_string().starts_with(expected), "{error}");
            let conv = crate::nn::Conv2d::builder(1 << 22, 1 << 22, 3).build(vb.pp("conv"));
            assert!(conv.is_err());
            // More than can be counted, and not drawn at all.
            for init in [weight_init(3), Init::Const(0.0)] {
                assert!(vb.get_with_hints((usize::MAX, 2), "w", init).is_err());
                assert!(vb.get_with_hints(usize::MAX, "b", init).is_err());
            }
        }
    }

    #[test]
    fn a_distribution_that_is_not_drawn_is_an_error() {
        let vb = var_builder(DType::F32, &Device::Cpu);
        let normal = Init::Randn {
            mean: 0.0,
            stdev: 1.0,
        };
        assert!(vb.get_with_hints(3, "w", normal).is_err());
    }
}
