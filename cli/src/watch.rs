//! Tells when manifests change on disk.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf, absolute};

use anyhow::Context as _;
use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::mpsc;

use crate::input::Input;

/// Which changes count.
#[derive(Debug, Default)]
struct Filter {
    /// Everything below them counts.
    directories: Vec<PathBuf>,
    /// Files that are named themselves.
    files: Vec<PathBuf>,
    /// A directory that this program writes.
    own: PathBuf,
}

/// Watches files and directories.
pub struct Watch {
    watcher: RecommendedWatcher,
    directories: BTreeMap<PathBuf, RecursiveMode>,
}

/// Watches all files and directories of the input, except the directory `own`. Changes in the directory with the
/// keys count; [`Watch::also`] watches it. Watches directories instead of files, and the directories around them,
/// because what is replaced by a rename is another file or directory.
///
/// # Errors
///
/// When the system watches no more directories.
pub fn watch(
    input: &Input,
    keys: &Path,
    own: &Path,
) -> anyhow::Result<(Watch, mpsc::Receiver<()>)> {
    let places = places(input, own).context("there is no working directory")?;
    let (mut filter, directories) = places;
    filter.directories.push(absolute(keys)?);
    // One pending event is enough: the reload after it sees every change.
    let (sender, receiver) = mpsc::channel(1);
    let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
        if event.is_ok_and(|event| !filter.counts(&event)) {
            return;
        }
        // After an error, changes may have been missed.
        let _ = sender.try_send(());
    })
    .context("failed to create a file watcher")?;
    let mut watch = Watch {
        watcher,
        directories,
    };
    watch.renew()?;
    Ok((watch, receiver))
}

impl Watch {
    /// Watches the directories that are at the paths now. A directory that is not there is none of them: what is
    /// around it tells when it comes.
    ///
    /// # Errors
    ///
    /// When the system watches no more directories.
    pub fn renew(&mut self) -> anyhow::Result<()> {
        for (directory, mode) in &self.directories {
            let watched = self.watcher.watch(directory, *mode);
            if directory.exists() {
                watched.with_context(|| format!("failed to watch {}", directory.display()))?;
            }
        }
        Ok(())
    }

    /// Watches another directory.
    ///
    /// # Errors
    ///
    /// When it is not there, or the system watches no more directories.
    pub fn also(&mut self, directory: &Path) -> anyhow::Result<()> {
        Ok(self.watcher.watch(directory, RecursiveMode::NonRecursive)?)
    }
}

/// Which changes count, and the directories to watch for them.
fn places(
    input: &Input,
    own: &Path,
) -> std::io::Result<(Filter, BTreeMap<PathBuf, RecursiveMode>)> {
    let mut filter = Filter {
        own: absolute(own)?,
        ..Filter::default()
    };
    let mut watched = BTreeMap::new();
    for path in input.paths() {
        let place = absolute(path)?;
        if path.is_dir() {
            let mode = match input.is_recursive() {
                true => RecursiveMode::Recursive,
                false => RecursiveMode::NonRecursive,
            };
            watched.insert(place.clone(), mode);
            if let Some(around) = place.parent() {
                let around = watched.entry(around.to_owned());
                around.or_insert(RecursiveMode::NonRecursive);
            }
            filter.directories.push(place);
            continue;
        }
        let around = place.parent().unwrap_or(&place).to_owned();
        let mode = watched.entry(around.clone());
        mode.or_insert(RecursiveMode::NonRecursive);
        // What a link leads to is replaced beside the link, as Kubernetes does it in a mounted ConfigMap.
        match path.is_symlink() {
            true => filter.directories.push(around),
            false => filter.files.push(place),
        }
    }
    Ok((filter, watched))
}

