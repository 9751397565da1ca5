//! What arrives on a cell's stdout and stderr, cut into text and marks.
//!
//! evcxr's generated code marks a panic, a `?` and rich output with lines of its own; prelude.rs and
//! the runtime add marks between two record separators, with unit separators within.

use std::borrow::Cow;

use memchr::memmem;

/// The runtime's mark behind a cell's last output.
pub const END: &[u8] = b"\x1eend\x1e\n";

const SEPARATOR: u8 = 0x1e;
const MARKS: [&[u8]; 4] = [
    END,
    b"\x1epanic\x1f",
    b"\x1eerror\x1f",
    b"\x1echeckpoint\x1f",
];
/// Behind a MIME type: which picture this one takes the place of.
const DISPLAY: &str = ";display=";
const EVCXR: &[u8] = b"EVCXR_";
const CONTENT_END: &[u8] = b"EVCXR_END_CONTENT";
/// A mark that is not closed after so many bytes is text.
const LONGEST_MARK: usize = 1 << 20;
const LONGEST_LINE: usize = 1 << 12;

/// A piece of a cell's output.
#[derive(Debug, PartialEq)]
pub enum Piece<'a> {
    /// Text, in no particular portions.
    Text(Cow<'a, str>),
    /// Rich output; with a name, in place of the one with this name.
    Content {
        mime: &'a str,
        display: Option<&'a str>,
        body: Cow<'a, str>,
    },
    /// A panic anywhere, from the hook in prelude.rs.
    Panic(Panic),
    /// The error that `?` met.
    Error(String),
    /// A checkpoint was written: after so many epochs, to this file.
    Checkpoint { epoch: usize, path: String },
    /// The cell itself ended by the panic.
    Panicked,
    /// The cell itself ended by the error.
    Failed,
    /// A variable whose type was defined anew.
    Changed(&'a str),
    /// The cell's end.
    End,
}

/// A panic's place and message.
#[derive(Debug, Clone, PartialEq)]
pub struct Panic {
    /// Whether it was in the thread that runs the cell.
    pub main: bool,
    /// `file:line:column`.
    pub place: String,
    /// The message.
    pub message: String,
}

/// Cuts one stream, fed in portions of any size.
#[derive(Default)]
pub struct Cutter {
    held: Vec<u8>,
    /// Up to here the held bytes were searched for the end of a rich output.
    searched: usize,
}

impl Cutter {
    /// Takes more of the stream and hands on all that is complete.
    pub fn feed(&mut self, bytes: &[u8], sink: &mut dyn FnMut(Piece<'_>)) {
        self.held.extend_from_slice(bytes);
        let mut held = std::mem::take(&mut self.held);
        let mut start = 0;
        while start < held.len() {
            match self.next(&held[start..]) {
                Some((length, piece)) => {
                    if let Some(piece) = piece {
                        sink(piece);
                    }
                    start += length;
                    self.searched = 0;
                }
                None => break,
            }
        }
        held.drain(..start);
        self.held = held;
    }

    /// Hands on what is left at the end of the stream.
    pub fn finish(&mut self, sink: &mut dyn FnMut(Piece<'_>)) {
        let held = std::mem::take(&mut self.held);
        if !held.is_empty() {
            sink(text(&held));
        }
    }

    fn next<'a>(&mut self, bytes: &'a [u8]) -> Option<(usize, Option<Piece<'a>>)> {
        let mark = memchr::memchr(SEPARATOR, bytes);
        let line = memmem::find(&bytes[..mark.unwrap_or(bytes.len())], EVCXR);
        match (line, mark) {
            (Some(0), _) => self.evcxr(bytes),
            (None, Some(0)) => marked(bytes),
            (Some(at), _) | (None, Some(at)) => Some((at, Some(text(&bytes[..at])))),
            (None, None) => {
                let length = bytes.len() - open_tail(bytes);
                (length > 0).then(|| (length, Some(text(&bytes[..length]))))
            }
        }
    }

    /// A line of evcxr's, from `EVCXR_` on; text before it may stand on the same line.
    fn evcxr<'a>(&mut self, bytes: &'a [u8]) -> Option<(usize, Option<Piece<'a>>)> {
        let Some(end) = memchr::memchr2(b'\n', SEPARATOR, bytes) else {
            return (bytes.len() > LONGEST_LINE).then(|| (bytes.len(), Some(text(bytes))));
        };
        if bytes[end] == SEPARATOR {
            return Some((end, Some(text(&bytes[..end]))));
        }
        let line = std::str::from_utf8(&bytes[..end]).unwrap_or_default();
        let piece = if line == "EVCXR_PANIC_NOTIFICATION" {
            Piece::Panicked
        } else if line == "EVCXR_ERROR_OCCURRED" {
            Piece::Failed
        } else if let Some(name) = line.strip_prefix("EVCXR_VARIABLE_CHANGED_TYPE:") {
            Piece::Changed(name)
        } else if let Some(mime) = line.strip_prefix("EVCXR_BEGIN_CONTENT ") {
            return self.content(bytes, end + 1, mime);
        } else {
            text(&bytes[..=end])
        };
        Some((end + 1, Some(piece)))
    }

    fn content<'a>(
        &mut self,
        bytes: &'a [u8],
        begin: usize,
        mime: &'a str,
    ) -> Option<(usize, Option<Piece<'a>>)> {
        let from = self.searched.max(begin);
        if let Some(at) = memmem::find(&bytes[from..], CONTENT_END) {
            let end = from + at;
            let body = bytes[begin..end].strip_suffix(b"\n");
            let body = String::from_utf8_lossy(body.unwrap_or(&bytes[begin..end]));
            let after = end + CONTENT_END.len();
            let newline = usize::from(*bytes.get(after)? == b'\n');
            let (mime, display) = match mime.split_once(DISPLAY) {
                Some((mime, display)) => (mime, Some(display)),
                None => (mime, None),
            };
            let content = Piece::Content {
                mime,
                display,
                body,
            };
            return Some((after + newline, Some(content)));
        }
        // The cell ended, by a panic say, before it closed its rich output.
        if let Some(at) = memmem::find(&bytes[from..], END) {
            return Some((from + at, None));
        }
        self.searched = bytes.len().saturating_sub(END.len() + CONTENT_END.len());
        None
    }
}

