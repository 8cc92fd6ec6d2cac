use std::fs;
use std::os::unix::fs::symlink;

use super::*;
use crate::objects::Loader;

fn write(root: &Path, name: &str) {
    let path = root.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let text = format!("apiVersion: v1\nkind: Secret\nmetadata: {{name: '{name}'}}\n");
    fs::write(path, text).unwrap();
}

/// The names of the objects that are read, in this order.
fn read(root: &Path, paths: &[&str], is_recursive: bool) -> Vec<String> {
    let paths = paths.iter().map(|path| root.join(path)).collect();
    let input = Input::of_paths(paths, is_recursive);
    let keys = Some(root.join("keys.yaml")).filter(|keys| keys.exists());
    let read = input.read(keys.as_slice());
    assert!(read.findings.is_empty(), "{:?}", read.findings);
    read.documents.iter().map(|d| d.name().to_owned()).collect()
}

#[test]
fn files_and_directories_are_read_once_and_in_order() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    for name in [
        "m/b.yml",
        "m/a.yaml",
        "m/c.json",
        "m/notes.txt",
        "m/d/e.yaml",
        "m/.git/f.yaml",
        "one.txt",
        "keys.yaml",
    ] {
        write(root, name);
    }
    symlink("nowhere", root.join("m/.#a.yaml")).unwrap();
    symlink("..", root.join("m/d/loop")).unwrap();
    let flat = ["m/a.yaml", "m/b.yml", "m/c.json"];
    for (case, paths, is_recursive, wanted) in [
        (
            "a directory",
            &["m"][..],
            false,
            [&flat[..], &["keys.yaml"]].concat(),
        ),
        (
            "below it",
            &["m"],
            true,
            [&flat[..], &["m/d/e.yaml", "keys.yaml"]].concat(),
        ),
        (
            "several, and one of them twice",
            &["one.txt", "m/b.yml", "m", "m/../m"],
            false,
            vec!["one.txt", "m/b.yml", "m/a.yaml", "m/c.json", "keys.yaml"],
        ),
        (
            "keys among the manifests",
            &["keys.yaml"],
            false,
            vec!["keys.yaml"],
        ),
    ] {
        assert_eq!(read(root, paths, is_recursive), wanted, "{case}");
    }
}

#[test]
fn a_mounted_config_map_is_read_through_its_links() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    write(root, "m/..2026/a.yaml");
    symlink("..2026", root.join("m/..data")).unwrap();
    symlink("..data/a.yaml", root.join("m/a.yaml")).unwrap();
    for (path, is_recursive) in [
        ("m", false),
        ("m", true),
        ("m/a.yaml", false),
        ("m/..data", false),
    ] {
        let read = read(root, &[path], is_recursive);
        assert_eq!(read, ["m/..2026/a.yaml"], "{path}");
    }
}

#[test]
fn a_path_that_does_not_exist_is_named() {
    let args = InputArgs {
        paths: vec!["not-there.yaml".into()],
        recursive: false,
        namespace: "default".to_owned(),
    };
    let error = Input::open(&args).unwrap_err();
    assert_eq!(error.to_string(), "failed to read not-there.yaml");
}

#[test]
fn what_cannot_be_read_touches_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    for (at, name) in [("m", "a"), ("n", "b")] {
        let text = format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\n");
        fs::create_dir(root.join(at)).unwrap();
        fs::write(root.join(at).join("x.yaml"), text).unwrap();
    }
    let input = Input::of_paths(vec![root.join("m"), root.join("n")], true);
    let mut loader = Loader::default();
    let mut objects = || {
        let read = input.read(&[]);
        let objects = loader.load_documents(read.documents, read.findings);
        let names: Vec<_> = objects.all.keys().map(|id| id.key.name.clone()).collect();
        (names.join(" "), objects.findings.len())
    };
    let both = "a b".to_owned();
    assert_eq!(objects(), (both.clone(), 0));
    symlink("itself.yaml", root.join("m/itself.yaml")).unwrap();
    assert_eq!(objects(), (both.clone(), 1), "a link to itself");
    fs::remove_file(root.join("m/itself.yaml")).unwrap();
    fs::rename(root.join("m"), root.join("away")).unwrap();
    assert_eq!(objects(), (both.clone(), 1), "a directory that is away");
    fs::rename(root.join("away"), root.join("m")).unwrap();
    assert_eq!(objects(), (both, 0));
    fs::remove_file(root.join("m/x.yaml")).unwrap();
    assert_eq!(objects(), ("b".to_owned(), 0), "a file that is gone");
}

#[test]
fn of_two_definitions_the_one_that_was_served_stays() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    let define = |file: &str, data: &str| {
        let text = format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: a}}\ndata: {{is: {data}}}\n"
        );
        fs::write(root.join(file), text).unwrap();
    };
    let input = Input::of_paths(vec![root.to_owned()], false);
    let mut loader = Loader::default();
    let mut served = || {
        let read = input.read(&[]);
        let objects = loader.load_documents(read.documents, read.findings);
        let (loaded, findings) = (objects.all.into_values().next(), objects.findings);
        let data = loaded.unwrap().document.value["data"]["is"].clone();
        let refused = findings.first().map(|finding| finding.file.clone());
        (data.as_str().unwrap().to_owned(), refused)
    };
    define("m.yaml", "old");
    assert_eq!(served(), ("old".to_owned(), None));
    for other in ["a.yaml", "z.yaml"] {
        define(other, "new");
        assert_eq!(served(), ("old".to_owned(), Some(root.join(other))));
        fs::remove_file(root.join(other)).unwrap();
    }
    define("a.yaml", "new");
    fs::remove_file(root.join("m.yaml")).unwrap();
    assert_eq!(served(), ("new".to_owned(), None));
}
