//! Whatever a caller gives, the answer is an error with the cure in it; nothing panics.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

use candlelight::candle_core::Tensor;
use candlelight::nn::Conv2dBuilder;
use candlelight::prelude::*;

fn vb() -> VarBuilder<'static> {
    var_builder(DType::F32, &Device::Cpu)
}

fn zeros(shape: &[usize]) -> Tensor {
    Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap()
}

#[test]
fn conv2d_refuses() {
    let refused = [
        (
            Conv2d::builder(0, 1, 1),
            "Conv2d: in_channels=0 must be at least 1",
        ),
        (
            Conv2d::builder(1, 0, 1),
            "Conv2d: out_channels=0 must be at least 1",
        ),
        (
            Conv2d::builder(1, 1, 0),
            "Conv2d: kernel_size=(0, 0) must be at least 1",
        ),
        (
            Conv2d::builder(1, 1, 1).stride((1, 0)),
            "Conv2d: stride=(1, 0) must be at least 1",
        ),
        (
            Conv2d::builder(1, 1, 1).dilation(0),
            "Conv2d: dilation=(0, 0) must be at least 1",
        ),
        (
            Conv2d::builder(1, 1, 1).groups(0),
            "Conv2d: groups=0 must be at least 1",
        ),
        (
            Conv2d::builder(6, 4, 1).groups(3),
            "Conv2d: groups=3 does not divide out_channels=4; choose a common divisor of in_channels and out_channels",
        ),
        (
            Conv2d::builder(1, 1, 3).padding(Padding2::Same).stride(2),
            "Conv2d: padding=same goes with stride 1 only, not (2, 2); give the padding as a number",
        ),
        (
            Conv2d::builder(usize::MAX, 2, 3),
            "Conv2d: kernel_size=(3, 3) makes more weights than can be counted; use a smaller kernel",
        ),
    ];
    for (builder, message) in refused {
        assert_eq!(builder.build(vb()).unwrap_err().to_string(), message);
    }
}

#[test]
fn conv2d_refuses_inputs() {
    let conv = Conv2d::builder(3, 4, 5).build(vb()).unwrap();
    for (shape, message) in [
        (
            vec![1, 28, 28],
            "Conv2d: input has shape [1, 28, 28], expected (N, 3, H, W) or (3, H, W); in_channels=3 must be the input's channels",
        ),
        (
            vec![28, 28],
            "Conv2d: input has shape [28, 28], expected (N, 3, H, W) or (3, H, W); in_channels=3 must be the input's channels",
        ),
        (
            vec![28, 28, 3],
            "Conv2d: input has shape [28, 28, 3], expected (N, 3, H, W) or (3, H, W); the channels come first: permute((2, 0, 1))",
        ),
        (
            vec![2, 28, 28, 3],
            "Conv2d: input has shape [2, 28, 28, 3], expected (N, 3, H, W) or (3, H, W); \
             the channels come before rows and columns: permute((0, 3, 1, 2))",
        ),
        (
            vec![2, 3, 4, 9],
            "Conv2d: the kernel spans (5, 5) (kernel_size=(5, 5), dilation=(1, 1)) but the padded input is only (4, 9); \
             use a smaller kernel_size or dilation, more padding, or a larger image",
        ),
    ] {
        assert_eq!(
            conv.forward(&zeros(&shape)).unwrap_err().to_string(),
            message
        );
    }
    for shape in [vec![], vec![2, 3, 0, 9], vec![1, 2, 3, 4, 5]] {
        assert!(conv.forward(&zeros(&shape)).is_err());
    }
    let bytes = Tensor::zeros((3, 9, 9), DType::U8, &Device::Cpu).unwrap();
    assert_eq!(
        conv.forward(&bytes).unwrap_err().to_string(),
        "Conv2d: input has dtype U8, expected f32, as the weights; convert it with to_dtype"
    );
}

