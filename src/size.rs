//! An int or a pair; the arithmetic of output sizes, in one place.

use std::fmt;
use std::str::FromStr;

use crate::error::invalid;
use crate::{Error, Result};

/// Rows and columns: what PyTorch takes as an int or a pair.
///
/// An int stands for both. A pair is (rows, columns), as in PyTorch.
///
/// # Example
///
/// ```
/// use candlelight::prelude::*;
///
/// assert_eq!(Size2::from(3), Size2 { h: 3, w: 3 });
/// assert_eq!(Size2::from((1, 2)), Size2 { h: 1, w: 2 });
/// assert_eq!(Size2::from((1, 2)).to_string(), "(1, 2)");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Size2 {
    /// Along the rows: height.
    pub h: usize,
    /// Along the columns: width.
    pub w: usize,
}

impl Size2 {
    /// `h` times `w`, or `None` where that does not fit into a `usize`.
    pub(crate) fn checked_area(self) -> Option<usize> {
        self.h.checked_mul(self.w)
    }

    /// Whether rows or columns are zero.
    pub(crate) fn has_zero(self) -> bool {
        self.h == 0 || self.w == 0
    }
}

impl From<usize> for Size2 {
    fn from(both: usize) -> Self {
        Self { h: both, w: both }
    }
}

impl From<(usize, usize)> for Size2 {
    fn from((h, w): (usize, usize)) -> Self {
        Self { h, w }
    }
}

impl From<[usize; 2]> for Size2 {
    fn from([h, w]: [usize; 2]) -> Self {
        Self { h, w }
    }
}

impl From<Size2> for (usize, usize) {
    fn from(size: Size2) -> Self {
        (size.h, size.w)
    }
}

impl fmt::Display for Size2 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({}, {})", self.h, self.w)
    }
}

/// How much is put around an image: PyTorch's `padding` of a convolution.
///
/// An int or a pair is put on both sides of the axis. `Valid` is none; `Same` is what keeps the
/// size of the output that of the input, at stride 1: `dilation·(kernel_size − 1)` along each axis,
/// the odd one at the end.
///
/// # Example
///
/// ```
/// use candlelight::prelude::*;
///
/// assert_eq!(Padding2::from(1), Padding2::Each(Size2 { h: 1, w: 1 }));
/// assert_eq!(Padding2::from((1, 2)), Padding2::Each(Size2 { h: 1, w: 2 }));
/// assert_eq!("same".parse::<Padding2>()?, Padding2::Same);
/// let conv = Conv2d::builder(1, 1, 4).padding(Padding2::Same).build(var_builder(DType::F32, &Device::Cpu))?;
/// assert_eq!(conv.output_size((28, 28))?, (28, 28));
/// # Ok::<(), candlelight::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Padding2 {
    /// So many rows and columns on each side.
    Each(Size2),
    /// As many as keep the size.
    Same,
    /// None.
    Valid,
}

impl<T: Into<Size2>> From<T> for Padding2 {
    fn from(size: T) -> Self {
        Self::Each(size.into())
    }
}

impl FromStr for Padding2 {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        match name {
            "same" => Ok(Self::Same),
            "valid" => Ok(Self::Valid),
            other => {
                let problem = "is not known; choose same, valid, or a number of rows and columns";
                invalid("Conv2d", "padding", other, problem)
            }
        }
    }
}

impl fmt::Display for Padding2 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Each(size) => size.fmt(f),
            Self::Same => f.write_str("same"),
            Self::Valid => f.write_str("valid"),
        }
    }
}

/// How many windows fit along one axis:
/// `⌊(input + 2·padding − dilation·(kernel − 1) − 1) / stride⌋ + 1`.
///
/// `None` where the dilated kernel is larger than the padded input, where `kernel`, `stride` or
/// `dilation` is zero, or where a number does not fit into a `usize`.
///
/// # Example
///
/// ```
/// use candlelight::size::output_length;
///
/// assert_eq!(output_length(28, 5, 1, 0, 1), Some(24));
/// assert_eq!(output_length(28, 5, 2, 1, 1), Some(13));
/// assert_eq!(output_length(3, 5, 1, 0, 1), None);
/// ```
pub fn output_length(
    input: usize,
    kernel: usize,
    stride: usize,
    padding: usize,
    dilation: usize,
) -> Option<usize> {
    if stride == 0 || dilation == 0 {
        return None;
    }
    let span = span(kernel, dilation)?;
    let padded = padding.checked_mul(2)?.checked_add(input)?;
    Some(padded.checked_sub(span)? / stride + 1)
}

/// What a dilated kernel covers along one axis: `dilation·(kernel − 1) + 1`; `None` for no kernel.
pub(crate) fn span(kernel: usize, dilation: usize) -> Option<usize> {
    kernel.checked_sub(1)?.checked_mul(dilation)?.checked_add(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_length_counts_the_windows() {
        for input in 1..12usize {
            for kernel in 1..5 {
                for stride in 1..4 {
                    for padding in 0..3 {
                        for dilation in 1..4 {
                            let padded = input + 2 * padding;
                            let windows = (0..padded)
                                .step_by(stride)
                                .filter(|start| start + dilation * (kernel - 1) < padded)
                                .count();
                            let expected = (windows > 0).then_some(windows);
                            let got = output_length(input, kernel, stride, padding, dilation);
                            assert_eq!(got, expected);
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn huge_numbers_do_not_wrap() {
        assert_eq!(output_length(1, usize::MAX, 1, 0, 2), None);
        assert_eq!(output_length(1, 1, 1, usize::MAX, 1), None);
        assert_eq!(output_length(1, 0, 1, 0, 1), None);
    }
}
