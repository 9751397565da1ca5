//! candlelight
