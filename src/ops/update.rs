//! How an optimizer changes a parameter: on the CPU and on CUDA's cards in place, in one pass over the parameter,
//! its gradient and the optimizer's buffers.

use std::cell::Cell;
use std::marker::PhantomData;

#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::{CpuStorage, InplaceOp1, InplaceOp2, Layout, Result, Tensor, Var, bail};

use super::buffer::{Element, elements, for_float};
#[cfg(feature = "cuda")]
use super::cuda;

/// What an optimizer remembers of a parameter, each as large as the parameter.
pub(crate) type Buffers = [Option<Tensor>; 3];

/// What an optimizer's kernel is told.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(crate) struct OnCard {
    numbers: [f64; 8],
    flags: [i64; 4],
}

impl OnCard {
    /// The rest is 0.
    pub(super) fn new<const N: usize, const F: usize>(numbers: [f64; N], flags: [bool; F]) -> Self {
        let mut step = Self {
            numbers: [0.0; 8],
            flags: [0; 4],
        };
        step.numbers[..N].copy_from_slice(&numbers);
        step.flags[..F].copy_from_slice(&flags.map(i64::from));
        step
    }

    /// As a card reads them.
    #[cfg_attr(not(any(feature = "cuda", test)), expect(dead_code))]
    pub(crate) fn bytes(&self) -> impl Iterator<Item = u8> {
        let numbers = self.numbers.into_iter().flat_map(f64::to_le_bytes);
        numbers.chain(self.flags.into_iter().flat_map(i64::to_le_bytes))
    }
}

/// One optimizer's step.
pub(crate) trait Rule: Sync {
    const NAME: &'static str;

    /// On the CPU. All slices have the parameter's length; that of an absent buffer is empty. PyTorch rounds
    /// a product and a sum once where it has one operation for both (`add` with `alpha`, `lerp`, `addcmul`),
    /// and so do these.
    fn on_cpu<T: Element>(&self, parameter: &mut [T], gradient: &[T], buffers: [&mut [T]; 3]);

    /// The numbers and flags of its kernel on a CUDA card, in the order that the kernel states.
    fn on_card(&self) -> OnCard;

    /// On another device: the parameter's next value. The buffers are replaced.
    fn on_device(
        &self,
        parameter: &Tensor,
        gradient: &Tensor,
        buffers: &mut Buffers,
    ) -> Result<Tensor>;
}

/// From how many numbers on two threads share the work.
const LEAST: usize = 1 << 13;

/// [`Rule::on_cpu`] in pieces, compiled for the fused product where the processor has it. The implementors' loops
/// are inlined, or they would not be.
fn on_cpu<R: Rule, T: Element>(
    rule: &R,
    parameter: &mut [T],
    gradient: &[T],
    buffers: [&mut [T]; 3],
) {
    let n = parameter.len();
    let least = match rayon::current_thread_index() {
        Some(_) => LEAST,
        // The pool's threads would have to be woken.
        None => 16 * LEAST,
    };
    if n >= least && rayon::current_num_threads() > 1 {
        let middle = n / 2;
        let (first, second) = parameter.split_at_mut(middle);
        let gradients = gradient.split_at(middle);
        let [a, b, c] = buffers.map(|buffer| buffer.split_at_mut(middle.min(buffer.len())));
        rayon::join(
            || on_cpu(rule, first, gradients.0, [a.0, b.0, c.0]),
            || on_cpu(rule, second, gradients.1, [a.1, b.1, c.1]),
        );
        return;
    }
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx2,fma")]
        fn fused<R: Rule, T: Element>(rule: &R, p: &mut [T], g: &[T], buffers: [&mut [T]; 3]) {
            rule.on_cpu(p, g, buffers);
        }
        if std::is_x86_feature_detected!("avx2") && std::is_x86_feature_detected!("fma") {
            // SAFETY: the processor has them.
            #[allow(unsafe_code)]
            return unsafe { fused(rule, parameter, gradient, buffers) };
        }
    }
    rule.on_cpu(parameter, gradient, buffers);
}

/// One step of `rule`.
pub(crate) fn update<R: Rule>(
    rule: &R,
    var: &Var,
    gradient: &Tensor,
    buffers: &mut Buffers,
) -> Result<()> {
    if gradient.shape() != var.shape() || gradient.dtype() != var.dtype() {
        bail!(
            "{}: a gradient of shape {:?} and dtype {:?} for a parameter of shape {:?} and dtype {:?}",
            R::NAME,
            gradient.shape(),
            gradient.dtype(),
            var.shape(),
            var.dtype()
        );
    }
    let tensor = var.as_tensor();
    if !tensor.device().is_metal() && tensor.is_contiguous() {
        tensor.inplace_op2(&gradient.contiguous()?, &InPlace { rule, buffers })
    } else {
        var.set(&rule.on_device(&var.as_detached_tensor(), gradient, buffers)?)
    }
}

