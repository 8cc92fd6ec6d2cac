//! What policy documents refer to by name.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::super::json::Node;

/// What a document refers to by name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Context {
    /// Properties of backends by id.
    pub(crate) backends: BTreeMap<String, Node>,
    /// Fragments by id.
    pub(crate) fragments: BTreeMap<String, Fragment>,
    /// The backend's URL where nothing else is said, of the API whose policies these are.
    pub(crate) service_url: Option<String>,
    /// The backend entity that it is made of.
    pub(crate) own_backend: Option<String>,
}

impl Context {
    /// Properties of a backend; ids have no case.
    pub(crate) fn backend(&self, id: &str) -> Option<&Node> {
        let mut all = self.backends.iter();
        let found = all.find(|(name, _)| name.eq_ignore_ascii_case(id));
        found.map(|(_, properties)| properties)
    }

    /// A fragment, its id as it is written where it stands.
    pub(crate) fn fragment(&self, id: &str) -> Option<(&str, &Fragment)> {
        let mut all = self.fragments.iter();
        let found = all.find(|(name, _)| name.eq_ignore_ascii_case(id));
        found.map(|(name, fragment)| (name.as_str(), fragment))
    }
}

/// A policy fragment and where it stands.
#[derive(Clone, Debug)]
pub(crate) struct Fragment {
    pub(crate) text: String,
    pub(crate) file: PathBuf,
    pub(crate) line: u32,
}
