//! The kernels of a training step, one after the other, and the memory that they work on.

use super::Precision;
use super::layer::Layer;
use super::means::Mean;
use super::memory::{Layout, Memory, Place, Table, Word};
use super::planner::{Parameter, Planner};
use super::tiles::{Cut, THREADS};

/// A call of a kernel: `function`, which takes a `kind`, in so many blocks of so many threads.
#[derive(Debug, Clone)]
pub(crate) struct Launch {
    pub(crate) kind: &'static str,
    pub(crate) function: String,
    pub(crate) words: Vec<Word>,
    pub(crate) grid: Grid,
    /// Whether it needs what came before it, and is needed by the last launch alone.
    pub(crate) aside: bool,
}

/// A kernel in C++, to be compiled behind [`KERNELS`](super::KERNELS): no part of it depends on the rest of the step, so
/// that nets share it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Kernel {
    pub(crate) name: String,
    pub(crate) text: String,
}

impl Launch {
    fn kernel(&self) -> Kernel {
        let Self {
            kind,
            function,
            grid: Grid {
                threads, beside, ..
            },
            ..
        } = self;
        let words = function.split(|c: char| !c.is_ascii_alphanumeric());
        let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
        let name = format!("step_{}", words.join("_"));
        let text = format!(
            "extern \"C\" __global__ void __launch_bounds__({threads}, {beside}) \
             {name}(const {kind} p) {{ {function}(p); }}\n"
        );
        Kernel { name, text }
    }
}

/// Blocks of threads.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Grid {
    pub(crate) blocks: usize,
    pub(crate) threads: usize,
    /// How many blocks a multiprocessor is to have room for.
    beside: usize,
}

impl Grid {
    /// A thread for each of `n` numbers.
    pub(super) fn each(n: usize, threads: usize) -> Self {
        Self {
            blocks: n.div_ceil(threads),
            threads,
            beside: 1,
        }
    }

    /// A block for each tile.
    pub(super) fn tiles(cut: &Cut) -> Self {
        Self {
            blocks: cut.blocks(),
            threads: THREADS,
            beside: cut.tile.beside(),
        }
    }
}

/// What a step depends on besides its layers.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) batch: usize,
    /// Channels, rows and columns of an image.
    pub(crate) image: [usize; 3],
    /// What each byte of an image becomes; none where the images are fed as reals, batch by batch.
    pub(crate) pixels: Option<Vec<f64>>,
    /// Images of an epoch.
    pub(crate) total: usize,
    pub(crate) class_weights: Option<Vec<f64>>,
    pub(crate) ignore_index: i64,
    pub(crate) label_smoothing: f64,
    /// The optimizer's kernel; none where the net is only evaluated.
    pub(crate) optimizer: Option<&'static str>,
    /// The bytes of a real: 4 on a card.
    pub(crate) real: usize,
    pub(crate) precision: Precision,
    /// Rows and columns that a product may be cut into.
    pub(crate) tiles: &'static [[usize; 2]],
    pub(crate) multiprocessors: usize,
    /// Whether the gradients are means over several ranks.
    pub(crate) averages: bool,
}

impl Settings {
    pub(crate) fn steps(&self) -> usize {
        self.total.div_ceil(self.batch)
    }
}

/// So many batches that are fed have a place each: while a step reads one, the next are on their way.
pub(crate) const RING: usize = 8;

/// What is written before an epoch, or before a step that is fed, and read after it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Epoch {
    /// The places of the batches that are fed: reals.
    pub(crate) ring: Option<Place>,
    /// u32 of each image: its place among the images.
    pub(crate) order: Place,
    /// i64 of each image.
    pub(crate) targets: Place,
    /// The optimizer's numbers of each step.
    pub(crate) steps: Place,
    /// f64 of each step.
    pub(crate) divisors: Place,
    /// i64: the number of the next step.
    pub(crate) next: Place,
    pub(super) now: Place,
    /// A real of each image.
    pub(crate) losses: Place,
    /// u8 of each image: whether its class was found.
    pub(crate) right: Place,
    /// The parameters' table.
    pub(crate) parameters: Place,
}

