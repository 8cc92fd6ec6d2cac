//! The token of the admin servers that `tidegate run` starts. It is generated once and kept in the state
//! directory, where `tidegate explain` finds it.

use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// Only its owner reads it.
const MODE: u32 = 0o600;

/// The token could not be read or saved.
#[derive(Debug, thiserror::Error)]
#[error("failed to save the token of the admin server in {}", path.display())]
pub struct TokenError {
    path: PathBuf,
    #[source]
    source: io::Error,
}

/// The file with the token in a state directory.
pub fn path(state_dir: &Path) -> PathBuf {
    state_dir.join("admin-token")
}

/// The file with the token. Creates the file if it is missing; delete it to get another token.
///
/// # Errors
///
/// When the file can be neither read nor written.
pub fn ensure(state_dir: &Path) -> Result<PathBuf, TokenError> {
    let path = path(state_dir);
    match create(state_dir, &path) {
        Ok(()) => Ok(path),
        Err(source) => Err(TokenError { path, source }),
    }
}

fn create(state_dir: &Path, path: &Path) -> io::Result<()> {
    match fs::read_to_string(path) {
        Ok(text) if !text.trim().is_empty() => {
            return fs::set_permissions(path, Permissions::from_mode(MODE));
        }
        // What a crash left behind.
        Ok(_) => fs::remove_file(path)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let mut directories = fs::DirBuilder::new();
    directories.recursive(true).mode(0o700).create(state_dir)?;
    let new = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(MODE)
        .open(path);
    match new {
        // 256 random bits.
        Ok(mut file) => writeln!(file, "{}", hex::encode(rand::random::<[u8; 32]>())),
        // Another process was quicker.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_is_generated_once_and_only_its_owner_reads_it() {
        let directory = tempfile::tempdir().unwrap();
        let state = directory.path().join("deep").join("state");
        let path = ensure(&state).unwrap();
        let token = fs::read_to_string(&path).unwrap();
        assert_eq!(token.trim().len(), 64, "{token}");
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o600);
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        assert_eq!(ensure(&state).unwrap(), path);
        assert_eq!(fs::read_to_string(&path).unwrap(), token);
        assert_eq!(mode(&path), 0o600);
        fs::write(&path, "\n").unwrap();
        ensure(&state).unwrap();
        let another = fs::read_to_string(&path).unwrap();
        assert!(
            another.len() == token.len() && another != token,
            "{another}"
        );
    }

    #[test]
    fn a_directory_that_cannot_be_written_is_an_error() {
        let error = ensure(Path::new("/dev/null/state")).unwrap_err();
        assert!(
            error.to_string().contains("/dev/null/state/admin-token"),
            "{error}"
        );
    }
}
