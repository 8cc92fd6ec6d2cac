//! The query of the backend's URL; unchanged parts stay byte for byte.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use tidegate_config::policy::IfExists;

/// All but RFC 3986's unreserved characters: safe in every position of a query.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// A query as its raw parts: the backend URL's own, then the client's.
///
/// The two are kept apart so that choosing another backend changes only the first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Query {
    own: Vec<String>,
    client: Vec<String>,
}

impl Query {
    /// The backend URL's own raw query and the client's.
    pub(crate) fn new(own: Option<&str>, client: Option<&str>) -> Self {
        Self {
            own: parts(own),
            client: parts(client),
        }
    }

    /// Replaces the backend's own query, not the client's; gives the old parts.
    pub(crate) fn set_own(&mut self, own: Option<&str>) -> Vec<String> {
        std::mem::replace(&mut self.own, parts(own))
    }

    /// Puts such parts back.
    pub(crate) fn restore_own(&mut self, own: Vec<String>) {
        self.own = own;
    }

    /// The raw query without `?`; `None` when nothing is in it.
    pub(crate) fn raw(&self) -> Option<String> {
        let all: Vec<&str> = self.all().collect();
        (!all.is_empty()).then(|| all.join("&"))
    }

    /// Bytes of it.
    pub(crate) fn size(&self) -> usize {
        self.all().map(|part| part.len() + 1).sum()
    }

    /// Is there a parameter `name` (decoded)?
    pub(crate) fn has(&self, name: &str) -> bool {
        self.all().any(|part| is_named(part, name))
    }

    /// Removes every parameter `name` (decoded).
    pub(crate) fn remove(&mut self, name: &str) {
        self.own.retain(|part| !is_named(part, name));
        self.client.retain(|part| !is_named(part, name));
    }

    /// Adds a raw query whose parameters replace those of the same name; the client's others stay or
    /// go.
    pub(crate) fn rewrite(&mut self, raw: Option<&str>, keep_client: bool) {
        if !keep_client {
            self.client.clear();
        }
        let new = parts(raw);
        for part in &new {
            self.remove(&name_of(part));
        }
        self.own.extend(new);
    }

    /// Sets, adds or removes parameters; name and values are plain, and encoded here, once.
    pub(crate) fn change(&mut self, name: &str, values: &[Cow<'_, str>], if_exists: IfExists) {
        match if_exists {
            IfExists::Delete => self.remove(name),
            IfExists::Skip if self.has(name) => {}
            IfExists::Override => {
                let at = self.client.iter().position(|part| is_named(part, name));
                self.remove(name);
                let at = at.unwrap_or(self.client.len());
                self.client.splice(at..at, encoded(name, values));
            }
            IfExists::Skip | IfExists::Append => self.client.extend(encoded(name, values)),
        }
    }

    fn all(&self) -> impl Iterator<Item = &str> {
        self.own.iter().chain(&self.client).map(String::as_str)
    }
}

/// Name and value of each parameter of a raw query, decoded (`+` is a space).
pub(crate) fn decoded_pairs(raw: &str) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
    let filled = raw.split('&').filter(|part| !part.is_empty());
    filled.map(|part| {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        (decoded(name), decoded(value))
    })
}

fn parts(raw: Option<&str>) -> Vec<String> {
    match raw {
        None | Some("") => Vec::new(),
        Some(raw) => raw.split('&').map(str::to_owned).collect(),
    }
}

fn encoded(name: &str, values: &[Cow<'_, str>]) -> Vec<String> {
    let name = utf8_percent_encode(name, ENCODED).to_string();
    let one = |value: &Cow<'_, str>| format!("{name}={}", utf8_percent_encode(value, ENCODED));
    values.iter().map(one).collect()
}

fn is_named(part: &str, name: &str) -> bool {
    name_of(part) == name
}

fn name_of(part: &str) -> Cow<'_, str> {
    decoded(part.split('=').next().unwrap_or(part))
}

fn decoded(raw: &str) -> Cow<'_, str> {
    if raw.contains('+') {
        let spaced = raw.replace('+', " ");
        return Cow::Owned(percent_decode_str(&spaced).decode_utf8_lossy().into_owned());
    }
    percent_decode_str(raw).decode_utf8_lossy()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(raw: &str, name: &str, values: &[&str], if_exists: IfExists) -> Option<String> {
        let mut query = Query::new(Some("own=1"), Some(raw));
        let values: Vec<_> = values.iter().map(|value| Cow::Borrowed(*value)).collect();
        query.change(name, &values, if_exists);
        query.raw()
    }

    #[test]
    #[expect(clippy::too_many_lines, reason = "a table of cases")]
    fn parameters_change_and_all_others_stay_byte_for_byte() {
        use IfExists::{Append, Delete, Override, Skip};
        let odd = "b=%2f&c&&=x&d=a+b";
        for (name, (raw, parameter, values, if_exists), expected) in [
            (
                "override in place",
                ("x=1&a=2&y=3", "a", &["7"][..], Override),
                "own=1&x=1&a=7&y=3",
            ),
            (
                "override all of them",
                ("a=1&b=2&a=3", "a", &["7", "8"], Override),
                "own=1&a=7&a=8&b=2",
            ),
            (
                "override what is new",
                (odd, "a", &["7"], Override),
                "own=1&b=%2f&c&&=x&d=a+b&a=7",
            ),
            (
                "override the backend's own",
                ("a=1", "own", &["2"], Override),
                "a=1&own=2",
            ),
            (
                "an encoded name is the same name",
                ("%61=1", "a", &["2"], Override),
                "own=1&a=2",
            ),
            ("skip", ("a=1", "a", &["2"], Skip), "own=1&a=1"),
            (
                "skip what is new",
                ("b=1", "a", &["2"], Skip),
                "own=1&b=1&a=2",
            ),
            (
                "append",
                ("a=1&b=2", "a", &["2"], Append),
                "own=1&a=1&b=2&a=2",
            ),
            ("delete", ("a=1&b=2&a", "a", &[], Delete), "own=1&b=2"),
            (
                "delete with odd neighbours",
                ("b=%2f&a=1&c&&=x&d=a+b", "a", &[], Delete),
                "own=1&b=%2f&c&&=x&d=a+b",
            ),
            (
                "encoded once",
                ("", "asrs.op", &["/chat"], Override),
                "own=1&asrs.op=%2Fchat",
            ),
            (
                "nothing gets out of its value",
                ("", "a&b", &["x&y=1#?%\r\n"], Override),
                "own=1&a%26b=x%26y%3D1%23%3F%25%0D%0A",
            ),
        ] {
            assert_eq!(
                changed(raw, parameter, values, if_exists).as_deref(),
                Some(expected),
                "{name}"
            );
        }
    }

    #[test]
    fn another_backend_brings_its_own_query() {
        let mut query = Query::new(Some("own=1"), Some("a=1"));
        query.set_own(Some("new=2"));
        assert_eq!(query.raw().as_deref(), Some("new=2&a=1"));
        query.set_own(None);
        query.remove("a");
        assert_eq!(query.raw(), None);
    }
}
