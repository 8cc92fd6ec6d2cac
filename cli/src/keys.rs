//! Generated subscription keys, kept as Secret manifests in the state directory.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt as _;
use tidegate_api::Subscription;
use tidegate_config::ObjectKey;
use tidegate_plan::KeyRequest;
use tidegate_plan::generated_keys::{self, KEY_BYTES};

/// Annotation: the manifest that had the Subscription, relative to the parent of the state directory if it is there.
const ANNOTATION_MANIFEST: &str = "tidegate.dev/manifest";

/// A directory with one Secret manifest per Subscription that has generated keys.
#[derive(Clone, Debug)]
pub struct KeyStore {
    state_directory: PathBuf,
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
            state_directory: state_directory.to_owned(),
            directory: state_directory.join("keys"),
        }
    }

    /// The directory with the manifests.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The directory with the manifests, which is created if it is missing.
    ///
    /// # Errors
    ///
    /// When it cannot be created.
    pub fn ensure(&self) -> Result<&Path, SaveError> {
        create_private(&self.directory).map_err(|source| SaveError {
            path: self.directory.clone(),
            source,
        })?;
        // It is beside the manifests, which are often in a repository; what it keeps is secret.
        let ignore = self.state_directory.join(".gitignore");
        let new = OpenOptions::new().write(true).create_new(true).open(ignore);
        // The keys work without it.
        let _ = new.and_then(|mut file| file.write_all(b"*\n"));
        Ok(&self.directory)
    }

    /// The manifests that exist.
    pub fn files(&self) -> Vec<PathBuf> {
        let (files, _) = crate::input::files(std::slice::from_ref(&self.directory), false);
        files.into_iter().filter(|path| path.is_file()).collect()
    }

    /// The file that keeps the keys of `secret`.
    pub fn path(&self, secret: &ObjectKey) -> PathBuf {
        self.directory
            .join(format!("{}.{}.yaml", secret.namespace, secret.name))
    }

    /// Is it one of the files with keys?
    pub fn holds(&self, file: &Path) -> bool {
        file.parent() == Some(&self.directory)
    }

    /// Generates the requested keys and saves their Secret. `secret` is what there is of it, `manifest` the file
    /// with the Subscription.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub fn generate(
        &self,
        request: &KeyRequest,
        subscription: &Subscription,
        secret: Option<&Secret>,
        manifest: &Path,
    ) -> Result<(), SaveError> {
        let mut secret = match secret {
            Some(secret) => {
                let mut secret = secret.clone();
                fill(request, &mut secret);
                secret
            }
            None => {
                let Ok(secret) = generated_keys::new_secret(request, subscription, random);
                secret
            }
        };
        let manifest = self.relative(manifest).display().to_string();
        secret
            .annotations_mut()
            .insert(ANNOTATION_MANIFEST.to_owned(), manifest);
        let path = self.path(&request.secret);
        write_private(&path, &text_of(&secret)).map_err(|source| SaveError { path, source })
    }

    /// The manifest that had the Subscription of these keys.
    pub fn manifest(&self, secret: &Secret) -> Option<PathBuf> {
        let noted = secret.annotations().get(ANNOTATION_MANIFEST)?;
        Some(self.beside().join(noted))
    }

    fn relative(&self, manifest: &Path) -> PathBuf {
        let manifest = absolute(manifest);
        let relative = manifest.strip_prefix(self.beside());
        relative.map_or_else(|_| manifest.clone(), Path::to_owned)
    }

    /// Where the state directory is.
    fn beside(&self) -> PathBuf {
        let state = absolute(&self.state_directory);
        state.parent().map_or_else(|| state.clone(), Path::to_owned)
    }
}

/// The absolute form of a path, links as they are.
pub(crate) fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// Generates the requested keys and sets them in `secret`, without saving it.
pub fn fill(request: &KeyRequest, secret: &mut Secret) {
    let Ok(()) = generated_keys::fill(secret, request, random);
}

fn random() -> Result<[u8; KEY_BYTES], Infallible> {
    Ok(rand::random())
}

fn text_of(secret: &Secret) -> String {
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

fn create_private(directory: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true).mode(0o700).create(directory)
}

/// Writes another file and renames it, so that a crash leaves the old file or the new one.
fn write_private(path: &Path, text: &str) -> io::Result<()> {
    if let Some(directory) = path.parent() {
        create_private(directory)?;
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
