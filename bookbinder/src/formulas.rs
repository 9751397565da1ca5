//! Formulas: `$$ … $$` and `$ … $` in a chapter's prose, rendered by KaTeX when the book is built, so that a page
//! needs no script. Jupyter renders the same lines itself.
//!
//! mdbook-katex does the same, but keeps a formula that it cannot render as it stands and only logs it.

use std::ops::Range;

use anyhow::{Result, anyhow};
use katex::{Opts, OutputType};
use pulldown_cmark::{Event, Parser};

use crate::notebook::prose::options;

struct Formula {
    tex: String,
    /// On lines of its own.
    display: bool,
    /// Its bytes in the prose, with the dollars.
    range: Range<usize>,
}

/// Prose with its formulas as HTML and, for those who do not see it, as MathML.
///
/// # Errors
///
/// Where KaTeX does not know a formula; the message shows it.
pub fn expand(prose: &str) -> Result<String> {
    let mut out = prose.to_owned();
    for formula in find(prose).into_iter().rev() {
        out.replace_range(formula.range.clone(), &html(&formula)?);
    }
    Ok(out)
}

/// The formulas that KaTeX does not know, each with its line, from 1.
pub fn check(chapter: &str) -> Vec<(usize, String)> {
    find(chapter)
        .into_iter()
        .filter_map(|formula| {
            let message = html(&formula).err()?.to_string();
            let before = chapter.get(..formula.range.start)?;
            Some((before.matches('\n').count() + 1, message))
        })
        .collect()
}

fn find(markdown: &str) -> Vec<Formula> {
    // A dollar in code is none.
    Parser::new_ext(markdown, options())
        .into_offset_iter()
        .filter_map(|(event, range)| {
            let (tex, display) = match event {
                Event::DisplayMath(tex) => (tex.to_string(), true),
                Event::InlineMath(tex) => (tex.to_string(), false),
                _ => return None,
            };
            Some(Formula {
                tex,
                display,
                range,
            })
        })
        .collect()
}

fn html(formula: &Formula) -> Result<String> {
    let options = Opts::builder()
        .display_mode(formula.display)
        .output_type(OutputType::HtmlAndMathml)
        .build()?;
    let html = katex::render_with_opts(&formula.tex, &options)
        .map_err(|error| anyhow!("the formula {:?}: {error}", formula.tex.trim()))?
        .replace('\n', " ");
    Ok(if formula.display {
        format!("<div class=\"formula\">{html}</div>")
    } else {
        // In a paragraph Markdown reads the text between tags.
        html.replace('\\', "&#92;")
            .replace('*', "&#42;")
            .replace('_', "&#95;")
            .replace('`', "&#96;")
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_formula_is_rendered_and_a_dollar_in_code_stays() {
        let html = expand("a\n\n$$\n\\frac{a}{b}\n$$\n\nIn $x_i * y$ and `$x$`.\n").unwrap();
        assert!(
            html.starts_with("a\n\n<div class=\"formula\"><span class=\"katex-display\">"),
            "{html}"
        );
        assert!(html.contains("<math") && html.contains("mfrac"), "{html}");
        assert!(html.ends_with("and `$x$`.\n"), "{html}");
        let (_, inline) = html.split_once("\n\nIn ").unwrap();
        assert!(!inline.contains("x_i") && !inline.contains('*'), "{inline}");
    }

    #[test]
    fn what_katex_does_not_know_is_named_with_its_line() {
        let text = "a\n\n$$\n\\nothing{a}\n$$\n";
        let error = expand(text).unwrap_err().to_string();
        assert!(error.contains("nothing"), "{error}");
        let found = check(text);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].0, 3);
    }
}
