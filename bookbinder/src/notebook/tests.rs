use std::collections::BTreeMap;

use super::*;

fn book() -> (Project, Chapter) {
    let project = Project::at(Path::new("/p"));
    let chapter = Chapter {
        name: "conv2d/stride".into(),
        title: "stride".into(),
        source: "/p/book/src/conv2d/stride.md".into(),
        notebook: "/p/notebooks/conv2d-stride.ipynb".into(),
    };
    (project, chapter)
}

fn markdown(source: &str) -> Vec<String> {
    let (project, chapter) = book();
    let text = write(&project, &chapter, source, &HashMap::new(), "").unwrap();
    let Ok(nbformat::Notebook::V4(notebook)) = nbformat::parse_notebook(&text) else {
        panic!("not 4.5: {text}");
    };
    let prose = notebook.cells.iter().filter_map(|cell| match cell {
        v4::Cell::Markdown { source, .. } => Some(source.concat()),
        _ => None,
    });
    prose.collect()
}

#[test]
fn what_is_written_is_read_again() {
    let (project, chapter) = book();
    let source = "# A\n\n```rust\n1 + 1\n```\n";
    let outputs = vec![
        Output::Stream {
            name: "stdout".into(),
            text: "a\nb\n\r3 of 3\n".into(),
        },
        Output::DisplayData {
            data: BTreeMap::from([("image/svg+xml".into(), "<svg>\n</svg>".into())]),
            metadata: serde_json::Map::new(),
        },
        Output::ExecuteResult {
            execution_count: None,
            data: BTreeMap::from([("text/plain".into(), "2".into())]),
            metadata: serde_json::Map::new(),
        },
        Output::Error {
            ename: "panic".into(),
            evalue: "no".into(),
            traceback: vec!["a".into()],
        },
    ];
    let all = HashMap::from([("cell-1".to_owned(), outputs.clone())]);
    let text = write(&project, &chapter, source, &all, "avx2").unwrap();
    let folder = std::env::temp_dir().join(format!("bookbinder-notebook-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("a.ipynb");
    std::fs::write(&path, &text).unwrap();
    let executed = read(&path).unwrap().unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    assert_eq!(executed.source, cells::hash(source));
    assert_eq!(executed.vectors, "avx2");
    let stored = &executed.cells["cell-1"];
    assert_eq!(stored.code, "1 + 1");
    assert_eq!(stored.outputs.len(), 4);
    assert_eq!(stored.outputs[1], outputs[1]);
    assert_eq!(stored.outputs[3], outputs[3]);
    match (&stored.outputs[0], &stored.outputs[2]) {
        (
            Output::Stream { text, .. },
            Output::ExecuteResult {
                execution_count, ..
            },
        ) => {
            assert_eq!(text, "a\nb\n3 of 3\n");
            assert_eq!(*execution_count, Some(2));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(executed.cells["setup"].code, SETUP);
}

#[test]
fn links_lead_on_from_the_notebooks_folder() {
    let prose = markdown(
        "[a](../training/loop.md#x) [b](https://x.org/a.md) ![c](img/c.png) [d][r] [e](#here) \
         [n](../../../notebooks/data-mnist.ipynb) `[z](z.md)`\n\n[r]: ../data/mnist.md\n",
    );
    assert_eq!(
        prose[0],
        "[a](training-loop.ipynb#x) [b](https://x.org/a.md) ![c](../book/src/conv2d/img/c.png) \
         [d][r] [e](#here) [n](data-mnist.ipynb) `[z](z.md)`\n\n[r]: data-mnist.ipynb"
    );
}

#[test]
fn details_around_a_cell_open_up() {
    let source = "<details><summary>Hint</summary>\n\nthink\n\n</details>\n\n\
                  <details>\n<summary>Solution</summary>\n\n```rust\n1\n```\n\nso\n\n</details>\n\nend\n";
    let prose = markdown(source);
    assert!(
        prose[0].starts_with("<details><summary>Hint"),
        "{}",
        prose[0]
    );
    assert!(prose[0].ends_with("**Solution**"), "{}", prose[0]);
    assert!(!prose[1].contains("details"), "{}", prose[1]);
    assert!(prose[1].contains("so") && prose[1].contains("end"));
}

#[test]
fn directives_of_mdbook_are_left_out() {
    assert_eq!(markdown("{{#title X}}\n# A\n"), ["# A"]);
}
