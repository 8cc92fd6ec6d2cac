//! What pods need besides their configuration goes away and comes back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::ensure;
use serde_json::json;
use tidegate_e2e::http::{HttpServer, Response};
use tidegate_e2e::namespace::Condition;
use tidegate_e2e::token::{Signer, key_set};
use tidegate_e2e::wait::{PATIENCE, eventually};

use crate::stage::{EchoStage, echo_stage};

/// A gateway asks again after half a minute.
const RECOVERY: Duration = Duration::from_secs(90);

impl EchoStage {
    /// Waits until the condition is so; its reason and its message.
    async fn reachable(
        &self,
        kind: &str,
        name: &str,
        status: &str,
    ) -> anyhow::Result<(String, String)> {
        let what = format!("DependenciesReachable={status} of {kind} {name}");
        eventually(&what, RECOVERY, async || {
            let object = self.scene.namespace().get(kind, name).await?;
            let found = Condition::of(&object, "DependenciesReachable")?;
            ensure!(found.status == status, "{found:?}");
            Ok((found.reason, found.message))
        })
        .await
    }
}

#[tokio::test]
async fn keys_that_can_not_be_fetched_are_told_and_those_at_hand_stay_in_use() -> anyhow::Result<()> {
    let stage = echo_stage("keys-away", "").await?;
    let (signer, stranger) = (Signer::es256("one")?, Signer::es256("two")?);
    let keys = key_set(std::slice::from_ref(&signer))?;
    let away = Arc::new(AtomicBool::new(false));
    let provider = {
        let away = Arc::clone(&away);
        HttpServer::start(move |_, _| match away.load(Ordering::Relaxed) {
            true => Response::with("503 Service Unavailable", "{}"),
            false => Response::json(&keys),
        })
        .await?
    };
    let url = format!("http://{}/keys", provider.address());
    stage
        .in_force(json!([{"validateJwt": {"jwks": [format!("{url}?tenant=hidden")]}}]))
        .await?;
    let with = |signer: &Signer| {
        let token = signer.token(600, &json!({"sub": "ann"}))?;
        let header = format!("Bearer {token}");
        anyhow::Ok(stage.request("").header("authorization", &header))
    };
    with(&signer)?.open().await?.echo("before").await?;
    stage.reachable("WebSocketApi", "api", "True").await?;

    away.store(true, Ordering::Relaxed);
    // A key that nobody knows makes the gateway ask.
    with(&stranger)?.refused_with(401).await?;
    let told = stage.reachable("WebSocketApi", "api", "False").await?;
    let (reason, message) = told;
    ensure!(reason == "KeySetUnavailable", "{reason}");
    for part in [url.as_str(), "1/1 pods", " since 20", "the status is 503"] {
        ensure!(message.contains(part), "{part}: {message}");
    }
    ensure!(!message.contains("hidden"), "{message}");
    with(&signer)?.open().await?.echo("meanwhile").await?;
    stage.reachable("Gateway", "edge", "True").await?;
    stage.scene.programmed("WebSocketApi", "api").await?;

    away.store(false, Ordering::Relaxed);
    stage.reachable("WebSocketApi", "api", "True").await?;
    eventually("the metric", PATIENCE, async || {
        let scrape = stage.edge.gateway.metrics().await?;
        let failing = scrape.value("tidegate_key_sets_failing", &[])?;
        ensure!(failing == 0.0, "{failing}");
        Ok(())
    })
    .await?;
    with(&signer)?.open().await?.echo("after").await?;
    Ok(())
}

#[tokio::test]
async fn a_gateway_says_that_its_counters_are_away() -> anyhow::Result<()> {
    let stage = echo_stage("counters-away", "").await?;
    stage.reachable("Gateway", "edge", "True").await?;
    let nobody = json!({"counters": {"redis": {"url": "redis://:hidden@127.0.0.1:1"}}});
    stage.patch("Gateway", "edge", &nobody).await?;
    let told = stage.reachable("Gateway", "edge", "False").await?;
    let (reason, message) = told;
    ensure!(reason == "CountersUnavailable", "{reason}");
    ensure!(message.contains("counters at 127.0.0.1:1 since"), "{message}");
    ensure!(!message.contains("hidden"), "{message}");
    stage.request("").open().await?.echo("all the same").await?;
    stage
        .patch("Gateway", "edge", &json!({"counters": {"redis": null}}))
        .await?;
    stage.reachable("Gateway", "edge", "True").await?;
    Ok(())
}
