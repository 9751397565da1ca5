//! Every chapter as a native test.
