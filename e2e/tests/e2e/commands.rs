//! The commands of those who run Tidegate, on a cluster.

use std::process::Output;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::Value;
use tidegate_e2e::program::command;
use tidegate_e2e::scene::Scene;

#[path = "commands/check.rs"]
mod check;
#[path = "commands/subscriptions.rs"]
mod subscriptions;
#[path = "commands/tunnels.rs"]
mod tunnels;

/// What a command said, and its exit status.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) status: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Said {
    pub(crate) fn of(output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self {
            status: output.status.code(),
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
        }
    }

    /// What it printed as JSON.
    pub(crate) fn json(&self) -> anyhow::Result<Value> {
        serde_json::from_str(&self.stdout).with_context(|| format!("no JSON: {self:?}"))
    }

    /// Checks the exit status.
    pub(crate) fn ended(self, status: i32) -> anyhow::Result<Self> {
        anyhow::ensure!(self.status == Some(status), "{self:?}");
        Ok(self)
    }
}

/// `tidegate` with these arguments, with the administrator's kubeconfig in the scene's namespace.
pub(crate) async fn tidegate(scene: &Scene, arguments: &[&str]) -> anyhow::Result<Said> {
    let mut command = command("tidegate")?;
    command.args(arguments);
    command.arg("--kubeconfig").arg(scene.kubeconfig());
    command.args(["--namespace", scene.namespace().name()]);
    let run = tokio::task::spawn_blocking(move || command.output());
    let output = tokio::time::timeout(Duration::from_secs(90), run).await;
    Ok(Said::of(&output.context("the command did not end")???))
}
