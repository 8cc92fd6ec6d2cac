//! Host names to whatever belongs to them, the most specific first.

use std::collections::HashMap;

/// Values by host: exact names, wildcards (`*.x` for any number of labels before `.x`), and one for
/// every host.
#[derive(Debug)]
pub(crate) struct HostTable<V> {
    exact: HashMap<String, V>,
    /// By what follows `*.`.
    wildcard: HashMap<String, V>,
    any: Option<V>,
}

impl<V> Default for HostTable<V> {
    fn default() -> Self {
        Self {
            exact: HashMap::new(),
            wildcard: HashMap::new(),
            any: None,
        }
    }
}

impl<V> HostTable<V> {
    /// All values whose pattern matches `host`, the most specific first.
    pub(crate) fn matching(&self, host: &str) -> impl Iterator<Item = &V> {
        let exact = self.exact.get(host);
        let wildcards = (!self.wildcard.is_empty()).then(|| suffixes(host));
        let wildcards = wildcards.into_iter().flatten();
        exact
            .into_iter()
            .chain(wildcards.filter_map(|suffix| self.wildcard.get(suffix)))
            .chain(&self.any)
    }
}

impl<V: Default> HostTable<V> {
    /// The value of a pattern, made if it is not there.
    pub(crate) fn entry(&mut self, pattern: &str) -> &mut V {
        let pattern = pattern.to_ascii_lowercase();
        match pattern.strip_prefix("*.") {
            Some(suffix) => self.wildcard.entry(suffix.to_owned()).or_default(),
            None => self.exact.entry(pattern).or_default(),
        }
    }

    /// The value for every host, made if it is not there.
    pub(crate) fn any(&mut self) -> &mut V {
        self.any.get_or_insert_default()
    }
}

/// What follows each dot of a host, the longest first.
fn suffixes(host: &str) -> impl Iterator<Item = &str> {
    host.match_indices('.')
        .filter(|(at, _)| *at > 0)
        .map(|(at, _)| &host[at + 1..])
}
