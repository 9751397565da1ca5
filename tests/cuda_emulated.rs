//! CUDA's kernels without a card: compiled as C++, their threads taking turns (`cuda_emulated/emulate.h`), against the
//! layers on the CPU, which the parity suite compares with PyTorch. What a card adds is speed and its own rounding.

#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

#[path = "cuda_emulated/program.rs"]
mod program;

use std::path::Path;

use candlelight::nn::{Conv2d, MaxPool2d};
use candlelight::prelude::*;
use program::{bytes, program, take};

/// What the kernels write for these sizes and tensors.
fn run(program: &Path, op: &str, sizes: &[usize], tensors: &[&Tensor]) -> Vec<u8> {
    let words = sizes.iter().map(usize::to_string);
    let words: Vec<String> = std::iter::once(op.to_string()).chain(words).collect();
    let input = tensors.iter().flat_map(|tensor| bytes(&numbers(tensor)));
    program::run(program, &words, &input.collect::<Vec<u8>>())
}

fn numbers(tensor: &Tensor) -> Vec<f64> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

fn random(generator: &mut Generator, shape: &[usize]) -> Tensor {
    let values = generator.uniform_f64(shape.iter().product(), -1.0, 1.0);
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

fn assert_near(what: &str, found: &[f64], expected: &[f64]) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (i, (found, expected)) in found.iter().zip(expected).enumerate() {
        let near = (found - expected).abs() <= 1e-12 * (1.0 + expected.abs());
        assert!(near, "{what}: number {i} is {found}, expected {expected}");
    }
}

/// One of `low..=high`.
fn pick(generator: &mut Generator, low: usize, high: usize) -> usize {
    low + (generator.random_i64() as usize) % (high - low + 1)
}

fn pair(generator: &mut Generator, low: usize, high: usize) -> (usize, usize) {
    (pick(generator, low, high), pick(generator, low, high))
}

#[test]
fn conv2d_is_that_of_the_cpu() {
    let Some(program) = program() else { return };
    let generator = &mut Generator::new(7);
    let mut compared = 0;
    while compared < 60 {
        let groups = [1, 1, 2, 3][pick(generator, 0, 3)];
        let (in_channels, out_channels) = (
            groups * pick(generator, 1, 2),
            groups * pick(generator, 1, 3),
        );
        let kernel = pair(generator, 1, 4);
        let (stride, dilation) = (pair(generator, 1, 3), pair(generator, 1, 2));
        let padding = pair(generator, 0, 3);
        let (images, (h, w)) = (pick(generator, 1, 3), pair(generator, 3, 11));
        let has_bias = pick(generator, 0, 1) == 1;
        let options = Conv2d::builder(in_channels, out_channels, kernel)
            .stride(stride)
            .padding(padding)
            .dilation(dilation)
            .groups(groups)
            .bias(has_bias);
        let weight = random(
            generator,
            &[out_channels, in_channels / groups, kernel.0, kernel.1],
        );
        let bias = random(generator, &[out_channels]);
        let given = has_bias.then_some(&bias);
        let conv = options.clone().build_with(&weight, given).unwrap();
        let input = Var::from_tensor(&random(generator, &[images, in_channels, h, w])).unwrap();
        // Where no window fits.
        let Ok(output) = conv.forward(&input) else {
            continue;
        };
        let grad = random(generator, output.dims());
        let grads = (&output * &grad)
            .unwrap()
            .sum_all()
            .unwrap()
            .backward()
            .unwrap();

        let (out_h, out_w) = (output.dims()[2], output.dims()[3]);
        let sizes = [
            images,
            in_channels,
            out_channels,
            groups,
            h,
            w,
            out_h,
            out_w,
            kernel.0,
            kernel.1,
            stride.0,
            stride.1,
            dilation.0,
            dilation.1,
            padding.0,
            padding.1,
            // How it is cut is main.cpp's choice.
            1,
            1,
            1,
            usize::from(has_bias),
        ];
        let empty = bias.narrow(0, 0, 0).unwrap();
        let tensors = [&*input, &weight, given.unwrap_or(&empty), &grad];
        let bytes = run(program, "conv2d", &sizes, &tensors);
        let mut bytes = &bytes[..];
        let what = format!("{conv} of {images} × {h} × {w}");
        let gradient = |tensor: &Tensor| numbers(grads.get(tensor).unwrap());
        assert_near(
            &what,
            &take(&mut bytes, output.elem_count()),
            &numbers(&output),
        );
        assert_near(
            &what,
            &take(&mut bytes, input.elem_count()),
            &gradient(&input),
        );
        assert_near(
            &what,
            &take(&mut bytes, weight.elem_count()),
            &gradient(conv.weight()),
        );
        let of_bias = take(&mut bytes, out_channels);
        match conv.bias() {
            Some(bias) => assert_near(&what, &of_bias, &gradient(bias)),
            None => assert_near(&what, &of_bias, &numbers(&grad.sum((0, 2, 3)).unwrap())),
        }
        assert!(bytes.is_empty());
        compared += 1;
    }
}

