//! Paths as a tree of segments: which of them match some of the same requests.

use std::collections::HashMap;
use std::sync::Arc;

use tidegate_config::{ObjectKey, PathMatch};

/// One segment of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Segment<'p> {
    Literal(&'p str),
    /// Anything but nothing: `{name}` in a template.
    Named,
}

/// The paths that a route matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pattern<'p> {
    segments: Vec<Segment<'p>>,
    /// And everything below.
    prefix: bool,
}

impl<'p> Pattern<'p> {
    pub(super) fn of(path: &'p str, path_match: PathMatch) -> Self {
        let prefix = path_match == PathMatch::Prefix;
        let path = match prefix {
            // As the gateway compares them: `/a` and `/a/` are one prefix, `/` matches everything.
            true => path.trim_end_matches('/'),
            false => path,
        };
        let template = path_match == PathMatch::Template;
        let segment = |text: &'p str| match template && text.starts_with('{') {
            true => Segment::Named,
            false => Segment::Literal(text),
        };
        let segments = path.split('/').skip(1).map(segment).collect();
        Self { segments, prefix }
    }
}

/// A few of those that have something: of two namespaces if there are two, and two of one if there
/// are two, so that anybody finds whether somebody else has it.
#[derive(Debug, Default)]
struct Holders(Vec<Arc<ObjectKey>>);

impl Holders {
    fn add(&mut self, key: &Arc<ObjectKey>) {
        let new_namespace = !self.0.iter().any(|held| held.namespace == key.namespace);
        let known = self.0.contains(key);
        let one_namespace = self
            .0
            .windows(2)
            .all(|two| two[0].namespace == two[1].namespace);
        if !known && (self.0.len() < 2 || new_namespace && one_namespace) {
            self.0.push(Arc::clone(key));
        }
    }

    fn of_another_namespace(&self, namespace: &str) -> Option<&ObjectKey> {
        let found = self.0.iter().find(|key| key.namespace != namespace);
        found.map(AsRef::as_ref)
    }

    fn but(&self, key: &ObjectKey) -> Option<&ObjectKey> {
        self.0
            .iter()
            .find(|held| ***held != *key)
            .map(AsRef::as_ref)
    }
}

/// Patterns and who has them.
#[derive(Debug, Default)]
pub(super) struct Tree {
    literals: HashMap<String, Self>,
    named: Option<Box<Self>>,
    /// Of patterns that end here.
    ends: Holders,
    /// Of prefixes that end here.
    prefixes: Holders,
    /// Of all patterns that end here or below.
    below: Holders,
}

impl Tree {
    pub(super) fn add(&mut self, pattern: &Pattern<'_>, key: &Arc<ObjectKey>) {
        let mut node = self;
        for segment in &pattern.segments {
            node.below.add(key);
            node = match segment {
                Segment::Literal(text) => node.literals.entry((*text).to_owned()).or_default(),
                Segment::Named => node.named.get_or_insert_default(),
            };
        }
        node.below.add(key);
        match pattern.prefix {
            true => node.prefixes.add(key),
            false => node.ends.add(key),
        }
    }

