//! `cargo book`; see [`bookbinder::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    bookbinder::cli::main()
}
