//! The static book, outputs included: no kernel, no network.

use std::path::PathBuf;

use anyhow::{Context, Result};
use mdbook_driver::MDBook;

use crate::preprocess::Bookbinder;
use crate::project::Project;

/// Builds the book, with the preprocessor in this process, and puts the notebooks beside the pages.
/// Returns the folder.
///
/// # Errors
///
/// Where a chapter cannot be cut into cells or mdBook fails; one line.
pub fn build(project: &Project) -> Result<PathBuf> {
    let mut book = MDBook::load(project.book()).context("book/ cannot be loaded")?;
    book.with_preprocessor(Bookbinder);
    book.build()?;
    let folder = book.build_dir_for("html");
    copy_notebooks(project, &folder.join("notebooks"))?;
    Ok(folder)
}

fn copy_notebooks(project: &Project, to: &std::path::Path) -> Result<()> {
    std::fs::create_dir_all(to)?;
    for chapter in project.chapters()? {
        if let (true, Some(name)) = (chapter.notebook.is_file(), chapter.notebook.file_name()) {
            std::fs::copy(&chapter.notebook, to.join(name))
                .with_context(|| format!("{} cannot be copied", chapter.notebook.display()))?;
        }
    }
    Ok(())
}
