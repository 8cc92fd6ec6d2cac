//! Broken objects: each harms only itself, and says what to change.

use anyhow::ensure;
use serde_json::{Value, json};
use tidegate_e2e::scene::{Scene, open_api};
use tidegate_e2e::wait::{PATIENCE, eventually};

use crate::stage::echo_stage;

/// Waits until some condition of the object is False and says one of these words.
async fn complains(
    scene: &Scene,
    (kind, name): (&str, &str),
    words: &[&str],
) -> anyhow::Result<()> {
    let what = format!("{kind}/{name} complains about {words:?}");
    eventually(&what, PATIENCE, async || {
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

fn with_inbound(api: &str, steps: &Value) -> Value {
    let mut object = json!({"spec": {"onHandshake": {"inbound": steps}}});
    object["metadata"] = json!({ "name": api });
    object
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

#[tokio::test]
async fn an_expression_that_makes_no_sense_is_named_and_the_last_one_serves() -> anyhow::Result<()>
{
    let stage = echo_stage("bad-cel", "").await?;
    let scene = &stage.scene;
    let good = json!([{"setHeader": {"name": "X-Step", "values": ["good"]}}]);
    scene
        .kubectl()
        .patch("wsapi/api", &with_inbound("api", &good))
        .await?;
    scene.programmed("WebSocketApi", "api").await?;
    let cases = [
        (
            "does not parse",
            json!({"setVariable": {"name": "a", "value": "1 +"}}),
            "inbound[0]",
        ),
        (
            "unknown variable",
            json!({"setVariable": {"name": "a", "value": "requst.path"}}),
            "request",
        ),
        (
            "unknown function",
            json!({"setVariable": {"name": "a", "value": "frobnicate(1)"}}),
            "frobnicate",
        ),
        (
            "unknown field",
            json!({"setVariable": {"name": "a", "value": "client.adress"}}),
            "adress",
        ),
        (
            "bad template",
            json!({"setHeader": {"name": "X", "values": ["${"]}}),
            "inbound[0]",
        ),
    ];
    for (case, step, word) in cases {
        let patch = with_inbound("api", &json!([step]));
        scene.kubectl().patch("wsapi/api", &patch).await?;
        complains(scene, ("WebSocketApi", "api"), &[word])
            .await
            .map_err(|e| e.context(case))?;
        stage
            .edge
            .request("/api")
            .open()
            .await?
            .echo("serves")
            .await?;
        let head = stage.echo.last_head()?;
        assert_eq!(
            head.get("x-step"),
            Some("good"),
            "{case}: the last good one"
        );
    }
    scene
        .kubectl()
        .patch("wsapi/api", &with_inbound("api", &good))
        .await?;
    scene.programmed("WebSocketApi", "api").await
}

#[tokio::test]
async fn broken_access_control_refuses_rather_than_lets_in() -> anyhow::Result<()> {
    let stage = echo_stage("missing-secret", "").await?;
    let scene = &stage.scene;
    let jwt = |secret: &str| {
        let keys = json!([{"secretKeyRef": {"name": secret, "key": "key"}}]);
        with_inbound(
            "api",
            &json!([{"validateJwt": {"query": "t", "keys": keys}}]),
        )
    };
    let bad_key = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "bad-key"},
        "stringData": {"key": "-----BEGIN PUBLIC KEY-----\nbm90IGEga2V5\n-----END PUBLIC KEY-----\n"},
    });
    scene.apply(&bad_key.to_string()).await?;
    for (secret, word) in [("nowhere", "nowhere"), ("bad-key", "bad-key")] {
        scene.kubectl().patch("wsapi/api", &jwt(secret)).await?;
        complains(scene, ("WebSocketApi", "api"), &[word]).await?;
        eventually("closed, not open", PATIENCE, async || {
            let status = stage.edge.request("/api").send().await?.status();
            ensure!(status >= 400, "{secret}: it answers {status}");
            Ok(())
        })
        .await?;
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
