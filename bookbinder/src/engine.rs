//! A kernel process: built, started, spoken to.
