use super::*;

fn cells(source: &str) -> Vec<Cell> {
    parse(source)
        .unwrap()
        .into_iter()
        .filter_map(|segment| match segment {
            Segment::Cell(cell) => Some(cell),
            Segment::Prose(_) => None,
        })
        .collect()
}

fn codes(source: &str) -> Vec<String> {
    cells(source).into_iter().map(|cell| cell.code).collect()
}

#[test]
fn prose_and_cells_alternate() {
    let source = "# A\n\n```rust\nlet x = 1;\n```\n\nthen\n\n```rust\nx\n```\n";
    let segments = parse(source).unwrap();
    assert_eq!(segments.len(), 4);
    assert_eq!(segments[0], Segment::Prose("# A\n\n"));
    assert_eq!(segments[2], Segment::Prose("\nthen\n\n"));
    let cells = cells(source);
    assert_eq!((cells[0].id.as_str(), cells[0].line), ("cell-1", 3));
    assert_eq!((cells[1].id.as_str(), cells[1].line), ("cell-2", 9));
    assert_eq!(cells[1].code, "x\n");
}

#[test]
fn a_longer_fence_holds_a_shorter_one() {
    assert_eq!(
        codes("````rust\nlet s = \"\n```\n\";\n````\n"),
        ["let s = \"\n```\n\";\n"]
    );
    assert!(codes("````text\n```rust\n1\n```\n````\n").is_empty());
    assert!(codes("~~~markdown\n```rust\n1\n```\n~~~\n").is_empty());
}

#[test]
fn a_tilde_fence_is_a_cell_and_backticks_do_not_close_it() {
    assert_eq!(codes("~~~rust\n```\n~~~\n"), ["```\n"]);
}

#[test]
fn a_fence_in_a_list_loses_its_indentation() {
    let source = "1. one\n\n   ```rust\n   fn f() {\n       1;\n\n   }\n   ```\n\n2. two\n";
    let cells = cells(source);
    assert_eq!(cells[0].code, "fn f() {\n    1;\n\n}\n");
    assert_eq!(cells[0].indent, 3);
    assert_eq!(
        codes("- a\n  - b\n\n    ```rust\n    1\n    ```\n"),
        ["1\n"]
    );
    assert_eq!(codes("- ```rust\n  1\n  ```\n"), ["1\n"]);
    assert_eq!(
        parse("- ```rust\n  1\n  ```\n").unwrap()[0],
        Segment::Prose("- ")
    );
}

#[test]
fn four_spaces_are_an_indented_block() {
    assert!(codes("text\n\n    ```rust\n    1\n    ```\n").is_empty());
}

#[test]
fn details_and_comments() {
    let folded = "<details><summary>Solution</summary>\n\n```rust\n1\n```\n\n</details>\n";
    assert_eq!(codes(folded), ["1\n"]);
    assert!(codes("<!--\n```rust\n1\n```\n-->\n").is_empty());
    assert_eq!(codes("<!-- note -->\n```rust\n1\n```\n"), ["1\n"]);
}

#[test]
fn an_unclosed_fence_names_its_line() {
    for (source, line) in [
        ("a\n```rust\n1\n", 2),
        ("a\n\n```text\n1\n", 3),
        ("````rust\n1\n```\n", 1),
        ("~~~rust\n1\n```\n", 1),
        (
            "- a\n\n  ```rust\n  1\n\nout of the list\n\n```text\n```\n",
            3,
        ),
        ("```rust\n1\n``` no\n", 1),
    ] {
        assert_eq!(parse(source).unwrap_err().line, line, "{source}");
    }
}

#[test]
fn attributes_and_quotes_are_refused() {
    for source in [
        "```rust,ignore\n1\n```\n",
        "```rust ignore\n1\n```\n",
        "> ```rust\n> 1\n> ```\n",
    ] {
        assert_eq!(parse(source).unwrap_err().line, 1, "{source}");
    }
    assert!(codes("> ```text\n> 1\n> ```\n").is_empty());
    assert!(codes("```rustic\n1\n```\n").is_empty());
    assert!(codes("```rust``` is inline\n").is_empty());
}

#[test]
fn carriage_returns_are_not_code() {
    assert_eq!(codes("```rust\r\n1\r\n```\r\n"), ["1\n"]);
    assert_eq!(hash("a\r\n"), hash("a\n"));
}

#[test]
fn the_summary_lists_files_in_order() {
    let text = "# Summary\n\n[Introduction](introduction.md)\n\n# Part\n- [A](a/b.md)\n  - [Draft]()\n- [B](./c.md)\n";
    let paths: Vec<_> = summary(text).into_iter().map(|entry| entry.path).collect();
    assert_eq!(paths, ["introduction.md", "a/b.md", "c.md"]);
}
