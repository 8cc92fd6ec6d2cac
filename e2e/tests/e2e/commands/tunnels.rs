//! `tidegate tunnels` and `tidegate explain` on running gateways: by address, and through the API server.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::json;
use tidegate_e2e::backend::Echo;
use tidegate_e2e::client::{Client, Request};
use tidegate_e2e::pod_api::PodApi;
use tidegate_e2e::process::Process;
use tidegate_e2e::program::command;
use tidegate_e2e::wait::{WAIT_TIMEOUT, eventually};

use super::Said;

/// An open API `chat` and one with keys, `prices`.
fn manifests(backend: &str) -> String {
    let objects = [
        json!({"apiVersion": "tidegate.dev/v1alpha1", "kind": "Gateway", "metadata": {"name": "edge"},
            "spec": {"listeners": [{"name": "plain", "port": 8080, "protocol": "WS"}]}}),
        json!({"apiVersion": "tidegate.dev/v1alpha1", "kind": "WebSocketApi", "metadata": {"name": "chat"},
            "spec": {"gateways": [{"name": "edge"}], "path": "/chat", "subscriptionRequired": false,
                "backend": {"url": backend}}}),
        json!({"apiVersion": "tidegate.dev/v1alpha1", "kind": "WebSocketApi", "metadata": {"name": "prices"},
            "spec": {"gateways": [{"name": "edge"}], "path": "/prices", "backend": {"url": backend}}}),
        json!({"apiVersion": "tidegate.dev/v1alpha1", "kind": "Subscription", "metadata": {"name": "ann"},
            "spec": {"scope": {"api": "prices"}}}),
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "ann-keys"},
            "stringData": {"primaryKey": KEY}}),
    ];
    objects.map(|object| object.to_string()).join("\n---\n")
}

const KEY: &str = "anns-own-key-0123456789";

/// A running `tidegate run`, and how to ask it.
struct Run {
    process: Process,
    listener: SocketAddr,
    admin: SocketAddr,
    state: tempfile::TempDir,
    _files: tempfile::TempDir,
    _echo: Echo,
}

impl Run {
    async fn start() -> anyhow::Result<Self> {
        let echo = Echo::start().await?;
        let (files, state) = (tempfile::tempdir()?, tempfile::tempdir()?);
        std::fs::write(files.path().join("all.yaml"), manifests(&echo.url()))?;
        let mut run = command("tidegate")?;
        run.args(["--log", "info", "run"])
            .arg(files.path())
            .args(["--bind-address", "127.0.0.1", "--free-ports"])
            .args(["--admin-address", "127.0.0.1:0", "--state-dir"])
            .arg(state.path());
        let mut process = Process::spawn("run", run)?;
        let address = async |process: &mut Process, mark: &'static str| {
            let find = move |line: &str| {
                let rest = line.split_once(mark)?.1;
                rest.split(['/', ' ']).next()?.parse().ok()
            };
            process.line(mark, find).await
        };
        let listener = address(&mut process, "ws://").await?;
        let admin = address(&mut process, "admin http://").await?;
        Ok(Self {
            process,
            listener,
            admin,
            state,
            _files: files,
            _echo: echo,
        })
    }

    fn request(&self, path: &str) -> Request {
        Request::new(format!("ws://{}{path}", self.listener))
    }

    /// A command that asks this gateway by its address.
    async fn says(&self, arguments: &[&str]) -> anyhow::Result<Said> {
        let admin = format!("http://{}", self.admin);
        let state = self.state.path().to_string_lossy().into_owned();
        let place = ["--gateway", &admin, "--state-dir", &state];
        run(&[arguments, &place].concat()).await
    }
}

async fn run(arguments: &[&str]) -> anyhow::Result<Said> {
    let mut command = command("tidegate")?;
    command.args(arguments);
    let run = tokio::task::spawn_blocking(move || command.output());
    let output = tokio::time::timeout(Duration::from_secs(60), run).await;
    Ok(Said::of(&output.context("the command did not end")???))
}

