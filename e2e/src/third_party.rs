//! Clients and servers that nobody here wrote, set up by `clients/setup.sh`.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use tokio::task::spawn_blocking;

use crate::paths;
use crate::process::Process;

/// How long one client's run may take.
const RUN: Duration = Duration::from_secs(60);

/// Sets up `what` and returns where it is. `None`: the machine lacks what it needs; that was said
/// loudly, and the test has nothing to do. With CI=true that is an error.
pub async fn set_up(what: &'static str) -> anyhow::Result<Option<PathBuf>> {
    let output = spawn_blocking(move || {
        Command::new(paths::own("clients/setup.sh"))
            .arg(what)
            .stdin(Stdio::null())
            .output()
    })
    .await??;
    let log = String::from_utf8_lossy(&output.stderr);
    match output.status.code() {
        Some(0) => {
            let path = String::from_utf8_lossy(&output.stdout);
            Ok(Some(path.trim().into()))
        }
        Some(3) if std::env::var_os("CI").is_none_or(|ci| ci != "true") => {
            let line = format!("SKIPPED because {what} is missing: {log}\n");
            // Not by eprintln!, which the test runner hides when a test passes.
            std::io::stderr().write_all(line.as_bytes())?;
            Ok(None)
        }
        _ => bail!("failed to set up {what}: {log}"),
    }
}

/// A file in `clients/`.
pub fn client_file(name: &str) -> PathBuf {
    paths::own("clients").join(name)
}

/// Runs a client to its end; the JSON line it prints.
pub async fn run(name: &str, command: Command) -> anyhow::Result<serde_json::Value> {
    let mut process = Process::spawn(name, command)?;
    let status = process.ended(RUN).await?;
    let printed = process.stdout();
    ensure!(status.success(), "{name} {status}:\n{}", process.stderr());
    serde_json::from_str(&printed).with_context(|| format!("{name} printed {printed:?}"))
}

/// `PYTHON SCRIPT ARGUMENT…`.
pub fn python(interpreter: &Path, script: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(interpreter);
    command.arg(client_file(script)).args(arguments);
    command
}

/// `node SCRIPT ARGUMENT…`.
pub fn node(modules: &Path, script: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new("node");
    command.env("NODE_PATH", modules);
    command.arg(client_file(script)).args(arguments);
    command
}
