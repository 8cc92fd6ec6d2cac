//! The seeds of the fuzz targets, and what was once found, hold in every test run.

mod seeds;

use std::path::Path;

use super::*;

/// Runs a target over all files of its directory, among which are these; `UPDATE_SEEDS=1` writes
/// them.
fn replay(target: &str, seeds: &[(&str, Vec<u8>)], run: fn(&[u8])) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../fuzz/seeds")
        .join(target);
    for (name, data) in seeds {
        let path = directory.join(name.replace(' ', "-"));
        if std::env::var_os("UPDATE_SEEDS").is_some() {
            std::fs::create_dir_all(&directory).unwrap();
            std::fs::write(&path, data).unwrap();
        }
        let found = std::fs::read(&path).unwrap_or_default();
        assert!(found == *data, "{}: UPDATE_SEEDS=1", path.display());
    }
    for entry in std::fs::read_dir(&directory).unwrap() {
        let path = entry.unwrap().path();
        let data = std::fs::read(&path).unwrap();
        let result = std::panic::catch_unwind(|| run(&data));
        assert!(result.is_ok(), "{}", path.display());
    }
}

#[test]
fn frames_hold_for_every_seed() {
    replay("frames", &seeds::frames(), frames);
}

#[test]
fn heads_hold_for_every_seed() {
    replay("heads", &seeds::heads(), heads);
}

#[test]
fn proxy_headers_hold_for_every_seed() {
    replay("proxy_header", &seeds::proxy_header(), proxy_header);
}
