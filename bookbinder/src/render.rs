//! Outputs as HTML: one renderer for stored outputs and live ones.

use kernel_protocol::Output;

/// One output as one HTML element, on one line or on lines of which none is blank.
#[must_use]
pub fn output(_output: &Output) -> String {
    String::new()
}

/// Outputs one after the other.
#[must_use]
pub fn outputs(outputs: &[Output]) -> String {
    outputs.iter().map(output).collect()
}

/// Adds an output to a cell's outputs. Text that goes on a stream joins the output before it, `\r`
/// rewrites that one's last line. Returns whether it joined: then the page replaces its last element
/// by the HTML of the last output, else it adds one.
pub fn append(outputs: &mut Vec<Output>, next: Output) -> bool {
    outputs.push(next);
    false
}

/// Text for an element or a quoted attribute.
#[must_use]
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
}
