//! Transforms from torchvision's arguments.

use candlelight::prelude::*;
use candlelight::transforms::ResizeSize;
use serde_json::Value;

/// The arguments that are given, each once: one that no builder took fails the test.
pub struct Args<'a>(pub &'a Value);

impl Args<'_> {
    /// `set(builder, value)` where there is the argument `name`.
    fn set<B>(&self, builder: B, name: &str, set: impl Fn(B, &Value) -> B) -> B {
        match self.0.get(name) {
            Some(value) => set(builder, value),
            None => builder,
        }
    }

    fn only(&self, names: &[&str]) {
        for name in self.0.as_object().unwrap().keys() {
            assert!(names.contains(&name.as_str()), "what is {name}?");
        }
    }
}

fn float(value: &Value) -> f64 {
    value.as_f64().unwrap()
}

fn floats(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(float).collect()
}

fn pair(value: &Value) -> (f64, f64) {
    let values = floats(value);
    assert_eq!(values.len(), 2);
    (values[0], values[1])
}

fn usize(value: &Value) -> usize {
    value.as_u64().unwrap() as usize
}

fn size(value: &Value) -> Size2 {
    match value.as_array() {
        Some(pair) => Size2::from((usize(&pair[0]), usize(&pair[1]))),
        None => Size2::from(usize(value)),
    }
}

fn resize_size(value: &Value) -> ResizeSize {
    match value.is_array() {
        true => size(value).into(),
        false => usize(value).into(),
    }
}

fn padding(value: &Value) -> Padding4 {
    let Some(values) = value.as_array() else {
        return value.as_i64().unwrap().into();
    };
    let values: Vec<i64> = values.iter().map(|value| value.as_i64().unwrap()).collect();
    match *values {
        [x, y] => (x, y).into(),
        [left, top, right, bottom] => (left, top, right, bottom).into(),
        _ => panic!("padding {values:?}"),
    }
}

fn integer(value: &Value) -> Option<i32> {
    value.as_i64().map(|value| value as i32)
}

fn fill(value: &Value) -> Fill {
    let Some(values) = value.as_array() else {
        return match integer(value) {
            Some(value) => value.into(),
            None => float(value).into(),
        };
    };
    match values.iter().map(integer).collect::<Option<Vec<i32>>>() {
        Some(values) => values.into(),
        None => floats(value).into(),
    }
}

fn degrees(value: &Value) -> Degrees {
    match (value.is_array(), integer(value)) {
        (true, _) => pair(value).into(),
        (false, Some(value)) => value.into(),
        (false, None) => float(value).into(),
    }
}

fn shear(value: &Value) -> Shear {
    match value.as_array() {
        Some(values) if values.len() == 4 => {
            let values: [f64; 4] = floats(value).try_into().unwrap();
            values.into()
        }
        _ => degrees(value).into(),
    }
}

fn pad_mode(value: &Value) -> PadMode {
    match value.as_str().unwrap() {
        "constant" => PadMode::Constant,
        "edge" => PadMode::Edge,
        "reflect" => PadMode::Reflect,
        "symmetric" => PadMode::Symmetric,
        other => panic!("padding_mode {other}"),
    }
}

fn interpolation(value: &Value) -> InterpolationMode {
    match value.as_str().unwrap() {
        "nearest" => InterpolationMode::Nearest,
        "nearest-exact" => InterpolationMode::NearestExact,
        "bilinear" => InterpolationMode::Bilinear,
        "bicubic" => InterpolationMode::Bicubic,
        "box" => InterpolationMode::Box,
        "hamming" => InterpolationMode::Hamming,
        "lanczos" => InterpolationMode::Lanczos,
        other => panic!("interpolation {other}"),
    }
}

pub fn random_crop(args: &Args) -> Result<RandomCrop> {
    args.only(&["size", "padding", "pad_if_needed", "fill", "padding_mode"]);
    let b = RandomCrop::builder(size(&args.0["size"]));
    let b = args.set(b, "padding", |b, value| b.padding(padding(value)));
    let b = args.set(b, "pad_if_needed", |b, value| {
        b.pad_if_needed(value.as_bool().unwrap())
    });
    let b = args.set(b, "fill", |b, value| b.fill(fill(value)));
    let b = args.set(b, "padding_mode", |b, value| {
        b.padding_mode(pad_mode(value))
    });
    b.build()
}

