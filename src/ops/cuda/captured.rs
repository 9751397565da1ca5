//! A captured step on a card: its memory, its kernels compiled for it, and the graph of them.

use std::sync::Arc;

use candle_core::cuda_backend::cudarc::driver::sys::{
    CUgraphInstantiate_flags, CUstreamCaptureMode,
};
use candle_core::cuda_backend::cudarc::driver::{
    CudaEvent, CudaFunction, CudaGraph, CudaModule, CudaSlice, CudaStream, DevicePtr, DeviceRepr,
    LaunchConfig, PushKernelArg,
};
use candle_core::cuda_backend::{CudaDType, CudaDevice};
use candle_core::{Error, Result, Storage, Tensor, Var, bail};

use super::code::{Unit, loaded};
use super::fed::Ring;
use super::pass::write;
use crate::ops::captured::{KERNELS, Kernel, Launch, Mean, Memory, Plan};

/// A kernel's parameter: at most so many words. The driver takes as many bytes as the kernel states.
#[repr(C)]
#[derive(Clone, Copy)]
struct Words([u64; 48]);

// SAFETY: integers, no padding.
#[allow(unsafe_code)]
unsafe impl DeviceRepr for Words {}

/// Makes so many f32 at an address their mean over all ranks, after an event: an operation of a stream of its own, which is
/// captured where the event's stream is. Gives the events of its beginning and its end.
pub(crate) type Average<'a> = &'a dyn Fn(u64, usize, CudaEvent) -> Result<[CudaEvent; 2]>;

/// A training step that the card repeats by itself.
pub(crate) struct Captured {
    pub(super) plan: Plan,
    pub(super) own: CudaSlice<u8>,
    pub(super) graph: CudaGraph,
    pub(super) stream: Arc<CudaStream>,
    /// For what is read while the next steps run.
    pub(super) reading: Arc<CudaStream>,
    pub(super) images: u64,
    /// Where the images are fed.
    pub(super) ring: Option<Ring>,
    /// What the graph's addresses belong to, and its code.
    pub(super) _kept: (Option<Tensor>, Vec<Var>, Vec<CudaFunction>),
}

impl Captured {
    /// Compiles and captures it. `images` are bytes, none where they are fed; `parameters` those of the plan, of f32 and on
    /// the device; `average` is for a plan that takes means, and called on all ranks.
    pub(crate) fn new(
        device: &CudaDevice,
        plan: Plan,
        images: Option<&Tensor>,
        parameters: &[Var],
        average: Average<'_>,
    ) -> Result<Self> {
        let stream = device.cuda_stream();
        let mut own = stream.alloc_zeros::<u8>(plan.bytes).map_err(Error::wrap)?;
        for (offset, table) in &plan.tables {
            write(&stream, &mut own, *offset, &table.bytes(4))?;
        }
        let base = own.device_ptr(&stream).0;
        let weights = parameters.iter().map(|var| address::<f32>(var, &stream));
        let weights = weights.collect::<Result<Vec<_>>>()?;
        let start = match images {
            Some(images) => address::<u8>(images, &stream)?,
            None => 0,
        };
        let address = |memory| match memory {
            Memory::Own => Ok(base),
            Memory::Images => Ok(start),
            Memory::Parameter(i) => Ok(weights[i]),
            Memory::Buffer(..) => bail!("a buffer outside the parameters' table"),
        };
        let functions = functions(device, &plan)?;
        let context = stream.context();
        let ring = match plan.epoch.ring {
            Some(_) => Some(Ring::new(context, &plan)?),
            None => None,
        };
        // Not candle's stream, on which another thread may have work done: that would be captured, too.
        let own_stream = || context.new_stream().map_err(Error::wrap);
        let (main, aside) = (own_stream()?, own_stream()?);
        let mean = |mean: &Mean, of: &CudaStream| {
            let after = of.record_event(None).map_err(Error::wrap)?;
            average(base + mean.place.offset as u64, mean.numbers, after)
        };
        // Of zeros, as yet: what a backend sets up at its first call, it may not while a stream is captured.
        for bucket in &plan.means {
            let [_, done] = mean(bucket, &stream)?;
            stream.wait(&done).map_err(Error::wrap)?;
        }
        stream.synchronize().map_err(Error::wrap)?;
        main.begin_capture(CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL)
            .map_err(Error::wrap)?;
        let launched = launch_all((&main, &aside), &plan, &functions, address, mean);
        // Ended whatever happened, or the stream would be of no more use.
        let graph = main.end_capture(CUgraphInstantiate_flags(0));
        let _events = launched?;
        let Some(graph) = graph.map_err(Error::wrap)? else {
            bail!("CUDA captured no graph");
        };
        graph.upload().map_err(Error::wrap)?;
        let reading = own_stream()?;
        Ok(Self {
            plan,
            own,
            graph,
            stream,
            reading,
            images: start,
            ring,
            _kept: (images.cloned(), parameters.to_vec(), functions),
        })
    }

