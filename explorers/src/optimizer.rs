//! An optimizer as a page's controls describe it.

use candlelight::candle_core::Var;
use candlelight::optim::{Adagrad, Adam, AdamW, Optimizer, RmsProp, Sgd};

use crate::maps::told;
use crate::options::Options;

/// How the reader writes it.
pub struct Call {
    name: &'static str,
    lr: f64,
    /// Parameters that are not at their default.
    set: Vec<(&'static str, String)>,
}

impl Call {
    pub fn rust(&self) -> String {
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

    pub fn python(&self) -> String {
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

/// The optimizer that `options` describe; `lr` where they give none.
pub fn build(
    options: &mut Options,
    parameters: Vec<Var>,
    lr: f64,
) -> Result<(Box<dyn Optimizer>, Call), String> {
    let optimizer = options.text("optimizer", "sgd");
    let lr = options.or("lr", lr)?;
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
