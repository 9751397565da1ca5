//! Between the engine's words and Jupyter's.

use jupyter_protocol::{
    CodeMirrorMode, DisplayData, ErrorOutput, ExecuteResult, ExecutionCount, HelpLink,
    JupyterMessageContent, KernelInfoReply, LanguageInfo, Media, ReplyStatus, StreamContent,
    Transient, UpdateDisplayData,
};
use kernel_protocol::Output;
use serde_json::{Map, Value};

/// What this kernel is.
pub fn kernel_info() -> KernelInfoReply {
    KernelInfoReply {
        status: ReplyStatus::Ok,
        protocol_version: "5.3".to_owned(),
        implementation: "candlelight".to_owned(),
        implementation_version: env!("CARGO_PKG_VERSION").to_owned(),
        language_info: LanguageInfo {
            name: "rust".to_owned(),
            version: env!("CARGO_PKG_RUST_VERSION").to_owned(),
            mimetype: Some("text/rust".to_owned()),
            file_extension: Some(".rs".to_owned()),
            pygments_lexer: Some("rust".to_owned()),
            codemirror_mode: Some(CodeMirrorMode::Simple("rust".to_owned())),
            nbconvert_exporter: None,
        },
        banner: "Candlelight: Rust cells that keep their variables".to_owned(),
        help_links: vec![HelpLink {
            text: "The Rust book".to_owned(),
            url: "https://doc.rust-lang.org/book/".to_owned(),
        }],
        debugger: false,
        error: None,
    }
}

/// An output as a message for all front ends.
pub fn published(output: Output, count: ExecutionCount) -> JupyterMessageContent {
    match output {
        Output::Stream { name, text } if name == "stdout" => StreamContent::stdout(&text).into(),
        Output::Stream { text, .. } => StreamContent::stderr(&text).into(),
        Output::DisplayData { data, metadata } => DisplayData {
            data: media(data),
            metadata,
            transient: None,
        }
        .into(),
        Output::ExecuteResult { data, metadata, .. } => ExecuteResult {
            execution_count: count,
            data: media(data),
            metadata,
            // The protocol wants an object here.
            transient: Some(Transient::default()),
        }
        .into(),
        Output::Error {
            ename,
            evalue,
            traceback,
        } => ErrorOutput {
            ename,
            evalue,
            traceback,
        }
        .into(),
    }
}

/// An output that takes the place of the last one with this name, or will be.
pub fn redrawn(
    output: Output,
    count: ExecutionCount,
    display_id: String,
    is_first: bool,
) -> JupyterMessageContent {
    let Output::DisplayData { data, metadata } = output else {
        return published(output, count);
    };
    let data = media(data);
    let transient = Transient {
        display_id: Some(display_id),
    };
    if is_first {
        let transient = Some(transient);
        return DisplayData {
            data,
            metadata,
            transient,
        }
        .into();
    }
    UpdateDisplayData {
        data,
        metadata,
        transient,
    }
    .into()
}

/// Contents by their types.
pub fn media(data: impl IntoIterator<Item = (String, String)>) -> Media {
    let data = data
        .into_iter()
        .map(|(mime, body)| (mime, Value::String(body)));
    serde_json::from_value(Value::Object(Map::from_iter(data))).unwrap_or_default()
}
