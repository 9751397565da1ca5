//! Pictures that a reader would see as text.

use kernel_protocol::Output;

use super::Finding;
use crate::cells::{self, Segment};
use crate::notebook;
use crate::project::Chapter;

/// The cells whose value is a figure in words: evcxr shows a last expression that moves a variable as `{:?}`, and says
/// nothing.
pub(super) fn check(chapter: &Chapter, source: &str) -> Vec<Finding> {
    let (Ok(Some(executed)), Ok(segments)) =
        (notebook::read(&chapter.notebook), cells::parse(source))
    else {
        return Vec::new();
    };
    let mut findings = Vec::new();
    for segment in segments {
        let Segment::Cell(cell) = segment else {
            continue;
        };
        if executed
            .outputs(&cell)
            .is_some_and(|all| all.iter().any(is_figure))
        {
            findings.push(Finding {
                chapter: chapter.name.clone(),
                line: cell.line,
                message: "the picture shows as text, for the cell's last expression moves a \
                          variable: borrow it, or bind it to a name before"
                    .to_owned(),
            });
        }
    }
    findings
}

fn is_figure(output: &Output) -> bool {
    let text = match output {
        Output::ExecuteResult { data, .. } => data.get("text/plain"),
        _ => None,
    };
    text.is_some_and(|text| text.starts_with("Figure(") && text.ends_with("bytes of SVG)"))
}
