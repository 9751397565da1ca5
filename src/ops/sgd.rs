//! One step of SGD: on the CPU in place, one pass for the direction and one for the parameter.

use candle_core::{CpuStorage, InplaceOp2, Layout, Result, Tensor, Var, bail};

use super::buffer::{Element, elements, for_float};

const NAME: &str = "sgd";

#[derive(Debug, Clone, Copy)]
pub(crate) struct Rule {
    pub(crate) lr: f64,
    pub(crate) momentum: f64,
    pub(crate) dampening: f64,
    pub(crate) weight_decay: f64,
    pub(crate) nesterov: bool,
    pub(crate) maximize: bool,
}

/// Changes `var`, and `momentum`, which is empty before the first step.
pub(crate) fn step(
    rule: &Rule,
    var: &Var,
    momentum: &mut Option<Tensor>,
    gradient: &Tensor,
) -> Result<()> {
    let mut direction = gradient.contiguous()?;
    if rule.maximize {
        direction = direction.neg()?;
    }
    if rule.weight_decay != 0.0 {
        let decay = var.as_detached_tensor().affine(rule.weight_decay, 0.0)?;
        direction = (direction + decay)?;
    }
    if rule.momentum != 0.0 {
        let buffer = match momentum.take() {
            Some(buffer) => {
                let share = 1.0 - rule.dampening;
                add_scaled(&buffer, rule.momentum, &direction, share)?
            }
            // A copy: the gradient belongs to the caller.
            None => direction.copy()?,
        };
        direction = match rule.nesterov {
            true => (direction + buffer.affine(rule.momentum, 0.0)?)?,
            false => buffer.clone(),
        };
        *momentum = Some(buffer);
    }
    let tensor = var.as_tensor();
    if tensor.device().is_cpu() && tensor.is_contiguous() {
        tensor.inplace_op2(
            &direction,
            &ScaleAdd {
                keep: 1.0,
                scale: -rule.lr,
            },
        )
    } else {
        var.set(&(var.as_detached_tensor() - direction.affine(rule.lr, 0.0)?)?)
    }
}

/// `keep·buffer + scale·other`, in place where that can be.
fn add_scaled(buffer: &Tensor, keep: f64, other: &Tensor, scale: f64) -> Result<Tensor> {
    if buffer.device().is_cpu() {
        buffer.inplace_op2(other, &ScaleAdd { keep, scale })?;
        Ok(buffer.clone())
    } else {
        buffer.affine(keep, 0.0)? + other.affine(scale, 0.0)?
    }
}

/// `into = keep·into + scale·from`.
struct ScaleAdd {
    keep: f64,
    scale: f64,
}

impl ScaleAdd {
    fn run<T: Element>(&self, into: &mut [T], from: &[T]) {
        let (keep, scale) = (T::from_f64(self.keep), T::from_f64(self.scale));
        if self.keep == 1.0 {
            for (into, &from) in into.iter_mut().zip(from) {
                *into += scale * from;
            }
        } else {
            for (into, &from) in into.iter_mut().zip(from) {
                *into = *into * keep + scale * from;
            }
        }
    }
}

impl InplaceOp2 for ScaleAdd {
    fn name(&self) -> &'static str {
        NAME
    }

    fn cpu_fwd(
        &self,
        into: &mut CpuStorage,
        into_layout: &Layout,
        from: &CpuStorage,
        from_layout: &Layout,
    ) -> Result<()> {
        let Some((start, end)) = into_layout.contiguous_offsets() else {
            bail!("{NAME}: the parameter is not contiguous");
        };
        if into_layout.shape() != from_layout.shape() {
            bail!(
                "{NAME}: a gradient of shape {:?} for a parameter of shape {:?}",
                from_layout.shape(),
                into_layout.shape()
            );
        }
        for_float!(from, NAME, T => {
            let from = elements::<T>(from, from_layout)?;
            match T::as_mut_slice(into) {
                Some(into) => self.run(&mut into[start..end], from),
                None => bail!("{NAME}: parameter and gradient have different types"),
            }
            Ok(())
        })
    }
}
