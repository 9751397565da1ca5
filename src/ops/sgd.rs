//! One step of SGD.

use candle_core::{Result, Tensor};

use super::buffer::Element;
use super::update::{self, Buffers, OnCard};

/// The first buffer is the direction of the last step; there is none without a momentum.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rule {
    pub(crate) lr: f64,
    pub(crate) momentum: f64,
    pub(crate) dampening: f64,
    pub(crate) weight_decay: f64,
    pub(crate) nesterov: bool,
    pub(crate) maximize: bool,
    /// Whether the buffer holds nothing yet: the gradient becomes the direction as it is.
    pub(crate) first: bool,
}

impl update::Rule for Rule {
    const NAME: &'static str = "sgd";

    #[inline(always)]
    fn on_cpu<T: Element>(
        &self,
        parameter: &mut [T],
        gradient: &[T],
        [direction, _, _]: [&mut [T]; 3],
    ) {
        let sign = T::from_f64(if self.maximize { -1.0 } else { 1.0 });
        let decay = T::from_f64(self.weight_decay);
        let down = T::from_f64(-self.lr);
        let wanted = |p: T, g: T| match self.weight_decay != 0.0 {
            true => decay.mul_add(p, sign * g),
            false => sign * g,
        };
        if self.momentum == 0.0 {
            for (p, &g) in parameter.iter_mut().zip(gradient) {
                *p = down.mul_add(wanted(*p, g), *p);
            }
            return;
        }
        // Compiled for each case: a choice within the loop would keep it from using vectors.
        match (self.weight_decay != 0.0, self.first, self.nesterov) {
            (false, false, false) => {
                self.with::<T, false, false, false>(parameter, gradient, direction)
            }
            (false, false, true) => {
                self.with::<T, false, false, true>(parameter, gradient, direction)
            }
            (false, true, false) => {
                self.with::<T, false, true, false>(parameter, gradient, direction)
            }
            (false, true, true) => {
                self.with::<T, false, true, true>(parameter, gradient, direction)
            }
            (true, false, false) => {
                self.with::<T, true, false, false>(parameter, gradient, direction)
            }
            (true, false, true) => {
                self.with::<T, true, false, true>(parameter, gradient, direction)
            }
            (true, true, false) => {
                self.with::<T, true, true, false>(parameter, gradient, direction)
            }
            (true, true, true) => self.with::<T, true, true, true>(parameter, gradient, direction),
        }
    }

    fn on_card(&self) -> OnCard {
        let (maximize, nesterov) = (self.maximize, self.nesterov);
        let numbers = [self.lr, self.momentum, self.dampening, self.weight_decay];
        OnCard::new(numbers, [maximize, nesterov, self.first])
    }

    fn on_device(
        &self,
        parameter: &Tensor,
        gradient: &Tensor,
        [direction, _, _]: &mut Buffers,
    ) -> Result<Tensor> {
        let mut g = update::wanted(parameter, gradient, self.maximize, self.weight_decay)?;
        // A schedule may take the momentum away, and give it back.
        if let Some(direction) = direction.as_mut().filter(|_| self.momentum != 0.0) {
            *direction = match self.first {
                true => g.copy()?,
                false => {
                    (direction.affine(self.momentum, 0.0)?
                        + g.affine(1.0 - self.dampening, 0.0)?)?
                }
            };
            g = match self.nesterov {
                true => (g + direction.affine(self.momentum, 0.0)?)?,
                false => direction.clone(),
            };
        }
        parameter - g.affine(self.lr, 0.0)?
    }
}

impl Rule {
    /// A step with momentum.
    #[inline(always)]
    fn with<T: Element, const DECAY: bool, const FIRST: bool, const NESTEROV: bool>(
        &self,
        parameter: &mut [T],
        gradient: &[T],
        direction: &mut [T],
    ) {
        let sign = T::from_f64(if self.maximize { -1.0 } else { 1.0 });
        let decay = T::from_f64(self.weight_decay);
        let down = T::from_f64(-self.lr);
        let keep = T::from_f64(self.momentum);
        let share = T::from_f64(1.0 - self.dampening);
        for ((p, &g), b) in parameter.iter_mut().zip(gradient).zip(direction) {
            let g = match DECAY {
                true => decay.mul_add(*p, sign * g),
                false => sign * g,
            };
            *b = match FIRST {
                true => g,
                false => share.mul_add(g, *b * keep),
            };
            let direction = match NESTEROV {
                true => keep.mul_add(*b, g),
                false => *b,
            };
            *p = down.mul_add(direction, *p);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::update::tests::both_ways_agree;

    #[test]
    fn the_device_does_the_same() {
        for (momentum, nesterov) in [(0.0, false), (0.9, false), (0.9, true)] {
            for (weight_decay, maximize) in [(0.0, false), (0.1, true)] {
                let rule = |step| Rule {
                    lr: 0.1,
                    momentum,
                    dampening: if nesterov { 0.0 } else { 0.2 },
                    weight_decay,
                    nesterov,
                    maximize,
                    first: step == 1,
                };
                both_ways_agree(rule, [momentum > 0.0, false, false]);
                // Without a momentum a direction from before stays as it is.
                both_ways_agree(rule, [true, false, false]);
            }
        }
    }
}
