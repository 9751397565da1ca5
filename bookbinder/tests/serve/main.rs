//! The server with a kernel that is none: who may speak, and what cells and pages hear.

#![allow(clippy::unwrap_used, clippy::panic)]

mod access;
mod cells;
#[path = "../common/mod.rs"]
mod common;
mod kernels;
mod page;
#[path = "../pretend/mod.rs"]
mod pretend;
