//! A convolution with everything that its explorer shows.

use candlelight::candle_core::{IndexOp, Tensor, Var};
use candlelight::nn::{Conv2d, PaddingMode};
use candlelight::size::{Padding2, Size2};
use wasm_bindgen::prelude::wasm_bindgen;

use crate::maps::{Maps, told};
use crate::options::{Options, size, written};
use crate::pictures;
use crate::window::{formula, source};

/// A convolution of one input, computed.
#[wasm_bindgen]
#[derive(Debug)]
pub struct Conv2dView {
    conv: Conv2d,
    variable: Var,
    output: Tensor,
    words: Words,
}

/// The layer's parameters as the controls give them.
#[derive(Debug, Clone)]
struct Words {
    in_channels: usize,
    out_channels: usize,
    kernel_size: Size2,
    stride: Size2,
    padding: Padding2,
    dilation: Size2,
    groups: usize,
    bias: bool,
    padding_mode: PaddingMode,
}

/// The convolution that `options` describe: the nine parameters by PyTorch's names, and `input`, `size`, `digit`,
/// `weight` (see `pictures.rs`).
///
/// # Errors
///
/// The message of the layer, or which option cannot be read.
#[wasm_bindgen]
pub fn conv2d(options: &str) -> Result<Conv2dView, String> {
    let mut options = Options::parse(options)?;
    let padding = match options.text("padding", "0") {
        "same" => Padding2::Same,
        "valid" => Padding2::Valid,
        number => Padding2::Each(size("padding", number)?),
    };
    let words = Words {
        in_channels: options.or("in_channels", 1)?,
        out_channels: options.or("out_channels", 1)?,
        kernel_size: options.size("kernel_size", 3.into())?,
        stride: options.size("stride", 1.into())?,
        padding,
        dilation: options.size("dilation", 1.into())?,
        groups: options.or("groups", 1)?,
        bias: options.or("bias", true)?,
        padding_mode: options
            .text("padding_mode", "zeros")
            .parse()
            .map_err(told)?,
    };
    let (kind, weight) = (
        options.text("input", "numbers"),
        options.text("weight", "vertical"),
    );
    let (side, digit) = (options.or("size", 6)?, options.or("digit", 3)?);
    options.end()?;
    let input = pictures::input(kind, words.in_channels, side, digit)?;
    view(words, &input, weight)
}

fn view(words: Words, input: &Tensor, weight: &str) -> Result<Conv2dView, String> {
    let builder = Conv2d::builder(words.in_channels, words.out_channels, words.kernel_size)
        .stride(words.stride)
        .padding(words.padding)
        .dilation(words.dilation)
        .groups(words.groups)
        .padding_mode(words.padding_mode);
    // Without groups there is no weight's shape; the layer then says what is wrong with them.
    let channels = words.in_channels / words.groups.max(1);
    let Size2 { h, w } = words.kernel_size;
    let weight = pictures::weight(weight, (words.out_channels, channels, h, w))?;
    let bias = Tensor::full(0.5f32, words.out_channels, input.device()).map_err(told)?;
    let conv = builder
        .build_with(&weight, words.bias.then_some(&bias))
        .map_err(told)?;
    let variable = Var::from_tensor(input).map_err(told)?;
    let output = conv.forward(&variable).map_err(told)?;
    Ok(Conv2dView {
        conv,
        variable,
        output,
        words,
    })
}

#[wasm_bindgen]
impl Conv2dView {
    /// (in_channels, H + padding, W + padding): the input with what is put around it.
    ///
    /// # Errors
    ///
    /// Where memory is out.
    pub fn padded(&self) -> Result<Maps, String> {
        let [channels, rows, columns] = self.input_shape();
        let (before, after) = self.pads();
        let size = (rows + before.h + after.h, columns + before.w + after.w);
        let values = self.values()?;
        let mode = self.words.padding_mode;
        let place = |padded: usize, before: usize, length| {
            source(padded.cast_signed() - before.cast_signed(), length, mode)
        };
        let mut padded = Vec::with_capacity(channels * size.0 * size.1);
        for channel in 0..channels {
            for y in 0..size.0 {
                for x in 0..size.1 {
                    let at = place(y, before.h, rows).zip(place(x, before.w, columns));
                    padded
                        .push(at.map_or(0.0, |(y, x)| values[(channel * rows + y) * columns + x]));
                }
            }
        }
        let shape = (channels, size.0, size.1);
        let tensor = Tensor::from_vec(padded, shape, self.output.device());
        Maps::of(&tensor.map_err(told)?)
    }

    /// Rows above and columns to the left that the padding adds.
    #[must_use]
    pub fn before(&self) -> Vec<usize> {
        let (before, _) = self.pads();
        vec![before.h, before.w]
    }

    /// (out_channels, in_channels / groups, rows, columns).
    ///
    /// # Errors
    ///
    /// Where memory is out.
    pub fn weight(&self) -> Result<Maps, String> {
        Maps::of(self.conv.weight())
    }

    /// (out_channels), or nothing.
    ///
    /// # Errors
    ///
    /// Where memory is out.
    pub fn bias(&self) -> Result<Option<Maps>, String> {
        self.conv.bias().map(Maps::of).transpose()
    }

    /// (out_channels, H′, W′).
    ///
    /// # Errors
    ///
    /// Where memory is out.
    pub fn output(&self) -> Result<Maps, String> {
        Maps::of(&self.output)
    }

