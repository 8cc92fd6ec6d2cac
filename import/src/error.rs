//! Errors of a whole import. Problems of a part are findings.

use std::io;
use std::path::PathBuf;

/// Why nothing was imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// A file or folder cannot be read, or is too long.
    #[error("failed to read {}", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// Two fragments have the same name, which is that of their file.
    #[error("the fragment {id} is given twice")]
    DuplicateFragment {
        /// The name.
        id: String,
    },
    /// A folder has none of the folders that APIOps writes.
    #[error("{} is not an APIOps folder", path.display())]
    NotApiops {
        /// The folder.
        path: PathBuf,
    },
}
