//! Reads files of limited length.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use super::error::ImportError;

/// API Management limits templates to 4 MB, and policy documents to less.
const MAX_BYTES: u64 = 16 * 1024 * 1024;

/// The text of a file.
pub(super) fn read(file: &Path) -> Result<String, ImportError> {
    read_bounded(file).map_err(|source| ImportError::Read {
        path: file.to_owned(),
        source,
    })
}

fn read_bounded(file: &Path) -> io::Result<String> {
    let mut text = String::new();
    let mut bounded = File::open(file)?.take(MAX_BYTES + 1);
    bounded.read_to_string(&mut text)?;
    if text.len() as u64 > MAX_BYTES {
        return Err(io::Error::other("it is longer than 16 MiB"));
    }
    Ok(text)
}
