//! What the chapters, notebooks and pages must agree on.
