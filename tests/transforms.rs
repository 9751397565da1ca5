//! The transforms against torchvision's on PIL images, from the same seed. `tests/transforms` holds
//! the cases, and `generate.py` that made them; `TRANSFORM_CASES` names another folder.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

#[path = "transforms/build.rs"]
mod build;
#[path = "transforms/cases.rs"]
mod cases;

use std::fmt::Display;
use std::sync::{Mutex, MutexGuard, PoisonError};

use build::Args;
use candlelight::prelude::*;
use candlelight::random::rand;
use cases::Case;
use image::RgbImage;

/// The global generator is one for all tests: each that seeds it or draws holds this.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a transform takes or gives, as the cases hold it.
trait Picture: Sized {
    fn read(tensor: &Tensor) -> Self;
    fn dims(&self) -> Vec<usize>;
    fn values(&self) -> Vec<f64>;
}

fn bytes(tensor: &Tensor) -> Vec<u8> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

impl Picture for GrayImage {
    fn read(tensor: &Tensor) -> Self {
        let (height, width) = tensor.dims2().unwrap();
        Self::from_raw(width as u32, height as u32, bytes(tensor)).unwrap()
    }

    fn dims(&self) -> Vec<usize> {
        vec![self.height() as usize, self.width() as usize]
    }

    fn values(&self) -> Vec<f64> {
        self.as_raw().iter().map(|&value| value.into()).collect()
    }
}

impl Picture for RgbImage {
    fn read(tensor: &Tensor) -> Self {
        let (height, width, _) = tensor.dims3().unwrap();
        Self::from_raw(width as u32, height as u32, bytes(tensor)).unwrap()
    }

    fn dims(&self) -> Vec<usize> {
        vec![self.height() as usize, self.width() as usize, 3]
    }

    fn values(&self) -> Vec<f64> {
        self.as_raw().iter().map(|&value| value.into()).collect()
    }
}

impl Picture for Tensor {
    fn read(tensor: &Tensor) -> Self {
        tensor.copy().unwrap()
    }

    fn dims(&self) -> Vec<usize> {
        self.dims().to_vec()
    }

    fn values(&self) -> Vec<f64> {
        let tensor = self.to_dtype(DType::F64).unwrap();
        tensor.flatten_all().unwrap().to_vec1().unwrap()
    }
}

/// The largest difference between the two.
fn difference(what: &str, got: &impl Picture, expected: &Tensor) -> f64 {
    assert_eq!(got.dims(), expected.dims(), "{what}: shape");
    let (got, expected) = (got.values(), Picture::values(expected));
    let differences = got.iter().zip(&expected).map(|(a, b)| (a - b).abs());
    let largest = differences.fold(0.0, |a: f64, b| match a.is_nan() || b.is_nan() {
        true => f64::NAN,
        false => a.max(b),
    });
    assert!(!largest.is_nan(), "{what}: NaN");
    largest
}

/// Applies the transform to the input as often as torchvision did, from the same seed.
fn compare<X, Y, T>(case: &Case, transform: &T, tolerance: f64) -> f64
where
    X: Picture,
    Y: Picture,
    T: Transform<X, Output = Y> + Display,
{
    assert_eq!(
        transform.to_string(),
        case.fields["repr"].as_str().unwrap(),
        "{case}"
    );
    let x = X::read(case.get("x"));
    manual_seed(case.seed());
    let mut largest = 0f64;
    for (time, expected) in case.outputs().enumerate() {
        let what = format!("{case}: y{time}");
        let y = transform.apply(&x).unwrap();
        let difference = difference(&what, &y, expected);
        assert!(difference <= tolerance, "{what} differs by {difference}");
        largest = largest.max(difference);
    }
    assert!(case.outputs().count() > 0, "{case} has no output");
    let next = case.get("next").to_vec1::<f32>().unwrap();
    assert_eq!(rand(1), next, "{case}: another number of draws");
    if let Some(after) = case.find("x_after") {
        let difference = difference(&format!("{case}: x"), &x, after);
        assert!(difference <= tolerance, "{case}: x differs by {difference}");
    }
    largest
}

