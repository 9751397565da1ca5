//! What holds for any parameters: the size of the output, the gradients, what a loader delivers.
#![allow(missing_docs, clippy::unwrap_used)]

use candlelight::candle_core::Tensor;
use candlelight::prelude::*;
use candlelight::size::output_length;
use proptest::prelude::*;
use proptest::test_runner::Config;

fn config(cases: u32) -> Config {
    Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    }
}

fn pair(values: std::ops::Range<usize>) -> impl Strategy<Value = (usize, usize)> {
    (values.clone(), values)
}

fn mode() -> impl Strategy<Value = PaddingMode> {
    prop_oneof![
        Just(PaddingMode::Zeros),
        Just(PaddingMode::Reflect),
        Just(PaddingMode::Replicate),
        Just(PaddingMode::Circular),
    ]
}

/// Numbers in ±1, no two of them closer than 1/n: no maximum changes within a small step.
fn apart(shape: &[usize], seed: u64) -> Tensor {
    let n: usize = shape.iter().product();
    let order = Generator::new(seed).randperm(n);
    let value = |i: &usize| 2.0 * *i as f64 / n as f64 - 1.0;
    let values: Vec<f64> = order.iter().map(value).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

/// The gradient of Σ f(x)·w, for fixed w, by backward and by central differences.
fn gradient_holds(x: &Tensor, f: impl Fn(&Tensor) -> Result<Tensor>) -> Result<(), TestCaseError> {
    let var = Var::from_tensor(x).unwrap();
    let y = f(&var).unwrap();
    let weight = apart(y.dims(), 7);
    let loss = |y: &Tensor| (y * &weight).unwrap().sum_all().unwrap();
    let gradients = loss(&y).backward().unwrap();
    let flat = |tensor: &Tensor| tensor.flatten_all().unwrap().to_vec1::<f64>().unwrap();
    let (found, values) = (flat(gradients.get(&var).unwrap()), flat(x));
    let step = 1e-5;
    for i in 0..values.len() {
        let at = |change: f64| {
            let mut values = values.clone();
            values[i] += change;
            let x = Tensor::from_vec(values, x.shape(), &Device::Cpu).unwrap();
            loss(&f(&x).unwrap()).to_scalar::<f64>().unwrap()
        };
        let expected = (at(step) - at(-step)) / (2.0 * step);
        let error = (found[i] - expected).abs();
        prop_assert!(
            error < 1e-6,
            "element {} is {}, not {}",
            i,
            found[i],
            expected
        );
    }
    Ok(())
}

fn vb() -> VarBuilder<'static> {
    var_builder(DType::F64, &Device::Cpu)
}

proptest! {
    #![proptest_config(config(64))]

    #[test]
    fn the_output_has_the_size_of_the_formula(
        input in pair(1..12),
        kernel in pair(1..5),
        stride in pair(1..4),
        padding in pair(0..4),
        dilation in pair(1..3),
        mode in mode(),
    ) {
        let conv = Conv2d::builder(1, 2, kernel)
            .stride(stride)
            .padding(padding)
            .dilation(dilation)
            .padding_mode(mode)
            .build(vb())
            .unwrap();
        let image = Tensor::zeros((1, 1, input.0, input.1), DType::F64, &Device::Cpu).unwrap();
        let most = match mode {
            PaddingMode::Reflect => (input.0 - 1, input.1 - 1),
            PaddingMode::Circular => input,
            PaddingMode::Zeros | PaddingMode::Replicate => (usize::MAX, usize::MAX),
        };
        let rows = output_length(input.0, kernel.0, stride.0, padding.0, dilation.0);
        let columns = output_length(input.1, kernel.1, stride.1, padding.1, dilation.1);
        let size = rows.zip(columns).filter(|_| padding.0 <= most.0 && padding.1 <= most.1);
        prop_assert_eq!(conv.output_size(input).ok(), size);
        let output = conv.forward(&image).ok().map(|y| y.dims().to_vec());
        prop_assert_eq!(output, size.map(|(h, w)| vec![1, 2, h, w]));
    }

    #[test]
    fn a_pooled_image_has_the_size_of_the_formula(
        input in pair(1..12),
        kernel in pair(1..5),
        stride in pair(1..4),
        padding in pair(0..3),
        dilation in pair(1..3),
        ceil_mode: bool,
    ) {
        let span = |kernel: usize, dilation: usize| dilation * (kernel - 1) + 1;
        let span = (span(kernel.0, dilation.0), span(kernel.1, dilation.1));
        let pool = MaxPool2d::builder(kernel)
            .stride(stride)
            .padding(padding)
            .dilation(dilation)
            .ceil_mode(ceil_mode)
            .build();
        prop_assert_eq!(pool.is_ok(), padding.0 <= span.0 / 2 && padding.1 <= span.1 / 2);
        let Ok(pool) = pool else { return Ok(()) };
        let image = Tensor::zeros((1, 1, input.0, input.1), DType::F64, &Device::Cpu).unwrap();
        let size = pool.output_size(input).ok();
        // A window begins within the image or the padding before it, never in the padding after it;
        // without ceil_mode it also ends before that padding does, with it less than a step beyond.
        let windows = |input: usize, span: usize, stride: usize, padding: usize| {
            let most = input + 2 * padding + if ceil_mode { stride - 1 } else { 0 };
            let ends = |start: usize| start + span <= most;
            (0..input + padding).step_by(stride).filter(|&start| ends(start)).count()
        };
        let h = windows(input.0, span.0, stride.0, padding.0);
        let w = windows(input.1, span.1, stride.1, padding.1);
        prop_assert_eq!(size, (h > 0 && w > 0).then_some((h, w)));
        let output = pool.forward(&image).ok().map(|y| y.dims().to_vec());
        prop_assert_eq!(output, size.map(|(h, w)| vec![1, 1, h, w]));
    }

    #[test]
    fn a_loader_visits_each_index_once(
        n in 1usize..60,
        batch_size in 1usize..20,
        shuffle: bool,
        drop_last: bool,
        num_workers in 0usize..4,
        seed: u64,
    ) {
        let loader = DataLoader::builder(Numbers(n))
            .batch_size(batch_size)
            .shuffle(shuffle)
            .drop_last(drop_last)
            .num_workers(num_workers)
            .build()
            .unwrap();
        manual_seed(seed);
        let mut expected = vec![batch_size; n / batch_size];
        if n % batch_size != 0 && !drop_last {
            expected.push(n % batch_size);
        }
        let batches = loader.iter();
        // Without a single batch it refuses.
        prop_assert_eq!(batches.is_ok(), !expected.is_empty());
        let Ok(batches) = batches else { return Ok(()) };
        let mut seen: Vec<i64> = vec![];
        let mut sizes = vec![];
        for batch in batches {
            let targets: Vec<i64> = batch.unwrap().targets.to_vec1().unwrap();
            sizes.push(targets.len());
            seen.extend(targets);
        }
        prop_assert_eq!(sizes, expected);
        if !shuffle {
            prop_assert!(seen.is_sorted());
        }
        let visited = seen.len();
        seen.sort_unstable();
        seen.dedup();
        prop_assert_eq!(seen.len(), visited);
        prop_assert!(seen.iter().all(|&index| (0..n as i64).contains(&index)));
    }
}

