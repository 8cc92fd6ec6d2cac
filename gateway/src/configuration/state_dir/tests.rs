use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::configuration::update::testing::update;

fn scratch() -> (tempfile::TempDir, StateDir) {
    let root = tempfile::tempdir().unwrap();
    let dir = StateDir::new(root.path().join("config"));
    (root, dir)
}

fn files(dir: &StateDir) -> Vec<PathBuf> {
    let entries = fs::read_dir(&dir.path).unwrap();
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

#[tokio::test]
async fn what_is_saved_is_loaded_again() {
    let (_root, dir) = scratch();
    for revision in [7, 8] {
        dir.save(&update(revision)).unwrap();
        assert_eq!(dir.load().await.unwrap(), update(revision));
    }
}

#[tokio::test]
async fn only_the_owner_can_read_it() {
    let (_root, dir) = scratch();
    dir.save(&update(7)).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&dir.path), 0o700);
    assert!(files(&dir).iter().all(|file| mode(file) == 0o600));
}

#[tokio::test]
async fn parts_of_older_revisions_are_removed() {
    let (_root, dir) = scratch();
    dir.save(&update(7)).unwrap();
    let before = files(&dir);
    let mut other = update(8);
    other.config.settings.generation += 1;
    dir.save(&other).unwrap();
    assert_eq!(files(&dir).len(), before.len());
    assert_ne!(files(&dir), before);
}

#[tokio::test]
async fn a_damaged_directory_is_refused_whole() {
    let (_root, dir) = scratch();
    assert!(matches!(dir.load().await, Err(LoadError::Read { .. })));

    dir.save(&update(7)).unwrap();
    let index = dir.path.join(INDEX_KEY);
    let part = files(&dir).into_iter().find(|file| *file != index).unwrap();
    fs::write(&part, "{}").unwrap();
    let error = dir.load().await.unwrap_err();
    assert!(
        matches!(error, LoadError::Assemble(AssembleError::Hash(_))),
        "{error:?}"
    );

    dir.save(&update(7)).unwrap();
    assert_eq!(dir.load().await.unwrap(), update(7), "a save repairs it");

    fs::remove_file(&part).unwrap();
    let error = dir.load().await.unwrap_err();
    assert!(
        matches!(error, LoadError::Assemble(AssembleError::Missing(_))),
        "{error:?}"
    );

    fs::write(&index, "{").unwrap();
    assert!(matches!(dir.load().await, Err(LoadError::Index { .. })));
}

#[tokio::test]
async fn an_index_does_not_lead_out_of_the_directory() {
    let (root, dir) = scratch();
    dir.save(&update(7)).unwrap();
    let text = dir.read_index().await.unwrap();
    let mut index: ConfigIndex = serde_json::from_str(&text).unwrap();
    let part = &mut index.shards[0];
    fs::rename(dir.part(&part.name), root.path().join("outside.json")).unwrap();
    part.name = "../outside".to_owned();
    fs::write(
        dir.path.join(INDEX_KEY),
        serde_json::to_string(&index).unwrap(),
    )
    .unwrap();
    assert!(matches!(
        dir.load().await,
        Err(LoadError::Assemble(AssembleError::Missing(_)))
    ));
}

/// Each file of a save that finds no room, in turn: that is also what a kill between two files leaves.
#[tokio::test]
async fn a_save_that_is_cut_off_anywhere_leaves_one_whole_configuration() {
    let mut changed = update(8);
    changed.config.settings.generation += 1;
    let (_root, whole) = scratch();
    whole.save(&update(7)).unwrap();
    let before = files(&whole);
    whole.save(&changed).unwrap();
    let index = whole.path.join(INDEX_KEY);
    let written = files(&whole).into_iter();
    let written: Vec<_> = written
        .filter(|file| *file == index || !before.contains(file))
        .map(|file| file.file_name().unwrap().to_owned())
        .collect();
    assert!(written.len() > 1, "{written:?}");
    for name in written {
        let (_root, dir) = scratch();
        dir.save(&update(7)).unwrap();
        let file = dir.path.join(&name);
        let beside = file.with_extension("new");
        std::os::unix::fs::symlink("/dev/full", &beside).unwrap();
        let SaveError::Write { path, source } = dir.save(&changed).unwrap_err() else {
            panic!("{name:?}: another error");
        };
        assert_eq!((&path, source.kind()), (&file, io::ErrorKind::StorageFull));
        assert_eq!(dir.load().await.unwrap(), update(7), "{name:?}");
        // What a kill leaves: half a file beside.
        fs::remove_file(&beside).unwrap();
        fs::write(&beside, "{\"half\":").unwrap();
        assert_eq!(dir.load().await.unwrap(), update(7), "{name:?}");
        dir.save(&changed).unwrap();
        assert_eq!(dir.load().await.unwrap(), changed, "{name:?}");
        assert!(!beside.exists(), "{name:?}");
    }
}
