//! PyTorch: `benches/vs_pytorch.py`.

use std::process::Command;

use super::Process;

/// With as many threads; an error says what is missing.
pub fn start(variant: &str, threads: usize) -> Result<Process, String> {
    let python = std::env::var("PYTHON").unwrap_or_else(|_| "python3".into());
    let folder = env!("CARGO_MANIFEST_DIR");
    let mut command = Command::new(&python);
    command
        .arg(format!("{folder}/benches/vs_pytorch.py"))
        .arg(format!("{folder}/data/MNIST/raw"))
        .args([variant, &threads.to_string()]);
    Process::start(format!("PyTorch {variant}"), &mut command).map_err(|error| {
        format!(
            "{python} does not start PyTorch ({error}); install it with `pip install torch numpy`, or name the \
             Python that has it in PYTHON"
        )
    })
}