#[test]
fn max_pool2d_is_that_of_the_cpu() {
    let Some(program) = program() else { return };
    let generator = &mut Generator::new(8);
    let mut compared = 0;
    while compared < 60 {
        let kernel = pair(generator, 1, 4);
        let (stride, dilation) = (pair(generator, 1, 3), pair(generator, 1, 2));
        let padding = (
            pick(generator, 0, kernel.0 / 2),
            pick(generator, 0, kernel.1 / 2),
        );
        let (planes, (h, w)) = (pick(generator, 1, 3), pair(generator, 3, 11));
        let ceil_mode = pick(generator, 0, 1) == 1;
        let pool = MaxPool2d::builder(kernel)
            .stride(stride)
            .padding(padding)
            .dilation(dilation);
        let pool = pool.ceil_mode(ceil_mode).build().unwrap();
        // Ties, NaN, and nothing but −∞.
        let input = (random(generator, &[1, planes, h, w]) * 4.0)
            .unwrap()
            .round()
            .unwrap();
        let mut values = numbers(&input);
        match compared % 3 {
            0 => values[h * w / 2] = f64::NAN,
            1 => values[..h * w].fill(f64::NEG_INFINITY),
            _ => {}
        }
        let input = Tensor::from_vec(values, input.shape(), &Device::Cpu).unwrap();
        let input = Var::from_tensor(&input).unwrap();
        let Ok((output, indices)) = pool.forward_with_indices(&input) else {
            continue;
        };
        let grad = random(generator, output.dims());
        let grads = (&output * &grad)
            .unwrap()
            .sum_all()
            .unwrap()
            .backward()
            .unwrap();

        let (out_h, out_w) = (output.dims()[2], output.dims()[3]);
        let sizes = [
            planes, h, w, out_h, out_w, kernel.0, kernel.1, stride.0, stride.1, padding.0,
            padding.1, dilation.0, dilation.1,
        ];
        let bytes = run(program, "max_pool2d", &sizes, &[&*input, &grad]);
        let mut bytes = &bytes[..];
        let what = format!("{pool} of {planes} × {h} × {w}");
        let bits = |values: Vec<f64>| values.into_iter().map(f64::to_bits).collect::<Vec<_>>();
        let found = take(&mut bytes, output.elem_count());
        assert_eq!(bits(found), bits(numbers(&output)), "{what}");
        let found = take(&mut bytes, input.elem_count());
        assert_eq!(
            bits(found),
            bits(numbers(grads.get(&input).unwrap())),
            "{what}"
        );
        let found: Vec<i64> = bytes
            .chunks_exact(4)
            .map(
                |bytes| match u32::from_le_bytes(bytes.try_into().unwrap()) {
                    u32::MAX => -1,
                    index => i64::from(index),
                },
            )
            .collect();
        let expected = indices.flatten_all().unwrap().to_vec1::<i64>().unwrap();
        assert_eq!(found, expected, "{what}");
        compared += 1;
    }
}

#[test]
fn cross_entropy_is_that_of_the_cpu() {
    let Some(program) = program() else { return };
    let generator = &mut Generator::new(9);
    for case in 0..60 {
        let (n, classes, inner) = (
            pick(generator, 1, 300),
            pick(generator, 1, 6),
            pick(generator, 1, 3),
        );
        let has_indices = case % 2 == 0;
        let reduction = [Reduction::None, Reduction::Mean, Reduction::Sum][case / 2 % 3];
        let smoothing = [0.0, 0.1][case / 6 % 2];
        let weighted = case / 12 % 2 == 1;
        let weight = random(generator, &[classes]).abs().unwrap();
        let mut criterion = CrossEntropyLoss::builder()
            .reduction(reduction)
            .label_smoothing(smoothing);
        if weighted {
            criterion = criterion.weight(weight.clone());
        }
        let criterion = criterion.build().unwrap();
        let shape = [n, classes, inner];
        let logits = (random(generator, &shape) * 20.0).unwrap();
        let logits = Var::from_tensor(&logits).unwrap();
        let indices: Vec<i64> = (0..n * inner)
            .map(|_| match pick(generator, 0, classes) {
                0 => -100,
                class => class as i64 - 1,
            })
            .collect();
        let truth = Var::from_tensor(&random(generator, &shape).abs().unwrap()).unwrap();
        let targets = match has_indices {
            true => Tensor::from_vec(indices.clone(), (n, inner), &Device::Cpu).unwrap(),
            false => truth.as_tensor().clone(),
        };
        let loss = criterion.forward(&logits, &targets).unwrap();
        let grad = random(generator, loss.dims());
        let grads = (&loss * &grad)
            .unwrap()
            .sum_all()
            .unwrap()
            .backward()
            .unwrap();

        let reduction = match reduction {
            Reduction::None => 0,
            Reduction::Mean => 1,
            Reduction::Sum => 2,
        };
        let mut words = vec!["cross_entropy".to_string()];
        words.extend([classes, n * inner, inner].map(|size| size.to_string()));
        words.extend([
            "-100".to_string(),
            smoothing.to_string(),
            reduction.to_string(),
        ]);
        words.extend([weighted, has_indices].map(|there| u8::from(there).to_string()));
        let mut input = bytes(&numbers(&logits));
        match has_indices {
            true => input.extend(indices.iter().flat_map(|index| index.to_le_bytes())),
            false => input.extend(bytes(&numbers(&truth))),
        }
        if weighted {
            input.extend(bytes(&numbers(&weight)));
        }
        input.extend(bytes(&numbers(&grad)));
        let output = program::run(program, &words, &input);
        let mut output = &output[..];
        let what = format!("{words:?}");
        assert_near(
            &what,
            &take(&mut output, loss.elem_count()),
            &numbers(&loss),
        );
        let found = take(&mut output, logits.elem_count());
        assert_near(&what, &found, &numbers(grads.get(&logits).unwrap()));
        if !has_indices {
            let found = take(&mut output, truth.elem_count());
            assert_near(&what, &found, &numbers(grads.get(&truth).unwrap()));
        }
        assert!(output.is_empty());
    }
}
