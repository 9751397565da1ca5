//! The cells that are run. Each stands for what a reader of the chapters does.

/// The imports, a data set and a plot: what a chapter's first cells bring, in one.
pub const FIRST: &str = r#"use candlelight::prelude::*;
let test = Mnist::builder("data").train(false).transform(ToTensor).build()?;
plot::bars("Loss", "", "loss", &[("train", 2.3), ("test", 0.4)])?"#;

/// A cell that is edited and run again.
pub struct Edited {
    pub name: &'static str,
    /// `{}` is what the edit changes.
    pub code: &'static str,
    /// What its output must hold.
    pub shows: &'static str,
    /// The median that the reader should not have to wait longer than, in seconds.
    pub target: f64,
}

pub const EDITED: [Edited; 4] = [
    Edited {
        name: "a plot",
        code: r#"plot::bars("Loss", "", "loss", &[("train", 2.3), ("test", 0.{})])?"#,
        shows: "<svg",
        target: 0.35,
    },
    Edited {
        name: "a `let`",
        code: "let learning_rate = 0.{};",
        shows: "",
        target: 0.45,
    },
    Edited {
        name: "an expression",
        code: "test.len() + {}",
        shows: "1001",
        target: 0.45,
    },
    Edited {
        name: "20 steps and a plot",
        code: r#"let weight = Var::from_tensor(&Tensor::new(&[0.{}f32], &Device::Cpu)?)?;
let mut sgd = Sgd::builder(vec![weight.clone()], 0.1).build()?;
let mut losses = Vec::new();
for step in 0..20 {
    let loss = weight.as_tensor().sqr()?.sum_all()?;
    sgd.step(&loss.backward()?)?;
    losses.push((format!("{step}"), f64::from(loss.to_scalar::<f32>()?)));
}
plot::bars("Loss", "step", "loss", &losses)?"#,
        shows: "<svg",
        target: 0.35,
    },
];

/// Cells that define and use something that no cell before did.
pub const NEW: [&str; 4] = [
    "fn square(x: f32) -> f32 {\n    x * x\n}\nprintln!(\"{}\", square(3.0));",
    "struct Point {\n    x: f32,\n    y: f32,\n}\nprintln!(\"{}\", Point { x: 3.0, y: 4.0 }.x + 4.0);",
    "let (image, label) = test.get(0)?;\nprintln!(\"{label}: {:?}\", image.dims());",
    "let pixels = image.flatten_all()?.to_vec1::<f32>()?;\nprintln!(\"{}\", pixels.iter().filter(|&&pixel| pixel > 0.5).count());",
];