    /// Somebody of another namespace who has a pattern that matches some of the same paths.
    pub(super) fn overlap<'t>(
        &'t self,
        pattern: &Pattern<'_>,
        namespace: &str,
    ) -> Option<&'t ObjectKey> {
        self.overlap_from(&pattern.segments, pattern.prefix, namespace)
    }

    fn overlap_from<'t>(
        &'t self,
        segments: &[Segment<'_>],
        prefix: bool,
        namespace: &str,
    ) -> Option<&'t ObjectKey> {
        // Most parts of most trees are one namespace's: nothing to look for there.
        let somebody = self.below.of_another_namespace(namespace)?;
        if let Some(found) = self.prefixes.of_another_namespace(namespace) {
            return Some(found);
        }
        let Some((first, rest)) = segments.split_first() else {
            return match prefix {
                true => Some(somebody),
                false => self.ends.of_another_namespace(namespace),
            };
        };
        let look = |node: &'t Self| node.overlap_from(rest, prefix, namespace);
        match first {
            Segment::Literal(text) => {
                let named = self.named.as_deref().filter(|_| !text.is_empty());
                let literal = self.literals.get(*text);
                literal.into_iter().chain(named).find_map(look)
            }
            Segment::Named => {
                let literals = self.literals.iter().filter(|(text, _)| !text.is_empty());
                let literals = literals.map(|(_, node)| node);
                literals.chain(self.named.as_deref()).find_map(look)
            }
        }
    }

    /// Somebody else who has the narrowest pattern that matches all paths of this one.
    pub(super) fn around<'t>(
        &'t self,
        pattern: &Pattern<'_>,
        key: &ObjectKey,
    ) -> Option<&'t ObjectKey> {
        self.around_from(&pattern.segments, pattern.prefix, key)
    }

    fn around_from<'t>(
        &'t self,
        segments: &[Segment<'_>],
        prefix: bool,
        key: &ObjectKey,
    ) -> Option<&'t ObjectKey> {
        let deeper = match segments.split_first() {
            None if prefix => None,
            None => self.ends.but(key),
            Some((first, rest)) => {
                let (literal, named) = match first {
                    Segment::Literal("") => (self.literals.get(""), None),
                    Segment::Literal(text) => (self.literals.get(*text), self.named.as_deref()),
                    Segment::Named => (None, self.named.as_deref()),
                };
                let look = |node: &'t Self| node.around_from(rest, prefix, key);
                literal.into_iter().chain(named).find_map(look)
            }
        };
        deeper.or_else(|| self.prefixes.but(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> ObjectKey {
        let (namespace, name) = name.split_once('/').unwrap();
        ObjectKey::new(namespace, name)
    }

    fn tree(patterns: &[(&str, PathMatch, &str)]) -> Tree {
        let mut tree = Tree::default();
        for (path, path_match, holder) in patterns {
            tree.add(&Pattern::of(path, *path_match), &Arc::new(key(holder)));
        }
        tree
    }

    #[test]
    fn two_patterns_overlap_when_a_path_matches_both() {
        use PathMatch::{Exact, Prefix, Template};
        for (a, b, overlap) in [
            (("/a", Exact), ("/a", Exact), true),
            (("/a", Exact), ("/b", Exact), false),
            (("/a", Exact), ("/A", Exact), false),
            (("/a", Exact), ("/a/", Exact), false),
            (("/a", Exact), ("/", Prefix), true),
            (("/", Exact), ("/", Prefix), true),
            (("/a", Exact), ("/a", Prefix), true),
            (("/a", Exact), ("/a/", Prefix), true),
            (("/a/", Exact), ("/a", Prefix), true),
            (("/a/b", Exact), ("/a", Prefix), true),
            (("/ab", Exact), ("/a", Prefix), false),
            (("/a/b", Prefix), ("/a", Prefix), true),
            (("/a/b", Prefix), ("/a/c", Prefix), false),
            (("/a", Prefix), ("/ab", Prefix), false),
            (("/rooms/{id}", Template), ("/rooms/x", Exact), true),
            (("/rooms/{id}", Template), ("/rooms/", Exact), false),
            (("/rooms/{id}", Template), ("/rooms/x/y", Exact), false),
            (("/rooms/{id}", Template), ("/rooms", Prefix), true),
            (("/rooms/{id}", Template), ("/rooms/x", Prefix), true),
            (("/rooms/{id}", Template), ("/rooms/x/y", Prefix), false),
            (("/rooms/{id}", Template), ("/{what}/x", Template), true),
            (("/rooms/{id}", Template), ("/{what}", Template), false),
            (("/{a}/b", Template), ("/{c}/d", Template), false),
            (("/{a}", Exact), ("/x", Exact), false),
            (("/{a}/b", Template), ("/", Prefix), true),
        ] {
            for (one, two) in [(a, b), (b, a)] {
                let tree = tree(&[(one.0, one.1, "x/older")]);
                let found = tree.overlap(&Pattern::of(two.0, two.1), "y").is_some();
                assert_eq!(found, overlap, "{one:?} {two:?}");
                let own = tree.overlap(&Pattern::of(two.0, two.1), "x");
                assert_eq!(
                    own, None,
                    "one namespace may do as it likes: {one:?} {two:?}"
                );
            }
        }
    }

    #[test]
    fn a_foreign_pattern_is_found_among_ones_own() {
        let exact = PathMatch::Exact;
        let tree = tree(&[
            ("/a/1", exact, "x/1"),
            ("/a/2", exact, "x/2"),
            ("/a/3", exact, "x/3"),
            ("/a/4", exact, "y/4"),
            ("/a/5", exact, "z/5"),
        ]);
        let all = Pattern::of("/", PathMatch::Prefix);
        for (namespace, others) in [("x", vec!["y/4"]), ("y", vec!["x/1", "x/2"])] {
            let found = tree.overlap(&all, namespace).unwrap().to_string();
            assert!(others.contains(&found.as_str()), "{namespace}: {found}");
        }
        assert!(tree.overlap(&all, "z").is_some());
    }

    #[test]
    fn the_narrowest_pattern_around_is_found() {
        use PathMatch::{Exact, Prefix, Template};
        let tree = tree(&[
            ("/", Prefix, "x/root"),
            ("/api", Prefix, "x/api"),
            ("/api/{id}", Template, "x/id"),
            ("/api/admin", Exact, "x/admin"),
            ("/other/deep", Prefix, "x/deep"),
        ]);
        for (path, path_match, who, around) in [
            ("/api/admin", Exact, "x/admin", Some("x/id")),
            ("/api/{id}", Template, "x/id", Some("x/api")),
            ("/api", Prefix, "x/api", Some("x/root")),
            ("/other/deep", Prefix, "x/deep", Some("x/root")),
            ("/api", Exact, "x/new", Some("x/api")),
            ("/", Prefix, "x/root", None),
            ("/", Exact, "x/new", Some("x/root")),
            ("/api/{id}/{sub}", Template, "x/new", Some("x/api")),
            ("/{any}/admin", Template, "x/new", Some("x/root")),
        ] {
            let found = tree.around(&Pattern::of(path, path_match), &key(who));
            let found = found.map(ToString::to_string);
            assert_eq!(found.as_deref(), around, "{path}");
        }
    }
}
