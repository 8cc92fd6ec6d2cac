//! Generated subscription keys, kept as Secret manifests in the state directory.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use tidegate_api::{
    ANNOTATION_PRIMARY_GENERATION, ANNOTATION_SECONDARY_GENERATION, LABEL_MANAGED_BY, MANAGED_BY,
    PRIMARY_KEY, SECONDARY_KEY,
};
use tidegate_config::ObjectKey;
use tidegate_plan::KeyRequest;

/// A directory with one Secret manifest per Subscription that has generated keys.
#[derive(Clone, Debug)]
pub struct KeyStore {
    directory: PathBuf,
}

/// A generated key could not be saved.
#[derive(Debug, thiserror::Error)]
#[error("failed to write {}", path.display())]
pub struct SaveError {
    path: PathBuf,
    #[source]
    source: io::Error,
}

impl KeyStore {
    /// Keeps keys in a directory below `state_directory`.
    pub fn new(state_directory: &Path) -> Self {
        Self {
            directory: state_directory.join("keys"),
        }
    }

    /// The manifests that exist.
    pub fn files(&self) -> Vec<PathBuf> {
        crate::manifest::files(std::slice::from_ref(&self.directory))
            .unwrap_or_default()
            .into_iter()
            .filter(|path| path.is_file())
            .collect()
    }

    /// The file that keeps the keys of `secret`.
    pub fn path(&self, secret: &ObjectKey) -> PathBuf {
        self.directory
            .join(format!("{}.{}.yaml", secret.namespace, secret.name))
    }

    /// Generates the requested keys, sets them in `secret` and saves it.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub fn generate(&self, request: &KeyRequest, secret: &mut Secret) -> Result<(), SaveError> {
        fill(request, secret);
        let path = self.path(&request.secret);
        write_private(&path, &manifest(secret)).map_err(|source| SaveError { path, source })
    }
}

/// Generates the requested keys and sets them in `secret`, without saving it.
pub fn fill(request: &KeyRequest, secret: &mut Secret) {
    let metadata = &mut secret.metadata;
    metadata.name = Some(request.secret.name.clone());
    metadata.namespace = Some(request.secret.namespace.clone());
    let managed = (LABEL_MANAGED_BY.to_owned(), MANAGED_BY.to_owned());
    metadata.labels.get_or_insert_default().extend([managed]);
    let notes = metadata.annotations.get_or_insert_default();
    let data = secret.data.get_or_insert_default();
    let parts = [
        (request.primary, PRIMARY_KEY, ANNOTATION_PRIMARY_GENERATION),
        (
            request.secondary,
            SECONDARY_KEY,
            ANNOTATION_SECONDARY_GENERATION,
        ),
    ];
    for (generation, key, annotation) in parts {
        if let Some(generation) = generation {
            data.insert(key.to_owned(), ByteString(new_key().into_bytes()));
            notes.insert(annotation.to_owned(), generation.to_string());
        }
    }
}

/// 256 random bits as hexadecimal text, which needs no escaping in headers and queries.
fn new_key() -> String {
    hex::encode(rand::random::<[u8; 32]>())
}

fn manifest(secret: &Secret) -> String {
    let texts: BTreeMap<_, _> = secret
        .data
        .iter()
        .flatten()
        .map(|(key, bytes)| (key, String::from_utf8_lossy(&bytes.0)))
        .collect();
    let manifest = serde_json::json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": secret.metadata,
        "stringData": texts,
    });
    // JSON is YAML, and `tidegate run` reads *.yaml.
    format!("{manifest:#}\n")
}

/// Writes another file and renames it, so that a crash leaves the old file or the new one.
fn write_private(path: &Path, text: &str) -> io::Result<()> {
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)?;
    }
    let beside = path.with_extension("new");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&beside)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&beside, path)
}