proptest! {
    #![proptest_config(config(16))]

    #[test]
    fn the_gradients_of_conv2d_hold(
        (groups, inputs, outputs) in (1usize..3, 1usize..3, 1usize..3),
        kernel in pair(1..4),
        stride in pair(1..3),
        padding in pair(0..3),
        dilation in pair(1..3),
        mode in mode(),
        seed: u64,
    ) {
        let weight = apart(&[groups * outputs, inputs, kernel.0, kernel.1], seed);
        let bias = apart(&[groups * outputs], seed);
        let x = apart(&[2, groups * inputs, 5, 6], seed);
        let run = |x: &Tensor, weight: &Tensor, bias: &Tensor| {
            Conv2d::builder(groups * inputs, groups * outputs, kernel)
                .stride(stride)
                .padding(padding)
                .dilation(dilation)
                .groups(groups)
                .padding_mode(mode)
                .build_with(weight, Some(bias))?
                .forward(x)
        };
        gradient_holds(&x, |x| run(x, &weight, &bias))?;
        gradient_holds(&weight, |weight| run(&x, weight, &bias))?;
        gradient_holds(&bias, |bias| run(&x, &weight, bias))?;
    }

    #[test]
    fn the_gradient_of_max_pool2d_holds(
        kernel in pair(2..4),
        stride in pair(1..4),
        padding in pair(0..2),
        dilation in pair(1..3),
        ceil_mode: bool,
        seed: u64,
    ) {
        let pool = MaxPool2d::builder(kernel)
            .stride(stride)
            .padding(padding)
            .dilation(dilation)
            .ceil_mode(ceil_mode)
            .build()
            .unwrap();
        gradient_holds(&apart(&[1, 2, 7, 6], seed), |x| pool.forward(x))?;
    }

    #[test]
    fn the_gradient_of_linear_holds(
        (rows, inputs, outputs) in (1usize..4, 0usize..5, 0usize..4),
        bias: bool,
        seed: u64,
    ) {
        let fc = Linear::builder(inputs, outputs).bias(bias).build(vb()).unwrap();
        gradient_holds(&apart(&[rows, inputs], seed), |x| fc.forward(x))?;
    }

    #[test]
    fn the_gradients_of_cross_entropy_hold(
        classes in 2usize..5,
        inner in 1usize..3,
        smoothing in 0.0..1.0,
        weighted: bool,
        reduction in prop_oneof![Just("mean"), Just("sum"), Just("none")],
        seed: u64,
    ) {
        let mut builder = CrossEntropyLoss::builder()
            .label_smoothing(smoothing)
            .reduction(reduction.parse().unwrap());
        if weighted {
            builder = builder.weight((apart(&[classes], seed) + 1.5).unwrap());
        }
        let criterion = builder.build().unwrap();
        let logits = apart(&[3, classes, inner], seed);
        let indices: Vec<i64> = (0..3 * inner).map(|i| (i % classes) as i64).collect();
        let indices = Tensor::from_vec(indices, (3, inner), &Device::Cpu).unwrap();
        gradient_holds(&logits, |x| criterion.forward(x, &indices))?;
        let probabilities = (apart(&[3, classes, inner], seed ^ 1) + 1.1).unwrap();
        gradient_holds(&logits, |x| criterion.forward(x, &probabilities))?;
        gradient_holds(&probabilities, |p| criterion.forward(&logits, p))?;
    }
}

/// Images that are their own number.
struct Numbers(usize);

impl Dataset for Numbers {
    fn len(&self) -> usize {
        self.0
    }

    fn get(&self, index: usize) -> candlelight::Result<(Tensor, i64)> {
        let image = Tensor::full(index as f32, (1, 1, 1), &Device::Cpu)?;
        Ok((image, index as i64))
    }
}
