//! `tidegate run` is killed, or its disk is full: keys and quotas stay what they were.

use std::os::unix::fs::symlink;

use anyhow::ensure;
use serde_json::Value;
use tidegate_e2e::backend::Echo;
use tidegate_e2e::client::Request;
use tidegate_e2e::scene::open_api;
use tidegate_e2e::standalone::Standalone;
use tidegate_e2e::wait::{WAIT_TIMEOUT, eventually};

/// An API behind a key whose holder may connect so often, ever.
async fn metered(calls: u32) -> anyhow::Result<(Echo, Standalone)> {
    let echo = Echo::start().await?;
    let api = open_api("edge", "api", &echo.url(), "");
    let api = api.replace("subscriptionRequired: false", "subscriptionRequired: true");
    let quota = format!("{{quotaByKey: {{key: \"'all'\", calls: {calls}, period: '0'}}}}");
    let manifests = format!(
        "{api}
  onHandshake: {{inbound: [{quota}]}}
---
apiVersion: tidegate.dev/v1alpha1
kind: Subscription
metadata: {{name: ann}}
spec: {{scope: {{api: api}}}}
"
    );
    Ok((echo, Standalone::serve(&manifests).await?))
}

/// The calls that the file of quotas holds; an error when it is torn or not there.
fn counted(gateway: &Standalone) -> anyhow::Result<u64> {
    let mut sum = 0;
    for file in std::fs::read_dir(gateway.state().join("quotas"))? {
        let path = file?.path();
        if path.extension().is_some_and(|e| e == "new") {
            continue;
        }
        let state: Value = serde_json::from_slice(&std::fs::read(path)?)?;
        let lines = state["quotas"].as_array().cloned().unwrap_or_default();
        sum += lines
            .iter()
            .filter_map(|line| line["calls"].as_u64())
            .sum::<u64>();
    }
    Ok(sum)
}

#[tokio::test]
async fn a_killed_gateway_keeps_its_keys_and_renews_no_quota() -> anyhow::Result<()> {
    let (_echo, mut gateway) = metered(4).await?;
    let key = gateway.key("ann")?;
    let url = |gateway: &Standalone| format!("ws://{}/api?subscription-key={key}", gateway.host());
    for kill in 1..=2u64 {
        for _ in 0..2 {
            Request::new(url(&gateway))
                .open()
                .await?
                .echo("counted")
                .await?;
        }
        // A crash loses what was counted since the last writing, so this one waits for it.
        eventually("the calls to be written down", WAIT_TIMEOUT, async || {
            let calls = counted(&gateway)?;
            ensure!(calls == 2 * kill, "{calls} calls");
            Ok(())
        })
        .await?;
        gateway.crash().await?;
        ensure!(gateway.key("ann")? == key, "the key is another");
        let log = gateway.process().stderr();
        ensure!(!log.contains("start anew"), "{log}");
    }
    Request::new(url(&gateway)).refused_with(403).await?;
    Ok(())
}

#[tokio::test]
async fn a_full_disk_is_told_and_harms_no_client() -> anyhow::Result<()> {
    let (_echo, mut gateway) = metered(1000).await?;
    let key = gateway.key("ann")?;
    let url = format!("ws://{}/api?subscription-key={key}", gateway.host());
    let quotas = gateway.state().join("quotas");
    std::fs::create_dir_all(&quotas)?;
    symlink("/dev/full", quotas.join("default.edge.new"))?;
    eventually("a line about the disk", WAIT_TIMEOUT, async || {
        Request::new(&url)
            .open()
            .await?
            .echo("without room")
            .await?;
        let said = gateway.process().stdout() + &gateway.process().stderr();
        ensure!(said.contains("quotas are not kept"), "{said}");
        Ok(())
    })
    .await?;
    gateway.crash().await?;
    Request::new(&url).open().await?.echo("again").await?;
    Ok(())
}
