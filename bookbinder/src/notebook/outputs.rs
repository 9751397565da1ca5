//! Outputs to nbformat's types and back, by way of the JSON that both mean.

use anyhow::Result;
use kernel_protocol::Output;
use nbformat::v4;
use serde_json::{Value, json};

/// As stored: lines that rewrote themselves in their last state, results numbered as their cell.
pub(super) fn to_notebook(outputs: &[Output], count: i32) -> Result<Vec<v4::Output>> {
    outputs
        .iter()
        .map(|output| {
            let mut value = serde_json::to_value(output)?;
            if let Output::Stream { text, .. } = output {
                value["text"] = json!(text.replace('\r', ""));
            }
            if let Output::ExecuteResult { .. } = output {
                value["execution_count"] = json!(count);
            }
            Ok(serde_json::from_value(value)?)
        })
        .collect()
}

pub(super) fn from_notebook(outputs: &[v4::Output]) -> Result<Vec<Output>> {
    outputs
        .iter()
        .map(|output| {
            let mut value = serde_json::to_value(output)?;
            join(value.get_mut("text"));
            if let Some(Value::Object(data)) = value.get_mut("data") {
                for content in data.values_mut() {
                    join(Some(content));
                    if !content.is_string() {
                        *content = json!(content.to_string());
                    }
                }
            }
            Ok(serde_json::from_value(value)?)
        })
        .collect()
}

/// nbformat stores text as a list of lines.
fn join(value: Option<&mut Value>) {
    if let Some(value) = value
        && let Value::Array(lines) = value
    {
        *value = json!(lines.iter().filter_map(Value::as_str).collect::<String>());
    }
}
