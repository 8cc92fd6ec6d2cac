//! What a Gateway tells as its owner asks for it: lines of its log, labels of its metrics, spans.

use std::path::Path;

use anyhow::{Context, ensure};
use serde_json::Value;
use tidegate_e2e::backend::Echo;
use tidegate_e2e::process::Process;
use tidegate_e2e::scene::Scene;
use tidegate_e2e::third_party::{python, set_up};
use tidegate_e2e::wait::{WAIT_TIMEOUT, eventually};
use tokio_tungstenite::tungstenite::Message;

const TELEMETRY: &str = r#"  telemetry:
    accessLog:
      format: Text
      text:
        handshake: 'told ${client} "${method} ${path}?${query}" ${status} ${reason}'
        close: 'told ${api} ${cause} ${client_code}'
    metrics: {messageLabels: [Subscription]}
"#;

#[tokio::test]
async fn lines_and_labels_are_what_the_gateway_asks_for() -> anyhow::Result<()> {
    let scene = Scene::new("telling").await?;
    let echo = Echo::start().await?;
    let edge = scene.gateway_with("edge", TELEMETRY).await?;
    scene.open_api(&edge, "api", &echo.url(), "").await?;
    let mut client = edge.request("/api?token=do-not-log-this").open().await?;
    client.echo("hello").await?;
    let counted = [
        ("subscription", "-"),
        ("direction", "to_client"),
        ("type", "text"),
    ];
    edge.gateway
        .metric("tidegate_messages_total", &counted, 1.0)
        .await?;
    client.send(Message::Close(None)).await?;
    edge.request("/nowhere").refused_with(404).await?;
    let mut expected = [
        "told 127.0.0.1 \"GET /api?token=***\" 101 -".to_owned(),
        format!("told {}/api client_closed -", scene.namespace().name()),
        "told 127.0.0.1 \"GET /nowhere?-\" 404 route_not_found".to_owned(),
    ];
    expected.sort();
    eventually("the lines, in this form", WAIT_TIMEOUT, async || {
        let log = edge.gateway.process.stdout();
        let lines = log.lines().filter(|line| line.starts_with("told "));
        let mut lines: Vec<_> = lines.collect();
        lines.sort_unstable();
        ensure!(lines == expected, "{lines:#?}");
        // Everything else stays JSON.
        let others = log.lines().filter(|line| !line.starts_with("told "));
        for line in others {
            serde_json::from_str::<Value>(line).with_context(|| line.to_owned())?;
        }
        Ok(())
    })
    .await
}

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const SPAN: &str = "b7ad6b7169203331";

/// A receiver of spans, and where they are to be sent.
async fn receiver(interpreter: &Path) -> anyhow::Result<(Process, String)> {
    let mut receiver = Process::spawn("otlp", python(interpreter, "otlp.py", &[]))?;
    let port = receiver.line("its port", |line| {
        line.strip_prefix("listening on ").map(str::to_owned)
    });
    let endpoint = format!("http://127.0.0.1:{}/v1/traces", port.await?);
    Ok((receiver, endpoint))
}

/// The JSON lines about spans that the receiver printed.
fn spans(receiver: &Process) -> anyhow::Result<Vec<Value>> {
    let printed = receiver.stdout();
    let lines = printed.lines().filter(|line| line.starts_with('{'));
    let parsed = lines.map(|line| Ok(serde_json::from_str(line)?));
    parsed.collect()
}

/// Read by what OpenTelemetry itself generates of its definitions.
#[tokio::test]
async fn spans_are_what_opentelemetry_defines() -> anyhow::Result<()> {
    let Some(interpreter) = set_up("python").await? else {
        return Ok(());
    };
    let (receiver, endpoint) = receiver(&interpreter).await?;
    let traces = format!("  telemetry: {{traces: {{endpoint: \"{endpoint}\"}}}}\n");
    let scene = Scene::new("spans").await?;
    let echo = Echo::start().await?;
    let edge = scene.gateway_with("edge", &traces).await?;
    scene.open_api(&edge, "api", &echo.url(), "").await?;
    let request = edge.request("/api?token=do-not-tell-this");
    let request = request.header("traceparent", format!("00-{TRACE}-{SPAN}-01"));
    let mut client = request.open().await?;
    client.echo("hello").await?;
    client.send(Message::Close(None)).await?;
    let told = eventually("both spans", WAIT_TIMEOUT, async || {
        let told = spans(&receiver)?;
        ensure!(told.len() == 2, "{told:#?}");
        Ok(told)
    })
    .await?;
    let [handshake, tunnel] = &told[..] else {
        anyhow::bail!("{told:#?}");
    };
    let namespace = scene.namespace().name();
    for (span, name, kind, parent) in [
        (handshake, "websocket handshake", "SPAN_KIND_SERVER", SPAN),
        (
            tunnel,
            "websocket tunnel",
            "SPAN_KIND_INTERNAL",
            handshake["span"].as_str().context("an id")?,
        ),
    ] {
        for (field, expected) in [
            ("/trace", TRACE),
            ("/parent", parent),
            ("/name", name),
            ("/kind", kind),
            ("/status", "STATUS_CODE_UNSET"),
            ("/scope", "tidegate"),
            ("/resource/service.name", "tidegate"),
            ("/resource/service.namespace", namespace),
            ("/attributes/tidegate.api", &format!("{namespace}/api")),
        ] {
            let found = span.pointer(field).and_then(Value::as_str);
            ensure!(found == Some(expected), "{field} of {span:#}");
        }
        ensure!(span["nanoseconds"].as_i64() > Some(0), "{span:#}");
    }
    ensure!(handshake["attributes"]["http.response.status_code"] == 101);
    ensure!(tunnel["attributes"]["tidegate.from_client.messages"] == 1);
    ensure!(!receiver.stdout().contains("do-not-tell-this"));
    let exported = [("result", "exported")];
    edge.gateway
        .metric("tidegate_spans_total", &exported, 2.0)
        .await?;
    Ok(())
}
