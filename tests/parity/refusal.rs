//! Whether an error names what PyTorch's names.

use crate::case::{Case, Result};

/// What PyTorch calls a parameter in its messages, and any of the names that ours may have for it.
/// PyTorch's names of parameters stand for themselves.
const WORDS: [(&str, &[&str]); 17] = [
    ("Kernel size", &["kernel_size"]),
    ("kernel size", &["kernel_size"]),
    ("Output size is too small", &["kernel_size"]),
    ("Padding size", &["padding"]),
    ("Padding value", &["padding"]),
    ("padding string", &["padding"]),
    ("pad ", &["padding"]),
    (
        "at dimension 0, but got weight of size [0",
        &["out_channels"],
    ),
    ("channels, but got", &["in_channels"]),
    ("mat1 and mat2 shapes", &["in_features"]),
    ("Target ", &["target"]),
    ("floating point target", &["ignore_index"]),
    ("learning rate", &["lr"]),
    ("Nesterov", &["nesterov"]),
    ("beta parameter", &["betas"]),
    ("epsilon", &["eps"]),
    ("rho", &["alpha"]),
];

/// `ours` must have the name of a parameter that PyTorch's `message` is about.
pub fn check(case: &Case, message: &str, ours: &str) -> Result<()> {
    let args = case.args.as_object().into_iter().flatten();
    let own = args.map(|(name, _)| name.as_str());
    let mut names: Vec<&str> = own.filter(|name| has_word(message, name)).collect();
    let words = WORDS.iter().filter(|(word, _)| message.contains(word));
    names.extend(words.flat_map(|(_, names)| *names));
    match names.iter().any(|name| has_word(ours, name)) {
        true => Ok(()),
        false if names.is_empty() => {
            Err(format!("no parameter is known for PyTorch's message: {message}").into())
        }
        false => Err(format!("names none of {names:?}: {ours}; PyTorch: {message}").into()),
    }
}

/// Whether `word` stands in `text` by itself, not as a part of another name.
fn has_word(text: &str, word: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(word).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + word.len()..].chars().next();
        !before.is_some_and(part) && !after.is_some_and(part)
    })
}
