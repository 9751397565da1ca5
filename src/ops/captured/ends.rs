//! Where a step begins and where it ends: the images, the loss, the parameters' change.

use super::memory::{Memory, Place, Table, Word};
use super::plan::{Epoch, Grid, Settings};
use super::planner::{Parameter, Planner};

/// The numbers of one parameter that a block of threads changes.
const BLOCK: usize = 256;

impl Planner<'_> {
    pub(super) fn gather(&mut self, epoch: &Epoch) {
        let [channels, rows, columns] = self.settings.image;
        let table = self.settings.pixels.clone();
        let table = table.map(|table| self.memory.table(Table::Reals(table)));
        let images = epoch.ring.unwrap_or(Place::start(Memory::Images));
        let to = self.values[0];
        let (batch, total) = (self.settings.batch, self.settings.total);
        let mut words = vec![
            Word::At(images),
            Word::or_nowhere(table),
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

    pub(super) fn loss(&mut self, epoch: &Epoch) {
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
        let grad = self.grads.last().map(|grad| grad.start);
        let mut words = vec![Word::At(logits), Word::or_nowhere(grad)];
        words.extend([epoch.targets, epoch.divisors].map(Word::At));
        words.push(Word::or_nowhere(weights));
        words.extend([epoch.losses, epoch.right].map(Word::At));
        words.extend([batch, total, classes].map(Word::size));
        words.push(Word::Int(ignore_index));
        words.push(Word::Number(label_smoothing));
        words.extend([epoch.next, epoch.now].map(Word::At));
        self.launch("Loss", "loss".into(), words, Grid::each(batch, 64));
    }

    pub(super) fn update(&mut self, epoch: &Epoch, optimizer: &str) {
        self.parameters.reverse();
        let all = self.parameters.clone();
        self.change(epoch, optimizer, &all, 0);
    }

    /// Applies a rule to parameters, which stand in the table from its entry `first_entry` on.
    pub(super) fn change(
        &mut self,
        epoch: &Epoch,
        rule: &str,
        parameters: &[Parameter],
        first_entry: usize,
    ) {
        let mut blocks = Vec::new();
        for (i, parameter) in (first_entry..).zip(parameters) {
            // Many parts are summed by several threads, or the few numbers of a first layer would be waited for.
            let shares = if parameter.parts >= 16 { 8 } else { 1 };
            for first in (0..parameter.numbers).step_by(BLOCK / shares) {
                let end = parameter.numbers.min(first + BLOCK / shares);
                blocks.extend([i, first, end, shares].map(|number| number as i32));
            }
        }
        let n = blocks.len() / 4;
        let blocks = self.memory.table(Table::Ints(blocks));
        let places = [epoch.parameters, blocks, epoch.steps, epoch.now];
        let words = places.map(Word::At).into();
        let function = format!("update<{rule}_rule>");
        self.launch("Update", function, words, Grid::each(n * 256, 256));
    }
}
