//! What every cell depends on, built once for a project: the template that contexts are made from.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use kernel_protocol::FEATURES;

/// What computes is optimised whatever the cell's own level: cells' hot loops are theirs. All else is not, for the
/// reader waits for it; a level for all would be that of procedural macros too. The lists are those of the workspace's
/// `profile.dev`, and a crate of the cells'.
const CARGO_CONFIG: &str = r#"# Written by the kernel: what cells compute with optimised, the cells themselves compiled fast.
[profile.dev.package."*"]
debug = false
debug-assertions = false
overflow-checks = false
[profile.dev.package]
candlelight = { opt-level = 3 }
candlelight-cells = { opt-level = 3 }
candle-core = { opt-level = 3 }
candle-nn = { opt-level = 3 }
gemm = { opt-level = 3 }
gemm-common = { opt-level = 3 }
gemm-f32 = { opt-level = 3 }
gemm-f64 = { opt-level = 3 }
rayon = { opt-level = 3 }
rayon-core = { opt-level = 3 }
flate2 = { opt-level = 3 }
miniz_oxide = { opt-level = 3 }
# What reads, writes and draws.
base64 = { opt-level = 1 }
crc32fast = { opt-level = 1 }
crossbeam-deque = { opt-level = 1 }
crossbeam-epoch = { opt-level = 1 }
crossbeam-utils = { opt-level = 1 }
fdeflate = { opt-level = 1 }
gemm-f16 = { opt-level = 1 }
half = { opt-level = 1 }
hashbrown = { opt-level = 1 }
image = { opt-level = 1 }
indexmap = { opt-level = 1 }
libm = { opt-level = 1 }
md-5 = { opt-level = 1 }
num-traits = { opt-level = 1 }
plotters = { opt-level = 1 }
plotters-backend = { opt-level = 1 }
plotters-svg = { opt-level = 1 }
png = { opt-level = 1 }
rand = { opt-level = 1 }
rand_chacha = { opt-level = 1 }
rand_core = { opt-level = 1 }
rand_distr = { opt-level = 1 }
safetensors = { opt-level = 1 }
serde_json = { opt-level = 1 }
simd-adler32 = { opt-level = 1 }
zip = { opt-level = 1 }
"#;

/// The folder of templates and contexts, and where the cells' crate comes from.
pub struct Folders {
    /// `target/cells`.
    pub home: PathBuf,
    /// The workspace that holds `cells/` and `Cargo.lock`.
    pub workspace: PathBuf,
    /// Of the cells' crate.
    features: Vec<String>,
}

impl Folders {
    /// Of these paths.
    pub fn new(home: &Path, workspace: &Path) -> Self {
        Self {
            home: home.to_path_buf(),
            workspace: workspace.to_path_buf(),
            features: features(),
        }
    }

    /// Where the shared library lies that cells are compiled against.
    #[cfg(target_os = "linux")]
    pub fn libraries(&self) -> Result<PathBuf> {
        Ok(self.template().join(libraries()?))
    }

    /// The template, where built.
    pub fn template(&self) -> PathBuf {
        self.home.join("template")
    }

    /// evcxr's line that names what cells depend on.
    pub fn dependency(&self) -> String {
        format!(
            "candlelight = {{ package = \"candlelight-cells\", path = {:?}, features = {:?} }}",
            self.workspace.join("cells"),
            self.features
        )
    }

    /// Holds off other kernels for as long as the file lives.
    pub fn lock(&self, report: &mut dyn FnMut(&str)) -> Result<File> {
        fs::create_dir_all(&self.home)
            .with_context(|| format!("{} cannot be made", self.home.display()))?;
        let file = File::create(self.home.join("template.lock"))?;
        if file.try_lock().is_err() {
            report("waiting for another kernel that gets ready");
            file.lock()?;
        }
        Ok(file)
    }
}

/// Those that [`FEATURES`] names.
pub fn features() -> Vec<String> {
    let names = std::env::var(FEATURES).unwrap_or_default();
    let names = names
        .split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty());
    names.map(str::to_owned).collect()
}

