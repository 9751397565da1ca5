//! How a product is cut for a card.

/// Rows, columns and depth of a tile; a thread's rows and columns. As `struct Tile` in the kernels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tile(pub(super) [usize; 5]);

impl Tile {
    pub(super) fn name(self) -> String {
        let [m, n, k, tm, tn] = self.0;
        format!("Tile<{m}, {n}, {k}, {tm}, {tn}>")
    }

    pub(super) fn threads(self) -> usize {
        let [m, n, _, tm, tn] = self.0;
        m / tm * (n / tn)
    }
}

/// A tile, and how often it goes into the rows, the columns and the depth.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cut {
    pub(super) tile: Tile,
    pub(super) tiles: [usize; 2],
    pub(super) splits: usize,
}

impl Cut {
    pub(super) fn blocks(&self) -> usize {
        self.tiles[0] * self.tiles[1] * self.splits
    }
}

// The more sums a thread has, the fewer numbers it reads for each.
const TILES: [Tile; 7] = [
    Tile([128, 64, 16, 8, 8]),
    Tile([128, 32, 16, 8, 4]),
    Tile([64, 64, 16, 8, 4]),
    Tile([64, 32, 16, 4, 4]),
    Tile([32, 64, 16, 4, 4]),
    Tile([64, 16, 16, 4, 2]),
    Tile([16, 64, 16, 4, 2]),
];

/// For a card of `multiprocessors`: the one that it is done with soonest, by a rough count. `most_splits` is into how
/// many parts the depth may be cut.
pub(super) fn cut([m, n, depth]: [usize; 3], most_splits: usize, multiprocessors: usize) -> Cut {
    let candidates = TILES.iter().map(|&tile| {
        let [rows, columns, k, tm, tn] = tile.0;
        let tiles = [m.div_ceil(rows), n.div_ceil(columns)];
        let all = tiles[0] * tiles[1];
        // Two blocks for each multiprocessor hide each other's waiting.
        let splits = (2 * multiprocessors / all).clamp(1, most_splits.max(1));
        // A strip of the depth: the products, what is read for them, and what passes before its numbers are there.
        let strip = tm * tn * k + 3 * (tm + tn) * k + 800;
        let strips = depth.div_ceil(k).div_ceil(splits);
        let blocks = (all * splits).div_ceil(multiprocessors);
        // Four warps at work take as long for a strip as one; blocks beside each other share what is waited for.
        let time = strips * (strip - 800) * blocks + strips * 800 * blocks.div_ceil(3);
        let cut = Cut {
            tile,
            tiles,
            splits,
        };
        (time, cut)
    });
    let fastest = candidates.min_by_key(|&(time, _)| time);
    fastest.map_or(
        Cut {
            tile: TILES[0],
            tiles: [1, 1],
            splits: 1,
        },
        |(_, cut)| cut,
    )
}
