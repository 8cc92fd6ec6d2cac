//! Makes sure that nothing outlives the test process, however that ends.
//!
//! A small script waits for the end of a pipe whose other end this process holds; the system
//! closes it even when the process is killed. The script then ends what is recorded here.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};
use std::sync::OnceLock;

use anyhow::Context;

use crate::paths;

#[derive(Debug)]
struct Keeper {
    directory: PathBuf,
    _alive: ChildStdin,
}

/// A directory for this test process; gone after it.
pub(crate) fn directory() -> anyhow::Result<&'static Path> {
    static KEEPER: OnceLock<Result<Keeper, String>> = OnceLock::new();
    match KEEPER.get_or_init(|| start().map_err(|e| format!("{e:#}"))) {
        Ok(keeper) => Ok(&keeper.directory),
        Err(error) => anyhow::bail!("{error}"),
    }
}

/// Records a process, to be ended with this one.
pub(crate) fn record(name: &str, pid: u32) -> anyhow::Result<()> {
    let line = format!("{name} {pid} {}\n", start_time(pid)?);
    let path = directory()?.join("pids");
    let mut file = OpenOptions::new().append(true).create(true).open(path)?;
    file.write_all(line.as_bytes())?; // one write, so that lines of two threads do not mix
    Ok(())
}

fn start() -> anyhow::Result<Keeper> {
    let directory = std::env::temp_dir().join(format!("tidegate-e2e-{}", std::process::id()));
    fs::create_dir_all(&directory)?;
    let mut script = Command::new(paths::own("cluster/keep.sh"))
        .arg(&directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("failed to start keep.sh")?;
    let alive = script.stdin.take().context("keep.sh has no input")?;
    Ok(Keeper {
        directory,
        _alive: alive,
    })
}

/// In clock ticks since the machine started; with the id it names a process for good.
fn start_time(pid: u32) -> anyhow::Result<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, after_name) = stat.rsplit_once(") ").context("odd /proc/PID/stat")?;
    let field = after_name.split(' ').nth(19).context("no start time")?;
    Ok(field.parse()?)
}
