//! Runs the kept inputs of a target, in every test run.

use std::path::Path;

/// An input: choices, sizes of the pieces, stream. Panics when there are more than 255 pieces.
#[expect(clippy::expect_used, reason = "only tests call it")]
pub fn input(choices: u8, pieces: &[u8], stream: &[u8]) -> Vec<u8> {
    let count = u8::try_from(pieces.len()).expect("at most 255 pieces");
    [&[choices, count], pieces, stream].concat()
}

/// Runs a target over all files of `fuzz/seeds/TARGET`, among which must be these; with
/// `UPDATE_SEEDS=1` it writes them. Panics with the name of the file that does not hold.
#[expect(clippy::expect_used, reason = "only tests call it")]
pub fn replay(target: &str, seeds: &[(&str, Vec<u8>)], run: fn(&[u8])) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../fuzz/seeds")
        .join(target);
    for (name, data) in seeds {
        let path = directory.join(name.replace(' ', "-"));
        if std::env::var_os("UPDATE_SEEDS").is_some() {
            std::fs::create_dir_all(&directory).expect("the seeds can be written");
            std::fs::write(&path, data).expect("the seeds can be written");
        }
        let found = std::fs::read(&path).unwrap_or_default();
        assert!(found == *data, "{}: UPDATE_SEEDS=1", path.display());
    }
    for entry in std::fs::read_dir(&directory).expect("every target has seeds") {
        let path = entry.expect("the directory can be read").path();
        let data = std::fs::read(&path).expect("a seed can be read");
        let result = std::panic::catch_unwind(|| run(&data));
        assert!(result.is_ok(), "{}", path.display());
    }
}
