//! A max pooling with everything that its explorer shows.

use candlelight::candle_core::{Tensor, Var};
use candlelight::nn::MaxPool2d;
use candlelight::size::Size2;
use wasm_bindgen::prelude::wasm_bindgen;

use crate::maps::{Maps, told};
use crate::options::{Options, written};
use crate::pictures;
use crate::window::formula;

/// A max pooling of one input, computed.
#[wasm_bindgen]
#[derive(Debug)]
pub struct MaxPool2dView {
    variable: Var,
    output: Tensor,
    indices: Tensor,
    kernel_size: Size2,
    stride: Size2,
    padding: Size2,
    dilation: Size2,
    ceil_mode: bool,
}

/// The max pooling that `options` describe: its parameters by PyTorch's names, and `input`, `size`, `digit`
/// (see `pictures.rs`).
///
/// # Errors
///
/// The message of the layer, or which option cannot be read.
#[wasm_bindgen]
pub fn max_pool2d(options: &str) -> Result<MaxPool2dView, String> {
    let mut options = Options::parse(options)?;
    let kernel_size = options.size("kernel_size", 2.into())?;
    let stride = options.size("stride", kernel_size)?;
    let padding = options.size("padding", 0.into())?;
    let dilation = options.size("dilation", 1.into())?;
    let ceil_mode = options.or("ceil_mode", false)?;
    let kind = options.text("input", "numbers");
    let (side, digit) = (options.or("size", 6)?, options.or("digit", 3)?);
    options.end()?;
    let pool = MaxPool2d::builder(kernel_size)
        .stride(stride)
        .padding(padding)
        .dilation(dilation)
        .ceil_mode(ceil_mode)
        .build()
        .map_err(told)?;
    let input = pictures::input(kind, 1, side, digit)?;
    let variable = Var::from_tensor(&input).map_err(told)?;
    let (output, indices) = pool.forward_with_indices(&variable).map_err(told)?;
    Ok(MaxPool2dView {
        variable,
        output,
        indices,
        kernel_size,
        stride,
        padding,
        dilation,
        ceil_mode,
    })
}

#[wasm_bindgen]
impl MaxPool2dView {
    /// (1, H, W).
    ///
    /// # Errors
    ///
    /// Where memory is out.
    pub fn input(&self) -> Result<Maps, String> {
        Maps::of(&self.variable)
    }

    /// (1, H′, W′).
    ///
    /// # Errors
    ///
    /// Where memory is out.
    pub fn output(&self) -> Result<Maps, String> {
        Maps::of(&self.output)
    }

    /// (1, H′, W′): where each maximum was, row · W + column; −1 for a window in the padding alone.
    ///
    /// # Errors
    ///
    /// Where memory is out.
    pub fn indices(&self) -> Result<Maps, String> {
        Maps::of(&self.indices)
    }

    /// The rows and columns that an output's window covers, two numbers a tap; below 0 or beyond the input lies the
    /// padding, or what `ceil_mode` hangs over.
    #[must_use]
    pub fn window(&self, y: usize, x: usize) -> Vec<i32> {
        let place = |output: usize, stride: usize, tap: usize, dilation: usize, padding: usize| {
            (output * stride + tap * dilation) as i32 - padding as i32
        };
        let (kernel, stride, padding, dilation) =
            (self.kernel_size, self.stride, self.padding, self.dilation);
        let taps = (0..kernel.h).flat_map(|i| (0..kernel.w).map(move |j| (i, j)));
        taps.flat_map(|(i, j)| {
            [
                place(y, stride.h, i, dilation.h, padding.h),
                place(x, stride.w, j, dilation.w, padding.w),
            ]
        })
        .collect()
    }

    /// (1, H, W): the gradient of the sum of all outputs by each input.
    ///
    /// # Errors
    ///
    /// Where memory is out.
    pub fn gradient(&self) -> Result<Maps, String> {
        let sum = self.output.sum_all().map_err(told)?;
        let gradients = sum.backward().map_err(told)?;
        match gradients.get(&self.variable) {
            Some(gradient) => Maps::of(gradient),
            None => Maps::of(&self.variable.zeros_like().map_err(told)?),
        }
    }

    /// The shape formula with this layer's numbers, for rows and for columns.
    #[must_use]
    pub fn formulas(&self) -> Vec<String> {
        let (input, output) = (self.variable.dims(), self.output.dims());
        let (kernel, stride, padding, dilation) =
            (self.kernel_size, self.stride, self.padding, self.dilation);
        let up = self.ceil_mode;
        let rows = (input[1], kernel.h, stride.h, 2 * padding.h, dilation.h);
        let columns = (input[2], kernel.w, stride.w, 2 * padding.w, dilation.w);
        [(rows, output[1]), (columns, output[2])]
            .map(|((input, kernel, stride, padding, dilation), output)| {
                let text = formula(input, kernel, stride, padding, dilation, up, output);
                let all = (input + padding - dilation * (kernel - 1) - 1).div_ceil(stride) + 1;
                match up && output < all {
                    // PyTorch's rule for ceil_mode.
                    true => text.replace(
                        "+ 1 =",
                        "+ 1, less a window that would begin after the image, =",
                    ),
                    false => text,
                }
            })
            .to_vec()
    }

    /// The layer in Rust.
    #[must_use]
    pub fn rust(&self) -> String {
        let set = self.set();
        let calls = set.iter().map(|(name, value)| format!(".{name}({value})"));
        let calls: String = calls.collect();
        format!(
            "let pool = MaxPool2d::builder({}){calls}.build()?;",
            written(self.kernel_size)
        )
    }

    /// The layer in Python.
    #[must_use]
    pub fn python(&self) -> String {
        let set = self.set();
        let words = set.iter().map(|(name, value)| {
            let value = if value == "true" { "True" } else { value };
            format!(", {name}={value}")
        });
        let words: String = words.collect();
        format!("pool = nn.MaxPool2d({}{words})", written(self.kernel_size))
    }
}

impl MaxPool2dView {
    /// The parameters that are not at their default, by name.
    fn set(&self) -> Vec<(&'static str, String)> {
        let kernel_size = written(self.kernel_size);
        let all = [
            ("stride", written(self.stride), kernel_size.as_str()),
            ("padding", written(self.padding), "0"),
            ("dilation", written(self.dilation), "1"),
            ("ceil_mode", self.ceil_mode.to_string(), "false"),
        ];
        let differ = all
            .into_iter()
            .filter(|(_, value, default)| value != default);
        differ.map(|(name, value, _)| (name, value)).collect()
    }
}
