//! What the gateway serves, as it tells the operator and its own admin server.

use tidegate_config::{Rejected, Unreachable};

/// What the gateway serves at the moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// The revision in use; 0: none yet.
    pub revision: u64,
    /// Objects of it that did not compile.
    pub rejected: Vec<Rejected>,
    /// Is that the newest revision the source has?
    pub synchronized: bool,
    /// When not: why.
    pub error: Option<String>,
    /// What it needs besides its configuration, and cannot reach.
    pub unreachable: Vec<Unreachable>,
}
