//! Policies that tell somebody: the log, the metrics, the backend.

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use tidegate_e2e::wait::{WAIT_TIMEOUT, eventually};
use tidegate_wire::Frame;

use crate::stage::{echo_stage, stage};

#[tokio::test]
async fn trace_is_not_in_the_log_unless_it_is_important() -> anyhow::Result<()> {
    let stage = echo_stage("trace", "").await?;
    stage
        .in_force(json!([
            {"trace": {"message": "quiet ${request.path}"}},
            {"trace": {"message": "loud ${request.path}", "severity": "Warn"}},
        ]))
        .await?;
    stage.request("").open().await?;
    eventually("the line of the step", WAIT_TIMEOUT, async || {
        let log = stage.edge.gateway.process.stdout();
        ensure!(log.contains("loud /api"), "{log}");
        ensure!(!log.contains("quiet"), "{log}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn emit_metric_counts_under_a_name_of_its_own() -> anyhow::Result<()> {
    let stage = echo_stage("metric", "").await?;
    stage
        .in_force(json!([{"emitMetric": {
            "name": "rooms_total", "value": "2",
            "labels": [{"name": "room", "value": "${request.query('room', '-')}"}],
        }}]))
        .await?;
    for room in ["blue", "blue", "red"] {
        stage.request(&format!("?room={room}")).open().await?;
    }
    for (room, value) in [("blue", 4.0), ("red", 2.0)] {
        let name = "tidegate_custom_rooms_total";
        stage
            .edge
            .gateway
            .metric(name, &[("room", room)], value)
            .await?;
    }
    Ok(())
}

#[tokio::test]
async fn on_open_is_the_first_thing_the_backend_hears() -> anyhow::Result<()> {
    let mut stage = stage("on-open", "").await?;
    let policies = json!({"outbound": [
        {"onOpen": {"sendText": "hello from ${api.name}"}},
        {"onOpen": {"sendText": "and again"}},
    ]});
    let patch = json!({"spec": {"onHandshake": policies}});
    stage.scene.kubectl().patch("wsapi/api", &patch).await?;
    stage.scene.programmed("WebSocketApi", "api").await?;
    // The client's own first message comes with its handshake, and behind it all the same.
    let mut bytes = stage.upgrade().bytes();
    bytes.extend(Frame::text("early").masked().bytes());
    let (mut client, handshake) = stage.knock(bytes).await?;
    let mut backend = handshake.accept().await?;
    ensure!(client.head().await?.status() == 101);
    for expected in ["hello from api", "and again", "early"] {
        let heard = backend.frame().await?;
        ensure!(heard.mask.is_some(), "a client's frame: {heard:?}");
        assert_eq!(heard.unmasked(), Frame::text(expected));
    }
    Ok(())
}

#[tokio::test]
async fn log_writes_a_line_without_the_clients_credentials() -> anyhow::Result<()> {
    let stage = echo_stage("log", "").await?;
    stage
        .in_force(json!([{"id": "told", "log": {
            "message": "room ${request.query('room')}", "severity": "Warn",
            "fields": [{"name": "who", "value": "${request.header('Authorization')}"}],
        }}]))
        .await?;
    let request = stage.request("?room=blue");
    let request = request.header("authorization", "Bearer do-not-log-this");
    request.open().await?;
    eventually("the line of the step", WAIT_TIMEOUT, async || {
        let log = stage.edge.gateway.process.stdout();
        let lines = log
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok());
        let mut lines = lines.filter(|line: &Value| line["target"] == "tidegate::policy");
        let line = lines.next().with_context(|| log.clone())?;
        ensure!(
            line["message"] == "room blue" && line["step"] == "told",
            "{line}"
        );
        ensure!(line["level"] == "WARN", "{line}");
        ensure!(line["fields"] == r#"{"who":"Bearer ***"}"#, "{line}");
        Ok(())
    })
    .await
}
