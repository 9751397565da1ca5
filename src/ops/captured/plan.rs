//! The kernels of a training step, one after the other, and the memory that they work on.

use super::Precision;
use super::layer::Layer;
use super::memory::{Layout, Memory, Place, Table, Word};
use super::tiles::{Cut, STRIP, THREADS, cut};
use crate::size::Size2;

/// A call of a kernel: `function`, which takes a `kind`, in so many blocks of so many threads.
#[derive(Debug, Clone)]
pub(crate) struct Launch {
    pub(crate) kind: &'static str,
    pub(crate) function: String,
    pub(crate) words: Vec<Word>,
    pub(crate) grid: Grid,
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
    fn each(n: usize, threads: usize) -> Self {
        Self {
            blocks: n.div_ceil(threads),
            threads,
            beside: 1,
        }
    }

    /// A block for each tile.
    fn tiles(cut: &Cut) -> Self {
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
    /// What each byte of an image becomes.
    pub(crate) pixels: Vec<f64>,
    /// Images of an epoch.
    pub(crate) total: usize,
    pub(crate) class_weights: Option<Vec<f64>>,
    pub(crate) ignore_index: i64,
    pub(crate) label_smoothing: f64,
    /// The optimizer's kernel.
    pub(crate) optimizer: &'static str,
    /// The bytes of a real: 4 on a card.
    pub(crate) real: usize,
    pub(crate) precision: Precision,
    pub(crate) multiprocessors: usize,
}

impl Settings {
    pub(crate) fn steps(&self) -> usize {
        self.total.div_ceil(self.batch)
    }
}

/// What is written before an epoch and read after it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Epoch {
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
    now: Place,
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
    /// Of its own memory.
    pub(crate) bytes: usize,
    pub(crate) tables: Vec<(usize, Table)>,
    pub(crate) epoch: Epoch,
    parameters: Vec<Parameter>,
    pub(crate) settings: Settings,
}

/// Numbers as images: each begins with a border of zeros where a layer pads.
#[derive(Debug, Clone, Copy)]
struct Images {
    /// The border's first number.
    start: Place,
    /// The first pixel.
    first: Place,
    image: usize,
    channel: usize,
    row: usize,
}

/// Where a parameter's gradient is.
#[derive(Debug, Clone, Copy)]
struct Parameter {
    numbers: usize,
    partials: Place,
    parts: usize,
    parts_apart: usize,
    columns: usize,
    row: usize,
}

/// The numbers of one parameter that a block of threads changes.
const BLOCK: usize = 512;

struct Planner<'a> {
    layers: &'a [Layer],
    settings: &'a Settings,
    memory: Layout,
    launches: Vec<Launch>,
    parameters: Vec<Parameter>,
    /// What each layer takes, and in the end the logits.
    values: Vec<Images>,
    /// What flows back to each layer's convolution.
    grads: Vec<Images>,
    /// Which of its outputs let something through.
    which: Vec<Option<Place>>,
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
            parameters: Vec::new(),
            values: Vec::new(),
            grads: Vec::new(),
            which: Vec::new(),
        };
        let epoch = planner.epoch();
        planner.lay_out();
        planner.gather(&epoch);
        (0..layers.len()).for_each(|i| planner.forward(i));
        planner.loss(&epoch);
        for i in (0..layers.len()).rev() {
            if i > 0 {
                planner.input_gradient(i);
            }
            planner.weight_gradient(i);
        }
        planner.update(&epoch);
        let Planner {
            launches,
            memory,
            parameters,
            ..
        } = planner;
        // The kernels count in 32 bits.
        (memory.bytes / settings.real < i32::MAX as usize).then_some(Self {
            launches,
            bytes: memory.bytes,
            tables: memory.tables,
            epoch,
            parameters,
            settings,
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
            words.push(Word::At(parameter.partials));
            let Parameter {
                parts,
                parts_apart,
                columns,
                row,
                ..
            } = *parameter;
            words.extend([parts, parts_apart, columns, row].map(Word::size));
        }
        words
    }

    /// Kernel `step_<number>` of each launch, in C++.
    pub(crate) fn source(&self) -> String {
        let kernels = self.launches.iter().enumerate().map(|(i, launch)| {
            let Launch {
                kind,
                function,
                grid,
                ..
            } = launch;
            let (threads, beside) = (grid.threads, grid.beside);
            format!(
                "extern \"C\" __global__ void __launch_bounds__({threads}, {beside}) step_{i}(const {kind} p) \
                 {{ {function}(p); }}\n"
            )
        });
        kernels.collect()
    }
}