#[test]
fn conv2d_refuses_padding_that_the_image_cannot_fill() {
    let image = zeros(&[1, 3, 4]);
    let message = |builder: Conv2dBuilder| {
        let conv = builder.build(vb()).unwrap();
        let error = conv.forward(&image).unwrap_err().to_string();
        assert_eq!(conv.output_size((3, 4)).unwrap_err().to_string(), error);
        error
    };
    let conv = |mode| Conv2d::builder(1, 1, 1).padding_mode(mode);
    assert_eq!(
        message(conv(PaddingMode::Reflect).padding((3, 0))),
        "Conv2d: padding=(3, 0) must be less than the input's (3, 4) with padding_mode=reflect; \
         use less padding, a larger image, or padding_mode=replicate"
    );
    assert_eq!(
        message(conv(PaddingMode::Circular).padding((0, 5))),
        "Conv2d: padding=(0, 5) must be at most the input's (3, 4) with padding_mode=circular; \
         use less padding, a larger image, or padding_mode=replicate"
    );
    let same = Conv2d::builder(1, 1, 8).padding(Padding2::Same);
    assert_eq!(
        message(same.padding_mode(PaddingMode::Reflect)),
        "Conv2d: padding=same is (4, 4) here and must be less than the input's (3, 4) with padding_mode=reflect; \
         use less padding, a larger image, or padding_mode=replicate"
    );
    // As much as there can be.
    for (mode, padding) in [
        (PaddingMode::Reflect, (2, 3)),
        (PaddingMode::Circular, (3, 4)),
        (PaddingMode::Replicate, (9, 9)),
    ] {
        let conv = conv(mode).padding(padding).build(vb()).unwrap();
        assert!(conv.forward(&image).is_ok());
        assert_eq!(
            conv.forward(&zeros(&[0, 1, 3, 4])).unwrap().dim(0).unwrap(),
            0
        );
    }
}

#[test]
fn no_padding_is_too_large_to_answer() {
    for padding in [1 << 21, 1 << 40, usize::MAX] {
        for stride in [1, 3] {
            for mode in [PaddingMode::Zeros, PaddingMode::Replicate] {
                let builder = Conv2d::builder(1, 1, 1).padding(padding).stride(stride);
                let conv = builder.padding_mode(mode).build(vb()).unwrap();
                assert!(conv.forward(&zeros(&[1, 4, 4])).is_err());
            }
        }
    }
}

#[test]
fn an_empty_batch_is_an_empty_answer() {
    let net = Net::new(vb()).unwrap();
    let logits = net.forward(&zeros(&[0, 1, 28, 28])).unwrap();
    assert_eq!(logits.dims(), [0, 10]);
    let gradients = logits.sum_all().unwrap().backward().unwrap();
    let weight = &net.parameters()[0];
    let found = gradients
        .get(weight)
        .unwrap()
        .abs()
        .unwrap()
        .sum_all()
        .unwrap();
    assert_eq!(found.to_scalar::<f32>().unwrap(), 0.0);
}

#[test]
fn max_pool2d_refuses() {
    for (builder, message) in [
        (
            MaxPool2d::builder(0),
            "MaxPool2d: kernel_size=(0, 0) must be at least 1, and so must stride, which is the same unless set",
        ),
        (
            MaxPool2d::builder(2).stride((0, 1)),
            "MaxPool2d: stride=(0, 1) must be at least 1; leave it out for stride = kernel_size",
        ),
        (
            MaxPool2d::builder(2).dilation(0),
            "MaxPool2d: dilation=(0, 0) must be at least 1; 1 leaves no gaps",
        ),
        (
            MaxPool2d::builder(3).padding(2),
            "MaxPool2d: padding=(2, 2) must be at most (1, 1), half of what the window covers",
        ),
    ] {
        assert_eq!(builder.build().unwrap_err().to_string(), message);
    }
    let pool = MaxPool2d::builder(5).build().unwrap();
    for shape in [vec![1, 4, 9], vec![4, 4], vec![1, 1, 0, 9]] {
        assert!(pool.forward(&zeros(&shape)).is_err());
    }
    assert!(MaxPool2d::builder(usize::MAX).dilation(2).build().is_err());
}

