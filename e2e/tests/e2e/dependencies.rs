//! What pods need besides their configuration goes away and comes back.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::ensure;
use serde_json::json;
use tidegate_e2e::http::{HttpServer, Response};
use tidegate_e2e::namespace::Condition;
use tidegate_e2e::process::Process;
use tidegate_e2e::third_party::set_up;
use tidegate_e2e::tls::Authority;
use tidegate_e2e::token::{Signer, key_set};
use tidegate_e2e::wait::{WAIT_TIMEOUT, eventually};

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
async fn keys_that_cannot_be_fetched_are_reported_and_those_at_hand_stay_in_use()
-> anyhow::Result<()> {
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
    let (reason, message) = stage.reachable("WebSocketApi", "api", "False").await?;
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
    eventually("the metric", WAIT_TIMEOUT, async || {
        let scrape = stage.edge.gateway.metrics().await?;
        let failing = scrape.value("tidegate_key_sets_failing", &[])?;
        ensure!(failing == 0.0, "{failing}");
        Ok(())
    })
    .await?;
    with(&signer)?.open().await?.echo("after").await?;
    Ok(())
}

/// A Redis that speaks TLS only; files of its certificate are in `directory`.
fn redis(program: &Path, port: u16, directory: &Path) -> anyhow::Result<Process> {
    let mut command = Command::new(program);
    command
        .current_dir(directory)
        .args(["--bind", "127.0.0.1", "--port", "0"])
        .args(["--save", "", "--appendonly", "no"])
        .args(["--tls-port", &port.to_string(), "--tls-auth-clients", "no"])
        .args(["--tls-cert-file", "chain.pem", "--tls-key-file", "key.pem"]);
    Process::spawn("redis", command)
}

#[tokio::test]
async fn counters_are_shared_over_tls_and_their_absence_is_told() -> anyhow::Result<()> {
    let Some(program) = set_up("redis").await? else {
        return Ok(());
    };
    let stage = echo_stage("counters", "").await?;
    let authority = Authority::new("counters")?;
    let shown = authority.issue(&["localhost"])?;
    let directory = tempfile::tempdir()?;
    fs::write(directory.path().join("chain.pem"), &shown.chain)?;
    fs::write(directory.path().join("key.pem"), &shown.key)?;
    let port = stage.scene.free_port()?;
    let server = redis(&program, port, directory.path())?;
    for object in [
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "counters"},
            "stringData": {"url": format!("rediss://localhost:{port}")}}),
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "counters"},
            "data": {"ca.crt": authority.pem()}}),
    ] {
        stage.scene.apply(&object.to_string()).await?;
    }
    let counters = json!({"counters": {"redis": {
        "urlSecretRef": {"name": "counters", "key": "url"},
        "caRefs": [{"kind": "ConfigMap", "name": "counters"}],
    }}});
    stage.patch("Gateway", "edge", &counters).await?;
    let up = ("tidegate_shared_counters_up", 1.0);
    stage.edge.gateway.metric(up.0, &[], up.1).await?;
    stage.reachable("Gateway", "edge", "True").await?;
    let limit = json!({"key": "request.query('who')", "calls": 1, "period": "300s"});
    stage.in_force(json!([{ "rateLimitByKey": limit }])).await?;
    let ahab = || stage.request("?who=ahab");
    ahab().open().await?.echo("counted there").await?;
    // A machine that is busy may make the server look away for a moment.
    eventually("the limit", WAIT_TIMEOUT, async || {
        ahab().refused_with(429).await?;
        Ok(())
    })
    .await?;

    drop(server);
    let (reason, message) = stage.reachable("Gateway", "edge", "False").await?;
    ensure!(reason == "CountersUnavailable", "{reason}");
    let place = format!("1/1 pods cannot reach the counters at localhost:{port} since");
    ensure!(message.contains(&place), "{message}");
    let ishmael = stage.request("?who=ishmael");
    ishmael.open().await?.echo("counted here").await?;
    stage.reachable("WebSocketApi", "api", "True").await?;
    let _server = redis(&program, port, directory.path())?;
    stage.reachable("Gateway", "edge", "True").await?;
    Ok(())
}
