use std::path::Path;

use pulldown_cmark::{Event, Parser, Tag, TagEnd};

use super::*;

fn page(source: &str) -> String {
    let project = Project::at(Path::new("/p"));
    let chapter = Chapter {
        name: "conv2d/stride".into(),
        title: "stride".into(),
        source: "/p/book/src/conv2d/stride.md".into(),
        notebook: "/p/notebooks/conv2d-stride.ipynb".into(),
    };
    html(&project, &chapter, source).unwrap()
}

#[test]
fn a_cell_is_one_line_of_html() {
    let out = page("a\n```rust\nlet s = \"<b>\";\n\nx\n```\nb *c*\n");
    assert!(out.contains(
        "\n<div class=\"cell\" id=\"cell-1\" data-cell=\"cell-1\" data-chapter=\"conv2d/stride\" \
         data-stale=\"true\"><pre><code class=\"language-rust cell-code\">let s = &quot;&lt;b&gt;&quot;;\
         &#10;&#10;x</code></pre><div class=\"cell-outputs\"></div></div>\n\nb *c*"
    ), "{out}");
    // The prose after the cell is Markdown again.
    assert!(Parser::new(&out).any(|event| matches!(event, Event::Start(Tag::Emphasis))));
}

#[test]
fn a_cell_in_a_list_stays_in_its_item() {
    let out = page("1. one\n\n   ```rust\n   1\n   ```\n\n   still one\n2. two\n");
    let items = Parser::new(&out).filter(|event| matches!(event, Event::Start(Tag::Item)));
    assert_eq!(items.count(), 2, "{out}");
    let mut depth = 0;
    for event in Parser::new(&out) {
        match event {
            Event::Start(Tag::Item) => depth += 1,
            Event::End(TagEnd::Item) => depth -= 1,
            Event::Html(html) if html.contains("cell-1") => assert_eq!(depth, 1),
            _ => {}
        }
    }
}

#[test]
fn links_to_notebooks_lead_to_the_built_books_copies() {
    let out = page("[n](../../../notebooks/conv2d-stride.ipynb) [m](../data/mnist.md)\n");
    assert_eq!(
        out,
        "[n](../notebooks/conv2d-stride.ipynb) [m](../data/mnist.md)\n"
    );
}