pub fn center_crop(args: &Args) -> Result<CenterCrop> {
    args.only(&["size"]);
    CenterCrop::new(size(&args.0["size"]))
}

pub fn pad(args: &Args) -> Result<Pad> {
    args.only(&["padding", "fill", "padding_mode"]);
    let b = Pad::builder(padding(&args.0["padding"]));
    let b = args.set(b, "fill", |b, value| b.fill(fill(value)));
    let b = args.set(b, "padding_mode", |b, value| {
        b.padding_mode(pad_mode(value))
    });
    b.build()
}

pub fn resize(args: &Args) -> Result<Resize> {
    args.only(&["size", "interpolation", "max_size", "antialias"]);
    let b = Resize::builder(resize_size(&args.0["size"]));
    let b = args.set(b, "interpolation", |b, value| {
        b.interpolation(interpolation(value))
    });
    let b = args.set(b, "max_size", |b, value| b.max_size(usize(value)));
    let b = args.set(b, "antialias", |b, value| {
        b.antialias(value.as_bool().unwrap())
    });
    b.build()
}

pub fn random_rotation(args: &Args) -> Result<RandomRotation> {
    args.only(&["degrees", "interpolation", "expand", "center", "fill"]);
    let b = RandomRotation::builder(degrees(&args.0["degrees"]));
    let b = args.set(b, "interpolation", |b, value| {
        b.interpolation(interpolation(value))
    });
    let b = args.set(b, "expand", |b, value| b.expand(value.as_bool().unwrap()));
    let b = args.set(b, "center", |b, value| b.center(pair(value)));
    let b = args.set(b, "fill", |b, value| b.fill(fill(value)));
    b.build()
}

pub fn random_affine(args: &Args) -> Result<RandomAffine> {
    let names = [
        "degrees",
        "translate",
        "scale",
        "shear",
        "interpolation",
        "fill",
        "center",
    ];
    args.only(&names);
    let b = RandomAffine::builder(degrees(&args.0["degrees"]));
    let b = args.set(b, "translate", |b, value| b.translate(pair(value)));
    let b = args.set(b, "scale", |b, value| b.scale(pair(value)));
    let b = args.set(b, "shear", |b, value| b.shear(shear(value)));
    let b = args.set(b, "interpolation", |b, value| {
        b.interpolation(interpolation(value))
    });
    let b = args.set(b, "fill", |b, value| b.fill(fill(value)));
    let b = args.set(b, "center", |b, value| b.center(pair(value)));
    b.build()
}

pub fn random_horizontal_flip(args: &Args) -> Result<RandomHorizontalFlip> {
    args.only(&["p"]);
    match args.0.get("p") {
        Some(p) => RandomHorizontalFlip::new(float(p)),
        None => Ok(RandomHorizontalFlip::default()),
    }
}

pub fn random_erasing(args: &Args) -> Result<RandomErasing> {
    args.only(&["p", "scale", "ratio", "value", "inplace"]);
    let b = RandomErasing::builder();
    let b = args.set(b, "p", |b, value| b.p(float(value)));
    let b = args.set(b, "scale", |b, value| b.scale(pair(value)));
    let b = args.set(b, "ratio", |b, value| b.ratio(pair(value)));
    let b = args.set(b, "value", |b, value| match value.as_str() {
        Some("random") => b.value(ErasingValue::Random),
        _ => b.value(fill(value)),
    });
    let b = args.set(b, "inplace", |b, value| b.inplace(value.as_bool().unwrap()));
    b.build()
}

pub fn to_tensor(args: &Args) -> Result<ToTensor> {
    args.only(&[]);
    Ok(ToTensor)
}

pub fn normalize(args: &Args) -> Result<Normalize> {
    args.only(&["mean", "std", "inplace"]);
    let normalize = Normalize::new(floats(&args.0["mean"]), floats(&args.0["std"]))?;
    Ok(args.set(normalize, "inplace", |normalize, value| {
        normalize.inplace(value.as_bool().unwrap())
    }))
}
