//! Backends and fragments that policy documents refer to by name.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::super::json::Node;
use super::super::service::Service;

/// What a document refers to by name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Context {
    /// Named values, and names of objects and variables.
    pub(crate) service: Service,
    /// Properties of backends by id.
    pub(crate) backends: BTreeMap<String, Node>,
    /// Backends that were asked for.
    pub(crate) used: RefCell<BTreeSet<String>>,
    /// Fragments by id.
    pub(crate) fragments: BTreeMap<String, Fragment>,
    /// Default URL of the backend of the API that the policies belong to.
    pub(crate) service_url: Option<String>,
    /// ID of the backend entity that became the backend of the API.
    pub(crate) own_backend: Option<String>,
    /// Whether the backend of the API asks its next member because of a status.
    pub(crate) fails_over: bool,
}

impl Context {
    /// Properties of a backend. IDs are compared without case.
    pub(crate) fn backend(&self, id: &str) -> Option<&Node> {
        let mut all = self.backends.iter();
        let (name, properties) = all.find(|(name, _)| name.eq_ignore_ascii_case(id))?;
        self.used.borrow_mut().insert(name.clone());
        Some(properties)
    }

    /// Whether a policy or pool names the backend.
    pub(crate) fn is_used(&self, id: &str) -> bool {
        self.used.borrow().contains(id)
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
