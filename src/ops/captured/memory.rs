//! What a captured step's kernels are called with: words of eight bytes, some of which are addresses.

/// Memory that a step uses: its own, or a tensor's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Memory {
    Own,
    /// The data set's images, as bytes.
    Images,
    Parameter(usize),
    /// What the optimizer remembers of a parameter: one of three.
    Buffer(usize, usize),
}

/// A place in it, in bytes from its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) memory: Memory,
    pub(crate) offset: usize,
}

impl Place {
    pub(crate) const fn start(memory: Memory) -> Self {
        Self { memory, offset: 0 }
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Word {
    Int(i64),
    Number(f64),
    At(Place),
    /// The address of nothing.
    Nowhere,
}

impl Word {
    /// The size of anything that is counted.
    pub(super) fn size(number: usize) -> Self {
        Self::Int(number as i64)
    }

    pub(super) fn or_nowhere(place: Option<Place>) -> Self {
        place.map_or(Self::Nowhere, Self::At)
    }

    /// Its eight bytes, where each memory begins at an address.
    pub(crate) fn bits<E>(
        self,
        address: impl Fn(Memory) -> std::result::Result<u64, E>,
    ) -> std::result::Result<u64, E> {
        Ok(match self {
            Self::Int(number) => number as u64,
            Self::Number(number) => number.to_bits(),
            Self::At(place) => address(place.memory)? + place.offset as u64,
            Self::Nowhere => 0,
        })
    }
}

/// What stands in a step's own memory from the start.
#[derive(Debug, Clone)]
pub(crate) enum Table {
    Ints(Vec<i32>),
    Reals(Vec<f64>),
    Doubles(Vec<f64>),
}

impl Table {
    /// As it lies in memory, where a real has `real` bytes, 4 or 8.
    pub(crate) fn bytes(&self, real: usize) -> Vec<u8> {
        match self {
            Self::Ints(all) => all.iter().flat_map(|number| number.to_le_bytes()).collect(),
            Self::Reals(all) if real == 4 => {
                let all = all.iter().map(|&number| number as f32);
                all.flat_map(f32::to_le_bytes).collect()
            }
            Self::Reals(all) | Self::Doubles(all) => {
                all.iter().flat_map(|number| number.to_le_bytes()).collect()
            }
        }
    }
}

/// A step's own memory, as it is laid out.
#[derive(Debug, Default)]
pub(super) struct Layout {
    pub(super) bytes: usize,
    pub(super) tables: Vec<(usize, Table)>,
    /// The bytes of a real.
    pub(super) real: usize,
}

impl Layout {
    /// Room of its own, which holds zeros at first.
    pub(super) fn room(&mut self, bytes: usize) -> Place {
        let offset = self.bytes;
        // As CUDA's own allocations lie.
        self.bytes = (offset + bytes).next_multiple_of(256);
        Place {
            memory: Memory::Own,
            offset,
        }
    }

    pub(super) fn reals(&mut self, n: usize) -> Place {
        self.room(n * self.real)
    }

    pub(super) fn table(&mut self, table: Table) -> Place {
        let place = self.room(table.bytes(self.real).len());
        self.tables.push((place.offset, table));
        place
    }

    /// `n` reals further on.
    pub(super) fn after(&self, place: Place, n: usize) -> Place {
        Place {
            offset: place.offset + n * self.real,
            ..place
        }
    }
}