#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) launches: Vec<Launch>,
    /// What is averaged over the ranks between them.
    pub(crate) means: Vec<Mean>,
    /// Of its own memory.
    pub(crate) bytes: usize,
    pub(crate) tables: Vec<(usize, Table)>,
    pub(crate) epoch: Epoch,
    parameters: Vec<Parameter>,
    /// Each layer's gradient and where its parts' sum goes, where the ranks' mean is taken of it.
    sums: Vec<(Parameter, Place)>,
    /// Images of a step.
    pub(crate) batch: usize,
    /// Numbers of an image.
    #[cfg_attr(not(feature = "cuda"), expect(dead_code))]
    pub(crate) pixels: usize,
}

impl Plan {
    /// The step of a net of `layers`; none where the kernels do not take them.
    pub(crate) fn new(layers: &[Layer], settings: Settings) -> Option<Self> {
        let last = layers.last()?;
        if !layers.iter().all(Layer::fits) || !last.linear || last.relu {
            return None;
        }
        let mut planner = Planner {
            layers,
            settings: &settings,
            memory: Layout {
                real: settings.real,
                ..Layout::default()
            },
            launches: Vec::new(),
            means: Vec::new(),
            parameters: Vec::new(),
            buckets: Vec::new(),
            sums: Vec::new(),
            values: Vec::new(),
            grads: Vec::new(),
            which: Vec::new(),
        };
        let epoch = planner.epoch();
        planner.lay_out();
        planner.gather(&epoch);
        (0..layers.len()).for_each(|i| planner.forward(i));
        planner.loss(&epoch);
        if let Some(optimizer) = settings.optimizer {
            planner.fill_buckets();
            for i in (0..layers.len()).rev() {
                // What goes on beside the rest begins as soon as it can.
                planner.weight_gradient(i);
                planner.average(i, &epoch);
                if i > 0 {
                    planner.input_gradient(i);
                }
            }
            planner.update(&epoch, optimizer);
        }
        let Planner {
            launches,
            means,
            memory,
            parameters,
            sums,
            ..
        } = planner;
        // The kernels count in 32 bits.
        (memory.bytes / settings.real < i32::MAX as usize).then_some(Self {
            launches,
            means,
            bytes: memory.bytes,
            tables: memory.tables,
            epoch,
            parameters,
            sums,
            batch: settings.batch,
            pixels: settings.image.iter().product(),
        })
    }

    /// The table of the parameters, for the buffers that there are.
    pub(crate) fn parameters(&self, buffers: &[[bool; 3]]) -> Vec<Word> {
        let mut words = Vec::new();
        for (i, (parameter, buffers)) in self.parameters.iter().zip(buffers).enumerate() {
            words.push(Word::At(Place::start(Memory::Parameter(i))));
            words.extend((0..3).map(|b| match buffers[b] {
                true => Word::At(Place::start(Memory::Buffer(i, b))),
                false => Word::Nowhere,
            }));
            words.extend(parameter.gradient());
        }
        for (gradient, sum) in &self.sums {
            words.push(Word::At(*sum));
            words.extend([Word::Nowhere; 3]);
            words.extend(gradient.gradient());
        }
        words
    }

    /// Its kernels, each once, and which of them each launch calls.
    pub(crate) fn kernels(&self) -> (Vec<Kernel>, Vec<usize>) {
        let (mut kernels, mut calls) = (Vec::<Kernel>::new(), Vec::new());
        for launch in &self.launches {
            let kernel = launch.kernel();
            let known = kernels.iter().position(|known| known == &kernel);
            calls.push(known.unwrap_or(kernels.len()));
            if known.is_none() {
                kernels.push(kernel);
            }
        }
        (kernels, calls)
    }
}
