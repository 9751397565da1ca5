//! The command line.

use std::io::IsTerminal;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::{Args, Parser, Subcommand};
use indicatif::{ProgressBar, ProgressDrawTarget};

use crate::jupyter::Place;
use crate::project::{Chapter, Project};
use crate::weave::Woven;
use crate::{bench, build, check, engine, jupyter, preprocess, serve, weave};

/// A book whose cells run: serve it, run it, build it, check it
#[derive(Debug, Parser)]
#[command(name = "cargo book", bin_name = "cargo book", version)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: ServeArgs,
    /// Build what cells depend on with these, and train on a card: cuda, cudnn or metal
    #[arg(long, global = true, value_delimiter = ',', value_parser = ["cuda", "cudnn", "metal"])]
    features: Vec<String>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the book at http://127.0.0.1:3000/ with Run buttons (the default)
    Serve(ServeArgs),
    /// Run the cells of chapters that changed and write their notebooks
    Weave {
        /// For instance conv2d/stride; all chapters where there is none
        chapters: Vec<String>,
        /// Run also the cells of chapters that did not change
        #[arg(long)]
        all: bool,
    },
    /// Build the static book with the stored outputs
    Build,
    /// Look for stale notebooks, broken links and cells that do not compile
    Check,
    /// The cells' kernel for Jupyter
    Kernel {
        #[command(subcommand)]
        what: KernelCommand,
    },
    /// Measure how long a reader waits for a cell
    Bench {
        /// How many pages are opened, one after another
        #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
        rounds: u16,
        /// Also clone the repository and start the book there, which takes minutes
        #[arg(long)]
        clone: bool,
    },
    /// What mdBook calls: the book as JSON on stdin, the changed book on stdout
    #[command(hide = true)]
    Preprocess {
        #[command(subcommand)]
        question: Option<Question>,
    },
}

#[derive(Debug, Subcommand)]
enum KernelCommand {
    /// Build the kernel, and tell Jupyter of it: "Candlelight (Rust)"
    Install {
        /// Install below this folder, for instance a virtual environment's, instead of for the user
        #[arg(long)]
        prefix: Option<PathBuf>,
    },
    /// What Jupyter calls: serve the front end that wrote the file
    #[command(hide = true)]
    Run {
        /// Where it wrote the ports
        connection_file: PathBuf,
        /// The project whose cells run
        #[arg(long)]
        project: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
enum Question {
    /// Exits with 0 where the renderer is supported
    Supports {
        /// The renderer's name
        renderer: String,
    },
}

#[derive(Debug, Clone, Args)]
struct ServeArgs {
    /// Open the address in a browser
    #[arg(long)]
    open: bool,
    /// The port
    #[arg(long, default_value_t = 3000)]
    port: u16,
    /// The address to listen at; any that other machines reach lets them run code as you
    #[arg(long, default_value_t = Ipv4Addr::LOCALHOST.into())]
    host: IpAddr,
}

/// Runs the command that the arguments name; an error is one line on stderr.
#[must_use]
pub fn main() -> ExitCode {
    // mdBook's warnings go to stderr; a preprocessor's stdout is the book.
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false)
        .without_time()
        .init();
    match run(Cli::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> Result<ExitCode> {
    let runs_no_cell = matches!(
        cli.command,
        Some(Command::Build | Command::Check | Command::Preprocess { .. })
    );
    if runs_no_cell && !cli.features.is_empty() {
        bail!(
            "--features {} is for what runs cells: serve, weave, bench and kernel; leave it out here",
            cli.features.join(",")
        );
    }
    let find = || Ok::<_, anyhow::Error>(Project::find()?.with_features(&cli.features));
    match cli.command.unwrap_or(Command::Serve(cli.serve)) {
        Command::Preprocess { question: None } => preprocess::run()?,
        Command::Preprocess {
            question: Some(Question::Supports { renderer }),
        } => {
            if !preprocess::supports(&renderer) {
                return Ok(ExitCode::FAILURE);
            }
        }
        Command::Serve(ServeArgs { open, port, host }) => {
            serve::run(&find()?, &serve::Options { host, port, open })?;
        }
        Command::Weave { chapters, all } => weave(&find()?, &chapters, all)?,
        Command::Build => {
            let folder = build::build(&find()?)?;
            println!("{}", folder.join("index.html").display());
        }
        Command::Kernel {
            what: KernelCommand::Install { prefix },
        } => install_kernel(&find()?, prefix)?,
        Command::Kernel {
            what:
                KernelCommand::Run {
                    connection_file,
                    project,
                },
        } => {
            let project = Project::at(&project).with_features(&cli.features);
            jupyter::run(&project, &connection_file)?;
        }
        Command::Bench { rounds, clone } => {
            let rounds = usize::from(rounds);
            bench::run(&find()?, &bench::Options { rounds, clone })?;
        }
        Command::Check => check(&find()?)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn weave(project: &Project, names: &[String], all: bool) -> Result<()> {
    let chapters = project.select(names)?;
    project.require_data()?;
    let bar = ProgressBar::no_length();
    if !std::io::stderr().is_terminal() {
        bar.set_draw_target(ProgressDrawTarget::hidden());
    }
    let mut kernel = weave::Kernel::new(project.clone(), bar.clone())?;
    weave::weave(project, &chapters, all, &mut kernel, &bar, &mut report)
}

fn install_kernel(project: &Project, prefix: Option<PathBuf>) -> Result<()> {
    engine::ensure_built(project, &mut |what| eprintln!("{what}"))?;
    let place = match prefix {
        Some(prefix) => Place::Prefix(prefix),
        None => Place::User,
    };
    let folder = jupyter::install(project, &place)?;
    println!("Candlelight (Rust): {}", folder.display());
    Ok(())
}

fn report(chapter: &Chapter, woven: Woven) {
    let what = match woven {
        Woven::Fresh => "up to date",
        Woven::Prose => "prose written, outputs kept",
        Woven::Ran => "written",
    };
    println!("{}: {what}", chapter.name);
}

fn check(project: &Project) -> Result<()> {
    let findings = check::check(project)?;
    for finding in &findings {
        println!("{finding}");
    }
    match findings.len() {
        0 => {
            println!("every chapter compiles, every link leads somewhere, every notebook is new");
            Ok(())
        }
        1 => bail!("1 finding"),
        count => bail!("{count} findings"),
    }
}
