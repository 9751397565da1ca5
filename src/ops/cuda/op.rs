//! An operation that there is on cards alone: a gradient, asked for only where its tensors are on one.

use candle_core::{
    CpuStorage, CudaStorage, CustomOp1, CustomOp2, CustomOp3, Layout, Result, Shape, bail,
};

/// A tensor's memory and how it lies there.
pub(in crate::ops) type Given<'a> = (&'a CudaStorage, &'a Layout);

/// Its name, and what it does.
pub(super) struct Op<F>(pub(super) &'static str, pub(super) F);

impl<F> Op<F> {
    fn not_here(&self) -> Result<(CpuStorage, Shape)> {
        bail!("{}: on CUDA's cards, and its tensor is on the CPU", self.0)
    }
}

impl<F> CustomOp1 for Op<F>
where
    F: Fn(Given<'_>) -> Result<(CudaStorage, Shape)> + Send + Sync,
{
    fn name(&self) -> &'static str {
        self.0
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        self.not_here()
    }

    fn cuda_fwd(&self, storage: &CudaStorage, layout: &Layout) -> Result<(CudaStorage, Shape)> {
        (self.1)((storage, layout))
    }
}

impl<F> CustomOp2 for Op<F>
where
    F: Fn(Given<'_>, Given<'_>) -> Result<(CudaStorage, Shape)> + Send + Sync,
{
    fn name(&self) -> &'static str {
        self.0
    }

    fn cpu_fwd(
        &self,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        self.not_here()
    }

    fn cuda_fwd(
        &self,
        a: &CudaStorage,
        a_layout: &Layout,
        b: &CudaStorage,
        b_layout: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        (self.1)((a, a_layout), (b, b_layout))
    }
}

impl<F> CustomOp3 for Op<F>
where
    F: Fn(Given<'_>, Given<'_>, Given<'_>) -> Result<(CudaStorage, Shape)> + Send + Sync,
{
    fn name(&self) -> &'static str {
        self.0
    }

    fn cpu_fwd(
        &self,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        self.not_here()
    }

    fn cuda_fwd(
        &self,
        a: &CudaStorage,
        a_layout: &Layout,
        b: &CudaStorage,
        b_layout: &Layout,
        c: &CudaStorage,
        c_layout: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        (self.1)((a, a_layout), (b, b_layout), (c, c_layout))
    }
}
