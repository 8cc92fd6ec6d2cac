//! Paths with named segments: `/rooms/{room}/messages`.

use std::collections::HashMap;

use percent_encoding::percent_decode_str;

/// A tree of segments; a literal segment is preferred to a named one.
#[derive(Debug)]
pub(super) struct Template<T> {
    literals: HashMap<String, Self>,
    named: Option<Box<Self>>,
    end: Option<End<T>>,
}

#[derive(Debug)]
struct End<T> {
    /// Names of the named segments, from left to right.
    names: Vec<String>,
    target: T,
}

impl<T> Default for Template<T> {
    fn default() -> Self {
        Self {
            literals: HashMap::new(),
            named: None,
            end: None,
        }
    }
}

impl<T> Template<T> {
    /// Adds a template. An equal one that is there stays.
    pub(super) fn add(&mut self, path: &str, target: T) {
        let mut names = Vec::new();
        let mut node = self;
        for segment in segments(path) {
            let name = segment
                .strip_prefix('{')
                .and_then(|rest| rest.strip_suffix('}'));
            node = match name {
                Some(name) => {
                    names.push(name.to_owned());
                    node.named.get_or_insert_default()
                }
                None => node.literals.entry(segment.to_owned()).or_default(),
            };
        }
        node.end.get_or_insert(End { names, target });
    }

    /// The target of the most specific template that matches, and what its names stand for.
    pub(super) fn find(&self, path: &str) -> Option<(&T, Vec<(String, String)>)> {
        if self.literals.is_empty() && self.named.is_none() {
            return None;
        }
        let segments: Vec<&str> = segments(path).collect();
        let mut values = Vec::new();
        let end = self.walk(&segments, &mut values)?;
        let decoded = |raw: &str| {
            let text = percent_decode_str(raw).decode_utf8();
            text.map_or_else(|_| raw.to_owned(), |text| text.into_owned())
        };
        let values = values.into_iter().map(decoded);
        Some((&end.target, end.names.iter().cloned().zip(values).collect()))
    }

    fn walk<'p>(&self, segments: &[&'p str], values: &mut Vec<&'p str>) -> Option<&End<T>> {
        let Some((first, rest)) = segments.split_first() else {
            return self.end.as_ref();
        };
        if let Some(end) = self
            .literals
            .get(*first)
            .and_then(|node| node.walk(rest, values))
        {
            return Some(end);
        }
        let named = self.named.as_ref().filter(|_| !first.is_empty())?;
        values.push(first);
        let end = named.walk(rest, values);
        if end.is_none() {
            values.pop();
        }
        end
    }
}

fn segments(path: &str) -> impl Iterator<Item = &str> {
    path.strip_prefix('/').unwrap_or(path).split('/')
}
