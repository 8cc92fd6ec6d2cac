//! Broken objects: each harms only itself, and says what to change.

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use tidegate_e2e::scene::{Scene, open_api};
use tidegate_e2e::wait::{WAIT_TIMEOUT, eventually};

use crate::stage::{EchoStage, echo_stage};

/// Waits until some condition of the object is False and says one of these words.
async fn complains(
    scene: &Scene,
    (kind, name): (&str, &str),
    words: &[&str],
) -> anyhow::Result<()> {
    let what = format!("{kind}/{name} complains about {words:?}");
    eventually(&what, WAIT_TIMEOUT, async || {
        let status = scene.status(kind, name).await?;
        let conditions = status["conditions"].as_array().cloned().unwrap_or_default();
        let found = conditions.iter().any(|condition| {
            let message = condition["message"].as_str().unwrap_or_default();
            condition["status"] == "False" && words.iter().all(|word| message.contains(word))
        });
        ensure!(found, "{conditions:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn what_the_schema_forbids_is_refused_at_once() -> anyhow::Result<()> {
    let scene = Scene::new("schema").await?;
    let good = open_api("edge", "api", "ws://127.0.0.1:1/", "");
    scene
        .kubectl()
        .run(&["get", "wsgw,wsapi,wsprod,wssub"])
        .await?;
    let cases = [
        ("unknown field", format!("{good}  colour: red"), "colour"),
        (
            "unknown policy",
            format!("{good}  onHandshake: {{inbound: [{{cors: {{}}}}]}}"),
            "cors",
        ),
        (
            "two policies in one step",
            format!(
                "{good}  onHandshake: {{inbound: [{{base: {{}}, setVariable: {{name: a, value: '1'}}}}]}}"
            ),
            "exactly one policy",
        ),
        (
            "no WebSocket URL",
            good.replace("ws://", "http://"),
            "backend.url",
        ),
        (
            "relative path",
            good.replace("path: /api", "path: api"),
            "spec.path",
        ),
        (
            "bad duration",
            format!("{good}  timeouts: {{idle: forever}}"),
            "spec.timeouts.idle",
        ),
        (
            "restricted header",
            format!(
                "{good}  onHandshake: {{inbound: [{{setHeader: {{name: Host, values: [x]}}}}]}}"
            ),
            "belongs to the handshake",
        ),
    ];
    for (case, manifest, word) in cases {
        let refusal = scene.kubectl().refusal(&manifest).await?;
        assert!(refusal.contains(word), "{case}: {refusal}");
    }
    assert!(scene.namespace().list("WebSocketApi").await?.is_empty());
    Ok(())
}

/// An API that sets `X-Step: good`, in force.
async fn good_step(stage: &EchoStage) -> anyhow::Result<()> {
    let good = json!([{"setHeader": {"name": "X-Step", "values": ["good"]}}]);
    stage.inbound(&good).await?;
    stage.scene.programmed("WebSocketApi", "api").await
}

impl EchoStage {
    async fn inbound(&self, steps: &Value) -> anyhow::Result<()> {
        let patch = json!({"spec": {"onHandshake": {"inbound": steps}}});
        self.scene.kubectl().patch("wsapi/api", &patch).await
    }
}

#[tokio::test]
async fn an_expression_that_makes_no_sense_is_named_with_its_place() -> anyhow::Result<()> {
    let stage = echo_stage("bad-cel", "").await?;
    good_step(&stage).await?;
    // What a variable decides nobody knows: its failure must not let anybody in.
    let cases = [
        ("does not parse", "1 +", "inbound[0].setVariable.value"),
        ("unknown variable", "requst.path", "request"),
        ("unknown function", "frobnicate(1)", "frobnicate"),
        ("unknown field", "client.adress", "adress"),
    ];
    for (case, expression, word) in cases {
        let step = json!([{"setVariable": {"name": "a", "value": expression}}]);
        stage.inbound(&step).await?;
        let complaint = complains(&stage.scene, ("WebSocketApi", "api"), &[word]).await;
        complaint.with_context(|| case.to_owned())?;
        stage.edge.answers("/api", 503).await?;
    }
    good_step(&stage).await?;
    stage.edge.request("/api").open().await?.echo("again").await
}

#[tokio::test]
async fn what_decides_nothing_may_break_and_the_last_good_version_serves() -> anyhow::Result<()> {
    let stage = echo_stage("last-good", "").await?;
    good_step(&stage).await?;
    for template in ["${", "${requst.path}"] {
        let step = json!([{"setHeader": {"name": "X-Step", "values": [template]}}]);
        stage.inbound(&step).await?;
        let place = "inbound[0].setHeader.values";
        complains(&stage.scene, ("WebSocketApi", "api"), &[place]).await?;
        stage
            .edge
            .request("/api")
            .open()
            .await?
            .echo("serves")
            .await?;
        let head = stage.echo.last_head()?;
        assert_eq!(head.get("x-step"), Some("good"), "{template}");
    }
    Ok(())
}

/// An API beside the stage's, with so many steps of 64 KB in a section.
fn large(stage: &EchoStage, steps: usize) -> String {
    let set = json!({"setHeader": {"name": "X-A", "values": vec!["x".repeat(4090); 16]}});
    let on_handshake = json!({"inbound": vec![&set; steps], "outbound": vec![&set; steps]});
    let api = open_api("edge", "large", &stage.echo.url(), "");
    format!("{api}  onHandshake: {on_handshake}")
}

#[tokio::test]
async fn a_megabyte_of_policies_harms_nobody() -> anyhow::Result<()> {
    let stage = echo_stage("megabyte", "").await?;
    let kubectl = stage.scene.kubectl();
    let taken = kubectl.apply_large(&large(&stage, 9)).await?;
    ensure!(taken.is_ok(), "{taken:?}");
    let words = ["spec.onHandshake and spec.values have"];
    complains(&stage.scene, ("WebSocketApi", "large"), &words).await?;
    stage.edge.answers("/large", 503).await?;
    let refused = kubectl.apply_large(&large(&stage, 32)).await?;
    let refusal = refused.err().context("four megabytes were taken")?;
    ensure!(refusal.contains("too large"), "{refusal}");
    let tunnel = stage.edge.request("/api").open().await;
    tunnel?.echo("unharmed").await
}

#[tokio::test]
async fn broken_access_control_refuses_rather_than_lets_in() -> anyhow::Result<()> {
    let stage = echo_stage("missing-secret", "").await?;
    let scene = &stage.scene;
    let jwt = |secret: &str| {
        let keys = json!([{"secretKeyRef": {"name": secret, "key": "key"}}]);
        json!([{"validateJwt": {"query": "t", "keys": keys}}])
    };
    let bad_key = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "bad-key"},
        "stringData": {"key": "-----BEGIN PUBLIC KEY-----\nbm90IGEga2V5\n-----END PUBLIC KEY-----\n"},
    });
    scene.apply(&bad_key.to_string()).await?;
    for (secret, word) in [("nowhere", "nowhere"), ("bad-key", "bad-key")] {
        stage.inbound(&jwt(secret)).await?;
        complains(scene, ("WebSocketApi", "api"), &[word]).await?;
        stage.edge.answers("/api", 503).await?; // closed, not open
    }
    let other = stage.echo.url();
    scene.open_api(&stage.edge, "other", &other, "").await?;
    stage
        .edge
        .request("/other")
        .open()
        .await?
        .echo("unharmed")
        .await
}