impl Filter {
    fn counts(&self, event: &Event) -> bool {
        let counts = |path: &PathBuf| {
            let is_below = |directory| path.starts_with(directory);
            !path.starts_with(&self.own)
                && (self.files.contains(path) || self.directories.iter().any(is_below))
        };
        // An event without a path says that events were lost.
        !event.kind.is_access() && (event.paths.is_empty() || event.paths.iter().any(counts))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::time::Duration;

    use notify::EventKind;
    use notify::event::{AccessKind, CreateKind};

    use super::*;

    /// How long an event may take.
    const LIMIT: Duration = Duration::from_secs(20);

    /// A named file, a link and a directory, with others beside them.
    fn tree() -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        for name in ["here/m/below", "here/state", "mounted"] {
            fs::create_dir_all(root.join(name)).unwrap();
        }
        for name in ["here/named.yaml", "here/other.yaml", "v1.yaml"] {
            fs::write(root.join(name), "").unwrap();
        }
        symlink(root.join("v1.yaml"), root.join("mounted/link.yaml")).unwrap();
        directory
    }

    fn input(root: &Path, is_recursive: bool) -> Input {
        let paths = ["here/named.yaml", "here/m", "mounted/link.yaml"];
        Input::of_paths(paths.map(|path| root.join(path)).to_vec(), is_recursive)
    }

    #[test]
    fn a_change_counts_if_it_may_change_a_manifest() {
        let directory = tree();
        let root = directory.path();
        let own = root.join("here/m/state");
        let (filter, watched) = places(&input(root, false), &own).unwrap();
        let watched: Vec<_> = watched.keys().map(|path| path.strip_prefix(root)).collect();
        let wanted = ["here", "here/m", "mounted"];
        assert_eq!(watched, wanted.map(|path| Ok(Path::new(path))));
        for (path, wanted) in [
            ("here/named.yaml", true),
            ("here/other.yaml", false),
            ("here/m/new.yaml", true),
            ("here/m/state/quotas", false),
            ("mounted/..data", true),
        ] {
            let event = Event::new(EventKind::Create(CreateKind::Any)).add_path(root.join(path));
            assert_eq!(filter.counts(&event), wanted, "{path}");
        }
        let read = EventKind::Access(AccessKind::Any);
        assert!(!filter.counts(&Event::new(read).add_path(root.join("here/named.yaml"))));
        assert!(
            filter.counts(&Event::new(EventKind::Other)),
            "events were lost"
        );
    }

    #[tokio::test]
    async fn all_paths_are_followed() {
        for (case, path, is_recursive) in [
            ("a file that is named", "here/named.yaml", false),
            ("a new file in a directory", "here/m/a.yaml", false),
            ("a new file below it", "here/m/below/a.yaml", true),
            ("the target of a link is replaced", "mounted/..data", false),
        ] {
            let directory = tree();
            let root = directory.path();
            let input = input(root, is_recursive);
            let (_watcher, mut changes) =
                watch(&input, &root.join("keys"), &root.join("here/state")).unwrap();
            fs::write(root.join(path), "a: 1").unwrap();
            let changed = tokio::time::timeout(LIMIT, changes.recv()).await;
            assert_eq!(changed.expect("an event arrives"), Some(()), "{case}");
        }
    }

    #[tokio::test]
    async fn a_directory_that_is_replaced_is_followed() {
        let directory = tree();
        let root = directory.path();
        let input = input(root, false);
        let (mut watch, mut changes) =
            watch(&input, &root.join("keys"), &root.join("here/state")).unwrap();
        let mut next = async |what| {
            let changed = tokio::time::timeout(LIMIT, changes.recv()).await;
            assert_eq!(changed.expect(what), Some(()));
        };
        fs::rename(root.join("here/m"), root.join("here/away")).unwrap();
        next("an event that the directory is away").await;
        watch.renew().unwrap();
        fs::create_dir(root.join("here/m")).unwrap();
        next("an event that the directory is there").await;
        watch.renew().unwrap();
        fs::write(root.join("here/m/a.yaml"), "a: 1").unwrap();
        next("an event in the new directory").await;
    }
}
