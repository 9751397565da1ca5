//! Builds the book again when its sources change.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::site::Site;
use super::terminal;
use crate::build;
use crate::project::Project;

const PAUSE: Duration = Duration::from_millis(700);

/// Looks at the sources' times until the server ends: no system's own watcher is needed for a few
/// dozen files.
pub async fn watch(project: Project, site: Arc<Site>) {
    let mut built = newest(&project);
    let mut seen = built;
    loop {
        tokio::time::sleep(PAUSE).await;
        let now = newest(&project);
        // An editor may write several files: wait until nothing changed between two looks.
        if now == built || now != seen {
            seen = now;
            continue;
        }
        built = now;
        let rebuilt = {
            let project = project.clone();
            tokio::task::spawn_blocking(move || build::build(&project)).await
        };
        match rebuilt {
            Ok(Ok(_)) => {
                terminal::done("book: built again");
                site.reload();
            }
            Ok(Err(error)) => terminal::done(&format!("book: not built: {error:#}")),
            Err(_) => terminal::done("book: its build was broken off"),
        }
    }
}

/// How many files there are, and when the last one changed.
fn newest(project: &Project) -> (usize, Option<SystemTime>) {
    let mut found = (0, None);
    look(&project.src(), &mut found);
    look(&project.book().join("theme"), &mut found);
    look(&project.notebooks(), &mut found);
    note(&project.book().join("book.toml"), &mut found);
    found
}

fn look(folder: &Path, found: &mut (usize, Option<SystemTime>)) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            look(&path, found);
        } else {
            note(&path, found);
        }
    }
}

fn note(path: &Path, (count, newest): &mut (usize, Option<SystemTime>)) {
    *count += 1;
    let time = path.metadata().and_then(|data| data.modified()).ok();
    *newest = time.max(*newest);
}