#[tokio::test]
async fn of_two_apis_at_one_path_the_older_one_serves() -> anyhow::Result<()> {
    let stage = echo_stage("conflict", "").await?;
    let scene = &stage.scene;
    let other = tidegate_e2e::backend::Echo::start().await?;
    let twin = open_api("edge", "twin", &other.url(), "").replace("path: /twin", "path: /api");
    // Creation times count in seconds; within one second the name decides, and `api` is first.
    scene.apply(&twin).await?;
    complains(scene, ("WebSocketApi", "twin"), &["api"]).await?;
    stage
        .edge
        .request("/api")
        .open()
        .await?
        .echo("serves")
        .await?;
    assert!(other.heads().is_empty());
    scene.kubectl().delete(&["wsapi/api"]).await?;
    scene.programmed("WebSocketApi", "twin").await?;
    stage.edge.request("/api").open().await?.echo("now").await?;
    assert_eq!(other.heads().len(), 1);
    Ok(())
}

#[tokio::test]
async fn a_backend_with_a_missing_anchor_harms_only_its_api() -> anyhow::Result<()> {
    let stage = echo_stage("missing-anchor", "").await?;
    let broken = open_api("edge", "broken", "wss://localhost:1/", "").replace(
        "backend: {url: 'wss://localhost:1/'}",
        "backend: {url: 'wss://localhost:1/', tls: {caRefs: [{kind: ConfigMap, name: nowhere}]}}",
    );
    stage.scene.apply(&broken).await?;
    complains(&stage.scene, ("WebSocketApi", "broken"), &["nowhere"]).await?;
    stage
        .edge
        .request("/api")
        .open()
        .await?
        .echo("unharmed")
        .await
}
