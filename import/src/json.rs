//! JSON values with their lines.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;

/// A value and its line.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) line: u32,
    pub(super) kind: Kind,
}

impl PartialEq for Node {
    /// The same value, wherever it stands.
    fn eq(&self, other: &Self) -> bool {
        self.kind == other.kind
    }
}

/// A JSON value. Numbers are kept as text.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    Null,
    Bool(bool),
    Number(String),
    Text(String),
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
}

impl Node {
    /// Parses a JSON document with the YAML parser, which knows positions.
    pub(super) fn parse(text: &str) -> Result<Self, Unreadable> {
        // The byte order mark that editors on Windows write.
        let text = text.trim_start_matches('\u{feff}');
        match serde_saphyr::from_str::<Spanned<Value>>(text) {
            Ok(value) => Ok(value.into()),
            Err(error) => Err(Unreadable {
                line: error.location().map_or(1, |at| at.line()),
                message: error
                    .to_string()
                    .lines()
                    .next()
                    .unwrap_or_default()
                    .to_owned(),
            }),
        }
    }

    /// A field. Names are compared without case, as in Azure.
    pub(super) fn get(&self, name: &str) -> Option<&Self> {
        let mut named = self.fields().iter();
        let found = named.find(|(n, _)| n.eq_ignore_ascii_case(name));
        found
            .map(|(_, node)| node)
            .filter(|node| node.kind != Kind::Null)
    }

    /// All fields, null ones too.
    pub(super) fn fields(&self) -> &[(String, Self)] {
        match &self.kind {
            Kind::Map(fields) => fields,
            _ => &[],
        }
    }

    /// Whether it holds nothing; false is nothing, too.
    pub(super) fn is_empty(&self) -> bool {
        match &self.kind {
            Kind::Null => true,
            Kind::Text(text) => text.is_empty(),
            Kind::List(items) => items.is_empty(),
            Kind::Map(fields) => fields.is_empty(),
            Kind::Bool(value) => !value,
            Kind::Number(_) => false,
        }
    }

    pub(super) fn items(&self) -> &[Self] {
        match &self.kind {
            Kind::List(items) => items,
            _ => &[],
        }
    }

    pub(super) fn text(&self) -> Option<&str> {
        match &self.kind {
            Kind::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Text of a field.
    pub(super) fn text_of(&self, name: &str) -> Option<&str> {
        self.get(name)?.text()
    }
}

/// The file is not JSON.
#[derive(Debug)]
pub(super) struct Unreadable {
    pub(super) line: u64,
    pub(super) message: String,
}

struct Value(Inner);

enum Inner {
    Null,
    Bool(bool),
    Number(String),
    Text(String),
    List(Vec<Spanned<Value>>),
    Map(Vec<(String, Spanned<Value>)>),
}

impl From<Spanned<Value>> for Node {
    fn from(spanned: Spanned<Value>) -> Self {
        let line = u32::try_from(spanned.referenced.line()).unwrap_or(u32::MAX);
        let kind = match spanned.value.0 {
            Inner::Null => Kind::Null,
            Inner::Bool(value) => Kind::Bool(value),
            Inner::Number(value) => Kind::Number(value),
            Inner::Text(value) => Kind::Text(value),
            Inner::List(items) => Kind::List(items.into_iter().map(Self::from).collect()),
            Inner::Map(fields) => {
                let fields = fields.into_iter().map(|(name, node)| (name, node.into()));
                Kind::Map(fields.collect())
            }
        };
        Self { line, kind }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value(Inner::Null))
    }

    fn visit_none<E: Error>(self) -> Result<Value, E> {
        Ok(Value(Inner::Null))
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value(Inner::Bool(value)))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(Value(Inner::Number(value.to_string())))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(Value(Inner::Number(value.to_string())))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Ok(Value(Inner::Number(value.to_string())))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(Value(Inner::Text(value.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut found = Vec::new();
        while let Some(item) = items.next_element()? {
            found.push(item);
        }
        Ok(Value(Inner::List(found)))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Value, A::Error> {
        let mut found = Vec::new();
        while let Some(field) = fields.next_entry()? {
            found.push(field);
        }
        Ok(Value(Inner::Map(found)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_know_their_line() {
        let text =
            "\u{feff}{\n  \"a\": {\n\t\"B\": [1, null,\n   \"x\\u003cy\\r\\n\"]\n}, \"c\": true}";
        let node = Node::parse(text).unwrap();
        let list = node.get("A").and_then(|a| a.get("b")).unwrap();
        let seen: Vec<_> = list.items().iter().map(|item| item.line).collect();
        assert_eq!(seen, [3, 3, 4]);
        assert_eq!(list.items()[2].text(), Some("x<y\r\n"));
        assert_eq!(node.get("c").unwrap().kind, Kind::Bool(true));
        assert!(Node::parse("{\n\"a\": ]").is_err());
    }

    #[test]
    fn hostile_documents_end_in_an_error() {
        let deep = "[".repeat(200_000) + &"]".repeat(200_000);
        let objects = "{\"a\":".repeat(100_000) + "1" + &"}".repeat(100_000);
        // The YAML parser would accept references.
        let mut references = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
        for level in 1..12 {
            let inner = vec![format!("*a{}", level - 1); 10].join(",");
            references += &format!("a{level}: &a{level} [{inner}]\n");
        }
        for text in [deep, objects, references] {
            assert!(Node::parse(&text).is_err(), "{text:.20}");
        }
    }
}
