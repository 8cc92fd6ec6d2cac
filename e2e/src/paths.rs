//! Where things lie in the tree, and free ports.

use std::collections::HashSet;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use anyhow::Context;

/// Below the range from which the system takes ports for outgoing connections, so that nobody
/// gets one between our look and its use.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

/// The top of the work tree.
pub(crate) fn tree() -> PathBuf {
    let crate_dir = Path::new(env!("CARGO_MANIFEST_DIR"));
    crate_dir.parent().unwrap_or(crate_dir).to_owned()
}

/// A file of this crate.
pub(crate) fn own(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Where cargo put the programs under test: two levels above the test's own executable.
pub(crate) fn programs() -> anyhow::Result<PathBuf> {
    if let Some(dir) = std::env::var_os("TIDEGATE_BIN_DIR") {
        return Ok(dir.into());
    }
    let test = std::env::current_exe().context("failed to find the test's own path")?;
    let profile = test.parent().and_then(Path::parent);
    Ok(profile.context("the test lies in no directory")?.to_owned())
}

/// A port that is free now and that this process gives to nobody else.
pub fn free_port() -> anyhow::Result<u16> {
    static GIVEN: Mutex<Option<HashSet<u16>>> = Mutex::new(None);
    let mut given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
    let given = given.get_or_insert_default();
    (0..1000)
        .map(|_| rand::random_range(PORTS))
        .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok() && given.insert(*port))
        .context("no free port found")
}