/// A mark of our own, from its separator on.
fn marked(bytes: &[u8]) -> Option<(usize, Option<Piece<'_>>)> {
    let begun = MARKS
        .iter()
        .any(|mark| bytes.starts_with(mark) || mark.starts_with(bytes));
    if !begun || bytes.len() > LONGEST_MARK {
        return Some((1, Some(text(&bytes[..1]))));
    }
    let end = 1 + memchr::memchr(SEPARATOR, &bytes[1..])?;
    if *bytes.get(end + 1)? != b'\n' {
        return Some((end, Some(text(&bytes[..end]))));
    }
    let body = String::from_utf8_lossy(&bytes[1..end]);
    let mut fields = body.splitn(4, '\x1f');
    let piece = match fields.next() {
        Some("end") => Piece::End,
        Some("error") => Piece::Error(fields.collect::<Vec<_>>().join("\x1f")),
        Some("checkpoint") => Piece::Checkpoint {
            epoch: fields.next().and_then(|n| n.parse().ok()).unwrap_or(0),
            path: fields.collect::<Vec<_>>().join("\x1f"),
        },
        _ => Piece::Panic(Panic {
            main: fields.next() == Some("main"),
            place: fields.next().unwrap_or_default().to_owned(),
            message: fields.next().unwrap_or_default().to_owned(),
        }),
    };
    Some((end + 2, Some(piece)))
}

fn text(bytes: &[u8]) -> Piece<'_> {
    Piece::Text(String::from_utf8_lossy(bytes))
}

/// How many bytes at the end may be the beginning of more: of a line of evcxr's, or of a character.
fn open_tail(bytes: &[u8]) -> usize {
    let begun = (1..EVCXR.len().min(bytes.len() + 1))
        .rev()
        .find(|&length| bytes.ends_with(&EVCXR[..length]));
    if let Some(length) = begun {
        return length;
    }
    (1..=3.min(bytes.len()))
        .find(|&length| {
            let tail = &bytes[bytes.len() - length..];
            tail[0] >= 0xc0 && std::str::from_utf8(tail).is_err_and(|e| e.error_len().is_none())
        })
        .unwrap_or(0)
}
