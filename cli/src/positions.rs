//! Where the fields of a YAML document are in their file, and how their values are written there.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_saphyr::granit_parser::{Event, Parser, ScalarStyle, Span};

/// A place in a file. Lines and columns count from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The line.
    pub line: u64,
    /// The column, in characters.
    pub column: u64,
}

/// Where the fields of a document are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Positions {
    /// By path, written as in findings: `spec.listeners[0].port`.
    fields: Arc<BTreeMap<String, Field>>,
    /// Path of the node that this is about, with which every path in `fields` begins.
    root: String,
}

#[derive(Debug, PartialEq, Eq)]
struct Field {
    /// Where its name is, or for an item of a list its content.
    position: Position,
    /// The value as it is written, if it has no quotes.
    plain: Option<String>,
    /// It has a name, which has no quotes.
    has_bare_name: bool,
}

impl Positions {
    /// Reads a document that has been parsed without errors; its first line is `first_line` of its file.
    pub fn read(text: &str, first_line: u64) -> Self {
        let mut walk = Walk {
            before: first_line - 1,
            ..Walk::default()
        };
        // After an error, the fields before it are known.
        for (event, span) in Parser::new_from_str(text).map_while(Result::ok) {
            walk.take(event, span);
        }
        Self {
            fields: Arc::new(walk.fields),
            root: String::new(),
        }
    }

    /// The same for a part of the document, for example `items[0]`.
    pub fn below(&self, path: &str) -> Self {
        Self {
            fields: Arc::clone(&self.fields),
            root: join(&self.root, path),
        }
    }

    /// Where a field is. A field that is missing is where the fields around it are.
    pub fn of(&self, path: &str) -> Option<Position> {
        let whole = join(&self.root, path);
        let mut path = whole.as_str();
        loop {
            if let Some(field) = self.fields.get(path) {
                return Some(field.position);
            }
            path = &path[..path.rfind(['.', '['])?];
        }
    }

    /// The value of a field as it is written, if it has no quotes and is no list and no map.
    pub fn plain(&self, path: &str) -> Option<&str> {
        let field = self.fields.get(&join(&self.root, path))?;
        field.plain.as_deref()
    }
}

impl Positions {
    /// Is the name of a field written without quotes?
    pub fn has_bare_name(&self, path: &str) -> bool {
        let field = self.fields.get(&join(&self.root, path));
        field.is_some_and(|field| field.has_bare_name)
    }
}

/// A path and a part of it: a field name, or `[0]`.
fn join(path: &str, part: &str) -> String {
    match (path, part) {
        ("", _) => part.to_owned(),
        (_, "") => path.to_owned(),
        _ if part.starts_with('[') => format!("{path}{part}"),
        _ => format!("{path}.{part}"),
    }
}

#[derive(Default)]
struct Walk {
    /// Lines of the file before the document.
    before: u64,
    fields: BTreeMap<String, Field>,
    open: Vec<Open>,
}

/// A list or a map whose end was not yet read.
enum Open {
    List { path: String, length: usize },
    Map { path: String, key: Option<Key> },
}

/// The key whose value comes next.
struct Key {
    name: String,
    position: Position,
    is_bare: bool,
}

impl Walk {
    fn take(&mut self, event: Event<'_>, span: Span) {
        let position = Position {
            line: self.before + span.start.line() as u64,
            column: span.start.col() as u64 + 1,
        };
        match event {
            Event::Scalar(value, style, ..) => {
                let is_plain = matches!(style, ScalarStyle::Plain);
                if self.wants_key() {
                    self.set_key(value.into_owned(), position, is_plain);
                } else {
                    self.node(position, is_plain.then(|| value.into_owned()));
                }
            }
            Event::Alias(_) if self.wants_key() => self.set_key("*".to_owned(), position, false),
            Event::Alias(_) => {
                self.node(position, None);
            }
            Event::SequenceStart(..) => {
                let path = self.begin(position);
                self.open.push(Open::List { path, length: 0 });
            }
            Event::MappingStart(..) => {
                let path = self.begin(position);
                self.open.push(Open::Map { path, key: None });
            }
            Event::SequenceEnd | Event::MappingEnd => {
                self.open.pop();
            }
            _ => {}
        }
    }

    fn wants_key(&self) -> bool {
        matches!(self.open.last(), Some(Open::Map { key: None, .. }))
    }

    fn set_key(&mut self, name: String, position: Position, is_bare: bool) {
        if let Some(Open::Map { key, .. }) = self.open.last_mut() {
            *key = Some(Key {
                name,
                position,
                is_bare,
            });
        }
    }

    /// The path of a list or a map. As a key it gets a name that no field has.
    fn begin(&mut self, position: Position) -> String {
        if self.wants_key() {
            self.set_key("?".to_owned(), position, false);
            return "?".to_owned();
        }
        self.node(position, None)
    }

    /// Notes a node that is no key, and returns its path.
    fn node(&mut self, position: Position, plain: Option<String>) -> String {
        let (path, position, has_bare_name) = match self.open.last_mut() {
            None => (String::new(), position, false),
            Some(Open::List { path, length }) => {
                *length += 1;
                (format!("{path}[{}]", *length - 1), position, false)
            }
            Some(Open::Map { path, key }) => match key.take() {
                Some(key) => (join(path, &key.name), key.position, key.is_bare),
                None => (path.clone(), position, false),
            },
        };
        let field = Field {
            position,
            plain,
            has_bare_name,
        };
        self.fields.insert(path.clone(), field);
        path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
apiVersion: v1
items:
- kind: A
  labels: {x: on, y: \"off\", 'a.b/c': 1}
- kind: B
  list:
    - - 1
      - [2, 3]
    -
      deep: &here
        text: |
          many
          lines
  same: *here
  ? [a, b]
  : strange
";

    #[test]
    fn each_field_is_where_its_name_is() {
        let positions = Positions::read(TEXT, 11);
        let at = |path: &str| {
            let Position { line, column } = positions.of(path).unwrap();
            (line, column)
        };
        for (path, wanted) in [
            ("apiVersion", (11, 1)),
            ("items", (12, 1)),
            ("items[0]", (13, 3)),
            ("items[0].labels.y", (14, 19)),
            ("items[0].labels.a.b/c", (14, 29)),
            ("items[1].list[0][1][1]", (18, 13)),
            ("items[1].list[1].deep.text", (21, 9)),
            ("items[1].same.text", (24, 3)),
            ("items[1].missing.field[3]", (15, 3)),
        ] {
            assert_eq!(at(path), wanted, "{path}");
        }
        let second = positions.below("items[1]");
        assert_eq!(second.of("kind"), positions.of("items[1].kind"));
        assert_eq!(second.of("list[0]"), positions.of("items[1].list[0]"));
    }

    #[test]
    fn values_without_quotes_are_known_as_they_are_written() {
        let positions = Positions::read(TEXT, 1).below("items[0]");
        assert_eq!(positions.plain("labels.x"), Some("on"));
        assert_eq!(positions.plain("labels.y"), None);
        assert_eq!(positions.plain("labels"), None);
        assert_eq!(positions.plain("nothing"), None);
        assert!(positions.has_bare_name("labels.x"));
        assert!(!positions.has_bare_name("labels.a.b/c"));
    }

    #[test]
    fn a_text_that_ends_too_early_has_the_positions_before() {
        let positions = Positions::read("a: 1\nb: [1, {", 1);
        assert_eq!(positions.of("a").map(|at| at.line), Some(1));
        assert_eq!(positions.of("b[0]").map(|at| at.line), Some(2));
        assert_eq!(Positions::read("", 1).of("a"), None);
    }
}
