//! What fails around a gateway must not fail its clients.

use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::json;
use tidegate_e2e::backend::Echo;
use tidegate_e2e::cluster::Cluster;
use tidegate_e2e::program::Operator;
use tidegate_e2e::scene::{Scene, Served, open_api};
use tidegate_e2e::wait::{WAIT_TIMEOUT, eventually};

use crate::stage::echo_stage;

#[tokio::test]
async fn without_an_api_server_gateways_serve_and_even_start() -> anyhow::Result<()> {
    let cluster = Cluster::start().await?;
    let mut operator = Operator::start(cluster.kubeconfig()).await?;
    let scene = Scene::on(&cluster, "outage").await?;
    let echo = Echo::start().await?;
    let edge = scene.gateway("edge").await?;
    scene.open_api(&edge, "api", &echo.url(), "").await?;
    let mut tunnel = edge.request("/api").open().await?;

    cluster.stop_api_server().await?;
    tunnel.echo("no matter").await?;
    edge.request("/api")
        .open()
        .await?
        .echo("nor to new ones")
        .await?;

    // A restarted gateway finds its configuration on its disk.
    edge.saved("\"/api\"").await?;
    let mut edge = edge;
    edge.gateway.process.kill()?;
    let plan = edge.plan.clone();
    drop(edge);
    let edge = scene.start(plan).await?;
    edge.request("/api").open().await?.echo("from disk").await?;

    // And all goes on when the API server is back.
    cluster.start_api_server().await?;
    scene
        .apply(&open_api("edge", "late", &echo.url(), ""))
        .await?;
    let limit = Duration::from_secs(60); // watches back off during an outage
    eventually("changes get through again", limit, async || {
        edge.request("/late").open().await?.echo("new").await
    })
    .await?;
    ensure!(operator.process.is_running(), "the operator outlives it");
    Ok(())
}

#[tokio::test]
async fn without_an_operator_gateways_serve_and_its_successor_takes_over() -> anyhow::Result<()> {
    let cluster = Cluster::start().await?;
    let mut operator = Operator::start(cluster.kubeconfig()).await?;
    let scene = Scene::on(&cluster, "succession").await?;
    let echo = Echo::start().await?;
    let edge = scene.gateway("edge").await?;
    scene.open_api(&edge, "api", &echo.url(), "").await?;
    let mut tunnel = edge.request("/api").open().await?;
    let token = scene.admin_token(&edge).await?;

    // A standby waits; the leader leaves in order; the standby takes over.
    let standby = Operator::start(cluster.kubeconfig()).await?;
    operator.process.terminate()?;
    let status = operator.process.ended(WAIT_TIMEOUT).await?;
    assert!(status.success(), "the operator ended with {status}");
    edge.request("/api").open().await?.echo("no matter").await?;
    scene
        .apply(&open_api("edge", "second", &echo.url(), ""))
        .await?;
    edge.answers("/second", 101).await?;

    // A crash: the Lease has to run out first.
    let mut standby = standby;
    let _third = Operator::start(cluster.kubeconfig()).await?;
    standby.process.kill()?;
    scene
        .apply(&open_api("edge", "third", &echo.url(), ""))
        .await?;
    eventually(
        "the third operator takes over",
        Duration::from_secs(60),
        async || {
            let status = edge.request("/third").send().await?.status();
            ensure!(status == 101, "it answers {status}");
            Ok(())
        },
    )
    .await?;
    let now = scene.namespace().secret("edge-admin", "token").await?;
    assert_eq!(now, token, "another operator makes no other token");
    tunnel.echo("never noticed").await
}

/// The gateway serves on, and says wherever one looks that it does not have the newest revision.
async fn keeps_the_last_good(scene: &Scene, edge: &Served) -> anyhow::Result<()> {
    edge.gateway
        .metric("tidegate_config_synchronized", &[], 0.0)
        .await?;
    edge.request("/api")
        .open()
        .await?
        .echo("the last good one")
        .await?;
    let admin = edge.gateway.admin;
    let (status, body) = tidegate_e2e::http::get(admin, "/readyz").await?;
    assert_eq!(status, 200, "it serves, so it is ready: {body}");
    let token = scene.admin_token(edge).await?;
    let (_, body) = tidegate_e2e::http::get_with_token(admin, "/status", &token).await?;
    let status: serde_json::Value = serde_json::from_str(&body)?;
    assert_eq!(status["synchronized"], false, "{status}");
    assert!(status["error"].is_string(), "{status}");
    eventually("the pod's Lease says it", WAIT_TIMEOUT, async || {
        let lease = scene.namespace().get("Lease", "edge-0").await?;
        let error = &lease["metadata"]["annotations"]["tidegate.dev/config-error"];
        ensure!(error.is_string(), "{lease}");
        Ok(())
    })
    .await
}

