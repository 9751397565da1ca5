//! The engine drives the real kernel program; all tests share one kernel process.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../common/mod.rs"]
mod common;
mod failures;
mod harness;
mod lost;
mod processes;
mod shown;
mod state;