    /// The products that an output is the sum of, eight numbers each: the input's channel, row and column in the
    /// padded input, input value, the weight's channel, row and column, weight.
    ///
    /// # Errors
    ///
    /// Where there is no such output.
    pub fn window(&self, filter: usize, y: usize, x: usize) -> Result<Vec<f32>, String> {
        self.output.i((filter, y, x)).map_err(told)?;
        let words = &self.words;
        let (padded, weight) = (self.padded()?, self.weight()?);
        let (shape, values, weights) = (padded.shape(), padded.values(), weight.values());
        let (rows, columns) = (shape[1], shape[2]);
        let channels = words.in_channels / words.groups;
        let first = filter / (words.out_channels / words.groups) * channels;
        let Size2 { h, w } = words.kernel_size;
        let mut taps = Vec::with_capacity(channels * h * w * 8);
        for c in 0..channels {
            for i in 0..h {
                for j in 0..w {
                    let row = y * words.stride.h + i * words.dilation.h;
                    let column = x * words.stride.w + j * words.dilation.w;
                    let value = values[((first + c) * rows + row) * columns + column];
                    let weight = weights[((filter * channels + c) * h + i) * w + j];
                    let place = [first + c, row, column].map(|place| place as f32);
                    let tap = [c, i, j].map(|place| place as f32);
                    taps.extend([place[0], place[1], place[2], value]);
                    taps.extend([tap[0], tap[1], tap[2], weight]);
                }
            }
        }
        Ok(taps)
    }

    /// (in_channels, H, W): the gradient of one output by each input.
    ///
    /// # Errors
    ///
    /// Where there is no such output.
    pub fn gradient_at(&self, filter: usize, y: usize, x: usize) -> Result<Maps, String> {
        let output = self.output.i((filter, y, x)).map_err(told)?;
        let gradients = output.backward().map_err(told)?;
        match gradients.get(&self.variable) {
            Some(gradient) => Maps::of(gradient),
            None => Maps::of(&self.variable.zeros_like().map_err(told)?),
        }
    }

    /// The shape formula with this layer's numbers, for rows and for columns.
    #[must_use]
    pub fn formulas(&self) -> Vec<String> {
        let ([_, h, w], (before, after)) = (self.input_shape(), self.pads());
        let words = &self.words;
        let (kernel, stride, dilation) = (words.kernel_size, words.stride, words.dilation);
        let dims = self.output.dims();
        let both = (before.h + after.h, before.w + after.w);
        vec![
            formula(h, kernel.h, stride.h, both.0, dilation.h, false, dims[1]),
            formula(w, kernel.w, stride.w, both.1, dilation.w, false, dims[2]),
        ]
    }

    /// How many numbers the layer learns.
    #[must_use]
    pub fn parameters(&self) -> usize {
        self.conv.parameter_count()
    }

    /// How many multiply-adds this input takes.
    ///
    /// # Errors
    ///
    /// Never, after a forward pass.
    pub fn multiply_adds(&self) -> Result<f64, String> {
        let [_, h, w] = self.input_shape();
        Ok(self.conv.multiply_adds((h, w)).map_err(told)? as f64)
    }

    /// The layer in Rust.
    #[must_use]
    pub fn rust(&self) -> String {
        let words = &self.words;
        let mut text = format!(
            "let conv = Conv2d::builder({}, {}, {})",
            words.in_channels,
            words.out_channels,
            written(words.kernel_size)
        );
        for (name, value) in self.set() {
            let value = match (name, words.padding, words.padding_mode) {
                ("padding", Padding2::Same, _) => "Padding2::Same".into(),
                ("padding_mode", _, mode) => format!("PaddingMode::{mode:?}"),
                _ => value,
            };
            text.push_str(&format!("\n    .{name}({value})"));
        }
        text + "\n    .build(vb)?;"
    }

    /// The layer in Python.
    #[must_use]
    pub fn python(&self) -> String {
        let words = &self.words;
        let mut text = format!(
            "conv = nn.Conv2d({}, {}, {}",
            words.in_channels,
            words.out_channels,
            written(words.kernel_size)
        );
        for (name, value) in self.set() {
            let value = match name {
                "bias" => "False".into(),
                "padding_mode" => format!("\"{value}\""),
                "padding" if words.padding == Padding2::Same => "\"same\"".into(),
                _ => value,
            };
            text.push_str(&format!(", {name}={value}"));
        }
        text + ")"
    }
}

impl Conv2dView {
    fn input_shape(&self) -> [usize; 3] {
        let dims = self.variable.dims();
        [dims[0], dims[1], dims[2]]
    }

    fn values(&self) -> Result<Vec<f32>, String> {
        Ok(Maps::of(&self.variable)?.values())
    }

    /// Above and left, below and right.
    fn pads(&self) -> (Size2, Size2) {
        let words = &self.words;
        match words.padding {
            Padding2::Each(each) => (each, each),
            Padding2::Valid => (0.into(), 0.into()),
            Padding2::Same => {
                let total = |kernel: usize, dilation: usize| dilation * (kernel - 1);
                let h = total(words.kernel_size.h, words.dilation.h);
                let w = total(words.kernel_size.w, words.dilation.w);
                let before = Size2::from((h / 2, w / 2));
                (before, Size2::from((h - before.h, w - before.w)))
            }
        }
    }

    /// The parameters that are not at their default, by name.
    fn set(&self) -> Vec<(&'static str, String)> {
        let words = &self.words;
        let padding = match words.padding {
            Padding2::Each(each) => written(each),
            other => other.to_string(),
        };
        let all = [
            ("stride", written(words.stride), "1"),
            ("padding", padding, "0"),
            ("dilation", written(words.dilation), "1"),
            ("groups", words.groups.to_string(), "1"),
            ("bias", words.bias.to_string(), "true"),
            ("padding_mode", words.padding_mode.to_string(), "zeros"),
        ];
        let differ = all
            .into_iter()
            .filter(|(_, value, default)| value != default);
        differ.map(|(name, value, _)| (name, value)).collect()
    }
}