/// The point at `weight` of the way from one number to another. `torch.lerp`, which reckons from the
/// nearer end.
#[derive(Clone, Copy)]
pub(crate) struct Lerp<T> {
    from_start: bool,
    weight: T,
}

impl<T: Element> Lerp<T> {
    pub(crate) fn new(weight: f64) -> Self {
        let weight_t = T::from_f64(weight);
        let from_start = weight.abs() < 0.5;
        Self {
            from_start,
            weight: match from_start {
                true => weight_t,
                false => weight_t - T::from_f64(1.0),
            },
        }
    }

    #[inline(always)]
    pub(crate) fn at(self, from: T, to: T) -> T {
        let nearer = if self.from_start { from } else { to };
        self.weight.mul_add(to - from, nearer)
    }
}

/// [`Lerp`] of whole tensors.
pub(crate) fn lerp(from: &Tensor, to: &Tensor, weight: f64) -> Result<Tensor> {
    let way = (to - from)?;
    match weight.abs() < 0.5 {
        true => from + way.affine(weight, 0.0)?,
        false => to - way.affine(1.0 - weight, 0.0)?,
    }
}

/// The gradient to descend along: turned to climb with `maximize`, and with the pull to 0.
pub(crate) fn wanted(
    parameter: &Tensor,
    gradient: &Tensor,
    maximize: bool,
    weight_decay: f64,
) -> Result<Tensor> {
    let gradient = match maximize {
        true => gradient.neg()?,
        false => gradient.clone(),
    };
    match weight_decay != 0.0 {
        true => gradient + parameter.affine(weight_decay, 0.0)?,
        false => Ok(gradient),
    }
}

struct InPlace<'a, R> {
    rule: &'a R,
    buffers: &'a Buffers,
}

impl<R: Rule> InplaceOp2 for InPlace<'_, R> {
    fn name(&self) -> &'static str {
        R::NAME
    }

    fn cpu_fwd(
        &self,
        parameter: &mut CpuStorage,
        parameter_layout: &Layout,
        gradient: &CpuStorage,
        gradient_layout: &Layout,
    ) -> Result<()> {
        let Some((start, end)) = parameter_layout.contiguous_offsets() else {
            bail!("{}: the parameter is not contiguous", R::NAME);
        };
        for_float!(gradient, R::NAME, T => {
            let gradient = elements::<T>(gradient, gradient_layout)?;
            let Some(parameter) = T::as_mut_slice(parameter) else {
                bail!("{}: parameter and gradient have different types", R::NAME);
            };
            let parameter = &mut parameter[start..end];
            let [a, b, c] = self.buffers;
            with_mut(a, |a| {
                with_mut(b, |b| {
                    with_mut(c, |c| {
                        on_cpu(self.rule, parameter, gradient, [a, b, c]);
                        Ok(())
                    })
                })
            })
        })
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        parameter: &mut CudaStorage,
        parameter_layout: &Layout,
        gradient: &CudaStorage,
        gradient_layout: &Layout,
    ) -> Result<()> {
        let (parameter, gradient) = ((parameter, parameter_layout), (gradient, gradient_layout));
        let step = self.rule.on_card();
        cuda::update::update(R::NAME, step, parameter, gradient, self.buffers)
    }
}

/// Calls `body` with a buffer's elements; with none where there is no buffer.
fn with_mut<T: Element>(
    buffer: &Option<Tensor>,
    body: impl FnOnce(&mut [T]) -> Result<()>,
) -> Result<()> {
    match buffer {
        None => body(&mut []),
        Some(buffer) => buffer.inplace_op1(&Visit {
            body: Cell::new(Some(body)),
            element: PhantomData,
        }),
    }
}

/// candle hands out a tensor's elements for writing to an operation alone.
struct Visit<T, F> {
    body: Cell<Option<F>>,
    element: PhantomData<T>,
}

