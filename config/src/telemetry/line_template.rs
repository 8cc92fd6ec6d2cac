//! Texts with the values of fields in them. Names only, no expressions: a line is made of what the
//! record holds, in which nothing secret stands.

use super::line_field::{LineField, LineKind};

/// A text with values of fields in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineTemplate(Vec<LinePiece>);

/// A piece of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinePiece {
    /// Text that is written as it is.
    Literal(String),
    /// A field whose value is written.
    Field(LineField),
}

/// Why a text is not the template of a line.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum InvalidLineTemplate {
    /// `${` without `}`.
    #[error("the ${{ at position {0} is not closed")]
    Open(usize),
    /// There is no field of this name.
    #[error("there is no field \"{0}\"")]
    Unknown(String),
    /// The field exists only in the other kind of line.
    #[error("the field {field} exists only in {other} lines")]
    Elsewhere {
        /// Its name.
        field: &'static str,
        /// Which lines have it.
        other: &'static str,
    },
}

impl LineTemplate {
    /// Parses the template of lines of this kind.
    ///
    /// # Errors
    ///
    /// When a `${` is not closed, or names a field that does not exist in such lines.
    pub fn parse(kind: LineKind, text: &str) -> Result<Self, InvalidLineTemplate> {
        let mut pieces = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(at) = rest.find("${") {
            let position = text.len() - rest.len() + at;
            let (before, behind) = (&rest[..at], &rest[at + 2..]);
            if let Some(before) = before.strip_suffix('$') {
                literal.push_str(before);
                literal.push_str("${");
                rest = behind;
                continue;
            }
            let end = behind.find('}');
            let end = end.ok_or(InvalidLineTemplate::Open(position))?;
            literal.push_str(before);
            if !literal.is_empty() {
                pieces.push(LinePiece::Literal(std::mem::take(&mut literal)));
            }
            pieces.push(LinePiece::Field(field(kind, behind[..end].trim())?));
            rest = &behind[end + 1..];
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            pieces.push(LinePiece::Literal(literal));
        }
        Ok(Self(pieces))
    }

    /// The pieces in order.
    pub fn pieces(&self) -> &[LinePiece] {
        &self.0
    }
}

fn field(kind: LineKind, name: &str) -> Result<LineField, InvalidLineTemplate> {
    let field = LineField::ALL
        .into_iter()
        .find(|field| field.as_str() == name)
        .ok_or_else(|| InvalidLineTemplate::Unknown(name.to_owned()))?;
    if field.stands_in(kind) {
        return Ok(field);
    }
    Err(InvalidLineTemplate::Elsewhere {
        field: field.as_str(),
        other: match kind {
            LineKind::Handshake => "close",
            LineKind::Close => "handshake",
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(kind: LineKind, text: &str) -> Result<String, String> {
        let template = LineTemplate::parse(kind, text).map_err(|error| error.to_string())?;
        let pieces = template.pieces().iter().map(|piece| match piece {
            LinePiece::Literal(text) => text.clone(),
            LinePiece::Field(field) => format!("<{}>", field.as_str()),
        });
        Ok(pieces.collect::<Vec<_>>().join("|"))
    }

    #[test]
    fn a_text_is_read_into_literals_and_fields() {
        for (text, expected) in [
            ("${client}", "<client>"),
            ("a ${ status }b${path}", "a |<status>|b|<path>"),
            ("$${client} $ {} $$${id}", "${client} $ {} $${id}"),
            ("costs 5$", "costs 5$"),
        ] {
            let got = parsed(LineKind::Handshake, text);
            assert_eq!(got.as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_has_no_value_in_a_line_is_refused() {
        for (kind, text, expected) in [
            (
                LineKind::Close,
                "é ${client",
                "the ${ at position 3 is not closed",
            ),
            (
                LineKind::Close,
                "${request.path}",
                "there is no field \"request.path\"",
            ),
            (LineKind::Close, "${}", "there is no field \"\""),
            (
                LineKind::Close,
                "${path}",
                "the field path exists only in handshake lines",
            ),
            (
                LineKind::Handshake,
                "${cause}",
                "the field cause exists only in close lines",
            ),
        ] {
            assert_eq!(parsed(kind, text), Err(expected.to_owned()), "{text}");
        }
    }
}
