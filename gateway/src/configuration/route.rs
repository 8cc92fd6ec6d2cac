//! Which API answers for a host and a path. Pure.
//!
//! Paths are compared in normal form (RFC 3986 §6.2.2): encoded unreserved characters are decoded, so
//! that `/%61` is `/a`; case matters. The backend gets the normal form. A path with a dot segment, encoded or
//! not, matches nothing, because the backend might resolve it to a path that the route does not cover. The same
//! holds for a path that a more lenient server (`//`, `%2F`, `;x`, `\\`) would take for another API's: it would
//! be checked by the policies of one API and served as the other's. What a template matches is decoded for
//! `request.params`.
//!
//! Order: the most specific host first (exact, longest wildcard, any), for each host the most
//! specific path (exact, template with literals first, longest prefix).

mod host;
mod near;
mod template;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use tidegate_config::PathMatch;
use tidegate_config::path::{has_dot_segment, lenient_reading, normalized};

pub(crate) use host::HostTable;
use template::Template;

/// All paths of one listener, by host.
#[derive(Debug)]
pub(crate) struct Router<T> {
    hosts: HostTable<Paths<T>>,
    /// The routes whose path has upper case in it, in lower case: only for hints.
    folded: HostTable<Paths<T>>,
}

/// Two routes may lead to the same target.
pub(crate) trait Target: Clone {
    /// Is it the same?
    fn is_same(&self, other: &Self) -> bool;
}

impl<T> Target for Arc<T> {
    fn is_same(&self, other: &Self) -> bool {
        Self::ptr_eq(self, other)
    }
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
    /// How did it match?
    matching: PathMatch,
    /// The path in normal form, if the client wrote it differently.
    pub(crate) respelled: Option<String>,
}

/// Why there is no answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NotFound<'a, T> {
    /// No route has this host and path.
    NoRoute,
    /// The path has a dot segment.
    DotSegment,
    /// A more lenient reader would take the path for one of this target, and it is not the one that
    /// has it as written.
    Ambiguous(&'a T),
}

impl<'a, T> Found<'a, T> {
    fn new(target: &'a T, matching: PathMatch) -> Self {
        Self {
            target,
            params: Vec::new(),
            remainder: String::new(),
            matching,
            respelled: None,
        }
    }
}

impl<T> Default for Router<T> {
    fn default() -> Self {
        Self {
            hosts: HostTable::default(),
            folded: HostTable::default(),
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

impl<T: Target> Router<T> {
    /// Adds a route on all `hosts` (none: on every host). An equal route that is there stays.
    pub(crate) fn add(&mut self, hosts: &[String], path: &str, matching: PathMatch, target: &T) {
        let path = normalized(path);
        add_to(&mut self.hosts, hosts, (&path, matching), target);
        if path.bytes().any(|byte| byte.is_ascii_uppercase()) {
            let folded = near::folded(&path);
            add_to(&mut self.folded, hosts, (&folded, matching), target);
        }
    }

    /// The route for `host` (lower case, without port) and the raw `path`.
    ///
    /// # Errors
    /// [`NotFound`]: why there is no route.
    pub(crate) fn find(&self, host: &str, path: &str) -> Result<Found<'_, T>, NotFound<'_, T>> {
        if has_dot_segment(path) {
            return Err(NotFound::DotSegment);
        }
        let path = normalized(path);
        let mut found = self.look(host, &path).ok_or(NotFound::NoRoute)?;
        // An exact path is what its author wrote, whatever others may read.
        if found.matching != PathMatch::Exact
            && let Some(other) = self.taken_for(host, &path, found.target)
        {
            return Err(NotFound::Ambiguous(other));
        }
        if let Cow::Owned(path) = path {
            found.respelled = Some(path);
        }
        Ok(found)
    }

    /// Another target that a more lenient reader would give the path to. To many of them a slash at the
    /// end is nothing.
    fn taken_for(&self, host: &str, path: &str, target: &T) -> Option<&T> {
        let reading = lenient_reading(path);
        let plain = reading.as_deref().unwrap_or(path);
        let without = plain.strip_suffix('/').filter(|rest| !rest.is_empty());
        let readings = reading.as_deref().into_iter().chain(without);
        readings
            .filter_map(|reading| self.look(host, reading))
            .map(|found| found.target)
            .find(|other| !other.is_same(target))
    }

    fn look(&self, host: &str, path: &str) -> Option<Found<'_, T>> {
        self.hosts.matching(host).find_map(|paths| paths.find(path))
    }
}

fn add_to<T: Clone>(
    table: &mut HostTable<Paths<T>>,
    hosts: &[String],
    (path, matching): (&str, PathMatch),
    target: &T,
) {
    if hosts.is_empty() {
        table.any().add(path, matching, target);
    }
    for host in hosts {
        table.entry(host).add(path, matching, target);
    }
}

impl<T: Clone> Paths<T> {
    fn add(&mut self, path: &str, matching: PathMatch, target: &T) {
        let target = || target.clone();
        match matching {
            PathMatch::Exact => {
                self.exact.entry(path.to_owned()).or_insert_with(target);
            }
            PathMatch::Template => self.templates.add(path, target()),
            PathMatch::Prefix => {
                let prefix = path.trim_end_matches('/').to_owned();
                self.prefixes.entry(prefix).or_insert_with(target);
            }
        }
    }
}

impl<T> Paths<T> {
    fn find(&self, path: &str) -> Option<Found<'_, T>> {
        if let Some(target) = self.exact.get(path) {
            return Some(Found::new(target, PathMatch::Exact));
        }
        if let Some((target, params)) = self.templates.find(path) {
            let mut found = Found::new(target, PathMatch::Template);
            found.params = params;
            return Some(found);
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
                let mut found = Found::new(target, PathMatch::Prefix);
                path[end..].clone_into(&mut found.remainder);
                return Some(found);
            }
            end = path[..end].rfind('/')?;
        }
    }
}
