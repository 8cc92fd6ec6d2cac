//! A configuration on disk: the backup for a cold start while the API server is away, and what the
//! directory source reads.
//!
//! `index.json` names the parts, each in a file `NAME.json` named by its content. Parts are written
//! first, the index last, every file by rename, and parts that no index names are removed after
//! that: whenever the process dies, the directory holds a whole configuration or the one before.
//! The parts hold key material, so only the owner may read them.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use tidegate_config::{
    AssembleError, ConfigIndex, ConfigParts, INDEX_KEY, ObjectKey, split_config,
};

use crate::configuration::update::Update;

mod keep;
mod quotas;

pub(crate) use quotas::QuotaFile;

/// A directory that holds at most one configuration.
#[derive(Clone, Debug)]
pub struct StateDir {
    path: PathBuf,
}

/// Why no configuration could be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A file is not there or not readable.
    #[error("failed to read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// The index is not valid.
    #[error("{} is not an index", path.display())]
    Index {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// Index and parts are not a complete configuration.
    #[error(transparent)]
    Assemble(#[from] AssembleError),
}

/// Why a configuration could not be saved.
#[derive(Debug, thiserror::Error)]
pub enum SaveError {
    /// One object is too large for any part.
    #[error("{0} is too large to be saved")]
    TooLarge(ObjectKey),
    /// A file could not be written.
    #[error("failed to write {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
}

impl StateDir {
    /// The directory at `path`; [`StateDir::save`] creates it.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// The text of the index.
    ///
    /// # Errors
    /// [`LoadError`]: the index cannot be read.
    pub(crate) async fn read_index(&self) -> Result<String, LoadError> {
        let path = self.path.join(INDEX_KEY);
        let text = tokio::fs::read_to_string(&path).await;
        text.map_err(|source| LoadError::Read { path, source })
    }

    /// The configuration in it.
    ///
    /// # Errors
    /// [`LoadError`]: a file cannot be read, or the configuration is not complete.
    pub async fn load(&self) -> Result<Update, LoadError> {
        let text = self.read_index().await?;
        let index: ConfigIndex =
            serde_json::from_str(&text).map_err(|source| LoadError::Index {
                path: self.path.join(INDEX_KEY),
                source,
            })?;
        let mut parts = BTreeMap::new();
        for part in index.shards.iter().chain(&index.secrets) {
            // A name with a path in it would lead out of the directory.
            if part.name.contains('/') {
                return Err(AssembleError::Missing(part.name.clone()).into());
            }
            let path = self.part(&part.name);
            match tokio::fs::read_to_string(&path).await {
                Ok(text) => parts.insert(part.name.clone(), text),
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(source) => return Err(LoadError::Read { path, source }),
            };
        }
        let part = |name: &str| parts.get(name).map(String::as_str);
        Ok(Update::assemble(&index, part, part)?)
    }

    /// Replaces the configuration in it. Blocks on files; not for a worker.
    ///
    /// # Errors
    /// [`SaveError`]: a file cannot be written.
    pub fn save(&self, update: &Update) -> Result<(), SaveError> {
        let rendered = split_config(&update.config, &update.secret_data, update.revision)
            .map_err(SaveError::TooLarge)?;
        let mut builder = std::fs::DirBuilder::new();
        let created = builder.recursive(true).mode(0o700).create(&self.path);
        created.map_err(|source| write_error(&self.path, source))?;
        for (name, text) in rendered.shards.iter().chain(&rendered.secrets) {
            let path = self.part(name);
            // Named by content, so one that is there is right, unless a disk fault cut it short.
            let there =
                std::fs::metadata(&path).is_ok_and(|found| found.len() == text.len() as u64);
            if !there {
                replace(&path, text)?;
            }
        }
        let index = serde_json::to_string_pretty(&rendered.index)
            .expect("an index has text keys only and no failing serializer");
        replace(&self.path.join(INDEX_KEY), &index)?;
        self.remove_unnamed(&rendered);
        Ok(())
    }

    /// What cannot be removed now is removed after the next save.
    fn remove_unnamed(&self, rendered: &ConfigParts) {
        let named: BTreeSet<PathBuf> = rendered
            .shards
            .keys()
            .chain(rendered.secrets.keys())
            .map(|name| self.part(name))
            .chain([self.path.join(INDEX_KEY)])
            .collect();
        let Ok(files) = std::fs::read_dir(&self.path) else {
            return;
        };
        for file in files.flatten().map(|file| file.path()) {
            let ours = file.extension().is_some_and(|e| e == "json" || e == "new");
            if ours && !named.contains(&file) {
                let _ = std::fs::remove_file(file);
            }
        }
    }

    fn part(&self, name: &str) -> PathBuf {
        self.path.join(format!("{name}.json"))
    }
}

/// Writes a file of a state directory, which is created if it is missing: only its owner can read
/// it, and no reader sees a partial file.
///
/// # Errors
/// The file cannot be written; an older one is unchanged.
pub(crate) fn write_whole(path: &Path, text: &str) -> io::Result<()> {
    if let Some(directory) = path.parent() {
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(true).mode(0o700).create(directory)?;
    }
    write_beside(path, text)
}

fn replace(path: &Path, text: &str) -> Result<(), SaveError> {
    write_beside(path, text).map_err(|source| write_error(path, source))
}

/// Writes a temporary file and renames it.
fn write_beside(path: &Path, text: &str) -> io::Result<()> {
    let beside = path.with_extension("new");
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&beside)?;
    io::Write::write_all(&mut file, text.as_bytes())?;
    // Without this a power cut may leave the new name with no content behind it.
    file.sync_all()?;
    std::fs::rename(&beside, path)
}

fn write_error(path: &Path, source: io::Error) -> SaveError {
    SaveError::Write {
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests;
