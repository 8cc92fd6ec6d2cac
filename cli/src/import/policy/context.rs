//! What policy documents refer to by name.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// What a document refers to by name.
#[derive(Clone, Debug, Default)]
pub(in crate::import) struct Context {
    /// URLs of backends by id.
    pub(in crate::import) backends: BTreeMap<String, String>,
    /// Fragments by id.
    pub(in crate::import) fragments: BTreeMap<String, Fragment>,
}

impl Context {
    /// URL of a backend; ids have no case.
    pub(in crate::import) fn backend(&self, id: &str) -> Option<&str> {
        let mut all = self.backends.iter();
        let found = all.find(|(name, _)| name.eq_ignore_ascii_case(id));
        found.map(|(_, url)| url.as_str())
    }
}

/// A policy fragment and where it stands.
#[derive(Clone, Debug)]
pub(in crate::import) struct Fragment {
    pub(in crate::import) text: String,
    pub(in crate::import) file: PathBuf,
    pub(in crate::import) line: u32,
}