/// torchvision refuses it: so is it here, in a message that names the parameter.
fn refused<T>(case: &Case, result: Result<T>) {
    let message = match result {
        Ok(_) => panic!("{case} must be refused: {}", case.fields["raises"]),
        Err(error) => error.to_string(),
    };
    let parameter = case.fields["parameter"].as_str().unwrap();
    assert!(
        message.starts_with(&format!("{}: {parameter}", case.op)),
        "{case}: {message}"
    );
    assert!(!message.contains('\n'), "{case}: {message}");
}

/// Runs every case of `op`.
macro_rules! run {
    ($op:literal, $build:path, $tolerance:expr, images) => {
        run!(
            $op,
            $build,
            $tolerance,
            |case, transform| {
                match case.get("x").rank() {
                    2 => compare::<GrayImage, _, _>(case, transform, $tolerance),
                    _ => compare::<RgbImage, _, _>(case, transform, $tolerance),
                }
            },
            |case, transform| {
                match case.get("x").rank() {
                    2 => transform.apply(&GrayImage::read(case.get("x"))).map(drop),
                    _ => transform.apply(&RgbImage::read(case.get("x"))).map(drop),
                }
            }
        )
    };
    ($op:literal, $build:path, $tolerance:expr, tensors) => {
        run!(
            $op,
            $build,
            $tolerance,
            |case, transform| { compare::<Tensor, _, _>(case, transform, $tolerance) },
            |case, transform| transform.apply(case.get("x")).map(drop)
        )
    };
    ($op:literal, $build:path, $tolerance:expr, |$case:ident, $transform:ident| $compare:expr,
     |$refused_case:ident, $refused_transform:ident| $apply:expr) => {{
        let _alone = alone();
        let (mut largest, mut compared, mut refusals) = (0f64, 0, 0);
        for case in &cases::read($op) {
            let transform = $build(&Args(&case.args));
            if case.fields.get("raises").is_some() {
                let ($refused_case, result) = (case, transform);
                refused(case, result.and_then(|$refused_transform| $apply));
                refusals += 1;
            } else {
                let ($case, $transform) = (case, &transform.unwrap());
                largest = largest.max($compare);
                compared += 1;
            }
        }
        assert!(compared > 0);
        println!(
            "{}: {compared} cases, largest difference {largest:e}; {refusals} refused",
            $op
        );
    }};
}

#[test]
fn random_crop() {
    run!("RandomCrop", build::random_crop, 0.0, images);
}

#[test]
fn center_crop() {
    run!("CenterCrop", build::center_crop, 0.0, images);
}

#[test]
fn pad() {
    run!("Pad", build::pad, 0.0, images);
}

#[test]
fn resize() {
    run!("Resize", build::resize, 0.0, images);
}

#[test]
fn random_rotation() {
    run!("RandomRotation", build::random_rotation, 0.0, images);
}

#[test]
fn random_affine() {
    run!("RandomAffine", build::random_affine, 0.0, images);
}

#[test]
fn random_horizontal_flip() {
    run!(
        "RandomHorizontalFlip",
        build::random_horizontal_flip,
        0.0,
        images
    );
}

#[test]
fn random_erasing() {
    run!("RandomErasing", build::random_erasing, 1e-6, tensors);
}

#[test]
fn to_tensor() {
    run!("ToTensor", build::to_tensor, 0.0, images);
}

#[test]
fn normalize() {
    run!("Normalize", build::normalize, 1e-6, tensors);
}

#[test]
fn a_std_that_becomes_0_is_refused() {
    // Each as torchvision has it.
    for (dtype, std, refused) in [
        (DType::F32, 1e-50, true),
        (DType::F32, 1e-45, false),
        (DType::F16, 1e-8, true),
        (DType::BF16, 1e-41, true),
        (DType::F64, 1e-50, false),
    ] {
        let x = Tensor::ones((1, 2, 2), dtype, &Device::Cpu).unwrap();
        let result = Normalize::new([0.5], [std]).unwrap().apply(&x);
        match result.err() {
            Some(error) => {
                assert!(refused, "{error}");
                let problem = format!("becomes 0 in the input's dtype {dtype:?}");
                assert!(error.to_string().contains(&problem), "{error}");
            }
            None => assert!(!refused, "{dtype:?} {std}"),
        }
    }
}