impl<T: Element, F: FnOnce(&mut [T]) -> Result<()>> InplaceOp1 for Visit<T, F> {
    fn name(&self) -> &'static str {
        "optimizer buffer"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> Result<()> {
        match (
            self.body.take(),
            T::as_mut_slice(storage),
            layout.contiguous_offsets(),
        ) {
            (Some(body), Some(all), Some((start, end))) => body(&mut all[start..end]),
            _ => bail!("an optimizer's buffer has another type or layout than its parameter"),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::ops::program;
    use candle_core::{DType, Device};

    fn values(tensor: &Tensor) -> Vec<f64> {
        let tensor = tensor.to_dtype(DType::F64).unwrap();
        tensor.to_vec1::<f64>().unwrap()
    }

    /// One more step of the kernel for CUDA's cards, on the state that it left, gives what the CPU's gave.
    fn on_card_agrees<R: Rule>(
        rule: &R,
        gradient: &Tensor,
        card: &mut [Vec<f64>; 4],
        [parameter]: [&Tensor; 1],
        buffers: &Buffers,
    ) {
        let Some(program) = program::program() else {
            return;
        };
        let OnCard { numbers, flags } = rule.on_card();
        let n = parameter.elem_count();
        let mut input = program::bytes(&numbers);
        input.extend(flags.iter().flat_map(|flag| flag.to_le_bytes()));
        let [p, a, b, c] = &*card;
        for numbers in [p, &values(gradient), a, b, c] {
            input.extend(program::bytes(numbers));
        }
        let words = ["optimizer".to_string(), R::NAME.to_string(), n.to_string()];
        let output = program::run(program, &words, &input);
        let mut output = &output[..];
        *card = [(); 4].map(|()| program::take(&mut output, n));
        let [a, b, c] = buffers.each_ref().map(Option::as_ref);
        for (found, expected) in card.iter().zip([Some(parameter), a, b, c]) {
            for (found, expected) in found.iter().zip(expected.map(values).into_iter().flatten()) {
                assert!((found - expected).abs() <= 1e-14 * expected.abs().max(1.0));
            }
        }
    }

    /// Steps of both ways, and of the kernel for cards, from the same start, give the same numbers.
    pub(crate) fn both_ways_agree<R: Rule>(rule: impl Fn(u64) -> R, buffers: [bool; 3]) {
        for dtype in [DType::F32, DType::F64] {
            let start = Tensor::new(&[1f64, -2.0, 0.5, 3.0, -0.25], &Device::Cpu).unwrap();
            let start = start.to_dtype(dtype).unwrap();
            let fresh = || buffers.map(|there| there.then(|| start.zeros_like().unwrap()));
            let (mut here, mut there) = (fresh(), fresh());
            let var = Var::from_tensor(&start).unwrap();
            let mut tensor = start.clone();
            // The parameter, and room for three buffers.
            let mut card = [values(&start), vec![0.0; 5], vec![0.0; 5], vec![0.0; 5]];
            for step in 1..6 {
                let gradient = (start.affine(0.3, 0.1 * step as f64).unwrap().sin()).unwrap();
                let rule = rule(step);
                update(&rule, &var, &gradient, &mut here).unwrap();
                tensor = rule.on_device(&tensor, &gradient, &mut there).unwrap();
                if dtype == DType::F64 {
                    on_card_agrees(&rule, &gradient, &mut card, [var.as_tensor()], &here);
                }
            }
            let tolerance = if dtype == DType::F32 { 2e-6 } else { 1e-14 };
            let pairs = here.iter().flatten().zip(there.iter().flatten());
            for (a, b) in pairs.chain([(var.as_tensor(), &tensor)]) {
                for (a, b) in values(a).into_iter().zip(values(b)) {
                    assert!((a - b).abs() <= tolerance * b.abs().max(1.0), "{a} and {b}");
                }
            }
        }
    }

    #[test]
    fn the_threads_change_nothing() {
        let rule = crate::ops::sgd::Rule {
            lr: 0.1,
            momentum: 0.9,
            dampening: 0.0,
            weight_decay: 0.01,
            nesterov: true,
            maximize: false,
            first: false,
        };
        let start = Tensor::randn(0f32, 1f32, 3 * LEAST + 5, &Device::Cpu).unwrap();
        let step = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
            pool.build().unwrap().install(|| {
                let var = Var::from_tensor(&start).unwrap();
                let mut buffers = [Some(start.affine(0.5, 0.0).unwrap()), None, None];
                update(&rule, &var, &start.sin().unwrap(), &mut buffers).unwrap();
                let [buffer, ..] = buffers;
                let values = |tensor: &Tensor| tensor.to_vec1::<f32>().unwrap();
                [values(var.as_tensor()), values(&buffer.unwrap())]
            })
        };
        let one = step(1);
        assert!(one[0] != start.to_vec1::<f32>().unwrap());
        assert_eq!(step(3), one);
    }

    #[test]
    fn a_gradient_of_another_shape_is_an_error() {
        let rule = crate::ops::sgd::Rule {
            lr: 0.1,
            momentum: 0.0,
            dampening: 0.0,
            weight_decay: 0.0,
            nesterov: false,
            maximize: false,
            first: true,
        };
        let var = Var::zeros(3, DType::F32, &Device::Cpu).unwrap();
        let gradient = Tensor::zeros(2, DType::F32, &Device::Cpu).unwrap();
        assert!(update(&rule, &var, &gradient, &mut [None, None, None]).is_err());
    }
}