impl Planner<'_> {
    fn epoch(&mut self) -> Epoch {
        let (total, steps) = (self.settings.total, self.settings.steps());
        let parameters = self.layers.iter().map(|layer| 1 + usize::from(layer.bias));
        let parameters: usize = parameters.sum();
        let memory = &mut self.memory;
        Epoch {
            order: memory.room(4 * total),
            targets: memory.room(8 * total),
            steps: memory.room(STEP * steps),
            divisors: memory.room(8 * steps),
            next: memory.room(8),
            now: memory.room(8),
            losses: memory.reals(total),
            right: memory.room(total),
            parameters: memory.room(8 * PARAMETER * parameters),
        }
    }

    /// Images of `channels` with a border.
    fn images(&mut self, channels: usize, size: Size2, before: Size2, after: Size2) -> Images {
        let row = before.w + size.w + after.w;
        let channel = row * (before.h + size.h + after.h);
        let image = channel * channels;
        let start = self.memory.reals(image * self.settings.batch);
        Images {
            start,
            first: self.memory.after(start, before.h * row + before.w),
            image,
            channel,
            row,
        }
    }

    fn lay_out(&mut self) {
        let [channels, h, w] = self.settings.image;
        let (mut channels, mut size) = (channels, Size2 { h, w });
        let nothing = Size2::from(0);
        for layer in self.layers {
            let (before, after) = (layer.geometry.before, layer.geometry.after);
            let values = self.images(channels, size, before, after);
            // A fully connected layer takes an image's numbers as they lie.
            self.values.push(match layer.linear {
                true => Images {
                    channel: 1,
                    row: 0,
                    ..values
                },
                false => values,
            });
            (channels, size) = (layer.out_channels, layer.output());
            let outputs = self.settings.batch * layer.outputs();
            let which = (layer.relu || layer.pool).then(|| self.memory.room(outputs));
            self.which.push(which);
            let grads = match layer.linear {
                true => self.images(channels, size, nothing, nothing),
                // So that the filters, turned round, pass over it as over an input: input and reach.
                false => {
                    let (reach, input) = (layer.reach(), layer.input);
                    let before = Size2 {
                        h: reach.h - before.h,
                        w: reach.w - before.w,
                    };
                    let rest = Size2 {
                        h: input.h + reach.h - before.h,
                        w: input.w + reach.w - before.w,
                    };
                    self.images(channels, rest, before, nothing)
                }
            };
            self.grads.push(grads);
        }
        let logits = self.images(channels, size, nothing, nothing);
        self.values.push(logits);
    }

    fn launch(&mut self, kind: &'static str, function: String, words: Vec<Word>, grid: Grid) {
        self.launches.push(Launch {
            kind,
            function,
            words,
            grid,
        });
    }

    fn card(&self) -> (usize, Precision) {
        (self.settings.multiprocessors, self.settings.precision)
    }

    fn gather(&mut self, epoch: &Epoch) {
        let [channels, rows, columns] = self.settings.image;
        let table = self
            .memory
            .table(Table::Reals(self.settings.pixels.clone()));
        let to = self.values[0];
        let (batch, total) = (self.settings.batch, self.settings.total);
        let mut words = vec![
            Word::At(Place::start(Memory::Images)),
            Word::At(table),
            Word::At(epoch.order),
            Word::At(to.first),
        ];
        // Of a fully connected first layer the images lie without a gap.
        let (channel, row) = match self.layers[0].linear {
            true => (rows * columns, columns),
            false => (to.channel, to.row),
        };
        let sizes = [
            to.image, channel, row, batch, total, channels, rows, columns,
        ];
        words.extend(sizes.map(Word::size));
        words.extend([epoch.next, epoch.now].map(Word::At));
        let threads = batch * channels * rows * columns;
        self.launch("Gather", "gather".into(), words, Grid::each(threads, 256));
    }

    /// The words of a product, which says how it is cut.
    fn product(
        &mut self,
        (from, taps): (Images, Vec<i32>),
        (weight, weight_taps, weight_stride): (usize, Vec<i32>, usize),
        (pixels, step): (Size2, Size2),
        (outputs, cut): (usize, Cut),
    ) -> Vec<Word> {
        let depth = taps.len();
        let taps = self.memory.table(Table::Ints(taps));
        let weight_taps = self.memory.table(Table::Ints(weight_taps));
        let mut words = vec![
            Word::At(from.start),
            Word::At(taps),
            Word::At(Place::start(Memory::Parameter(weight))),
            Word::At(weight_taps),
        ];
        let batch = self.settings.batch;
        let sizes = [
            batch,
            from.image,
            pixels.h,
            pixels.w,
            step.h * from.row,
            step.w,
            depth,
            outputs,
            weight_stride,
            cut.splits,
            cut.tiles[0],
            cut.tiles[1],
        ];
        words.extend(sizes.map(Word::size));
        words
    }

    /// The place of a layer's weight among the parameters.
    fn weight(&self, layer: usize) -> usize {
        let before = self.layers[..layer].iter();
        before.map(|layer| 1 + usize::from(layer.bias)).sum()
    }

    fn forward(&mut self, i: usize) {
        let (layer, batch) = (&self.layers[i], self.settings.batch);
        let (from, to) = (self.values[i], self.values[i + 1]);
        let Size2 { h, w } = layer.pixels();
        let strips = layer.depth().div_ceil(STRIP);
        let most_splits = if layer.linear { strips / 4 } else { 1 };
        let size = [batch * h * w, layer.out_channels, layer.depth()];
        let cut = cut(size, most_splits, self.card());
        let weight = self.weight(i);
        let taps = match layer.linear {
            true => count(layer.depth()),
            false => layer.taps(layer.in_channels, from.channel, from.row),
        };
        let filters = (weight, count(layer.depth()), layer.depth());
        let geometry = (layer.output(), layer.geometry.stride);
        let mut words = self.product((from, taps), filters, geometry, (layer.out_channels, cut));
        let bias = layer
            .bias
            .then(|| Place::start(Memory::Parameter(weight + 1)));
        words.push(Word::or_nowhere(bias));
        words.push(Word::At(to.first));
        // A fully connected next layer takes the channels as they lie, whatever it calls a channel.
        let (channel, row) = match self.layers.get(i + 1) {
            Some(next) if !next.linear => (to.channel, to.row),
            _ => (layer.output().h * layer.output().w, layer.output().w),
        };
        words.extend([to.image, channel, row].map(Word::size));
        words.push(Word::or_nowhere(self.which[i]));
        words.push(Word::Int(i64::from(layer.relu)));
        let all = batch * layer.out_channels;
        words.push(match cut.splits > 1 {
            true => Word::At(self.memory.reals(all * cut.splits)),
            false => Word::Nowhere,
        });
        let function = format!(
            "forward<{}, {}, {}>",
            cut.tile.name(),
            layer.pool,
            layer.linear
        );
        self.launch("Forward", function, words.clone(), Grid::tiles(&cut));
        if cut.splits > 1 {
            self.launch("Forward", "forward_sum".into(), words, Grid::each(all, 256));
        }
    }

    fn loss(&mut self, epoch: &Epoch) {
        let Settings {
            batch,
            total,
            ignore_index,
            label_smoothing,
            ..
        } = *self.settings;
        let weights = self.settings.class_weights.clone();
        let weights = weights.map(|weights| self.memory.table(Table::Doubles(weights)));
        let classes = self.layers[self.layers.len() - 1].out_channels;
        let logits = self.values[self.layers.len()].start;
        let grad = self.grads[self.layers.len() - 1].start;
        let places = [logits, grad, epoch.targets, epoch.divisors];
        let mut words: Vec<_> = places.map(Word::At).into();
        words.push(Word::or_nowhere(weights));
        words.extend([epoch.losses, epoch.right].map(Word::At));
        words.extend([batch, total, classes].map(Word::size));
        words.push(Word::Int(ignore_index));
        words.push(Word::Number(label_smoothing));
        words.extend([epoch.next, epoch.now].map(Word::At));
        self.launch("Loss", "loss".into(), words, Grid::each(batch, 64));
    }

    fn input_gradient(&mut self, i: usize) {
        let (layer, before) = (&self.layers[i], &self.layers[i - 1]);
        let (from, to) = (self.grads[i], self.grads[i - 1]);
        let (kernel, pixels) = (layer.geometry.kernel, layer.input);
        let batch = self.settings.batch;
        let depth = layer.out_channels * kernel.h * kernel.w;
        let size = [batch * pixels.h * pixels.w, layer.in_channels, depth];
        let cut = cut(size, 1, self.card());
        let taps = layer.taps(layer.out_channels, from.channel, from.row);
        // The filters are turned round.
        let area = kernel.h * kernel.w;
        let weight_taps = (0..depth).map(|k| {
            let (o, turned) = (k / area, area - 1 - k % area);
            (o * layer.depth() + turned) as i32
        });
        let filters = (self.weight(i), weight_taps.collect(), area);
        let geometry = (pixels, Size2::from(1));
        let outputs = (layer.in_channels, cut);
        let mut words = self.product((from, taps), filters, geometry, outputs);
        let stride = before.geometry.stride;
        let (below, beside) = (stride.h * to.row, stride.w);
        let window = if before.pool { 2 } else { 1 };
        let output = before.output();
        words.push(Word::At(to.first));
        words.extend(
            [
                to.image,
                to.channel,
                window * below,
                window * beside,
                below,
                beside,
            ]
            .map(Word::size),
        );
        words.push(Word::or_nowhere(self.which[i - 1]));
        let column = match layer.linear {
            true => [1, output.h, output.w],
            false => [output.h * output.w, 1, 1],
        };
        words.push(Word::size(before.outputs()));
        words.extend(column.map(Word::size));
        let (pool, linear, tile) = (before.pool, layer.linear, cut.tile);
        let function = format!("input_gradient<{}, {pool}, {linear}>", tile.name());
        self.launch("InputGradient", function, words, Grid::tiles(&cut));
    }

    fn weight_gradient(&mut self, i: usize) {
        let (layer, batch) = (&self.layers[i], self.settings.batch);
        let (from, grads) = (self.values[i], self.grads[i]);
        let (pixels, stride) = (layer.pixels(), layer.geometry.stride);
        let all = batch * pixels.h * pixels.w;
        let row = layer.depth() + 1;
        let most_splits = all.div_ceil(STRIP) / 4;
        let size = [layer.out_channels, row, all];
        let cut = cut(size, most_splits, self.card());
        let places = |row: usize| {
            let rows = 0..pixels.h;
            let columns = || 0..pixels.w;
            let places = rows
                .flat_map(|y| columns().map(move |x| (y * stride.h * row + x * stride.w) as i32));
            Table::Ints(places.collect())
        };
        let taps = match layer.linear {
            true => count(layer.depth()),
            false => layer.taps(layer.in_channels, from.channel, from.row),
        };
        let memory = &mut self.memory;
        let numbers = layer.out_channels * row;
        let partials = memory.reals(numbers * cut.splits);
        let places = [
            grads.first,
            from.start,
            memory.table(places(grads.row)),
            memory.table(places(from.row)),
            memory.table(Table::Ints(taps)),
        ];
        let mut words: Vec<_> = places.map(Word::At).into();
        let sizes = [
            grads.image,
            grads.channel,
            from.image,
            batch,
            pixels.h * pixels.w,
            layer.out_channels,
            layer.depth(),
        ];
        words.extend(sizes.map(Word::size));
        words.push(Word::At(partials));
        words.extend([cut.splits, cut.tiles[0], cut.tiles[1]].map(Word::size));
        let (tile, linear) = (cut.tile, layer.linear);
        let function = format!("weight_gradient<{}, {linear}>", tile.name());
        self.launch("WeightGradient", function, words, Grid::tiles(&cut));

        let weight = Parameter {
            numbers: layer.out_channels * layer.depth(),
            partials,
            parts: cut.splits,
            parts_apart: numbers,
            columns: layer.depth(),
            row,
        };
        let bias = Parameter {
            numbers: layer.out_channels,
            partials: self.memory.after(partials, layer.depth()),
            columns: 1,
            ..weight
        };
        // From the last layer to the first, and turned round in the end.
        self.parameters.extend(layer.bias.then_some(bias));
        self.parameters.push(weight);
    }

    fn update(&mut self, epoch: &Epoch) {
        self.parameters.reverse();
        let mut blocks = Vec::new();
        for (i, parameter) in self.parameters.iter().enumerate() {
            for first in (0..parameter.numbers).step_by(BLOCK) {
                let end = parameter.numbers.min(first + BLOCK);
                blocks.extend([i, first, end].map(|number| number as i32));
            }
        }
        let n = blocks.len() / 3;
        let blocks = self.memory.table(Table::Ints(blocks));
        let places = [epoch.parameters, blocks, epoch.steps, epoch.now];
        let words = places.map(Word::At).into();
        let function = format!("update<{}_rule>", self.settings.optimizer);
        self.launch("Update", function, words, Grid::each(n * 256, 256));
    }
}

/// 0, 1, 2, …
fn count(n: usize) -> Vec<i32> {
    (0..n as i32).collect()
}

/// The bytes of an optimizer's numbers for a step, `struct Step` in the kernels.
pub(super) const STEP: usize = 96;

/// The words of `struct Parameter` in the kernels.
const PARAMETER: usize = 9;