#[test]
fn normalize_takes_any_number_of_leading_dimensions() {
    let normalize = Normalize::new([0.5, 0.25], [0.5, 0.125]).unwrap();
    let x = Tensor::ones((2, 3, 2, 1, 2), DType::F32, &Device::Cpu).unwrap();
    let y = normalize.apply(&x).unwrap();
    assert_eq!(y.dims(), x.dims());
    // What torchvision gives.
    let values = y.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    assert_eq!(values, [1.0, 1.0, 6.0, 6.0].repeat(6));

    let flat = Tensor::ones((2, 2), DType::F32, &Device::Cpu).unwrap();
    let error = normalize.apply(&flat).unwrap_err();
    assert!(
        error.to_string().contains("expected (…, 2, H, W)"),
        "{error}"
    );
}

/// A chain of all of them.
fn chain<I>(args: &Args) -> Result<impl Transform<I, Output = Tensor> + Display + use<I>>
where
    RandomCrop: Transform<I, Output = I>,
    RandomHorizontalFlip: Transform<I, Output = I>,
    RandomRotation: Transform<I, Output = I>,
    RandomAffine: Transform<I, Output = I>,
    Resize: Transform<I, Output = I>,
    ToTensor: Transform<I, Output = Tensor>,
{
    let steps = args.0["transforms"].as_array().unwrap();
    let names = [
        "RandomCrop",
        "RandomHorizontalFlip",
        "RandomRotation",
        "RandomAffine",
        "Resize",
        "ToTensor",
        "Normalize",
        "RandomErasing",
    ];
    assert_eq!(steps.len(), names.len());
    for (step, name) in steps.iter().zip(names) {
        assert_eq!(step[0], name);
    }
    let step = |i: usize| Args(&steps[i][1]);
    Ok(compose![
        build::random_crop(&step(0))?,
        build::random_horizontal_flip(&step(1))?,
        build::random_rotation(&step(2))?,
        build::random_affine(&step(3))?,
        build::resize(&step(4))?,
        build::to_tensor(&step(5))?,
        build::normalize(&step(6))?,
        build::random_erasing(&step(7))?,
    ])
}

#[test]
fn composed() {
    let _alone = alone();
    let (mut largest, mut compared) = (0f64, 0);
    for case in &cases::read("Compose") {
        let args = Args(&case.args);
        largest = largest.max(match case.get("x").rank() {
            2 => compare::<GrayImage, _, _>(case, &chain(&args).unwrap(), 1e-6),
            _ => compare::<RgbImage, _, _>(case, &chain(&args).unwrap(), 1e-6),
        });
        compared += 1;
    }
    assert!(compared > 0);
    println!("Compose: {compared} cases, largest difference {largest:e}");
}