/// Puts other content under the names of the shards in use. They are immutable, so that takes more
/// than a slip of the hand.
async fn forge_shards(scene: &Scene) -> anyhow::Result<()> {
    let mut forged = 0;
    for map in scene.namespace().list("ConfigMap").await? {
        if map["data"]["shard.json"].is_null() {
            continue;
        }
        let metadata = &map["metadata"];
        let name = metadata["name"].as_str().context("no name")?;
        let forgery = json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": name, "labels": metadata["labels"]},
            "data": {"shard.json": "{}"},
        });
        scene
            .kubectl()
            .delete(&[&format!("configmap/{name}")])
            .await?;
        scene.kubectl().apply(&forgery.to_string()).await?;
        forged += 1;
    }
    ensure!(forged > 0, "there are no shards");
    Ok(())
}

#[tokio::test]
async fn configuration_that_was_meddled_with_is_not_served_and_is_repaired() -> anyhow::Result<()> {
    let cluster = Cluster::start().await?;
    let operator = Operator::start(cluster.kubeconfig()).await?;
    let scene = Scene::on(&cluster, "meddled").await?;
    let echo = Echo::start().await?;
    let edge = scene.gateway("edge").await?;
    scene.open_api(&edge, "api", &echo.url(), "").await?;
    edge.gateway
        .metric("tidegate_config_synchronized", &[], 1.0)
        .await?;

    // Nobody may repair it while we look.
    drop(operator);
    let index = json!({"data": {"index.json": "{\"torn\": "}});
    scene
        .kubectl()
        .patch("configmap/edge-config", &index)
        .await?;
    keeps_the_last_good(&scene, &edge).await?;

    let operator = Operator::start(cluster.kubeconfig()).await?;
    edge.gateway
        .metric("tidegate_config_synchronized", &[], 1.0)
        .await?;
    drop(operator);
    forge_shards(&scene).await?;
    keeps_the_last_good(&scene, &edge).await?;

    let _operator = Operator::start(cluster.kubeconfig()).await?;
    edge.gateway
        .metric("tidegate_config_synchronized", &[], 1.0)
        .await?;
    scene.programmed("WebSocketApi", "api").await?;

    // With an operator around: whatever is deleted comes back.
    let shards = scene.namespace().list("ConfigMap").await?;
    let named = shards
        .iter()
        .filter(|map| map["metadata"]["labels"]["tidegate.dev/gateway"] == "edge");
    let names: Vec<_> = named
        .filter_map(|map| map["metadata"]["name"].as_str())
        .map(|name| format!("configmap/{name}"))
        .collect();
    ensure!(names.len() > 1, "an index and shards: {names:?}");
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    scene.kubectl().delete(&names).await?;
    eventually("the operator writes them again", WAIT_TIMEOUT, async || {
        let maps = scene.namespace().list("ConfigMap").await?;
        let back = maps
            .iter()
            .filter_map(|map| map["metadata"]["name"].as_str());
        let back = back.filter(|name| name.starts_with("edge-config")).count();
        ensure!(back >= names.len(), "{back} of {}", names.len());
        Ok(())
    })
    .await?;
    edge.gateway
        .metric("tidegate_config_synchronized", &[], 1.0)
        .await?;
    edge.request("/api").open().await?.echo("all along").await
}

#[tokio::test]
async fn a_restarted_gateway_serves_what_it_served() -> anyhow::Result<()> {
    let stage = echo_stage("restart", "").await?;
    let mut edge = stage.edge;
    edge.gateway.process.kill()?;
    let edge = stage.scene.start(edge.plan.clone()).await?;
    edge.request("/api").open().await?.echo("again").await?;
    stage.scene.programmed("WebSocketApi", "api").await
}

#[tokio::test]
async fn a_connection_is_told_of_in_the_access_log() -> anyhow::Result<()> {
    let stage = echo_stage("records", "").await?;
    let target = "/api?token=do-not-log-this";
    let mut client = stage.edge.request(target).open().await?;
    client.echo("hello").await?;
    client
        .send(tokio_tungstenite::tungstenite::Message::Close(None))
        .await?;
    stage.edge.request("/nowhere").refused_with(404).await?;
    let wrong_key = "/api?subscription-key=do-not-log-this";
    stage.edge.request(wrong_key).refused_with(401).await?;
    let what = "a line for the opening, one for the close, and one for each refusal";
    eventually(what, WAIT_TIMEOUT, async || {
        let process = &stage.edge.gateway.process;
        let log = process.stdout() + &process.stderr();
        let lines = log.lines().filter(|line| line.contains("tidegate::access"));
        let lines: Vec<serde_json::Value> = lines
            .map(|line| serde_json::from_str(line).context("a line that is no JSON"))
            .collect::<anyhow::Result<_>>()?;
        ensure!(lines.len() == 4, "{lines:?}");
        let all = serde_json::to_string(&lines)?;
        for reason in ["route_not_found", "subscription_key_invalid"] {
            ensure!(all.contains(reason), "no {reason}: {all}");
        }
        ensure!(!all.contains("do-not-log-this"), "a key in the log: {all}");
        Ok(())
    })
    .await
}
