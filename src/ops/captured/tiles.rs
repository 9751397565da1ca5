//! How a product is cut for a card.

use super::Precision;

/// Rows and columns of a tile. As `struct Tile` in the kernels, whose blocks have 128 threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tile {
    precision: Precision,
    rows: usize,
    columns: usize,
}

/// How much of the depth lies in shared memory at once.
pub(crate) const STRIP: usize = 16;

/// A block's threads.
pub(crate) const THREADS: usize = 128;

impl Tile {
    pub(super) fn name(self) -> String {
        let Self {
            precision,
            rows,
            columns,
        } = self;
        let precision = match precision {
            Precision::Highest => "float32",
            Precision::High => "tensor_float32",
            Precision::Medium => "bfloat16",
        };
        format!("Tile<{precision}, {rows}, {columns}, {STRIP}>")
    }

    /// How many blocks a multiprocessor is to have room for: their registers do not suffice for more.
    pub(super) fn beside(self) -> usize {
        match self.rows * self.columns / THREADS {
            64.. => 3,
            32.. => 4,
            _ => 5,
        }
    }

    /// How many instructions a thread takes for a strip: by the disassembler, for cards of version 9.0.
    fn instructions(self) -> usize {
        let sums = self.rows * self.columns / THREADS;
        let brought = (self.rows + self.columns) * STRIP / THREADS;
        match self.precision {
            Precision::Highest => sums * STRIP * 9 / 8 + 9 * brought + 60,
            Precision::High | Precision::Medium => 3 * sums + 9 * brought + 90,
        }
    }
}

/// A tile, and how often it goes into the rows, the columns and the depth.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cut {
    pub(super) tile: Tile,
    pub(crate) tiles: [usize; 2],
    pub(crate) splits: usize,
}

impl Cut {
    /// For an operation by itself, whose kernels are of few sizes; and the rows and columns.
    #[cfg(feature = "cuda")]
    pub(crate) fn of_op(
        size: [usize; 3],
        most_splits: usize,
        multiprocessors: usize,
    ) -> (Self, [usize; 2]) {
        let card = (multiprocessors.max(1), Precision::Highest);
        let cut = cut(&[[128, 64], [64, 32]], size, most_splits, card);
        (cut, [cut.tile.rows, cut.tile.columns])
    }

    pub(crate) fn blocks(&self) -> usize {
        self.tiles[0] * self.tiles[1] * self.splits
    }
}

/// Rows and columns that a step's products are cut into.
pub(crate) const SIZES: [[usize; 2]; 8] = [
    [128, 64],
    [128, 32],
    [64, 64],
    [64, 32],
    [32, 64],
    [64, 16],
    [32, 32],
    [16, 64],
];

/// Into tiles of one of these rows and columns: for a card of `multiprocessors` those that it is done with soonest, by a rough
/// count. `most_splits` is into how many parts the depth may be cut.
pub(super) fn cut(
    sizes: &[[usize; 2]],
    [m, n, depth]: [usize; 3],
    most_splits: usize,
    (multiprocessors, precision): (usize, Precision),
) -> Cut {
    /// What passes before numbers that were asked for are there, in instructions of a thread.
    const WAIT: usize = 700;
    let plain = precision == Precision::Highest;
    // A warp of tensor cores has 32 rows.
    let sizes = sizes.iter().filter(|[rows, _]| plain || rows % 32 == 0);
    let candidates = sizes.map(|&[rows, columns]| {
        let tile = Tile {
            precision,
            rows,
            columns,
        };
        let tiles = [m.div_ceil(rows), n.div_ceil(columns)];
        let all = tiles[0] * tiles[1];
        // As many as are at work at once.
        let splits = (tile.beside() * multiprocessors / all).clamp(1, most_splits.max(1));
        let strips = depth.div_ceil(STRIP).div_ceil(splits);
        // Of one multiprocessor, which has four warps at a time: as many as a block has.
        let blocks = (all * splits).div_ceil(multiprocessors);
        let at_work = blocks * strips * tile.instructions();
        let waiting = blocks.div_ceil(tile.beside()) * strips * (WAIT + tile.instructions());
        let cut = Cut {
            tile,
            tiles,
            splits,
        };
        (at_work.max(waiting), cut)
    });
    let fastest = candidates.min_by_key(|&(time, _)| time);
    let Some((_, cut)) = fastest else {
        unreachable!("there are sizes for every precision")
    };
    cut
}
