//! What all optimizers share: their parameters, what they remember of each, and how that is saved.

use candle_core::backprop::GradStore;
use candle_core::{DType, Device, Tensor, Var};

use super::Fused;
use crate::error::invalid;
use crate::ops::update::{Buffers, Rule, update};
use crate::state::{Reader, StateDict};
use crate::{Error, Result};

#[derive(Debug)]
pub(super) struct Parameters {
    layer: &'static str,
    all: Vec<Parameter>,
    /// The buffers' names in PyTorch's state; empty where there is no such buffer.
    names: [&'static str; 3],
    /// Whether the state counts steps.
    counts: bool,
}

#[derive(Debug)]
pub(super) struct Parameter {
    pub(super) var: Var,
    /// The steps taken with a gradient.
    pub(super) step: u64,
    pub(super) buffers: Buffers,
}

impl Parameter {
    /// Makes buffer `i`, full of `value`, where it is not there yet.
    pub(super) fn need(&mut self, i: usize, value: f64) -> Result<()> {
        if self.buffers[i].is_none() {
            let var = &self.var;
            // Made on the CPU, for which no card's kernel is needed.
            let full = Tensor::full(value, var.shape(), &Device::Cpu)?.to_dtype(var.dtype())?;
            let full = full.force_contiguous()?;
            self.buffers[i] = Some(full.to_device(var.device())?);
        }
        Ok(())
    }
}

impl Parameters {
    pub(super) fn new(
        layer: &'static str,
        vars: Vec<Var>,
        names: [&'static str; 3],
        counts: bool,
    ) -> Result<Self> {
        if vars.is_empty() {
            let problem = "must hold at least one variable; give it the network's parameters()";
            return invalid(layer, "parameters", "[]", problem);
        }
        for var in &vars {
            if !matches!(var.dtype(), DType::F32 | DType::F64) {
                return Err(Error::WrongDType {
                    layer,
                    what: "a parameter",
                    got: var.dtype(),
                    expected: "f32 or f64",
                });
            }
        }
        let fresh = |var| Parameter {
            var,
            step: 0,
            buffers: [None, None, None],
        };
        Ok(Self {
            layer,
            all: vars.into_iter().map(fresh).collect(),
            names,
            counts,
        })
    }

    /// One step for each parameter that has a gradient; `rule` sees it with its step already counted.
    pub(super) fn step<R: Rule>(
        &mut self,
        gradients: &GradStore,
        rule: impl Fn(&mut Parameter) -> Result<R>,
    ) -> Result<()> {
        for parameter in &mut self.all {
            if let Some(gradient) = gradients.get(&parameter.var) {
                parameter.step += 1;
                let rule = rule(parameter)?;
                update(&rule, &parameter.var, gradient, &mut parameter.buffers)?;
            }
        }
        Ok(())
    }

    /// The rule's name and the variables, where all have one rule: those that were always stepped together.
    pub(super) fn fuses<R: Rule>(&self) -> Option<(&'static str, Vec<Var>)> {
        let state = |parameter: &Parameter| {
            let there = parameter.buffers.each_ref().map(Option::is_some);
            (parameter.step, there)
        };
        let first = state(self.all.first()?);
        let one = self.all.iter().all(|parameter| state(parameter) == first);
        let vars = self.all.iter().map(|parameter| parameter.var.clone());
        one.then(|| (R::NAME, vars.collect()))
    }

    /// A step of all parameters at once, which counts as taken, where they [fuse](Self::fuses).
    pub(super) fn fused<R: Rule>(
        &mut self,
        rule: impl Fn(&mut Parameter) -> Result<R>,
    ) -> Result<Fused> {
        let mut numbers = None;
        for parameter in &mut self.all {
            parameter.step += 1;
            numbers = Some(rule(parameter)?.on_card());
        }
        let all = self.all.iter();
        let parameters = all.map(|parameter| (parameter.var.clone(), parameter.buffers.clone()));
        match numbers {
            Some(numbers) => Ok(Fused {
                numbers,
                parameters: parameters.collect(),
            }),
            None => invalid(self.layer, "parameters", "[]", "there is nothing to step"),
        }
    }

    /// Goes on with `vars`, the moved ones of its own.
    pub(super) fn move_to(&mut self, vars: Vec<Var>) -> Result<()> {
        let (own, given) = (self.all.len(), vars.len());
        if own != given {
            let problem = format!("must be the {own} that the optimizer has, moved");
            return invalid(self.layer, "parameters", given, problem);
        }
        let mut moved = Vec::with_capacity(own);
        for (i, (parameter, var)) in self.all.iter().zip(vars).enumerate() {
            let own = &parameter.var;
            if own.shape() != var.shape() || own.dtype() != var.dtype() {
                let problem = format!(
                    "must be number {i} of the optimizer's, moved, which is {:?} of {:?}",
                    own.dims(),
                    own.dtype()
                );
                let given = format!("{:?} of {:?}", var.dims(), var.dtype());
                return invalid(self.layer, "parameters", given, problem);
            }
            let mut buffers = [None, None, None];
            for (to, from) in buffers.iter_mut().zip(&parameter.buffers) {
                // Its own memory: a step changes it in place.
                let to_there = |from: &Tensor| from.to_device(var.device())?.copy();
                *to = from.as_ref().map(to_there).transpose()?;
            }
            moved.push(Parameter {
                var,
                step: parameter.step,
                buffers,
            });
        }
        self.all = moved;
        Ok(())
    }

    /// The state with the optimizer's `options` in it, under PyTorch's names.
    pub(super) fn state_dict(&self, options: &[(&'static str, f64)]) -> Result<StateDict> {
        let mut state = StateDict::new();
        for (name, value) in options {
            state.insert_number(option(name), *value)?;
        }
        state.insert_number(option("params"), self.all.len() as f64)?;
        for (i, parameter) in self.all.iter().enumerate() {
            for (name, buffer) in self.names.iter().zip(&parameter.buffers) {
                if let Some(buffer) = buffer {
                    // A copy: the next steps change the buffer in place.
                    state.insert(entry(i, name), buffer.copy()?);
                }
            }
            if self.counts && parameter.step > 0 {
                state.insert_number(entry(i, "step"), parameter.step as f64)?;
            }
        }
        Ok(state)
    }

    /// The buffers and steps of a saved state; nothing is changed yet.
    ///
    /// `needs` says which buffers a parameter has that took a step.
    pub(super) fn read(
        &self,
        reader: &Reader<'_>,
        needs: [bool; 3],
    ) -> Result<Vec<(u64, Buffers)>> {
        let params = reader.count(&option("params"))?;
        if params != self.all.len() as u64 {
            let problem = format!("is {params}, but there are {} here", self.all.len());
            return reader.refuse(&option("params"), problem);
        }
        let one = |(i, parameter): (usize, &Parameter)| {
            let mut buffers = [None, None, None];
            let step = match self.counts && reader.has(&entry(i, "step")) {
                true => reader.count(&entry(i, "step"))?,
                false => 0,
            };
            for ((buffer, name), needed) in buffers.iter_mut().zip(self.names).zip(needs) {
                if name.is_empty() {
                    continue;
                }
                let var = &parameter.var;
                *buffer = match needed && step > 0 {
                    true => Some(reader.tensor(&entry(i, name), var)?),
                    false => reader.optional(&entry(i, name), var)?,
                };
            }
            Ok((step, buffers))
        };
        self.all.iter().enumerate().map(one).collect()
    }

    /// What [`read`](Self::read) gave.
    pub(super) fn set(&mut self, states: Vec<(u64, Buffers)>) {
        for (parameter, (step, buffers)) in self.all.iter_mut().zip(states) {
            (parameter.step, parameter.buffers) = (step, buffers);
        }
    }
}

/// The cure where a state does not fit.
pub(super) const CURE: &str =
    "load what an optimizer of the same kind, over the same parameters, has saved";

/// An option's name in a state.
pub(super) fn option(name: &str) -> String {
    format!("param_groups.0.{name}")
}

fn entry(parameter: usize, name: &str) -> String {
    format!("state.{parameter}.{name}")
}

/// Each must be a number of at least 0.
pub(super) fn at_least_0<const N: usize>(
    layer: &'static str,
    options: [(&'static str, f64); N],
) -> Result<()> {
    for (name, value) in options {
        if !(value >= 0.0 && value.is_finite()) {
            return invalid(layer, name, value, "must be a number of at least 0");
        }
    }
    Ok(())
}

pub(super) fn flag(value: bool) -> f64 {
    f64::from(u8::from(value))
}
