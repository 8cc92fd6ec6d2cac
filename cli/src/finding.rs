//! A problem of a manifest, printed as one line.

use std::fmt::{self, Write as _};
use std::path::{Path, PathBuf};

use crate::positions::Position;

/// A problem of a manifest: where it is, what is wrong and what to change.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// The file.
    pub file: PathBuf,
    /// Where the field is, the syntax error, or else the first line of the document.
    pub position: Position,
    /// Kind, namespace and name, where known.
    pub object: Option<String>,
    /// Path of the field, if one field is wrong.
    pub field: Option<String>,
    /// What is wrong and what to change.
    pub message: String,
    /// The object works nevertheless.
    pub is_warning: bool,
}

impl Finding {
    /// A finding about a line of a file that belongs to no object.
    pub fn of_file(file: &Path, line: u64, message: impl Into<String>) -> Self {
        Self {
            file: file.to_owned(),
            position: Position { line, column: 1 },
            object: None,
            field: None,
            message: message.into(),
            is_warning: false,
        }
    }
}

/// The text with its control characters escaped.
pub(crate) fn escaped(text: &str) -> String {
    struct Text<'a>(&'a str);
    impl fmt::Display for Text<'_> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            Escaped(f).write_str(self.0)
        }
    }
    Text(text).to_string()
}

/// Escapes control characters: a manifest is untrusted and must not start lines or move the cursor.
struct Escaped<'a, 'f>(&'a mut fmt::Formatter<'f>);

impl fmt::Write for Escaped<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.chars().try_for_each(|c| match c.is_control() {
            true => write!(self.0, "{}", c.escape_default()),
            false => self.0.write_char(c),
        })
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut f = Escaped(f);
        write!(f, "{}:{}: ", self.file.display(), self.position.line)?;
        if let Some(object) = &self.object {
            write!(f, "{object}: ")?;
        }
        if let Some(field) = &self.field {
            write!(f, "{field}: ")?;
        }
        if self.is_warning {
            f.write_str("warning: ")?;
        }
        f.write_str(&self.message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_begins_no_line_and_moves_no_cursor() {
        let finding = Finding {
            file: PathBuf::from("a.yaml"),
            position: Position { line: 1, column: 1 },
            object: Some("Gateway default/a\nb.yaml:1: fine".to_owned()),
            field: Some("spec\u{1b}[2J".to_owned()),
            message: "grüße\r".to_owned(),
            is_warning: true,
        };
        assert_eq!(
            finding.to_string(),
            "a.yaml:1: Gateway default/a\\nb.yaml:1: fine: spec\\u{1b}[2J: warning: grüße\\r"
        );
    }
}
