//! The convolution's kernels, and its gradients as operations of their own.

use candle_core::backend::BackendStorage;
use candle_core::cuda_backend::CudaDevice;
use candle_core::cuda_backend::cudarc::driver::{DeviceRepr, LaunchConfig, PushKernelArg};
use candle_core::{CudaStorage, Result, Shape, Tensor};

use super::launch::{
    Kernel, Real, Source, config, for_real, int, multiprocessors, or_nowhere, room, sums, view,
    wrap,
};
use super::op::{Given, Op};
use crate::ops::captured::{Cut, STRIP, THREADS};
use crate::ops::conv2d::{Geometry, Problem};

const SOURCE: Source = Source {
    name: "conv2d",
    text: concat!(
        include_str!("kernels/common.cuh"),
        include_str!("kernels/tensor_core.cuh"),
        include_str!("kernels/tile.cuh"),
        include_str!("kernels/conv2d.cu")
    ),
};

/// As `struct Conv2d` in the kernels.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
struct Sizes {
    images: i32,
    channels: [i32; 2],
    groups: i32,
    input: [i32; 2],
    output: [i32; 2],
    kernel: [i32; 2],
    stride: [i32; 2],
    dilation: [i32; 2],
    before: [i32; 2],
    tiles: [i32; 2],
    splits: i32,
}

// SAFETY: nineteen i32 in C's order, no padding, no pointer.
#[allow(unsafe_code)]
unsafe impl DeviceRepr for Sizes {}

impl Sizes {
    fn new(problem: &Problem) -> Result<Self> {
        let geometry = &problem.geometry;
        let pair = |what, size: crate::size::Size2| {
            Ok::<_, candle_core::Error>([int(what, size.h)?, int(what, size.w)?])
        };
        Ok(Self {
            images: int("images", problem.images)?,
            channels: [
                int("in_channels", problem.in_channels)?,
                int("out_channels", problem.out_channels)?,
            ],
            groups: int("groups", geometry.groups)?,
            input: pair("input", problem.input)?,
            output: pair("output", geometry.output)?,
            kernel: pair("kernel_size", geometry.kernel)?,
            stride: pair("stride", geometry.stride)?,
            dilation: pair("dilation", geometry.dilation)?,
            before: pair("padding", geometry.before)?,
            tiles: [1, 1],
            splits: 1,
        })
    }
}

/// Of its kernels those that are no product.
const NO_PRODUCT: [(&str, usize); 1] = [("PRODUCT", 0)];

/// A product, and its number to the kernels' file.
#[derive(Clone, Copy)]
enum Which {
    Forward = 1,
    InputGradient,
    WeightGradient,
}

/// A product of each group: its rows, its columns, its depth.
struct Product {
    which: Which,
    sizes: Sizes,
    cut: Cut,
    tile: [usize; 2],
    geometry: Geometry,
}

impl Product {
    fn new(
        which: Which,
        problem: &Problem,
        device: &CudaDevice,
        size: [usize; 3],
        most_splits: usize,
    ) -> Result<Self> {
        let geometry = &problem.geometry;
        // The groups share the card.
        let multiprocessors = multiprocessors(device)? / geometry.groups;
        let (cut, tile) = Cut::of_op(size, most_splits, multiprocessors);
        // The kernels count in 32 bits.
        let (input, output) = problem.image_sizes();
        int("the numbers of a batch", problem.images * input.max(output))?;
        Ok(Self {
            which,
            sizes: Sizes {
                tiles: [int("tiles", cut.tiles[0])?, int("tiles", cut.tiles[1])?],
                splits: int("splits", cut.splits)?,
                ..Sizes::new(problem)?
            },
            cut,
            tile,
            geometry: *geometry,
        })
    }

    fn kernel<T: Real>(&self, device: &CudaDevice) -> Result<Kernel> {
        let Geometry { kernel, stride, .. } = self.geometry;
        let [m, n] = self.tile;
        let name = match self.which {
            Which::Forward => "forward",
            Which::InputGradient => "input_gradient",
            Which::WeightGradient => "weight_gradient",
        };
        let macros = [
            ("PRODUCT", self.which as usize),
            ("TILE_M", m),
            ("TILE_N", n),
            ("KERNEL_H", kernel.h),
            ("KERNEL_W", kernel.w),
            ("STRIDE_H", stride.h),
            ("STRIDE_W", stride.w),
        ];
        SOURCE.kernel_with::<T>(device, &format!("conv2d_{name}_{m}x{n}"), &macros)
    }

    fn blocks(&self) -> LaunchConfig {
        config(self.cut.blocks() * self.geometry.groups, THREADS)
    }
}

pub(in crate::ops) fn forward(
    problem: &Problem,
    (input, input_layout): Given<'_>,
    (weight, weight_layout): Given<'_>,
    bias: Option<Given<'_>>,
) -> Result<(CudaStorage, Shape)> {
    let shape = Shape::from(problem.output_shape());
    for_real!(input, T => {
        let device = input.device();
        let mut out = room::<T>(device, shape.elem_count())?;
        let input = view::<T>(input, input_layout)?;
        let weight = view::<T>(weight, weight_layout)?;
        let bias = match bias {
            Some((bias, layout)) => Some(view::<T>(bias, layout)?),
            None => None,
        };
        if shape.elem_count() > 0 {
            let Matrix { outputs, depth, pixels, .. } = Matrix::new(problem);
            let product = Product::new(Which::Forward, problem, device, [pixels, outputs, depth], 1)?;
            let kernel = product.kernel::<T>(device)?;
            let mut call = kernel.call();
            call.arg(&mut out).arg(&input).arg(&weight);
            or_nowhere!(call, &bias);
            call.arg(&product.sizes);
            // SAFETY: the arguments are the kernel's, and their lengths the sizes'.
            #[allow(unsafe_code)]
            unsafe { call.launch(product.blocks()) }.map_err(candle_core::Error::wrap)?;
        }
        Ok((wrap(out, device), shape))
    })
}

