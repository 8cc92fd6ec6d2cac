//! The route that a client may have meant: its path differs by a slash or by case. Looked for only where
//! there is no route, by a few look-ups and not by a walk over all routes.

use tidegate_config::path::normalized;

use super::{Found, Router, Target};

/// How two paths differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Difference {
    Slash,
    Case,
    SlashAndCase,
}

impl Difference {
    /// For a sentence that ends with it.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Slash => "by a slash",
            Self::Case => "by upper and lower case",
            Self::SlashAndCase => "by a slash and by upper and lower case",
        }
    }
}

/// A route that is nearly the one asked for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Near<'a, T> {
    pub(crate) target: &'a T,
    pub(crate) difference: Difference,
}

impl<T: Target> Router<T> {
    /// What a client may have meant by a path that has no route.
    pub(crate) fn near(&self, host: &str, path: &str) -> Option<Near<'_, T>> {
        let path = &*normalized(path);
        let single = single_slashes(path);
        let other_end = match single.strip_suffix('/') {
            Some(rest) => rest.to_owned(),
            None => format!("{single}/"),
        };
        let by_slash = || [&*single, &*other_end].into_iter();
        for other in by_slash() {
            if let Some(other) = self.look(host, other) {
                return Some(Near {
                    target: other.target,
                    difference: Difference::Slash,
                });
            }
        }
        let cases = std::iter::once((path, Difference::Case));
        let cases = cases.chain(by_slash().map(|other| (other, Difference::SlashAndCase)));
        for (other, difference) in cases {
            if let Some(other) = self.look_folded(host, other) {
                return Some(Near {
                    target: other.target,
                    difference,
                });
            }
        }
        None
    }

    /// The route whose path is this one without regard to case.
    fn look_folded(&self, host: &str, path: &str) -> Option<Found<'_, T>> {
        let path = folded(path);
        // Most paths are in lower case: what the client wrote in upper case, they have.
        self.look(host, &path).or_else(|| {
            let mut tables = self.folded.matching(host);
            tables.find_map(|paths| paths.find(&path))
        })
    }
}

pub(super) fn folded(path: &str) -> String {
    path.to_ascii_lowercase()
}

fn single_slashes(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for c in path.chars() {
        if c != '/' || !out.ends_with('/') {
            out.push(c);
        }
    }
    out
}