    pub(crate) fn plan(&self) -> &Plan {
        &self.plan
    }
}

/// An epoch that failed has left steps that run: on what is given back now.
impl Drop for Captured {
    fn drop(&mut self) {
        // An error would be that of a step, and is told where its losses are read.
        let _ = self.stream.synchronize();
        if let Some(ring) = &self.ring {
            let _ = ring.stream.synchronize();
        }
    }
}

/// Puts a plan's kernels into the streams' queues, the last after all others, and between them the means. The events by
/// which one stream waits for the other are kept until the capture ends.
fn launch_all(
    (stream, aside): (&Arc<CudaStream>, &Arc<CudaStream>),
    plan: &Plan,
    functions: &[CudaFunction],
    address: impl Fn(Memory) -> Result<u64> + Copy,
    mean: impl Fn(&Mean, &CudaStream) -> Result<[CudaEvent; 2]>,
) -> Result<Vec<CudaEvent>> {
    let mut events = Vec::new();
    let mut means: Vec<[CudaEvent; 2]> = Vec::new();
    let mut wait = |own: &CudaStream, other: &CudaStream| {
        let event = other.record_event(None).map_err(Error::wrap)?;
        own.wait(&event).map_err(Error::wrap)?;
        events.push(event);
        Ok::<_, Error>(())
    };
    let any_aside = plan.launches.iter().any(|launch| launch.aside);
    for (i, (launch, function)) in plan.launches.iter().zip(functions).enumerate() {
        let own = if launch.aside { aside } else { stream };
        if launch.aside {
            wait(aside, stream)?;
        } else if any_aside && i + 1 == plan.launches.len() {
            wait(stream, aside)?;
            for [_, done] in &means {
                stream.wait(done).map_err(Error::wrap)?;
            }
        }
        launch_one(own, launch, function, address)?;
        for bucket in plan.means.iter().filter(|mean| mean.after == i + 1) {
            means.push(mean(bucket, aside)?);
        }
    }
    events.extend(means.into_iter().flatten());
    Ok(events)
}

pub(super) fn launch_one(
    stream: &Arc<CudaStream>,
    launch: &Launch,
    function: &CudaFunction,
    address: impl Fn(Memory) -> Result<u64>,
) -> Result<()> {
    let mut words = Words([0; 48]);
    for (to, word) in words.0.iter_mut().zip(&launch.words) {
        *to = word.bits(&address)?;
    }
    let config = LaunchConfig {
        grid_dim: (launch.grid.blocks as u32, 1, 1),
        block_dim: (launch.grid.threads as u32, 1, 1),
        shared_mem_bytes: 0,
    };
    let mut call = stream.launch_builder(function);
    // SAFETY: the words are those of the kernel's parameter, and the places in them lie in memory that is kept.
    #[allow(unsafe_code)]
    unsafe { call.arg(&words).launch(config) }.map_err(Error::wrap)?;
    Ok(())
}

/// The kernel of each launch, loaded: while a stream is captured nothing may be.
fn functions(device: &CudaDevice, plan: &Plan) -> Result<Vec<CudaFunction>> {
    let (kernels, calls) = plan.kernels();
    let unit = |kernel: &Kernel| Unit {
        name: "step",
        text: KERNELS,
        own: kernel.text.clone(),
        options: vec!["-Dreal=float".into()],
    };
    let modules = loaded(device, &kernels.iter().map(unit).collect::<Vec<_>>())?;
    let function = |(kernel, module): (&Kernel, &Arc<CudaModule>)| {
        let function = module.load_function(&kernel.name).map_err(Error::wrap)?;
        // Asked for, it is loaded now.
        function.num_regs().map_err(Error::wrap)?;
        Ok(function)
    };
    let functions = kernels.iter().zip(&modules).map(function);
    let functions = functions.collect::<Result<Vec<_>>>()?;
    Ok(calls.into_iter().map(|i| functions[i].clone()).collect())
}

/// Where a tensor's numbers begin on its card.
pub(super) fn address<T: CudaDType>(tensor: &Tensor, stream: &CudaStream) -> Result<u64> {
    let (storage, layout) = tensor.storage_and_layout();
    match (&*storage, layout.contiguous_offsets()) {
        (Storage::Cuda(storage), Some((start, _))) => {
            let slice = storage.as_cuda_slice::<T>()?;
            Ok(slice.device_ptr(stream).0 + (start * size_of::<T>()) as u64)
        }
        _ => bail!("a captured step's tensor is not on its card, one number after the other"),
    }
}
