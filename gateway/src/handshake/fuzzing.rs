//! What must hold for the parsers of heads whatever bytes they meet: one function per fuzz target.
//!
//! They live here because what they look at is private. Only tests, which replay the seeds of
//! `fuzz/seeds`, and the crate `fuzz`, which looks for worse ones, compile this module: without
//! the feature `fuzzing` the crate's interface is what it was.

mod heads;
mod proxy;
#[cfg(test)]
mod tests;

pub use heads::heads;
pub use proxy::proxy_header;
