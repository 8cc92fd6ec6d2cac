//! Each target is run, and begins with what is known.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Names in a directory of this crate, without extensions.
fn names(directory: &str) -> BTreeSet<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(directory);
    let entries = fs::read_dir(path).expect("a directory");
    let names = entries.map(|entry| entry.expect("an entry").path());
    names
        .filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()))
        .collect()
}

#[test]
fn every_target_has_seeds_and_a_dictionary_and_is_run() {
    let targets = names("targets");
    assert_eq!(targets, names("seeds"));
    assert_eq!(targets, names("dictionaries"));
    let script = include_str!("../run.sh");
    let lines = script
        .lines()
        .filter_map(|line| line.split_once("|| targets=("));
    let run: BTreeSet<String> = lines
        .flat_map(|(_, names)| names.trim_end_matches(')').split(' '))
        .map(str::to_owned)
        .collect();
    assert_eq!(targets, run, "run.sh");
    for target in &targets {
        assert!(script.contains(&format!("--bin {target} ")), "{target}");
        let seeds = names(&format!("seeds/{target}"));
        assert!(seeds.len() >= 10, "{target}: {} seeds", seeds.len());
    }
}
