//! The sides of the comparison: all are sent the same tasks.

pub mod candle;
mod candlelight;
pub mod exchange;
mod process;
pub mod pytorch;
mod spread;

pub use candlelight::Candlelight;
pub use process::Process;
pub use spread::Spread;

/// The processor's name, as the system tells it.
pub fn processor() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = info
        .lines()
        .find_map(|line| line.strip_prefix("model name"));
    let name = name.map(|rest| rest.trim_start_matches([' ', '\t', ':']));
    name.unwrap_or(std::env::consts::ARCH).to_string()
}
