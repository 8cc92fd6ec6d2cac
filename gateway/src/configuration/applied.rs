//! What the gateway serves, as it tells the operator and its own admin server.

use tidegate_config::{Rejected, Unreachable};

/// What the gateway serves at the moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// The revision in use; 0: none yet.
    pub revision: u64,
    /// Its objects that did not compile.
    pub rejected: Vec<Rejected>,
    /// Is that the newest revision of the source?
    pub synchronized: bool,
    /// Why it is not.
    pub error: Option<String>,
    /// Dependencies that it cannot reach.
    pub unreachable: Vec<Unreachable>,
}
