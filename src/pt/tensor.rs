//! A tensor from the call that rebuilds it: storage, offset, sizes, strides.

use candle_core::{Device, Tensor};

use super::archive::{Archive, Storage};
use super::pickle::{Id, Problem, Value};

/// PyTorch keeps the tensors that `expand` made as one element and stride 0. More elements than this
/// out of fewer are taken for a broken file, not for memory to fill.
const MOST_REPEATED: usize = 1 << 22;

/// How many bytes the tensors of one file may have together. Those that share a storage are each read
/// in full: as many times what is in the file, for weights that layers share, and four that are
/// repeated as often as they may be.
pub(super) struct Budget(usize);

impl Budget {
    const TIMES: usize = 32;

    pub fn of(archive: &Archive) -> Self {
        let kept = archive.storage_bytes().saturating_mul(Self::TIMES);
        Self(kept.saturating_add(16 * MOST_REPEATED))
    }

    fn spend(&mut self, bytes: usize) -> Result<(), Problem> {
        self.0 = self.0.checked_sub(bytes).ok_or_else(|| {
            format!(
                "tensors that repeat its storages more than {} times",
                Self::TIMES
            )
        })?;
        Ok(())
    }
}

/// The tensor that the call `id` makes.
pub(super) fn tensor(archive: &Archive, id: Id, budget: &mut Budget) -> Result<Tensor, Problem> {
    let pickle = &archive.pickle;
    let (mut function, mut arguments) = call(archive, id)?;
    // A parameter wraps a tensor, a subclass of Tensor wraps either.
    for _ in 0..4 {
        let items = pickle.tuple(arguments)?;
        match (pickle.text(function)?, items) {
            ("torch._utils._rebuild_tensor_v2" | "torch._utils._rebuild_tensor", items) => {
                let Some((&[storage, offset, size, stride], _)) = items.split_first_chunk() else {
                    break;
                };
                let layout = Layout {
                    offset: pickle.size(offset)?,
                    size: pickle.sizes(size)?,
                    stride: pickle.sizes(stride)?,
                };
                return layout.read(archive, &Storage::of(pickle, storage)?, budget);
            }
            (
                "torch._utils._rebuild_parameter" | "torch._utils._rebuild_parameter_with_state",
                &[inner, ..],
            ) => (function, arguments) = call(archive, inner)?,
            ("torch._tensor._rebuild_from_type_v2", &[inner, _, inner_arguments, ..]) => {
                (function, arguments) = (inner, inner_arguments);
            }
            (other, _) => return Err(format!("a {other:?} where a tensor stands")),
        }
    }
    Err("a tensor is described by too few values".into())
}

fn call(archive: &Archive, id: Id) -> Result<(Id, Id), Problem> {
    match archive.pickle.value(id) {
        Value::Call {
            function,
            arguments,
        } => Ok((*function, *arguments)),
        other => Err(format!(
            "{} where a tensor stands",
            archive.pickle.describe(other)
        )),
    }
}

/// Where a tensor's elements are in its storage, in elements.
struct Layout {
    offset: usize,
    size: Vec<usize>,
    stride: Vec<usize>,
}

impl Layout {
    fn read(
        &self,
        archive: &Archive,
        storage: &Storage<'_>,
        budget: &mut Budget,
    ) -> Result<Tensor, Problem> {
        let dtype = storage.dtype()?;
        let width = dtype.size_in_bytes();
        let bytes = archive.bytes(storage)?;
        let count = self.count(bytes.len() / width)?;
        budget.spend(count * width)?;
        let mut elements = Vec::new();
        elements
            .try_reserve_exact(count * width)
            .map_err(|error| error.to_string())?;
        for position in self.positions(count) {
            elements.extend_from_slice(&bytes[position * width..(position + 1) * width]);
        }
        Tensor::from_raw_buffer(&elements, dtype, &self.size, &Device::Cpu)
            .map_err(|error| error.to_string())
    }

    /// How many elements there are, each of them inside a storage of `available`.
    fn count(&self, available: usize) -> Result<usize, Problem> {
        let outside = || {
            format!(
                "a tensor of {:?} with strides {:?} from element {} reaches beyond its storage of {available}",
                self.size, self.stride, self.offset
            )
        };
        if self.size.len() != self.stride.len() {
            return Err(outside());
        }
        if self.size.contains(&0) {
            // candle multiplies the other sizes all the same.
            let mut sizes = self.size.iter().map(|&size| size.max(1));
            return match sizes.try_fold(1usize, usize::checked_mul) {
                Some(_) => Ok(0),
                None => Err(outside()),
            };
        }
        let (mut count, mut last) = (1usize, self.offset);
        for (size, stride) in self.size.iter().zip(&self.stride) {
            let reach = (size - 1).checked_mul(*stride);
            last = reach
                .and_then(|reach| last.checked_add(reach))
                .ok_or_else(outside)?;
            count = count.checked_mul(*size).ok_or_else(outside)?;
        }
        if last >= available || count > available.max(MOST_REPEATED) {
            return Err(outside());
        }
        Ok(count)
    }

    /// The place of each element in the storage, last dimension fastest.
    fn positions(&self, count: usize) -> impl Iterator<Item = usize> {
        let mut index = vec![0; self.size.len()];
        let mut position = self.offset;
        (0..count).map(move |_| {
            let here = position;
            for axis in (0..index.len()).rev() {
                index[axis] += 1;
                position += self.stride[axis];
                if index[axis] < self.size[axis] {
                    break;
                }
                position -= self.size[axis] * self.stride[axis];
                index[axis] = 0;
            }
            here
        })
    }
}
