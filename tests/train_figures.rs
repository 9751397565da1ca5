//! Pictures: what is in them, and what is refused.
#![allow(clippy::unwrap_used)]

use candlelight::Error;
use candlelight::prelude::*;

fn refused<T: std::fmt::Debug>(result: Result<T>, part: &str) {
    let error = result.unwrap_err();
    assert!(matches!(error, Error::Plot { .. }), "{error}");
    assert!(
        error.to_string().contains(part) && !error.to_string().contains('\n'),
        "{error}"
    );
}

#[test]
fn a_figure_takes_the_pages_colours_and_a_file_plain_ones() {
    let figure = plot::lines("A title", "x", "y", &[("a", [(0.0, 1.0), (1.0, 2.0)])]).unwrap();
    assert!(
        figure.svg().contains("var(--figure-fg,#222)")
            && figure.svg().contains("var(--figure-bg,#fff)")
    );
    assert!(
        !figure.svg().contains("#010203"),
        "the place holder must be replaced"
    );
    let path = std::env::temp_dir().join(format!("candlelight-figure-{}.svg", std::process::id()));
    figure.save(&path).unwrap();
    let saved = std::fs::read_to_string(&path).unwrap();
    std::fs::remove_file(&path).ok();
    assert!(saved.contains("#222") && !saved.contains("var("));
    assert!(matches!(
        figure.save("no/such/folder/a.svg"),
        Err(Error::Io { .. })
    ));
    assert!(format!("{figure:?}").len() < 60);
}

#[test]
fn text_is_escaped() {
    let figure = plot::lines(
        "a < b & \"c\"",
        "x",
        "y",
        &[("<s>", [(0.0, 1.0)]), ("t", [(0.0, 2.0)])],
    )
    .unwrap();
    assert!(figure.svg().contains("a &lt; b &amp; ") && !figure.svg().contains("<s>"));
    let image = ImageTile::new(GrayImage::new(2, 2), "<i>");
    assert!(!plot::images(&[image], 1).unwrap().svg().contains("<i>"));
}

#[test]
fn the_same_data_gives_the_same_picture() {
    let tensor = Tensor::arange(0f32, 18.0, &Device::Cpu)
        .unwrap()
        .reshape((2, 3, 3))
        .unwrap();
    let draw = || plot::feature_maps(&tensor, &[] as &[&str]).unwrap();
    assert_eq!(draw(), draw());
}

#[test]
fn values_that_are_not_finite_leave_gaps() {
    let gap = [
        (0.0, 1.0),
        (1.0, f64::NAN),
        (2.0, f64::INFINITY),
        (3.0, 1.0),
    ];
    let figure = plot::lines("", "", "", &[("a", gap)]).unwrap();
    assert!(!figure.svg().contains("NaN") && !figure.svg().contains("inf"));
    plot::lines("", "", "", &[("a", [(0.0, f64::NAN)])]).unwrap();
    plot::bars("", "", "", &[("a", f64::NAN), ("b", 1.0)]).unwrap();
    let nan = Tensor::new(&[[f32::NAN, 1.0]], &Device::Cpu).unwrap();
    plot::heat_map(&nan, "").unwrap();
    plot::history(&History::default()).unwrap();
}

#[test]
fn nothing_to_draw_is_an_error() {
    refused(
        plot::lines("", "", "", &[] as &[(&str, Vec<(f64, f64)>)]),
        "at least one",
    );
    refused(
        plot::bars("", "", "", &[] as &[(&str, f64)]),
        "at least one",
    );
    refused(plot::histogram("", "", &[f64::NAN], 4), "finite");
    refused(plot::histogram("", "", &[1.0], 0), "bins=0");
    refused(plot::images(&[], 4), "no image");
    refused(
        plot::images(&[ImageTile::new(GrayImage::new(2, 2), "")], 0),
        "columns=0",
    );
    refused(
        plot::mistakes(&[], |_| Ok(GrayImage::new(28, 28))),
        "no image",
    );
    refused(plot::maps(&[] as &[(&str, Tensor)], 2), "no image");
}

#[test]
fn another_shape_is_an_error() {
    let cube = Tensor::zeros((2, 3, 4), DType::F32, &Device::Cpu).unwrap();
    refused(plot::heat_map(&cube, ""), "[2, 3, 4], expected (H, W)");
    refused(
        plot::feature_maps(&cube.get(0).unwrap(), &[] as &[&str]),
        "expected (C, H, W)",
    );
    refused(
        plot::feature_maps(&cube, &["one"]),
        "1 captions for 2 channels",
    );
    refused(
        plot::heat_map(
            &Tensor::zeros((0, 3), DType::F32, &Device::Cpu).unwrap(),
            "",
        ),
        "no value",
    );
}
