//! Where everything is.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::cells::{self, Entry};

/// The folder that holds `book/book.toml`, and what lies in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Project {
    /// The book's side: chapters, notebooks, data. Cells run with this as their working directory.
    pub root: PathBuf,
    /// The Cargo workspace that builds the kernel and the cells' crate; the same folder, but for a
    /// book in a test.
    pub workspace: PathBuf,
    /// The features that the cells' crate is built with: none, or those for a card.
    pub features: Vec<String>,
}

/// One page of the book.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chapter {
    /// Its path below `book/src` without `.md`: what a reader types, `conv2d/stride`.
    pub name: String,
    /// Its title in SUMMARY.md.
    pub title: String,
    /// Its file.
    pub source: PathBuf,
    /// Its notebook.
    pub notebook: PathBuf,
}

impl Project {
    /// The project around the current directory.
    ///
    /// # Errors
    ///
    /// Where no folder from the current one upward holds `book/book.toml`.
    pub fn find() -> Result<Self> {
        let here = std::env::current_dir().context("the current directory cannot be read")?;
        match here
            .ancestors()
            .find(|folder| folder.join("book/book.toml").is_file())
        {
            Some(root) => Ok(Self::at(root)),
            None => bail!(
                "no book/book.toml in {} or above; run `cargo book` inside the project",
                here.display()
            ),
        }
    }

    /// The project whose root is known.
    #[must_use]
    pub fn at(root: &Path) -> Self {
        Self {
            root: root.to_path_buf(),
            workspace: root.to_path_buf(),
            features: Vec::new(),
        }
    }

    /// The same, its cells' crate with these features.
    #[must_use]
    pub fn with_features(self, features: &[String]) -> Self {
        let features = features.to_vec();
        Self { features, ..self }
    }

    /// What kernels make their contexts from, and where: for each set of features another.
    #[must_use]
    pub fn contexts(&self) -> PathBuf {
        let names = ["cells"]
            .into_iter()
            .chain(self.features.iter().map(String::as_str));
        self.target().join(names.collect::<Vec<_>>().join("-"))
    }

    /// The mdBook: book.toml, src/, theme/.
    #[must_use]
    pub fn book(&self) -> PathBuf {
        self.root.join("book")
    }

    /// The chapters.
    #[must_use]
    pub fn src(&self) -> PathBuf {
        self.book().join("src")
    }

    /// The executed notebooks.
    #[must_use]
    pub fn notebooks(&self) -> PathBuf {
        self.root.join("notebooks")
    }

    /// The crate that a cell depends on.
    #[must_use]
    pub fn cells(&self) -> PathBuf {
        self.workspace.join("cells")
    }

    /// Cargo's target directory.
    #[must_use]
    pub fn target(&self) -> PathBuf {
        match std::env::var_os("CARGO_TARGET_DIR") {
            Some(folder) if !folder.is_empty() => self.workspace.join(folder),
            _ => self.workspace.join("target"),
        }
    }

    /// The kernel program, there once it has been built.
    #[must_use]
    pub fn kernel_program(&self) -> PathBuf {
        self.target().join("book").join(format!(
            "candlelight-kernel{}",
            std::env::consts::EXE_SUFFIX
        ))
    }

    /// Whether MNIST is where the chapters look for it.
    ///
    /// # Errors
    ///
    /// Where `data/MNIST/raw` is not there; the message names the cure.
    pub fn require_data(&self) -> Result<()> {
        let raw = self.root.join("data/MNIST/raw");
        if !raw.is_dir() {
            bail!(
                "no {}; restore it with `git checkout -- data`",
                raw.display()
            );
        }
        Ok(())
    }

    /// The chapters in SUMMARY.md's order.
    ///
    /// # Errors
    ///
    /// Where SUMMARY.md cannot be read or names a file that is not there.
    pub fn chapters(&self) -> Result<Vec<Chapter>> {
        let path = self.src().join("SUMMARY.md");
        let summary = std::fs::read_to_string(&path)
            .with_context(|| format!("{} cannot be read", path.display()))?;
        cells::summary(&summary)
            .into_iter()
            .map(|entry| self.chapter(entry))
            .collect()
    }

    fn chapter(&self, entry: Entry<'_>) -> Result<Chapter> {
        let source = self.src().join(entry.path);
        if !source.is_file() {
            bail!("SUMMARY.md names {}, which is not there", entry.path);
        }
        let name = entry.path.trim_end_matches(".md").to_owned();
        Ok(Chapter {
            notebook: self.notebooks().join(notebook_name(&name)),
            title: entry.title.to_owned(),
            source,
            name,
        })
    }

    /// The chapters of these names (`conv2d/stride`, with or without `.md`); all where there is none.
    ///
    /// # Errors
    ///
    /// Where a name is unknown: the message lists the known ones.
    pub fn select(&self, names: &[String]) -> Result<Vec<Chapter>> {
        let all = self.chapters()?;
        if names.is_empty() {
            return Ok(all);
        }
        for name in names {
            if !all.iter().any(|chapter| chapter.is(name)) {
                let known: Vec<_> = all.iter().map(|chapter| chapter.name.as_str()).collect();
                bail!(
                    "unknown chapter `{name}`; the chapters are {}",
                    known.join(", ")
                );
            }
        }
        Ok(all
            .into_iter()
            .filter(|chapter| names.iter().any(|name| chapter.is(name)))
            .collect())
    }
}

impl Chapter {
    /// The chapter's Markdown.
    ///
    /// # Errors
    ///
    /// Where the file cannot be read.
    pub fn read(&self) -> Result<String> {
        std::fs::read_to_string(&self.source)
            .with_context(|| format!("{} cannot be read", self.source.display()))
    }

    fn is(&self, name: &str) -> bool {
        let name = name.strip_prefix("book/src/").unwrap_or(name);
        self.name == name.strip_suffix(".md").unwrap_or(name)
    }
}

/// The notebook's file name of the chapter `a/b`: `a-b.ipynb`.
#[must_use]
pub fn notebook_name(chapter: &str) -> String {
    format!("{}.ipynb", chapter.replace('/', "-"))
}
