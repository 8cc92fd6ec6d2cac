//! Heads of requests and responses, as they stand on the wire.

use anyhow::Context as _;

/// The head of a request or a response, as it came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// The first line.
    pub start: String,
    /// All fields in their order, names as written.
    pub fields: Vec<(String, String)>,
}

impl Head {
    /// From its text with the empty line.
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        let mut lines = text.trim_end().split("\r\n");
        let start = lines.next().unwrap_or_default().to_owned();
        let field = |line: &str| {
            let (name, value) = line.split_once(':').context("a header without colon")?;
            Ok((name.to_owned(), value.trim().to_owned()))
        };
        let fields = lines.map(field).collect::<anyhow::Result<_>>()?;
        Ok(Self { start, fields })
    }

    /// The only value of a field; `None` when it is missing or there are several.
    pub fn get(&self, name: &str) -> Option<&str> {
        match self.all(name)[..] {
            [only] => Some(only),
            _ => None,
        }
    }

    /// All values of a field.
    pub fn all(&self, name: &str) -> Vec<&str> {
        let named = self.fields.iter();
        let named = named.filter(|(n, _)| n.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value.as_str()).collect()
    }

    /// All values of a field, joined as RFC 9110 §5.3 does; `None` without it.
    pub fn joined(&self, name: &str) -> Option<String> {
        let values = self.all(name);
        (!values.is_empty()).then(|| values.join(", "))
    }

    /// Method of a request.
    pub fn method(&self) -> &str {
        self.word(0)
    }

    /// Path and query of a request.
    pub fn target(&self) -> &str {
        self.word(1)
    }

    /// Status of a response; 0 when it has none.
    pub fn status(&self) -> u16 {
        self.word(1).parse().unwrap_or(0)
    }

    fn word(&self, at: usize) -> &str {
        self.start.split(' ').nth(at).unwrap_or_default()
    }
}
