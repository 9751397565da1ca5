//! The layers of a step: each is a product forward, one for the input's gradient, and one for the weights'.

use super::memory::{Memory, Place, Table, Word};
use super::plan::Grid;
use super::planner::{Images, Parameter, Planner};
use super::tiles::{Cut, STRIP};
use crate::size::Size2;

impl Planner<'_> {
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

    pub(super) fn forward(&mut self, i: usize) {
        let (layer, batch) = (&self.layers[i], self.settings.batch);
        let (from, to) = (self.values[i], self.values[i + 1]);
        let Size2 { h, w } = layer.pixels();
        let strips = layer.depth().div_ceil(STRIP);
        // Another launch, for the sums, is worth it where the depth is long.
        let splits = layer.linear && strips >= 16;
        let most_splits = if splits { strips / 4 } else { 1 };
        let size = [batch * h * w, layer.out_channels, layer.depth()];
        let cut = self.cut(size, most_splits);
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

    pub(super) fn input_gradient(&mut self, i: usize) {
        let (layer, before) = (&self.layers[i], &self.layers[i - 1]);
        let (from, to) = (self.grads[i], self.grads[i - 1]);
        let (kernel, pixels) = (layer.geometry.kernel, layer.input);
        let batch = self.settings.batch;
        let depth = layer.out_channels * kernel.h * kernel.w;
        let size = [batch * pixels.h * pixels.w, layer.in_channels, depth];
        let cut = self.cut(size, 1);
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

    pub(super) fn weight_gradient(&mut self, i: usize) {
        let (layer, batch) = (&self.layers[i], self.settings.batch);
        let (from, grads) = (self.values[i], self.grads[i]);
        let (pixels, stride) = (layer.pixels(), layer.geometry.stride);
        let all = batch * pixels.h * pixels.w;
        let row = layer.depth() + 1;
        // With fewer strips the parts would take longer to sum than to compute.
        let most_splits = all.div_ceil(STRIP) / 8;
        let size = [layer.out_channels, row, all];
        let cut = self.cut(size, most_splits);
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
        self.aside();

        let (gradient, parts) = self.averaged(i, partials, cut.splits);
        let weight = Parameter {
            numbers: layer.out_channels * layer.depth(),
            partials: gradient,
            parts,
            parts_apart: numbers,
            columns: layer.depth(),
            row,
        };
        let bias = Parameter {
            numbers: layer.out_channels,
            partials: self.memory.after(gradient, layer.depth()),
            columns: 1,
            ..weight
        };
        // From the last layer to the first, and turned round in the end.
        self.parameters.extend(layer.bias.then_some(bias));
        self.parameters.push(weight);
    }
}

/// 0, 1, 2, …
fn count(n: usize) -> Vec<i32> {
    (0..n as i32).collect()
}
