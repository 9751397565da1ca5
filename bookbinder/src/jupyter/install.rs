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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn a_kernel_is_started_with_the_features_that_it_was_installed_with() -> Result<()> {
        let prefix = std::env::temp_dir().join(format!("bookbinder-kernel-{}", std::process::id()));
        let started = |project: &Project| -> Result<String> {
            let folder = install(project, &Place::Prefix(prefix.clone()))?;
            let text = fs::read_to_string(folder.join("kernel.json"))?;
            let description: serde_json::Value = serde_json::from_str(&text)?;
            Ok(description["argv"].to_string())
        };
        let project = Project::at(Path::new("/book"));
        let project_argument = r#""--project","/book""#;
        assert!(started(&project)?.ends_with(&format!("{project_argument}]")));
        assert!(project.contexts().ends_with("cells"));
        let project = project.with_features(&["cuda".into(), "cudnn".into()]);
        let ending = format!(r#"{project_argument},"--features","cuda,cudnn"]"#);
        assert!(started(&project)?.ends_with(&ending));
        assert!(project.contexts().ends_with("cells-cuda-cudnn"));
        fs::remove_dir_all(&prefix)?;
        Ok(())
    }
}