/// What a group multiplies.
struct Matrix {
    /// All images' outputs, and inputs.
    pixels: usize,
    inputs: usize,
    /// A group's channels.
    channels: usize,
    outputs: usize,
    /// The numbers of a filter, and of a channel in it.
    depth: usize,
    area: usize,
}

impl Matrix {
    fn new(problem: &Problem) -> Self {
        let geometry = &problem.geometry;
        let area = geometry.kernel.h * geometry.kernel.w;
        let channels = problem.in_channels / geometry.groups;
        Self {
            pixels: problem.images * geometry.output.h * geometry.output.w,
            inputs: problem.images * problem.input.h * problem.input.w,
            channels,
            outputs: problem.out_channels / geometry.groups,
            depth: channels * area,
            area,
        }
    }
}

/// The gradients of input (where it is asked for), weight and bias.
pub(in crate::ops) fn gradients(
    problem: &Problem,
    input: &Tensor,
    weight: &Tensor,
    grad: &Tensor,
) -> Result<(Option<Tensor>, Tensor, Tensor)> {
    let matrix = Matrix::new(problem);
    let of_input = Op(
        "conv2d's input gradient",
        |grad: Given<'_>, weight: Given<'_>| {
            let size = [matrix.inputs, matrix.channels, matrix.outputs * matrix.area];
            for_real!(grad.0, T => {
                let product = Product::new(Which::InputGradient, problem, grad.0.device(), size, 1)?;
                sum::<T>(&product, &[grad, weight], input.shape())
            })
        },
    );
    let of_weight = Op(
        "conv2d's weight gradient",
        |input: Given<'_>, grad: Given<'_>| {
            let size = [matrix.outputs, matrix.depth, matrix.pixels];
            let most_splits = matrix.pixels.div_ceil(STRIP) / 8;
            for_real!(grad.0, T => {
                let product = Product::new(Which::WeightGradient, problem, grad.0.device(), size, most_splits)?;
                sum::<T>(&product, &[input, grad], weight.shape())
            })
        },
    );
    let of_bias = Op(
        "conv2d's bias gradient",
        |grad: Given<'_>| for_real!(grad.0, T => bias_gradient::<T>(problem, grad)),
    );
    let of_input = match input.track_op() {
        true => Some(grad.apply_op2_no_bwd(weight, &of_input)?),
        false => None,
    };
    let of_weight = input.apply_op2_no_bwd(grad, &of_weight)?;
    let of_bias = grad.apply_op1_no_bwd(&of_bias)?;
    Ok((of_input, of_weight, of_bias))
}

/// A product that writes `shape`, or as many of it as its depth has parts, which are summed.
fn sum<T: Real>(
    product: &Product,
    [a, b]: &[Given<'_>; 2],
    shape: &Shape,
) -> Result<(CudaStorage, Shape)> {
    let device = a.0.device();
    let (n, splits) = (shape.elem_count(), product.cut.splits);
    let mut parts = room::<T>(device, n * splits)?;
    let (a, b) = (view::<T>(a.0, a.1)?, view::<T>(b.0, b.1)?);
    if n == 0 {
        return Ok((wrap(parts, device), shape.clone()));
    }
    let kernel = product.kernel::<T>(device)?;
    let mut call = kernel.call();
    call.arg(&mut parts).arg(&a).arg(&b).arg(&product.sizes);
    // SAFETY: the arguments are the kernel's, and their lengths the sizes'.
    #[allow(unsafe_code)]
    unsafe { call.launch(product.blocks()) }.map_err(candle_core::Error::wrap)?;
    if splits == 1 {
        return Ok((wrap(parts, device), shape.clone()));
    }
    let mut to = room::<T>(device, n)?;
    let kernel = SOURCE.kernel_with::<T>(device, "conv2d_sum", &NO_PRODUCT)?;
    let (numbers, splits) = (int("weights", n)?, product.sizes.splits);
    let mut call = kernel.call();
    call.arg(&mut to).arg(&parts).arg(&numbers).arg(&splits);
    // SAFETY: the arguments are the kernel's, and their lengths the sizes'.
    #[allow(unsafe_code)]
    unsafe { call.launch(config(n.div_ceil(256), 256)) }.map_err(candle_core::Error::wrap)?;
    Ok((wrap(to, device), shape.clone()))
}

fn bias_gradient<T: Real>(
    problem: &Problem,
    (grad, layout): Given<'_>,
) -> Result<(CudaStorage, Shape)> {
    let device = grad.device();
    let shape = Shape::from(problem.out_channels);
    let mut to = room::<T>(device, problem.out_channels)?;
    let grad = view::<T>(grad, layout)?;
    let kernel = SOURCE.kernel_with::<T>(device, "conv2d_bias_gradient", &NO_PRODUCT)?;
    let sizes = Sizes::new(problem)?;
    let mut call = kernel.call();
    call.arg(&mut to).arg(&grad).arg(&sizes);
    // SAFETY: the arguments are the kernel's, and their lengths the sizes'.
    #[allow(unsafe_code)]
    unsafe { call.launch(sums(problem.out_channels)) }.map_err(candle_core::Error::wrap)?;
    Ok((wrap(to, device), shape))
}
