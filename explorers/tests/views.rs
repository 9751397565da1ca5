//! What the page draws is what the layers compute.
#![allow(clippy::unwrap_used)]

use candlelight_explorers::{conv2d, cross_entropy, descend, digit, max_pool2d, surface, training};

const LAYERS: [&str; 9] = [
    "",
    "kernel_size=3,2 stride=2,1 padding=1,2 bias=false",
    "kernel_size=2,4 padding=same dilation=2,1",
    "in_channels=2 out_channels=4 groups=2 weight=random size=5",
    "padding=2 padding_mode=reflect weight=random size=7",
    "padding=2 padding_mode=replicate stride=3 input=ramp",
    "padding=3 padding_mode=circular dilation=2 weight=sharpen size=8",
    "in_channels=3 out_channels=2 kernel_size=1 weight=blur input=impulse",
    "kernel_size=5 stride=4 input=digit digit=7 weight=horizontal",
];

#[test]
fn an_output_is_the_sum_of_its_window() {
    for options in LAYERS {
        let view = conv2d(options).unwrap();
        let (shape, output) = (
            view.output().unwrap().shape(),
            view.output().unwrap().values(),
        );
        let bias = view
            .bias()
            .unwrap()
            .map_or(vec![0.0; shape[0]], |bias| bias.values());
        for (i, wanted) in output.iter().enumerate() {
            let (o, y, x) = (
                i / (shape[1] * shape[2]),
                i / shape[2] % shape[1],
                i % shape[2],
            );
            let taps = view.window(o, y, x).unwrap();
            let sum: f32 = taps.chunks(8).map(|tap| tap[3] * tap[7]).sum();
            let off = (sum + bias[o] - wanted).abs();
            assert!(
                off < 1e-4 * wanted.abs().max(1.0),
                "{options}: {o} {y} {x}: {off}"
            );
        }
    }
}

#[test]
fn a_gradient_is_the_weights_of_the_windows_that_read_an_input() {
    for options in LAYERS
        .into_iter()
        .filter(|options| !options.contains("padding_mode"))
    {
        let view = conv2d(options).unwrap();
        let gradient = view.gradient_at(0, 0, 1).unwrap();
        let [before_h, before_w] = view.before()[..] else {
            unreachable!()
        };
        let mut wanted = vec![0.0; gradient.values().len()];
        let (h, w) = (gradient.shape()[1], gradient.shape()[2]);
        for tap in view.window(0, 0, 1).unwrap().chunks(8) {
            let place = |at: usize, before: usize| (tap[at] as usize).wrapping_sub(before);
            let (y, x) = (place(1, before_h), place(2, before_w));
            if y < h && x < w {
                wanted[(tap[0] as usize * h + y) * w + x] += tap[7];
            }
        }
        for (got, wanted) in gradient.values().iter().zip(&wanted) {
            assert!((got - wanted).abs() < 1e-6, "{options}: {got} and {wanted}");
        }
    }
}

#[test]
fn the_layer_is_written_in_both_languages() {
    let options = "in_channels=2 out_channels=4 kernel_size=3,5 padding=same groups=2 bias=false \
                   padding_mode=reflect size=8";
    let view = conv2d(options).unwrap();
    assert_eq!(
        view.rust(),
        "let conv = Conv2d::builder(2, 4, (3, 5))\n    .padding(Padding2::Same)\n    .groups(2)\n    \
         .bias(false)\n    .padding_mode(PaddingMode::Reflect)\n    .build(vb)?;"
    );
    assert_eq!(
        view.python(),
        "conv = nn.Conv2d(2, 4, (3, 5), padding=\"same\", groups=2, bias=False, padding_mode=\"reflect\")"
    );
    assert_eq!(view.parameters(), 4 * 15);
    let view = conv2d("kernel_size=3 stride=2 padding=1 size=7").unwrap();
    assert_eq!(
        view.formulas()[0],
        "⌊(7 + 2·1 − 1·(3 − 1) − 1) / 2⌋ + 1 = 4"
    );
    let pool = max_pool2d("kernel_size=3 stride=2 ceil_mode=true").unwrap();
    assert_eq!(
        pool.rust(),
        "let pool = MaxPool2d::builder(3).stride(2).ceil_mode(true).build()?;"
    );
    assert_eq!(
        pool.python(),
        "pool = nn.MaxPool2d(3, stride=2, ceil_mode=True)"
    );
}

#[test]
fn errors_are_the_layers_own() {
    let told = |options| conv2d(options).unwrap_err();
    assert_eq!(
        told("in_channels=3 groups=2"),
        "Conv2d: groups=2 does not divide in_channels=3; choose a common divisor of in_channels and out_channels"
    );
    assert!(told("groups=0").contains("groups=0 must be at least 1"));
    assert!(
        told("kernel_size=9").contains("Conv2d"),
        "{}",
        told("kernel_size=9")
    );
    assert!(told("padding=same stride=2").contains("padding=same"));
    assert!(told("padding_mode=mirror").contains("padding_mode=mirror"));
    assert!(
        max_pool2d("kernel_size=2 padding=2")
            .unwrap_err()
            .contains("padding=(2, 2) must be at most (1, 1)")
    );
    assert!(told("colour=red").contains("colour=red"));
    assert!(told("input=digit digit=10").contains("digit=10"));
    assert!(conv2d("").unwrap().window(0, 4, 0).is_err());
}

