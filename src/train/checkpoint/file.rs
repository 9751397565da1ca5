use std::path::Path;
use std::sync::PoisonError;

use candle_core::{Device, Tensor};

use super::{Checkpoint, HOOK, records};
use crate::random::Generator;
use crate::state::{self, StateDict};
use crate::{Error, Result};

const FORMAT: &str = "candlelight checkpoint 1";
/// The entries of the global generator and of the loaders'.
const GENERATORS: [&str; 3] = [
    "generator",
    "train_loader.generator",
    "test_loader.generator",
];

impl Checkpoint {
    /// Writes it as a safetensors file.
    ///
    /// The file is written beside `path`, flushed to the disk and renamed: whenever the process is
    /// killed, `path` holds the old checkpoint or the new one, whole.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] where the file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let mut all = StateDict::new();
        all.extend("net.", &self.net);
        all.extend("optimizer.", &self.optimizer);
        if let Some(schedule) = &self.schedule {
            all.extend("schedule.", schedule);
        }
        all.insert_number("epoch", self.epoch as f64)?;
        let [train, test] = &self.loaders;
        let generators = [Some(&self.generator), train.as_ref(), test.as_ref()];
        for (name, generator) in GENERATORS.into_iter().zip(generators) {
            if let Some(generator) = generator {
                all.insert(name, Tensor::new(generator.get_state(), &Device::Cpu)?);
            }
        }
        all.extend("history.", &records::to_state(&self.history)?);
        state::write(path.as_ref(), &all, FORMAT)?;
        if let Some(hook) = &mut *HOOK.lock().unwrap_or_else(PoisonError::into_inner) {
            hook(path.as_ref(), self.epoch);
        }
        Ok(())
    }

    /// Reads what [`save`](Self::save) wrote.
    ///
    /// # Errors
    ///
    /// [`Error::MissingFile`], [`Error::Io`], and [`Error::CorruptFile`] where it is no checkpoint.
    ///
    /// # Example
    ///
    /// ```
    /// use candlelight::nn;
    /// use candlelight::prelude::*;
    ///
    /// # fn main() -> Result<()> {
    /// # let path = std::env::temp_dir().join("candlelight-doc-no-checkpoint.safetensors");
    /// nn::save(&Net::new(var_builder(DType::F32, &Device::Cpu))?, &path)?;
    /// let error = Checkpoint::load(&path).unwrap_err().to_string();
    /// assert!(error.ends_with("not a checkpoint; for a network's parameters alone use nn::load"));
    /// # std::fs::remove_file(path).ok();
    /// # Ok(())
    /// # }
    /// ```
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let corrupt = |problem: &str, cure: &str| Error::CorruptFile {
            path: path.into(),
            problem: problem.into(),
            cure: cure.into(),
        };
        let (all, format) = state::read(path)?;
        if format.as_deref() != Some(FORMAT) {
            let cure = "for a network's parameters alone use nn::load";
            return Err(corrupt("not a checkpoint", cure));
        }
        let incomplete = |what: &str| {
            let problem = format!("a checkpoint whose {what} is missing or damaged");
            corrupt(&problem, "go on from another")
        };
        let epoch = all
            .number("epoch")
            .filter(|epoch| epoch.fract() == 0.0 && (0.0..=9.0e15).contains(epoch))
            .ok_or_else(|| incomplete("epoch"))?;
        let [global, train, test] = GENERATORS.map(|name| {
            let Some(bytes) = all.get(name) else {
                return Ok(None);
            };
            let mut generator = Generator::new(0);
            let bytes = bytes.to_vec1::<u8>().map_err(|_| incomplete(name))?;
            let set = generator.set_state(&bytes);
            set.map_err(|_| incomplete(name)).map(|()| Some(generator))
        });
        let schedule = all.below("schedule.");
        Ok(Self {
            net: all.below("net."),
            optimizer: all.below("optimizer."),
            schedule: (!schedule.is_empty()).then_some(schedule),
            epoch: epoch as usize,
            generator: global?.ok_or_else(|| incomplete("generator"))?,
            loaders: [train?, test?],
            history: records::from_state(&all.below("history."))
                .ok_or_else(|| incomplete("history"))?,
        })
    }
}
