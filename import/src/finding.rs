//! Messages of an import about its input.

use std::fmt;
use std::path::{Path, PathBuf};

/// The severity of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Not translated; handshakes may be refused until you replace it.
    Error,
    /// Left out, without wider access.
    Warning,
    /// Information only.
    Note,
}

/// A message about a place in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub(super) file: PathBuf,
    line: u64,
    column: u32,
    /// Its severity.
    pub level: Level,
    text: String,
}

impl Finding {
    /// A finding without the name of the file.
    pub(super) fn new(line: u32, column: u32, level: Level, text: String) -> Self {
        Self {
            file: PathBuf::new(),
            line: line.into(),
            column,
            level,
            text,
        }
    }

    /// A finding about a line of a file. Lines count from 1.
    pub fn at(file: &Path, line: u64, level: Level, text: String) -> Self {
        Self {
            file: file.to_owned(),
            line,
            column: 1,
            level,
            text,
        }
    }

    /// The same finding, with what becomes of it in front.
    pub(super) fn becoming(mut self, what: &str) -> Self {
        self.text = format!("{what}: {}", self.text);
        self
    }

    /// The same finding in this file, unless it has a file already.
    pub(super) fn in_file(mut self, file: &Path) -> Self {
        if self.file.as_os_str().is_empty() {
            self.file = file.to_owned();
        }
        self
    }

    /// The same finding in a text that is embedded at a line of another file.
    pub(super) fn within(self, file: &Path, line: u32) -> Self {
        if !self.file.as_os_str().is_empty() {
            return self;
        }
        let (row, column) = (self.line, self.column);
        let text = format!("in the document, {row}:{column}: {}", self.text);
        Self::at(file, line.into(), self.level, text)
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
