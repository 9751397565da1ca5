//! Where Jupyter finds the kernel.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use serde_json::json;

use crate::project::Project;

/// The folder's name, by which notebooks call the kernel.
const NAME: &str = "candlelight";

/// For whom the kernel is installed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// The user who asks.
    User,
    /// All who use what lies below this folder: a virtual environment, for instance.
    Prefix(PathBuf),
}

/// Writes the kernel's description for Jupyter, and returns its folder.
///
/// # Errors
///
/// Where the folder cannot be written.
pub fn install(project: &Project, place: &Place) -> Result<PathBuf> {
    let data = match place {
        Place::User => jupyter_zmq_client::dirs::user_data_dir()
            .context("no folder for Jupyter's data is known")?,
        Place::Prefix(prefix) => prefix.join("share/jupyter"),
    };
    let folder = data.join("kernels").join(NAME);
    let program = std::env::current_exe().context("this program's path is not known")?;
    let mut argv = vec![
        json!(program),
        json!("kernel"),
        json!("run"),
        json!("{connection_file}"),
        json!("--project"),
        json!(project.root),
    ];
    if !project.features.is_empty() {
        argv.extend([json!("--features"), json!(project.features.join(","))]);
    }
    let description = json!({
        "argv": argv,
        "display_name": "Candlelight (Rust)",
        "language": "rust",
        "interrupt_mode": "message",
        // Where the kernel is built now, whatever Jupyter is started with.
        "env": { "CARGO_TARGET_DIR": project.target() },
    });
    let write = || {
        fs::create_dir_all(&folder)?;
        let text = serde_json::to_string_pretty(&description)?;
        fs::write(folder.join("kernel.json"), text + "\n")
    };
    write().with_context(|| format!("{} cannot be written", folder.display()))?;
    Ok(folder)
}
