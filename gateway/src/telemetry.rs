//! What the gateway tells: a record of every connection, metrics, spans, traces of single handshakes.

pub(crate) mod custom_metrics;
pub(crate) mod log_format;
pub(crate) mod metrics;
pub(crate) mod record;
pub(crate) mod span;
pub mod trace;
