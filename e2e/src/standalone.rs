//! `tidegate run` with a directory of manifests, as a user starts it: no cluster.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::Value;
use tempfile::TempDir;

use crate::paths;
use crate::process::Process;
use crate::program::command;

/// From SIGTERM to the end of the process: the drain below takes seconds at most.
const STOP: Duration = Duration::from_secs(20);

/// A Gateway `edge` with a listener on a port of its own, and a directory for its state.
#[derive(Debug)]
pub struct Standalone {
    port: u16,
    process: Process,
    files: TempDir,
    state: TempDir,
}

impl Standalone {
    /// Serves these manifests besides the Gateway's.
    pub async fn serve(manifests: &str) -> anyhow::Result<Self> {
        let (files, state) = (tempfile::tempdir()?, tempfile::tempdir()?);
        let port = paths::free_port()?;
        let gateway = format!(
            "apiVersion: tidegate.dev/v1alpha1
kind: Gateway
metadata: {{name: edge}}
spec:
  drain: {{window: 200ms, closeTimeout: 2s}}
  listeners:
  - {{name: plain, port: {port}, protocol: WS}}
"
        );
        fs::write(files.path().join("gateway.yaml"), gateway)?;
        fs::write(files.path().join("apis.yaml"), manifests)?;
        let process = start(files.path(), state.path()).await?;
        Ok(Self {
            port,
            process,
            files,
            state,
        })
    }

    /// Host and port of the listener.
    pub fn host(&self) -> String {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port)).to_string()
    }

    /// The primary key that was generated for a Subscription.
    pub fn key(&self, subscription: &str) -> anyhow::Result<String> {
        let path = format!("keys/default.{subscription}-keys.yaml");
        let text = fs::read_to_string(self.state.path().join(path))?;
        let secret: Value = serde_json::from_str(&text)?;
        let key = secret["stringData"]["primaryKey"].as_str();
        Ok(key.context("no primary key")?.to_owned())
    }

    /// Writes a manifest as editors do: whole, by renaming.
    pub fn write(&self, name: &str, text: &str) -> anyhow::Result<()> {
        let new = self.files.path().join(format!(".{name}.new"));
        fs::write(&new, text)?;
        Ok(fs::rename(new, self.files.path().join(name))?)
    }

    /// Removes a manifest.
    pub fn remove(&self, name: &str) -> anyhow::Result<()> {
        Ok(fs::remove_file(self.files.path().join(name))?)
    }

    /// Drains the gateway to its end, and starts it again on the same port, with the same state.
    pub async fn restart(&mut self) -> anyhow::Result<()> {
        self.process.terminate()?;
        let status = self.process.ended(STOP).await?;
        ensure!(status.success(), "the gateway ended with {status}");
        self.process = start(self.files.path(), self.state.path()).await?;
        Ok(())
    }

    /// Ends it as a crash would, and starts it again.
    pub async fn crash(&mut self) -> anyhow::Result<()> {
        self.process.kill()?;
        self.process = start(self.files.path(), self.state.path()).await?;
        Ok(())
    }

    /// Its directory of state.
    pub fn state(&self) -> &Path {
        self.state.path()
    }

    /// Its process.
    pub fn process(&self) -> &Process {
        &self.process
    }
}

async fn start(files: &Path, state: &Path) -> anyhow::Result<Process> {
    let mut command: Command = command("tidegate")?;
    command
        .arg("run")
        .arg(files)
        .args(["--bind-address", "127.0.0.1", "--state-dir"])
        .arg(state);
    let mut process = Process::spawn("run", command)?;
    let listening = process.line("its listener", |line| {
        line.starts_with("edge/plain ").then_some(())
    });
    listening.await?;
    Ok(process)
}
