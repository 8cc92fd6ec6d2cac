//! Clients and servers that nobody here wrote, through the gateway.

use std::fs;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use tidegate_e2e::backend::Echo;
use tidegate_e2e::http::{HttpServer, Response};
use tidegate_e2e::process::Process;
use tidegate_e2e::scene::Scene;
use tidegate_e2e::third_party::{client_file, node, python, run, set_up};
use tidegate_e2e::wait::eventually;

use crate::stage::{EchoStage, echo_stage};

/// A gateway in front of a server made with Python's `websockets`, which speaks permessage-deflate.
async fn python_backend(hint: &str) -> anyhow::Result<Option<(Process, EchoStage)>> {
    let Some(interpreter) = set_up("python").await? else {
        return Ok(None);
    };
    let command = python(&interpreter, "backend.py", &[]);
    let mut server = Process::spawn("python-backend", command)?;
    let port = server.line("its port", |line| {
        line.strip_prefix("listening on ").map(str::to_owned)
    });
    let port = port.await?;
    let stage = echo_stage(hint, "").await?;
    let url = format!("ws://127.0.0.1:{port}/");
    stage.scene.open_api(&stage.edge, "real", &url, "").await?;
    Ok(Some((server, stage)))
}

fn check(seen: &Value, subprotocol: &str) {
    assert_eq!(seen["text"], "grüße", "{seen}");
    assert_eq!(seen["binary"], true, "{seen}");
    assert_eq!(seen["subprotocol"], subprotocol, "{seen}");
    assert_eq!(seen["deflate"], true, "{seen}");
    assert_eq!(seen["close"], 1000, "{seen}");
}

#[tokio::test]
async fn python_websockets() -> anyhow::Result<()> {
    let Some((_server, stage)) = python_backend("python").await? else {
        return Ok(());
    };
    let Some(interpreter) = set_up("python").await? else {
        return Ok(());
    };
    let url = stage.edge.url("/real");
    let client = python(&interpreter, "echo.py", &[&url, "chat.v1"]);
    check(&run("python-client", client).await?, "chat.v1");
    Ok(())
}

#[tokio::test]
async fn node_ws() -> anyhow::Result<()> {
    let Some((_server, stage)) = python_backend("node").await? else {
        return Ok(());
    };
    let Some(modules) = set_up("node").await? else {
        return Ok(());
    };
    let url = stage.edge.url("/real");
    let client = node(&modules, "echo.js", &[&url, "chat.v2", "chat.v1"]);
    let seen = run("node-client", client).await?;
    check(&seen, "chat.v2");
    assert_eq!(seen["pong"], true, "{seen}");
    Ok(())
}

/// node's own HTTP/2 client with the framing of `ws`: two tunnels in one connection.
#[tokio::test]
async fn node_http2() -> anyhow::Result<()> {
    let Some(modules) = set_up("node").await? else {
        return Ok(());
    };
    let scene = Scene::new("http2").await?;
    let echo = Echo::start().await?;
    let port = scene.free_port()?;
    let listener = format!("  - {{name: modern, port: {port}, protocol: WS, http2: true}}\n");
    let edge = scene.gateway_with("edge", &listener).await?;
    scene.open_api(&edge, "api", &echo.url(), "").await?;
    let url = format!("http://127.0.0.1:{port}");
    let client = node(&modules, "echo_http2.js", &[&url, "/api"]);
    let seen = run("node-http2", client).await?;
    assert_eq!(seen["first"], "grüße", "{seen}");
    assert_eq!(seen["second"], "aus einem anderen Strom", "{seen}");
    assert_eq!(seen["binary"], true, "{seen}");
    assert_eq!(seen["close"], 1000, "{seen}");
    let body = r#"{"statusCode":400,"message":"Invalid websocket upgrade request"}"#;
    assert_eq!(
        seen["ordinary"],
        json!({"status": 400, "body": body}),
        "{seen}"
    );
    Ok(())
}

#[tokio::test]
async fn a_browser() -> anyhow::Result<()> {
    let Some((_server, stage)) = python_backend("browser").await? else {
        return Ok(());
    };
    let Some(chromium) = set_up("chromium").await? else {
        return Ok(());
    };
    let page = fs::read_to_string(client_file("page.html"))?;
    let page = page.replace("@URL@", &stage.edge.url("/real"));
    let server = HttpServer::start(move |_, request| match request.head.target() {
        "/" => Response::html(&page),
        "/result" => Response::json("{}"),
        _ => Response::not_found(),
    })
    .await?;
    let profile = tempfile::tempdir()?;
    let mut command = Command::new(chromium);
    command.args([
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--disable-dev-shm-usage",
    ]);
    command.arg(format!("--user-data-dir={}", profile.path().display()));
    command.arg(format!("http://{}/", server.address()));
    let _browser = Process::spawn("chromium", command)?;
    let seen = eventually("the page's result", Duration::from_secs(60), async || {
        let requests = server.requests();
        let result = requests.iter().find(|r| r.head.target() == "/result");
        let result = result.context("the page has told nothing yet")?;
        Ok(serde_json::from_str(&result.body)?)
    })
    .await?;
    check(&seen, "chat.v2");
    Ok(())
}

#[tokio::test]
async fn nats_server_and_client() -> anyhow::Result<()> {
    let (Some(server), Some(interpreter)) = (set_up("nats").await?, set_up("python").await?) else {
        return Ok(());
    };
    let directory = tempfile::tempdir()?;
    let config = directory.path().join("nats.conf");
    fs::write(
        &config,
        format!(
            "listen: \"127.0.0.1:-1\"\nports_file_dir: {:?}\n\
             websocket {{ listen: \"127.0.0.1:-1\", no_tls: true }}\n",
            directory.path()
        ),
    )?;
    let mut command = Command::new(server);
    command.arg("--config").arg(&config);
    let server = Process::spawn("nats-server", command)?;
    let ports = format!("nats-server_{}.ports", server.id());
    let ports = directory.path().join(ports);
    let backend = eventually(
        "the ports of nats-server",
        Duration::from_secs(20),
        async || {
            let ports: Value = serde_json::from_str(&fs::read_to_string(&ports)?)?;
            let url = ports["websocket"][0].as_str();
            Ok(url.context("no WebSocket port")?.to_owned())
        },
    )
    .await?;

    // As a product: only who has a key may talk to the message bus.
    let scene = Scene::new("nats").await?;
    let edge = scene.gateway("edge").await?;
    for object in [
        json!({
            "apiVersion": "tidegate.dev/v1alpha1", "kind": "WebSocketApi",
            "metadata": {"name": "bus"},
            "spec": {
                "gateways": [{"name": "edge"}], "path": "/bus",
                "backend": {"url": format!("{backend}/")},
            },
        }),
        json!({
            "apiVersion": "tidegate.dev/v1alpha1", "kind": "Subscription",
            "metadata": {"name": "boat"}, "spec": {"scope": {"api": "bus"}},
        }),
    ] {
        scene.apply(&object.to_string()).await?;
    }
    scene.programmed("Subscription", "boat").await?;
    scene.programmed("WebSocketApi", "bus").await?;
    let (key, _) = scene.keys("boat").await?;
    let url = edge.url(&format!("/bus?subscription-key={key}"));
    let client = python(&interpreter, "nats_client.py", &[&url]);
    let seen = run("nats-client", client).await?;
    let expected = json!({"heard": "high", "reply": "HOW DEEP?", "bytes": 90_000});
    ensure!(seen == expected, "{seen}");
    edge.request("/bus").refused_with(401).await?;
    Ok(())
}
