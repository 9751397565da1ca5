use super::*;

fn stream(text: &str) -> Output {
    Output::Stream {
        name: "stdout".into(),
        text: text.into(),
    }
}

fn display(mime: &str, content: &str) -> Output {
    Output::DisplayData {
        data: BTreeMap::from([(mime.to_owned(), content.to_owned())]),
        metadata: serde_json::Map::new(),
    }
}

#[test]
fn text_is_escaped_and_stays_on_one_line() {
    let html = output(&stream("a < b\n\n{{#include x}}\n"));
    assert_eq!(
        html,
        "<div class=\"output output-stream output-stdout\"><pre>a &lt; b&#10;&#10;\
         &#123;&#123;#include x&#125;&#125;</pre></div>"
    );
}

#[test]
fn colours_become_spans() {
    let html = output(&stream(
        "\u{1b}[1m\u{1b}[31merror\u{1b}[0m: <x>\u{1b}[38;5;9m!\u{1b}[K",
    ));
    assert!(
        html.contains("<span class=\"ansi-bold ansi-red\">error</span>: &lt;x&gt;"),
        "{html}"
    );
    assert!(
        html.contains("<span class=\"ansi-bright-red\">!</span>"),
        "{html}"
    );
    assert!(!html.contains('\u{1b}'));
}

#[test]
fn a_picture_is_inline_with_its_own_ids_and_no_code() {
    let svg = "<?xml version=\"1.0\"?>\n<!-- c -->\n<svg onload=\"alert(1)\" viewBox=\"0 0 1 1\">\n\n\
               <script>alert('<svg>')</script><clipPath id=\"a\"/><g clip-path=\"url(#a)\"/>\
               <use href=\"#a\"/><a href=\"javascript:x\"><text>1 &lt; 2\nb</text></a></svg>\n";
    let html = output(&display("image/svg+xml", svg));
    assert!(
        !html.contains('\n') && !html.contains("alert") && !html.contains("javascript"),
        "{html}"
    );
    let id = html
        .split("id=\"")
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap();
    assert!(
        id.ends_with("-a") && html.contains(&format!("url(#{id})")),
        "{html}"
    );
    assert!(html.contains(&format!("href=\"#{id}\"")));
    assert!(html.contains("1 &lt; 2&#10;b"));
    let other = output(&display(
        "image/svg+xml",
        &svg.replace("0 0 1 1", "0 0 2 2"),
    ));
    assert!(!other.contains(id));
}

#[test]
fn html_of_a_cell_holds_no_blank_line() {
    let html = output(&display(
        "text/html",
        "<pre>a\n\nb</pre>\n<style>\n\nb {}\n</style><script>\n\n1 // x\n2</script>",
    ));
    assert!(html.contains("<pre>a&#10;&#10;b</pre>"), "{html}");
    assert!(html.contains("1 // x\n2"), "{html}");
    assert!(html.lines().all(|line| !line.trim().is_empty()));
}

#[test]
fn long_text_scrolls_and_an_error_shows_its_message() {
    assert!(output(&stream(&"x\n".repeat(100))).contains("output-long"));
    let error = Output::Error {
        ename: "panic".into(),
        evalue: "no <way>".into(),
        traceback: Vec::new(),
    };
    assert!(output(&error).contains("panic: no &lt;way&gt;"));
}