#[test]
fn linear_refuses() {
    assert!(Linear::builder(usize::MAX, 2).build(vb()).is_err());
    let fc = Linear::builder(4, 2).build(vb()).unwrap();
    assert!(fc.forward(&zeros(&[])).is_err());
    let message = |shape: &[usize]| fc.forward(&zeros(shape)).unwrap_err().to_string();
    for (shape, cure) in [
        (
            &[3, 5][..],
            "set in_features=5, or change what comes before",
        ),
        (&[8, 1, 2, 2], "flatten it before, with flatten_from(1)"),
        (&[1, 2, 2], "flatten it before, with flatten_from(0)"),
        (
            &[8, 3, 2, 2],
            "flatten it before, with flatten_from(1), and set in_features=12",
        ),
    ] {
        assert!(
            message(shape).ends_with(&format!("; {cure}")),
            "{}",
            message(shape)
        );
    }
    assert_eq!(fc.forward(&zeros(&[0, 4])).unwrap().dims(), [0, 2]);
}

#[test]
fn cross_entropy_refuses() {
    let criterion = CrossEntropyLoss::builder().build().unwrap();
    let indices = |targets: &[i64]| Tensor::new(targets, &Device::Cpu).unwrap();
    let message = |logits: &[usize], targets: &Tensor| {
        let loss = criterion.forward(&zeros(logits), targets);
        loss.unwrap_err().to_string()
    };
    assert_eq!(
        message(&[3, 10], &indices(&[0, -1, 3])),
        "CrossEntropyLoss: target -1 at position 1 is out of range for 10 classes; targets are 0 to 9"
    );
    assert_eq!(
        message(&[3, 10], &indices(&[0, 1])),
        "CrossEntropyLoss: targets has shape [2], expected [3] for logits [3, 10]; \
         one class index for each row of logits (or, as floats, one probability for each logit)"
    );
    for logits in [vec![], vec![1, 0]] {
        message(&logits, &indices(&[0]));
    }
    assert!(criterion.forward(&indices(&[1]), &indices(&[1])).is_err());
    let weighted = CrossEntropyLoss::builder()
        .weight(zeros(&[3]))
        .build()
        .unwrap();
    assert!(weighted.forward(&zeros(&[1, 10]), &indices(&[0])).is_err());
    let smoothing = CrossEntropyLoss::builder().label_smoothing(1.1);
    assert_eq!(
        smoothing.build().unwrap_err().to_string(),
        "CrossEntropyLoss: label_smoothing=1.1 must be at most 1"
    );
    let ignoring = CrossEntropyLoss::builder().ignore_index(3).build().unwrap();
    assert_eq!(
        ignoring
            .forward(&zeros(&[1, 10]), &zeros(&[1, 10]))
            .unwrap_err()
            .to_string(),
        "CrossEntropyLoss: ignore_index=3 does not go with targets that are probabilities; leave it out, or give class indices"
    );
}

#[test]
fn sgd_refuses() {
    let sgd = || Sgd::builder(vec![], 0.1);
    for builder in [
        Sgd::builder(vec![], -0.1),
        Sgd::builder(vec![], f64::NAN),
        sgd().momentum(-0.5),
        sgd().weight_decay(-1.0),
        sgd().dampening(f64::INFINITY),
        sgd().momentum(0.9).dampening(0.1).nesterov(true),
    ] {
        assert!(builder.build().is_err());
    }
    let index = Var::zeros(2, DType::U8, &Device::Cpu).unwrap();
    assert!(Sgd::builder(vec![index], 0.1).build().is_err());
}

#[test]
fn an_optimizer_of_nothing_is_refused() {
    let refused = |name: &str, error: Option<candlelight::Error>| {
        let problem = "must hold at least one variable; give it the network's parameters()";
        let message = format!("{name}: parameters=[] {problem}");
        assert_eq!(error.unwrap().to_string(), message);
    };
    refused("Sgd", Sgd::builder(vec![], 0.1).build().err());
    refused("Adam", Adam::builder(vec![]).build().err());
    refused("AdamW", AdamW::builder(vec![]).build().err());
    refused("RmsProp", RmsProp::builder(vec![]).build().err());
    refused("Adagrad", Adagrad::builder(vec![]).build().err());
}
