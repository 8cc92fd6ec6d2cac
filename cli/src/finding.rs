//! One thing that is wrong with a manifest, as a line for people.

use std::fmt;
use std::path::PathBuf;

/// What is wrong, where, and what to change.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// The file.
    pub file: PathBuf,
    /// Line on which the document starts, or the syntax error stands; 1 is the first.
    pub line: u64,
    /// Kind, namespace and name, where known.
    pub object: Option<String>,
    /// Path of the field, where one is to blame.
    pub field: Option<String>,
    /// What is wrong and what to change.
    pub message: String,
    /// Does everything work all the same?
    pub is_warning: bool,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: ", self.file.display(), self.line)?;
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