/// Builds the template where a source is newer. The first time takes minutes. To be called under
/// [`Folders::lock`].
pub fn build(folders: &Folders, report: &mut dyn FnMut(&str)) -> Result<()> {
    let template = folders.template();
    write_changed(&folders.home.join(".cargo/config.toml"), CARGO_CONFIG)?;
    write_changed(&template.join("Cargo.toml"), &manifest(folders))?;
    write_changed(&template.join("src/lib.rs"), "")?;
    seed_lock(folders)?;
    forget_other_workspace(folders)?;
    // evcxr asks cargo, offline, for the dependencies on all platforms; a build has brought this one's.
    cargo(folders, &["fetch"], report)?;
    // What evcxr runs for a cell.
    cargo(folders, &["build", "--target", &host()?], report)
}

/// The very manifest that evcxr writes: cargo takes what it finds built for the same profile only.
fn manifest(folders: &Folders) -> String {
    format!(
        r#"
[package]
name = "ctx"
version = "1.0.0"
edition = "2024"

[lib]
crate-type = ["cdylib"]
path = "src/lib.rs"

[profile.dev]
opt-level = 0
debug = false
strip = "debuginfo"
rpath = true
lto = false
debug-assertions = true
codegen-units = 16
panic = 'unwind'
incremental = true
overflow-checks = true

[dependencies]
{}

"#,
        folders.dependency()
    )
}

/// The workspace's own versions, so that nothing else must be downloaded.
fn seed_lock(folders: &Folders) -> Result<()> {
    let source = folders.workspace.join("Cargo.lock");
    let lock = fs::read_to_string(&source)
        .with_context(|| format!("{} cannot be read", source.display()))?;
    let seed = folders.template().join("seed.lock");
    if fs::read_to_string(&seed).ok().as_deref() != Some(&lock) {
        fs::write(folders.template().join("Cargo.lock"), &lock)?;
        fs::write(seed, lock)?;
    }
    Ok(())
}

/// A shared library has no hash in its name. Where two workspaces share a target directory, one's library
/// takes the place of the other's, and cargo does not notice.
fn forget_other_workspace(folders: &Folders) -> Result<()> {
    let template = folders.template();
    let (stamp, workspace) = (
        template.join("workspace.txt"),
        folders.workspace.display().to_string(),
    );
    if fs::read_to_string(&stamp).ok().as_deref() == Some(&workspace) {
        return Ok(());
    }
    for entry in fs::read_dir(template.join(libraries()?))
        .into_iter()
        .flatten()
    {
        let entry = entry?;
        if entry
            .file_name()
            .to_string_lossy()
            .starts_with("libcandlelight_cells")
        {
            fs::remove_file(entry.path())?;
        }
    }
    fs::write(stamp, workspace)?;
    Ok(())
}

fn write_changed(path: &Path, text: &str) -> Result<()> {
    if fs::read_to_string(path).ok().as_deref() != Some(text) {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(path, text).with_context(|| format!("{} cannot be written", path.display()))?;
    }
    Ok(())
}

fn cargo(folders: &Folders, arguments: &[&str], report: &mut dyn FnMut(&str)) -> Result<()> {
    let mut cargo = Command::new("cargo")
        .args(arguments)
        .current_dir(folders.template())
        .env("CARGO_TARGET_DIR", "target")
        .env("CARGO_BUILD_BUILD_DIR", "target")
        .env("RUSTFLAGS", "-Cprefer-dynamic")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .context("cargo cannot be run")?;
    let mut message = Vec::new();
    let mut crates = 0;
    if let Some(stderr) = cargo.stderr.take() {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            let mut words = line.split_whitespace();
            if let (Some("Compiling"), Some(name)) = (words.next(), words.next()) {
                crates += 1;
                report(&format!(
                    "building what cells depend on, once (minutes): crate {crates}, {name}"
                ));
            } else if !message.is_empty() || line.starts_with("error") {
                message.push(line);
            }
        }
    }
    if !cargo.wait()?.success() {
        message.truncate(30);
        bail!(
            "what cells depend on does not build: {}",
            message.join("\n")
        );
    }
    Ok(())
}

/// Where shared libraries lie below a folder of evcxr's.
pub fn libraries() -> Result<PathBuf> {
    Ok(Path::new("target").join(host()?).join("debug/deps"))
}

/// The processor and system that rustc compiles for, as it names them.
fn host() -> Result<String> {
    let output = Command::new("rustc").arg("-vV").output();
    let output = output.context("rustc cannot be run; install Rust from https://rustup.rs")?;
    let text = String::from_utf8_lossy(&output.stdout);
    match text.lines().find_map(|line| line.strip_prefix("host: ")) {
        Some(host) => Ok(host.to_owned()),
        None => bail!("`rustc -vV` names no host"),
    }
}
