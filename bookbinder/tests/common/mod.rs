//! A small book in a folder of its own, inside this workspace's target for the kernel's sake.

use std::path::{Path, PathBuf};

use bookbinder::project::Project;

/// Removed when dropped.
pub struct Book {
    pub project: Project,
}

impl Book {
    #[allow(dead_code)]
    /// A book whose chapters are these: name (`a/b`) and Markdown.
    pub fn new(name: &str, chapters: &[(&str, &str)]) -> Self {
        let root = std::env::temp_dir().join(format!("bookbinder-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&root);
        let mut project = Project::at(&root);
        project.workspace = workspace();
        std::fs::create_dir_all(project.src()).unwrap();
        let toml = "[book]\ntitle = \"T\"\n[build]\ncreate-missing = false\n\
                    [preprocessor.bookbinder]\ncommand = \"false\"\nafter = [\"links\"]\n\
                    [output.html.playground]\nrunnable = false\n";
        std::fs::write(project.book().join("book.toml"), toml).unwrap();
        let summary: String = chapters
            .iter()
            .map(|(name, _)| format!("- [{name}]({name}.md)\n"))
            .collect();
        std::fs::write(project.src().join("SUMMARY.md"), summary).unwrap();
        let book = Self { project };
        for (name, text) in chapters {
            book.write(name, text);
        }
        book
    }

    #[allow(dead_code)]
    pub fn write(&self, chapter: &str, text: &str) {
        let path = self.project.src().join(format!("{chapter}.md"));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    #[allow(dead_code)]
    pub fn read(&self, path: &str) -> String {
        std::fs::read_to_string(self.project.root.join(path)).unwrap()
    }
}

impl Drop for Book {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.project.root);
    }
}

pub fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_path_buf()
}
