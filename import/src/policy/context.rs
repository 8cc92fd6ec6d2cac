//! Backends and fragments that policy documents refer to by name.

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
    /// Default URL of the backend of the API that the policies belong to.
    pub(crate) service_url: Option<String>,
    /// ID of the backend entity that became the backend of the API.
    pub(crate) own_backend: Option<String>,
}

impl Context {
    /// Properties of a backend. IDs are compared without case.
    pub(crate) fn backend(&self, id: &str) -> Option<&Node> {
        let mut all = self.backends.iter();
        let found = all.find(|(name, _)| name.eq_ignore_ascii_case(id));
        found.map(|(_, properties)| properties)
    }

    /// A fragment, and its ID as written at its definition.
    pub(crate) fn fragment(&self, id: &str) -> Option<(&str, &Fragment)> {
        let mut all = self.fragments.iter();
        let found = all.find(|(name, _)| name.eq_ignore_ascii_case(id));
        found.map(|(name, fragment)| (name.as_str(), fragment))
    }
}

/// A policy fragment and its place in a file.
#[derive(Clone, Debug)]
pub(crate) struct Fragment {
    pub(crate) text: String,
    pub(crate) file: PathBuf,
    pub(crate) line: u32,
}
