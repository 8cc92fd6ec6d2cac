//! The real kubectl, as a user would call it.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, bail, ensure};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// kubectl with its cluster and namespace.
#[derive(Clone, Debug)]
pub struct Kubectl {
    program: PathBuf,
    kubeconfig: PathBuf,
    namespace: String,
}

impl Kubectl {
    pub(crate) fn new(program: PathBuf, kubeconfig: PathBuf) -> Self {
        Self {
            program,
            kubeconfig,
            namespace: "default".to_owned(),
        }
    }

    /// The same, for another namespace.
    pub fn namespaced(&self, namespace: &str) -> Self {
        Self {
            namespace: namespace.to_owned(),
            ..self.clone()
        }
    }

    /// `kubectl apply -f PATH`, a path in the work tree.
    pub async fn apply_file(&self, path: &str) -> anyhow::Result<String> {
        let path = crate::paths::tree().join(path);
        self.run(&["apply", "-f", &path.to_string_lossy()]).await
    }

    /// `kubectl apply -f -`.
    pub async fn apply(&self, manifest: &str) -> anyhow::Result<String> {
        let output = self.output(&["apply", "-f", "-"], manifest).await?;
        output.map_err(|refusal| anyhow::anyhow!("kubectl apply: {refusal}"))
    }

    /// `kubectl apply --as USER -f -`.
    pub async fn apply_as(&self, user: &str, manifest: &str) -> anyhow::Result<String> {
        let arguments = ["apply", "--as", user, "-f", "-"];
        let output = self.output(&arguments, manifest).await?;
        output.map_err(|refusal| anyhow::anyhow!("kubectl apply --as {user}: {refusal}"))
    }

    /// `kubectl apply --server-side -f -`, for objects whose copy fits into no annotation; or what it
    /// says when the API server refuses.
    pub async fn apply_large(&self, manifest: &str) -> anyhow::Result<Result<String, String>> {
        let arguments = ["apply", "--server-side", "-f", "-"];
        self.output(&arguments, manifest).await
    }

    /// What `kubectl apply -f -` says when the API server refuses.
    pub async fn refusal(&self, manifest: &str) -> anyhow::Result<String> {
        match self.output(&["apply", "-f", "-"], manifest).await? {
            Ok(output) => bail!("should have been refused: {output}"),
            Err(refusal) => Ok(refusal),
        }
    }

    /// `kubectl patch --type merge`.
    pub async fn patch(&self, object: &str, patch: &serde_json::Value) -> anyhow::Result<()> {
        let patch = patch.to_string();
        self.run(&["patch", object, "--type", "merge", "-p", &patch])
            .await?;
        Ok(())
    }

    /// `kubectl delete KIND/NAME…`.
    pub async fn delete(&self, objects: &[&str]) -> anyhow::Result<()> {
        let mut arguments = vec!["delete", "--wait=false"];
        arguments.extend(objects);
        self.run(&arguments).await?;
        Ok(())
    }

    /// Any other command; its output.
    pub async fn run(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let output = self.output(arguments, "").await?;
        output.map_err(|error| anyhow::anyhow!("kubectl {}: {error}", arguments.join(" ")))
    }

    /// kubectl, its arguments still to come.
    pub(crate) fn command(&self) -> std::process::Command {
        let mut command = std::process::Command::new(&self.program);
        command.arg("--kubeconfig").arg(&self.kubeconfig);
        command.args(["--namespace", &self.namespace, "--request-timeout", "20s"]);
        command
    }

    async fn output(
        &self,
        arguments: &[&str],
        input: &str,
    ) -> anyhow::Result<Result<String, String>> {
        let mut child = Command::from(self.command())
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("failed to start kubectl")?;
        let mut stdin = child.stdin.take().context("kubectl has no input")?;
        stdin.write_all(input.as_bytes()).await?;
        drop(stdin);
        let output = child.wait_with_output().await?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        Ok(if output.status.success() {
            Ok(text(&output.stdout))
        } else {
            Err(text(&[output.stderr, output.stdout].concat()))
        })
    }
}

/// Runs a script of this crate and returns what it prints.
pub(crate) fn script(path: &Path, arguments: &[&str]) -> anyhow::Result<String> {
    let output = std::process::Command::new(path)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("failed to run {}", path.display()))?;
    let log = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{}: {log}", path.display());
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
