//! `cargo book`.

fn main() {}
