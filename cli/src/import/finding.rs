//! What an import could not carry over, as a line for people.

use std::fmt;
use std::path::PathBuf;

/// How much it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Level {
    /// Handshakes are refused until somebody has looked at it.
    Error,
    /// Left out; nobody gets in by it.
    Warning,
    /// As it was there.
    Note,
}

/// Something to say about a place of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) file: PathBuf,
    line: u32,
    column: u32,
    pub(super) level: Level,
    text: String,
}

impl Finding {
    /// A finding in a file not named yet.
    pub(super) fn new(line: u32, column: u32, level: Level, text: String) -> Self {
        Self {
            file: PathBuf::new(),
            line,
            column,
            level,
            text,
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let level = match self.level {
            Level::Error => "error",
            Level::Warning => "warning",
            Level::Note => "note",
        };
        let (file, line, column) = (self.file.display(), self.line, self.column);
        write!(f, "{file}:{line}:{column}: {level}: {}", self.text)
    }
}
