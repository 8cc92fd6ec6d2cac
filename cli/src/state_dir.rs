//! Where `tidegate run` keeps its state, and where other commands look for it.

use std::path::{Path, PathBuf};

/// Name of the directory beside the manifests. A directory whose name begins with a dot is not read.
const NAME: &str = ".tidegate";

/// The state directory: the one that was given, or the one beside the first of the manifests: in the directory, or
/// where the file is. Without a path, in the working directory.
pub fn of(given: Option<&Path>, manifests: &[PathBuf]) -> PathBuf {
    if let Some(given) = given {
        return given.to_owned();
    }
    let place = manifests.first().map(PathBuf::as_path);
    let place = match place {
        // Standard input.
        Some(path) if path == Path::new("-") => None,
        Some(path) if path.is_dir() => Some(path),
        Some(path) => path.parent(),
        None => None,
    };
    place.map_or_else(|| PathBuf::from(NAME), |place| place.join(NAME))
}

/// What to say of a state directory of earlier versions, which was in the working directory.
pub fn left_behind(chosen: &Path, working: &Path) -> Option<String> {
    let old = working.join(NAME);
    let is_another = std::path::absolute(chosen).ok()? != std::path::absolute(&old).ok()?;
    (is_another && old.join("keys").is_dir() && !chosen.exists()).then(|| {
        format!(
            "{} is not used: the state directory is {}. To keep its keys, move it there or set --state-dir {}",
            old.display(),
            chosen.display(),
            old.display()
        )
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_state_is_beside_the_manifests() {
        let place = tempfile::tempdir().unwrap();
        let directory = place.path().join("shop");
        fs::create_dir(&directory).unwrap();
        let file = directory.join("a.yaml");
        for (case, given, manifests, wanted) in [
            (
                "a directory",
                None,
                vec![directory.clone()],
                directory.join(NAME),
            ),
            ("a file", None, vec![file.clone()], directory.join(NAME)),
            ("a file here", None, vec!["a.yaml".into()], NAME.into()),
            (
                "several",
                None,
                vec![file, place.path().into()],
                directory.join(NAME),
            ),
            ("standard input", None, vec!["-".into()], NAME.into()),
            ("nothing", None, vec![], NAME.into()),
            ("given", Some(Path::new("s")), vec![directory], "s".into()),
        ] {
            assert_eq!(of(given, &manifests), wanted, "{case}");
        }
    }

    #[test]
    fn a_state_directory_of_earlier_versions_is_named_until_there_is_a_new_one() {
        let place = tempfile::tempdir().unwrap();
        let working = place.path();
        let chosen = working.join("shop").join(NAME);
        assert_eq!(left_behind(&chosen, working), None, "there is none");
        fs::create_dir_all(working.join(NAME).join("keys")).unwrap();
        let said = left_behind(&chosen, working).unwrap();
        assert!(said.contains("--state-dir"), "{said}");
        assert_eq!(left_behind(&working.join(NAME), working), None);
        fs::create_dir_all(&chosen).unwrap();
        assert_eq!(left_behind(&chosen, working), None, "it was moved");
    }
}
