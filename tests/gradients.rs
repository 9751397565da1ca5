//! Gradients against finite differences, in f64; and f32's own kernels against f64's.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

use candlelight::candle_core::Tensor;
use candlelight::prelude::*;

/// Numbers in ±1, no two of them closer than 1/n: no maximum changes within a small step.
fn apart(shape: &[usize], seed: u64) -> Tensor {
    let n: usize = shape.iter().product();
    let order = Generator::new(seed).randperm(n);
    let values: Vec<f64> = order
        .iter()
        .map(|&i| 2.0 * i as f64 / n as f64 - 1.0)
        .collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

/// The gradient of Σ f(x)·w, for fixed w, by backward and by central differences.
fn check(name: &str, x: &Tensor, f: impl Fn(&Tensor) -> Result<Tensor>) {
    let var = Var::from_tensor(x).unwrap();
    let y = f(&var).unwrap();
    let weight = apart(y.dims(), 7);
    let loss = |y: &Tensor| (y * &weight).unwrap().sum_all().unwrap();
    let gradients = loss(&y).backward().unwrap();
    let found = gradients.get(&var).unwrap().flatten_all().unwrap();
    let found = found.to_vec1::<f64>().unwrap();
    let values = x.flatten_all().unwrap().to_vec1::<f64>().unwrap();
    let step = 1e-5;
    for i in 0..values.len() {
        let at = |change: f64| {
            let mut values = values.clone();
            values[i] += change;
            let x = Tensor::from_vec(values, x.shape(), &Device::Cpu).unwrap();
            loss(&f(&x).unwrap()).to_scalar::<f64>().unwrap()
        };
        let expected = (at(step) - at(-step)) / (2.0 * step);
        assert!(
            (found[i] - expected).abs() < 1e-6,
            "{name}: element {i} is {}, expected {expected}",
            found[i]
        );
    }
}

#[test]
fn max_pool2d_agrees_with_finite_differences() {
    let x = apart(&[2, 2, 7, 6], 1);
    for (kernel, stride, padding, ceil_mode) in [
        ((2, 2), (2, 2), (0, 0), false),
        ((2, 2), (2, 2), (1, 1), false),
        ((3, 2), (1, 2), (1, 0), false),
        ((3, 3), (2, 1), (1, 1), true),
    ] {
        let pool = MaxPool2d::builder(kernel)
            .stride(stride)
            .padding(padding)
            .ceil_mode(ceil_mode)
            .build()
            .unwrap();
        check(&pool.to_string(), &x, |x| pool.forward(x));
    }
}

#[test]
fn of_equal_values_the_first_takes_the_gradient() {
    let x = Var::new(&[[[3f32, 3.0], [3.0, 1.0]]], &Device::Cpu).unwrap();
    let y = MaxPool2d::builder(2).build().unwrap().forward(&x).unwrap();
    let gradients = y.backward().unwrap();
    let found = gradients.get(&x).unwrap().to_vec3::<f32>().unwrap();
    assert_eq!(found, [[[1.0, 0.0], [0.0, 0.0]]]);
}

#[test]
fn a_nan_is_the_maximum() {
    let x = Tensor::new(&[[[f32::NAN, 3.0], [3.0, 1.0]]], &Device::Cpu).unwrap();
    for pool in [MaxPool2d::builder(2), MaxPool2d::builder(2).padding(1)] {
        let y = pool.build().unwrap().forward(&x).unwrap();
        assert!(y.flatten_all().unwrap().to_vec1::<f32>().unwrap()[0].is_nan());
    }
}

/// Kernel, stride, padding, dilation, groups.
type Options = (
    (usize, usize),
    (usize, usize),
    Padding2,
    (usize, usize),
    usize,
);

fn options() -> Vec<Options> {
    vec![
        ((3, 3), (1, 1), Padding2::from(0), (1, 1), 1),
        ((1, 1), (1, 1), Padding2::from(0), (1, 1), 2),
        ((3, 2), (1, 1), Padding2::from((2, 1)), (1, 2), 1),
        ((3, 2), (2, 3), Padding2::from((1, 2)), (2, 1), 2),
        ((4, 3), (1, 1), Padding2::Same, (1, 2), 2),
    ]
}

fn conv(options: Options, weight: &Tensor, bias: &Tensor) -> Conv2d {
    let (kernel, stride, padding, dilation, groups) = options;
    Conv2d::builder(4, 6, kernel)
        .stride(stride)
        .padding(padding)
        .dilation(dilation)
        .groups(groups)
        .build_with(weight, Some(bias))
        .unwrap()
}

#[test]
fn conv2d_agrees_with_finite_differences() {
    for options in options() {
        let ((h, w), .., groups) = options;
        let x = apart(&[2, 4, 7, 6], 1);
        let weight = apart(&[6, 4 / groups, h, w], 2);
        let bias = apart(&[6], 3);
        let name = format!("{options:?}");
        check(&name, &x, |x| conv(options, &weight, &bias).forward(x));
        check(&name, &weight, |weight| {
            conv(options, weight, &bias).forward(&x)
        });
        check(&name, &bias, |bias| {
            conv(options, &weight, bias).forward(&x)
        });
    }
}

#[test]
fn conv2d_in_f32_agrees_with_f64() {
    for options in options() {
        let ((h, w), .., groups) = options;
        // More than one task, and the last of them not full.
        let tensors = [
            apart(&[11, 4, 13, 19], 1),
            apart(&[6, 4 / groups, h, w], 2),
            apart(&[6], 3),
        ];
        let run = |dtype: DType| {
            let var = |tensor: &Tensor| Var::from_tensor(&tensor.to_dtype(dtype).unwrap()).unwrap();
            let [x, weight, bias] = [var(&tensors[0]), var(&tensors[1]), var(&tensors[2])];
            let y = conv(options, &weight, &bias).forward(&x).unwrap();
            let scale = apart(y.dims(), 4).to_dtype(dtype).unwrap();
            let gradients = (&y * &scale)
                .unwrap()
                .sum_all()
                .unwrap()
                .backward()
                .unwrap();
            let of = |var: &Var| gradients.get(var).unwrap().to_dtype(DType::F64).unwrap();
            [
                y.to_dtype(DType::F64).unwrap(),
                of(&x),
                of(&weight),
                of(&bias),
            ]
        };
        for (single, double) in run(DType::F32).iter().zip(run(DType::F64)) {
            let difference = (single - &double)
                .unwrap()
                .abs()
                .unwrap()
                .flatten_all()
                .unwrap();
            let difference = difference.max(0).unwrap().to_scalar::<f64>().unwrap();
            assert!(difference < 1e-3, "{options:?}: {difference}");
        }
    }
}

#[test]
fn cross_entropy_agrees_with_finite_differences() {
    let targets = Tensor::new(&[2u32, 0, 1], &Device::Cpu).unwrap();
    for smoothing in [0.0, 0.3] {
        let weight = Tensor::new(&[1f64, 2.0, 0.5, 1.0], &Device::Cpu).unwrap();
        let builder = CrossEntropyLoss::builder()
            .weight(weight)
            .label_smoothing(smoothing);
        let criterion = builder.build().unwrap();
        check("cross-entropy", &apart(&[3, 4], 5), |x| {
            criterion.forward(x, &targets)
        });
    }
}

#[test]
fn huge_logits_neither_overflow_nor_vanish() {
    let criterion = CrossEntropyLoss::builder().build().unwrap();
    let logits = Var::new(&[[1e4f32, -1e4, 0.0]], &Device::Cpu).unwrap();
    let loss = |target: i64| {
        let targets = Tensor::new(&[target], &Device::Cpu).unwrap();
        criterion.forward(&logits, &targets).unwrap()
    };
    assert_eq!(loss(0).to_scalar::<f32>().unwrap(), 0.0);
    assert_eq!(loss(1).to_scalar::<f32>().unwrap(), 2e4);
    let gradients = loss(1).backward().unwrap();
    let found = gradients.get(&logits).unwrap().to_vec2::<f32>().unwrap();
    assert_eq!(found, [[1.0, -1.0, 0.0]]);
}

#[test]
fn linear_agrees_with_finite_differences() {
    let fc = Linear::builder(5, 3)
        .build(var_builder(DType::F64, &Device::Cpu))
        .unwrap();
    check("linear", &apart(&[2, 2, 5], 1), |x| fc.forward(x));
    check("relu", &apart(&[3, 5], 1), relu);
}

#[test]
fn a_window_in_the_padding_alone_passes_no_gradient_on() {
    let builder = MaxPool2d::builder(2).padding(1).dilation(4);
    let pool = builder.build().unwrap();
    let image = Var::ones((1, 1, 3, 3), DType::F32, &Device::Cpu).unwrap();
    let (largest, indices) = pool.forward_with_indices(&image).unwrap();
    assert_eq!(
        largest
            .to_dtype(DType::F64)
            .unwrap()
            .max_all()
            .unwrap()
            .to_scalar::<f64>()
            .unwrap(),
        f64::NEG_INFINITY
    );
    assert_eq!(
        indices.flatten_all().unwrap().to_vec1::<i64>().unwrap(),
        [-1]
    );
    let gradients = largest.sum_all().unwrap().backward().unwrap();
    let found = gradients.get(&image).unwrap().sum_all().unwrap();
    assert_eq!(found.to_scalar::<f32>().unwrap(), 0.0);
}
