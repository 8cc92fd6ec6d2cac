//! What becomes of a handshake: `tidegate explain` on manifests and on a running gateway, and the
//! trace of a live one.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use anyhow::{Context, ensure};
use tidegate_e2e::backend::Echo;
use tidegate_e2e::client::Request;
use tidegate_e2e::process::Process;
use tidegate_e2e::program::command;

const KEY: &str = "thar-she-blows-0123456789";
const PASSWORD: &str = "the harbour master's own";

fn manifests(backend: &str) -> String {
    format!(
        "apiVersion: tidegate.dev/v1alpha1
kind: Gateway
metadata: {{name: edge}}
spec: {{listeners: [{{name: plain, port: 8080, protocol: WS}}]}}
---
apiVersion: tidegate.dev/v1alpha1
kind: WebSocketApi
metadata: {{name: chat}}
spec:
  gateways: [{{name: edge}}]
  path: /chat
  backend: {{url: '{backend}'}}
  values: [{{name: password, secretKeyRef: {{name: backend, key: password}}}}]
  onHandshake:
    inbound:
    - id: sign-in
      setHeader: {{name: X-Pass, values: ['${{values.password}}']}}
    - id: closed
      when: request.header('x-closed') == 'yes'
      returnResponse: {{status: 503, message: closed}}
---
apiVersion: tidegate.dev/v1alpha1
kind: Subscription
metadata: {{name: ahab}}
spec: {{scope: {{api: chat}}, allowTracing: true}}
---
apiVersion: v1
kind: Secret
metadata: {{name: ahab-keys}}
stringData: {{primaryKey: {KEY}, secondaryKey: {KEY}-2}}
---
apiVersion: v1
kind: Secret
metadata: {{name: backend}}
stringData: {{password: {PASSWORD}}}
"
    )
}

async fn explain(arguments: &[&str]) -> anyhow::Result<(Option<i32>, String)> {
    let mut command = command("tidegate")?;
    command.arg("explain").args(arguments);
    let output = output(command).await?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    for secret in [KEY, PASSWORD] {
        ensure!(!said.contains(secret), "{secret} is shown: {said}");
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    Ok((output.status.code(), said + &stderr))
}

async fn output(mut command: Command) -> anyhow::Result<Output> {
    let run = tokio::task::spawn_blocking(move || command.output());
    Ok(tokio::time::timeout(Duration::from_secs(60), run)
        .await
        .context("the command did not end")???)
}

/// The word behind `mark` in a line of the process.
async fn address(process: &mut Process, mark: &'static str) -> anyhow::Result<SocketAddr> {
    process
        .line(mark, move |line| line.split_once(mark)?.1.parse().ok())
        .await
}

#[tokio::test]
async fn manifests_a_running_gateway_and_a_live_handshake_tell_the_same() -> anyhow::Result<()> {
    let echo = Echo::start().await?;
    let (files, state) = (tempfile::tempdir()?, tempfile::tempdir()?);
    fs::write(files.path().join("all.yaml"), manifests(&echo.url()))?;
    let mut run = command("tidegate")?;
    run.arg("run")
        .arg(files.path())
        .args(["--bind-address", "127.0.0.1", "--free-ports"])
        .args(["--admin-address", "127.0.0.1:0", "--state-dir"])
        .arg(state.path());
    let mut gateway = Process::spawn("run", run)?;
    let listener = address(&mut gateway, "ws://").await?;
    let admin = format!("http://{}", address(&mut gateway, "admin http://").await?);
    let directory = files.path().to_str().context("the directory's name")?;
    let url = format!("ws://{listener}/chat");

    let closed = ["-H", "X-Closed: yes"];
    let kept = state.path().to_str().context("the directory's name")?;
    let running = ["--gateway", &admin, "--state-dir", kept];
    for (name, source) in [
        ("manifests", &["--dir", directory][..]),
        ("gateway", &running),
    ] {
        let question = [&[url.as_str(), "--key", KEY][..], source].concat();
        let (status, said) = explain(&question).await?;
        assert_eq!(status, Some(0), "{name}: {said}");
        for line in [
            "header x-pass = ***",
            "closed returnResponse (api): skipped",
            "would be called",
        ] {
            assert!(said.contains(line), "{name}: {line} in {said}");
        }
        let (status, said) = explain(&[&question[..], &closed].concat()).await?;
        assert_eq!(status, Some(1), "{name}: {said}");
        assert!(
            said.contains("refused: 503 closed (return_response"),
            "{name}: {said}"
        );
        let (status, said) = explain(&[&question[..], &["--dial"]].concat()).await?;
        assert_eq!(status, Some(0), "{name}: {said}");
        assert!(said.contains("accepted: 101"), "{name}: {said}");
    }

    let answer = Request::new(&url)
        .header("ocp-apim-subscription-key", KEY)
        .header("ocp-apim-trace", "true")
        .header("x-closed", "yes")
        .refused_with(503)
        .await?;
    let id = answer.header("tidegate-trace-id");
    let id = id.context("the answer names no trace")?;
    let (status, said) = explain(&[&running[..], &["--trace", id]].concat()).await?;
    assert_eq!(status, Some(1), "{said}");
    assert!(
        said.contains("closed returnResponse (api): refused"),
        "{said}"
    );
    without_its_token_nobody_is_told(&url, &admin, state.path()).await
}

async fn without_its_token_nobody_is_told(
    url: &str,
    admin: &str,
    state: &Path,
) -> anyhow::Result<()> {
    let elsewhere = ["--gateway", admin, "--state-dir", "/nonexistent"];
    let question = [&[url, "--key", KEY][..], &elsewhere].concat();
    let (status, said) = explain(&question).await?;
    assert_eq!(status, Some(2), "{said}");
    assert!(said.contains("requires its token"), "{said}");
    let token = state.join("admin-token");
    let named = ["--token-file", token.to_str().context("the file's name")?];
    let (status, said) = explain(&[&question[..], &named].concat()).await?;
    assert_eq!(status, Some(0), "{said}");
    Ok(())
}
