//! Configuration changes under live tunnels: none is dropped, no handshake fails.
//!
//! Small by default; `make churn` sets 1,000 changes under 1,000 tunnels.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use anyhow::Context;
use futures::future::try_join_all;
use serde_json::json;
use tidegate_e2e::client::Client;
use tidegate_e2e::wait::eventually;

use crate::stage::{EchoStage, echo_stage};

fn size(variable: &str, default: usize) -> anyhow::Result<usize> {
    match std::env::var(variable) {
        Ok(size) => Ok(size.parse()?),
        Err(_) => Ok(default),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_drop_no_tunnel_and_fail_no_handshake() -> anyhow::Result<()> {
    let changes = size("TIDEGATE_CHURN_CHANGES", 60)?;
    let tunnels = size("TIDEGATE_CHURN_TUNNELS", 100)?;
    let stage = Arc::new(echo_stage("churn", "").await?);
    let mut open = Vec::new();
    for _ in 0..tunnels {
        open.push(stage.edge.request("/api").open().await?);
    }
    let (done, handshakes) = (AtomicBool::new(false), AtomicU32::new(0));
    let knock = async {
        while !done.load(Ordering::Relaxed) {
            let mut client = stage.edge.request("/api").open().await?;
            client.echo("in").await?;
            handshakes.fetch_add(1, Ordering::Relaxed);
        }
        anyhow::Ok(())
    };
    let change = async {
        for number in 0..changes {
            // The tunnels' own API, one beside it, and the Gateway, in turn.
            let object = ["wsapi/api", "wsapi/other", "wsgw/edge"][number % 3];
            if number == 0 {
                let url = stage.echo.url();
                stage.scene.open_api(&stage.edge, "other", &url, "").await?;
            }
            let header = json!({"setHeader": {"name": "X-Change", "values": [number.to_string()]}});
            let patch = json!({"spec": {"onHandshake": {"inbound": [header]}}});
            stage.scene.kubectl().patch(object, &patch).await?;
        }
        for (kind, name) in [("WebSocketApi", "api"), ("Gateway", "edge")] {
            stage.scene.programmed(kind, name).await?;
        }
        done.store(true, Ordering::Relaxed);
        anyhow::Ok(())
    };
    tokio::try_join!(knock, change)?;
    let echoes = open
        .iter_mut()
        .map(|tunnel: &mut Client| tunnel.echo("still here"));
    try_join_all(echoes).await?;
    let metrics = stage.edge.gateway.metrics().await?;
    let lost = metrics.sum("tidegate_handshakes_total", &[("result", "failed")])?;
    assert_eq!(lost.unwrap_or(0.0), 0.0);
    old_shards_go(&stage).await?;
    let handshakes = handshakes.into_inner();
    assert!(handshakes > 0, "none was made while it changed");
    println!("{changes} changes, {tunnels} tunnels, {handshakes} handshakes: none lost");
    Ok(())
}

/// An index and a shard for each family that has objects; nothing of all the revisions before.
async fn old_shards_go(stage: &EchoStage) -> anyhow::Result<()> {
    let what = "only the newest revision's ConfigMaps are left";
    eventually(what, Duration::from_secs(60), async || {
        let maps = stage.scene.namespace().list("ConfigMap").await?;
        let names = maps
            .iter()
            .filter_map(|map| map["metadata"]["name"].as_str());
        let names: Vec<_> = names
            .filter(|name| name.starts_with("edge-config"))
            .collect();
        let index = stage
            .scene
            .namespace()
            .get("ConfigMap", "edge-config")
            .await?;
        let index = index["data"]["index.json"].as_str().context("no index")?;
        let index: serde_json::Value = serde_json::from_str(index)?;
        let shards = index["shards"].as_array().map_or(0, Vec::len);
        anyhow::ensure!(
            names.len() == shards + 1,
            "{shards} shards in use: {names:?}"
        );
        Ok(())
    })
    .await
}
