//! Which API answers for a host and a path. Pure.
//!
//! A path is compared as the client wrote it, byte for byte, and is never decoded or normalised:
//! `/a` and `/%61` are two paths. A path with a dot segment, also a hidden one (`%2e`, `..;x`, or
//! behind an encoded slash), matches nothing at all, because the backend might resolve it to a path
//! that the route does not cover. What a template matches is decoded for `request.params`.
//!
//! Order: the most specific host first (exact, longest wildcard, any), for each host the most
//! specific path (exact, template with literals first, longest prefix).

mod host;
mod template;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

use percent_encoding::percent_decode_str;
use tidegate_config::PathMatch;

pub(crate) use host::HostTable;
use template::Template;

/// All paths of one listener, by host.
#[derive(Debug)]
pub(crate) struct Router<T> {
    hosts: HostTable<Paths<T>>,
}

#[derive(Debug)]
struct Paths<T> {
    exact: HashMap<String, T>,
    templates: Template<T>,
    /// Without trailing slash, so that the root is empty.
    prefixes: HashMap<String, T>,
}

/// The answer to a lookup.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Found<'a, T> {
    pub(crate) target: &'a T,
    /// What the template's segments matched, decoded.
    pub(crate) params: Vec<(String, String)>,
    /// What follows a prefix: empty, or with a leading `/`.
    pub(crate) remainder: String,
}

impl<T> Default for Router<T> {
    fn default() -> Self {
        Self {
            hosts: HostTable::default(),
        }
    }
}

impl<T> Default for Paths<T> {
    fn default() -> Self {
        Self {
            exact: HashMap::new(),
            templates: Template::default(),
            prefixes: HashMap::new(),
        }
    }
}

impl<T: Clone> Router<T> {
    /// Adds a route on all `hosts` (none: on every host). An equal route that is there stays.
    pub(crate) fn add(&mut self, hosts: &[String], path: &str, matching: PathMatch, target: &T) {
        let add = |paths: &mut Paths<T>| match matching {
            PathMatch::Exact => {
                paths
                    .exact
                    .entry(path.to_owned())
                    .or_insert_with(|| target.clone());
            }
            PathMatch::Template => paths.templates.add(path, target.clone()),
            PathMatch::Prefix => {
                let prefix = path.trim_end_matches('/').to_owned();
                paths
                    .prefixes
                    .entry(prefix)
                    .or_insert_with(|| target.clone());
            }
        };
        if hosts.is_empty() {
            add(self.hosts.any());
        }
        for host in hosts {
            add(self.hosts.entry(host));
        }
    }
}

impl<T> Router<T> {
    /// The route for `host` (lower case, without port) and the raw `path`.
    pub(crate) fn find(&self, host: &str, path: &str) -> Option<Found<'_, T>> {
        if has_dot_segment(path) {
            return None;
        }
        self.hosts.matching(host).find_map(|paths| paths.find(path))
    }
}

impl<T> Paths<T> {
    fn find(&self, path: &str) -> Option<Found<'_, T>> {
        if let Some(target) = self.exact.get(path) {
            return Some(Found {
                target,
                params: Vec::new(),
                remainder: String::new(),
            });
        }
        if let Some((target, params)) = self.templates.find(path) {
            return Some(Found {
                target,
                params,
                remainder: String::new(),
            });
        }
        self.find_prefix(path)
    }

    fn find_prefix(&self, path: &str) -> Option<Found<'_, T>> {
        if self.prefixes.is_empty() {
            return None;
        }
        let mut end = path.len();
        loop {
            if let Some(target) = self.prefixes.get(&path[..end]) {
                return Some(Found {
                    target,
                    params: Vec::new(),
                    remainder: path[end..].to_owned(),
                });
            }
            end = path[..end].rfind('/')?;
        }
    }
}

/// Would some reader resolve a segment of this path to its parent or to itself?
fn has_dot_segment(path: &str) -> bool {
    // Without a dot, plain or encoded, there is nothing to look for: the usual case.
    if !path.contains('.') && !path.contains('%') {
        return false;
    }
    let decoded: Vec<u8> = percent_decode_str(path).collect();
    decoded
        .split(|byte| matches!(byte, b'/' | b'\\'))
        .map(|segment| {
            segment
                .split(|byte| *byte == b';')
                .next()
                .unwrap_or(segment)
        })
        .any(|segment| matches!(segment, b"." | b".."))
}
