//! Quotas on disk, so that a restart does not renew them.
//!
//! One file, written under another name and renamed, so that it is always complete. A crash loses what was
//! counted since the last save, [`PAUSE`] at most; a graceful end loses nothing. A file that cannot be read is
//! logged and treated as empty, because the gateway must start.

use std::io;
#[cfg(test)]
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::write_whole;
use crate::counters::quota::{Line, Quotas};
use tidegate_config::error_chain;

/// How often changes are saved: 100,000 quotas are some 10 MB.
const PAUSE: Duration = Duration::from_secs(5);

/// Version of the format; other versions are not read.
const VERSION: u32 = 2;

/// Where the quotas of one gateway are kept.
#[derive(Clone, Debug)]
pub(crate) struct QuotaFile {
    path: PathBuf,
}

/// Why quotas could not be read or written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FileError {
    #[error("failed to access {}", .0.display())]
    Access(PathBuf, #[source] io::Error),
    #[error("{} holds no quotas", .0.display())]
    Content(PathBuf, #[source] serde_json::Error),
    #[error("{} has format {version}, not {VERSION}", path.display())]
    Version { path: PathBuf, version: u32 },
}

#[derive(Serialize, Deserialize)]
struct SavedQuotas {
    version: u32,
    quotas: Vec<Line>,
}

impl QuotaFile {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// Loads the file, if there is one. Blocks on files.
    pub(crate) fn load(&self, quotas: &Quotas) {
        match self.read() {
            Ok(lines) => quotas.restore(lines),
            Err(error) => {
                tracing::warn!("quotas start anew: {}", error_chain(&error));
            }
        }
    }

    fn read(&self) -> Result<Vec<Line>, FileError> {
        let text = match std::fs::read(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(FileError::Access(self.path.clone(), error)),
        };
        let state: SavedQuotas = serde_json::from_slice(&text)
            .map_err(|error| FileError::Content(self.path.clone(), error))?;
        if state.version != VERSION {
            return Err(FileError::Version {
                path: self.path.clone(),
                version: state.version,
            });
        }
        Ok(state.quotas)
    }

    /// Saves changes for ever. Spawn it once, through the drain.
    pub(crate) async fn keep(self, quotas: Arc<Quotas>) {
        let mut failing = false;
        loop {
            tokio::time::sleep(PAUSE).await;
            let result = self.save(&quotas).await;
            if let Err(error) = &result
                && !failing
            {
                tracing::warn!("quotas are not kept: {error}");
            }
            failing = result.is_err();
        }
    }

    /// Saves what has changed.
    ///
    /// # Errors
    /// Why the file cannot be written, for the log.
    pub(crate) async fn save(&self, quotas: &Arc<Quotas>) -> Result<(), String> {
        let (file, quotas) = (self.clone(), Arc::clone(quotas));
        let saved = tokio::task::spawn_blocking(move || file.write(&quotas)).await;
        match saved {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(error_chain(&error)),
            Err(error) => Err(error_chain(&error)),
        }
    }

    fn write(&self, quotas: &Quotas) -> Result<(), FileError> {
        // Before the numbers are read: what changes after this is written the next time.
        if !quotas.take_changed() {
            return Ok(());
        }
        let state = SavedQuotas {
            version: VERSION,
            quotas: quotas.lines(),
        };
        let text =
            serde_json::to_string(&state).expect("numbers and texts have no failing serializer");
        write_whole(&self.path, &text).map_err(|error| {
            quotas.has_changed();
            FileError::Access(self.path.clone(), error)
        })
    }

    #[cfg(test)]
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}