#[test]
fn what_is_refused_here_alone() {
    let _alone = alone();
    let empty = GrayImage::new(0, 5);
    let image = GrayImage::new(8, 8);
    let tensor = |dims: &[usize]| Tensor::zeros(dims, DType::F32, &Device::Cpu).unwrap();
    let huge = usize::MAX;
    let (nan, infinity) = (f64::NAN, f64::INFINITY);
    let messages = [
        RandomCrop::builder(0).build().err(),
        RandomCrop::builder((3, 0)).build().err(),
        RandomCrop::builder(3).fill(nan).build().err(),
        RandomCrop::builder(huge)
            .pad_if_needed(true)
            .build()
            .unwrap()
            .apply(&image)
            .err(),
        RandomCrop::builder(3)
            .padding(huge)
            .build()
            .unwrap()
            .apply(&image)
            .err(),
        RandomCrop::builder(3).build().unwrap().apply(&empty).err(),
        CenterCrop::new(0).err(),
        CenterCrop::new(huge).unwrap().apply(&image).err(),
        CenterCrop::new(3).unwrap().apply(&empty).err(),
        Pad::builder(-4).build().unwrap().apply(&image).err(),
        Pad::builder((i64::MIN, 0, i64::MAX, 0))
            .build()
            .unwrap()
            .apply(&empty)
            .err(),
        Pad::builder(1 << 20).build().unwrap().apply(&image).err(),
        Pad::builder(1).fill(Vec::<u8>::new()).build().err(),
        Resize::builder(huge).build().unwrap().apply(&image).err(),
        Resize::builder(4).build().unwrap().apply(&empty).err(),
        Resize::builder(4).antialias(false).build().err(),
        RandomHorizontalFlip::new(1.5).err(),
        RandomHorizontalFlip::new(nan).err(),
        RandomRotation::builder(nan).build().err(),
        RandomRotation::builder(infinity).build().err(),
        RandomRotation::builder(1).center((0.0, nan)).build().err(),
        RandomRotation::builder(1)
            .build()
            .unwrap()
            .apply(&empty)
            .err(),
        RandomAffine::builder(1).translate((nan, 0.0)).build().err(),
        RandomAffine::builder(1).scale((1.0, nan)).build().err(),
        RandomAffine::builder(1).scale((1e-60, 1.0)).build().err(),
        RandomAffine::builder(1).shear(nan).build().err(),
        RandomAffine::builder(1)
            .center((infinity, 0.0))
            .build()
            .err(),
        RandomAffine::builder(1)
            .build()
            .unwrap()
            .apply(&empty)
            .err(),
        RandomErasing::builder().p(nan).build().err(),
        RandomErasing::builder().value(infinity).build().err(),
        RandomErasing::builder()
            .build()
            .unwrap()
            .apply(&tensor(&[8, 8]))
            .err(),
        RandomErasing::builder()
            .build()
            .unwrap()
            .apply(&tensor(&[0, 8, 8]))
            .err(),
    ];
    for (i, error) in messages.into_iter().enumerate() {
        let message = error
            .unwrap_or_else(|| panic!("number {i} is taken"))
            .to_string();
        assert!(
            message.contains(": ") && !message.contains('\n'),
            "{message}"
        );
    }
}

#[test]
fn extremes_are_taken() {
    let _alone = alone();
    let image = GrayImage::from_fn(5, 4, |x, y| image::Luma([(x * 40 + y) as u8]));
    let far = Pad::builder((-3, 0, i64::from(i32::MAX), 0)).padding_mode(PadMode::Edge);
    assert!(far.build().unwrap().apply(&image).is_err());
    // The whole image lies outside: only fill is left, as in PIL.
    let outside = Pad::builder((i64::MIN, 0, i64::MAX, 0))
        .fill(7)
        .build()
        .unwrap();
    assert_eq!(outside.apply(&image).unwrap().into_raw(), [7; 16]);
    let centre = RandomRotation::builder(30)
        .center((1e300, -1e300))
        .fill(9)
        .build()
        .unwrap();
    let turned = centre.apply(&image).unwrap();
    assert!(turned.as_raw().iter().all(|&value| value == 9));
    let large = RandomAffine::builder(0)
        .scale((1e-30, 1e-30))
        .fill(3)
        .build()
        .unwrap();
    assert_eq!(large.apply(&image).unwrap().dimensions(), (5, 4));
}

#[test]
fn a_data_set_applies_a_random_transform_to_each_image() {
    let _alone = alone();
    let transform = compose![RandomHorizontalFlip::new(0.5).unwrap(), ToTensor];
    let data = Mnist::builder("data")
        .train(false)
        .transform(transform)
        .build()
        .unwrap();
    manual_seed(1);
    let (batch, _) = data.batch(&[0; 32]).unwrap();
    let first = batch.get(0).unwrap();
    let same = |i: usize| difference("image", &batch.get(i).unwrap(), &first) == 0.0;
    let count = (0..32).filter(|&i| same(i)).count();
    assert!(count > 4 && count < 28, "{count} of 32 are like the first");
}