#[test]
fn pooling_gives_its_gradient_to_the_indices() {
    for options in [
        "",
        "kernel_size=3 stride=2 padding=1",
        "kernel_size=2 dilation=2 stride=1",
        "size=5 ceil_mode=true",
    ] {
        let view = max_pool2d(options).unwrap();
        let (indices, gradient) = (view.indices().unwrap().values(), view.gradient().unwrap());
        let mut wanted = vec![0.0; gradient.values().len()];
        for index in indices {
            wanted[index as usize] += 1.0;
        }
        assert_eq!(gradient.values(), wanted, "{options}");
        let (input, output) = (view.input().unwrap(), view.output().unwrap());
        let side = input.shape()[2] as i32;
        let largest = view
            .window(0, 0)
            .chunks(2)
            .filter(|at| at.iter().all(|i| (0..side).contains(i)))
            .map(|at| input.values()[(at[0] * side + at[1]) as usize])
            .fold(f32::NEG_INFINITY, f32::max);
        assert_eq!(output.values()[0], largest, "{options}");
    }
    let hangs = max_pool2d("size=5 ceil_mode=true").unwrap();
    assert_eq!(hangs.output().unwrap().shape(), [1, 3, 3]);
    assert_eq!(
        hangs.formulas()[0],
        "⌈(5 + 2·0 − 1·(2 − 1) − 1) / 2⌉ + 1 = 3"
    );
    let less = max_pool2d("size=3 kernel_size=1 stride=3 ceil_mode=true").unwrap();
    assert!(
        less.formulas()[0].ends_with("= 1"),
        "{}",
        less.formulas()[0]
    );
}

#[test]
fn a_logits_gradient_is_probability_less_target() {
    let view = cross_entropy(&[1.0, 2.0, 0.5], 1, 0.0).unwrap();
    let p = view.probabilities();
    assert!((p.iter().sum::<f32>() - 1.0).abs() < 1e-6);
    assert!((view.loss + p[1].ln()).abs() < 1e-6);
    for (class, gradient) in view.gradient().iter().enumerate() {
        let target = f32::from(u8::from(class == 1));
        assert!((gradient - (p[class] - target)).abs() < 1e-6);
    }
    assert!(cross_entropy(&[1.0, 2.0], 2, 0.0).is_err());
    assert!(cross_entropy(&[1.0, 2.0], 0, 1.5).is_err());
}

#[test]
fn a_path_is_the_optimizers() {
    let path = descend("surface=bowl lr=0.5 steps=3", 4.0, -2.0).unwrap();
    assert_eq!(path.points(), [4.0, -2.0, 2.0, -1.0, 1.0, -0.5, 0.5, -0.25]);
    assert_eq!(path.losses()[0], 10.0);
    assert_eq!(
        path.python(),
        "optimizer = optim.SGD(net.parameters(), lr=0.5)"
    );
    for optimizer in [
        "sgd momentum=0.9 nesterov=true",
        "adam beta1=0.5",
        "adamw",
        "rmsprop alpha=0.9",
        "adagrad",
    ] {
        for name in ["bowl", "ravine", "saddle", "rosenbrock"] {
            let options = format!("surface={name} lr=0.01 steps=20 optimizer={optimizer}");
            let path = descend(&options, 0.5, -0.5).unwrap();
            assert_eq!(path.losses().len(), 21, "{options}");
            assert!(
                path.losses()[20] < path.losses()[0],
                "{options}: {:?}",
                path.losses()
            );
            assert!(path.rust().contains("0.01"));
        }
    }
    let diverges = descend("surface=rosenbrock lr=1 steps=200", 2.0, -2.0).unwrap();
    assert!(diverges.losses().len() < 50 && diverges.losses().iter().all(|loss| loss.is_finite()));
    assert!(
        descend("optimizer=newton", 0.0, 0.0)
            .unwrap_err()
            .contains("optimizer=newton")
    );
    assert!(descend("lr=-1", 0.0, 0.0).unwrap_err().contains("lr"));
}

#[test]
fn a_surface_begins_at_the_upper_left() {
    let losses = surface("bowl", 4, 2, &[-2.0, 2.0, 0.0, 4.0]).unwrap();
    assert_eq!(losses.len(), 8);
    assert_eq!(losses[0], (1.5 * 1.5 + 9.0) / 2.0);
    assert_eq!(losses[7], (1.5 * 1.5 + 1.0) / 2.0);
}

#[test]
fn a_training_learns_repeats_itself_and_refuses_in_words() {
    let data = include_bytes!("../data/subset.gz");
    let run = |steps| {
        let mut run = training(data, "images=500 lr=0.05 momentum=0.9 seed=3").unwrap();
        let losses: Vec<f32> = (0..steps).map(|_| run.step().unwrap()).collect();
        (losses, run.accuracy().unwrap())
    };
    let (losses, accuracy) = run(40);
    assert!(losses[0] > 2.2 && losses[39] < 1.0, "{losses:?}");
    assert!(accuracy > 0.7, "{accuracy}");
    assert_eq!(run(3).0, losses[..3]);
    let why = |data: &[u8], options| training(data, options).err().unwrap();
    assert!(why(data, "batch_size=0").contains("batch_size"));
    assert!(why(data, "images=0").contains("images=0"));
    assert!(why(data, "lr=-1").contains("lr"));
    assert!(why(b"no gzip", "").contains("cannot be read"));
}

#[test]
fn what_is_no_picture_is_refused() {
    let why = |pixels, width| digit(pixels, width).err().unwrap();
    assert!(why(vec![0; 10], 3).contains("10 pixels do not fill rows of 3"));
    assert!(why(Vec::new(), 28).contains("0 pixels"));
}