#[tokio::test]
async fn tunnels_are_listed_with_their_traffic_and_closed_by_what_they_are() -> anyhow::Result<()> {
    let gateway = Run::start().await?;
    let mut chat = gateway.request("/chat").open().await?;
    let mut prices = gateway.request("/prices");
    prices = prices.header("ocp-apim-subscription-key", KEY);
    let mut prices = prices.open().await?;
    chat.echo("one").await?;
    chat.echo("two").await?;
    prices.echo("three").await?;

    let list = gateway
        .says(&["tunnels", "list", "-o", "json"])
        .await?
        .ended(0)?
        .json()?;
    assert_eq!(list.as_array().map(Vec::len), Some(2), "{list}");
    let first = &list[0];
    assert_eq!(first["api"], "default/chat");
    assert_eq!(first["client"], "127.0.0.1");
    assert_eq!(first["listener"], "plain");
    assert_eq!(first["fromClient"]["messages"], 2);
    assert_eq!(first["fromBackend"]["messages"], 2);
    assert_eq!(list[1]["subscription"], "default/ann");
    let one = gateway
        .says(&[
            "tunnels",
            "list",
            "--api",
            "prices",
            "--subscription",
            "ann",
            "--limit",
            "1",
        ])
        .await?;
    let one = one.ended(0)?.stdout;
    assert_eq!(one.lines().count(), 2, "{one}");
    assert!(one.contains("default/prices   default/ann"), "{one}");

    closed_by_what_they_are(&gateway, (chat, prices), first["id"].as_str()).await
}

async fn closed_by_what_they_are(
    gateway: &Run,
    (mut chat, mut prices): (Client, Client),
    id: Option<&str>,
) -> anyhow::Result<()> {
    let close = [
        "tunnels",
        "close",
        "--subscription",
        "ann",
        "--code",
        "4001",
        "--reason",
        "moved",
    ];
    let said = gateway.says(&close).await?.ended(0)?;
    assert_eq!(said.stdout, "1 tunnel closed on 1 gateway\n");
    assert_eq!(prices.closed().await?, (4001, "moved".to_owned()));
    chat.echo("the other one stays").await?;
    let id = id.context("no id")?;
    gateway
        .says(&["tunnels", "close", "--id", id])
        .await?
        .ended(0)?;
    assert_eq!(chat.closed().await?.0, 1001);
    drop((chat, prices));
    eventually("no tunnel is left", WAIT_TIMEOUT, async || {
        let said = gateway.says(&["tunnels", "close", "--all"]).await?;
        let said = said.ended(1)?.stdout;
        ensure!(said == "0 tunnels closed on 1 gateway\n", "{said}");
        Ok(())
    })
    .await?;
    let said = gateway.says(&["tunnels", "close"]).await?.ended(2)?;
    assert!(said.stderr.contains("--all"), "{said:?}");

    // Each end is recorded once, with its cause.
    let log = gateway.process.stderr();
    let closes = log
        .lines()
        .filter(|line| line.contains(r#""event":"close""#));
    let by_admin = closes
        .filter(|line| line.contains(r#""cause":"admin_closed""#))
        .count();
    assert_eq!(by_admin, 2, "{log}");
    Ok(())
}

#[tokio::test]
async fn pods_are_reached_through_the_api_server() -> anyhow::Result<()> {
    let gateway = Run::start().await?;
    let token = std::fs::read_to_string(gateway.state.path().join("admin-token"))?;
    let api = PodApi::start("edge", gateway.admin, token.trim()).await?;
    let kubeconfig = api.kubeconfig().to_string_lossy().into_owned();
    let place = ["--kubeconfig", &kubeconfig, "--state-dir", "/nonexistent"];
    let says = async |arguments: &[&str]| run(&[arguments, &place].concat()).await;

    let mut chat = gateway.request("/chat").open().await?;
    chat.echo("one").await?;
    let list = says(&["tunnels", "list", "-o", "json"])
        .await?
        .ended(0)?
        .json()?;
    assert_eq!(list[0]["gateway"], "pod default/edge-0");
    assert_eq!(list[0]["fromClient"]["messages"], 1);

    let url = format!("ws://{}/prices", gateway.listener);
    let said = says(&["explain", &url, "--key", KEY]).await?.ended(0)?;
    assert!(said.stdout.contains("Subscription default/ann"), "{said:?}");
    says(&["explain", &url]).await?.ended(1)?;
    says(&["explain", &url, "--key", KEY, "--on", "edge", "--dial"])
        .await?
        .ended(0)?;

    says(&["tunnels", "close", "--api", "chat"])
        .await?
        .ended(0)?;
    assert_eq!(chat.closed().await?.0, 1001);
    let said = says(&["tunnels", "list", "-n", "elsewhere"])
        .await?
        .ended(2)?;
    assert!(said.stderr.contains("list Pods"), "{said:?}");
    Ok(())
}
