//! The stacks that people run over WebSockets, each spoken by its own client and its own server through
//! the gateway: messages both ways, large ones, both ends' closes, refusals, and a gateway that drains.
//!
//! Without a cluster, so that they are cheap. What a client saw is compared whole.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use tidegate_e2e::free_port;
use tidegate_e2e::process::Process;
use tidegate_e2e::scene::open_api;
use tidegate_e2e::standalone::Standalone;
use tidegate_e2e::third_party::{node, python, set_up};
use tidegate_e2e::token::Signer;
use tidegate_e2e::wait::eventually;

/// A broker of Erlang takes its time on a busy machine.
const BROKER_START: Duration = Duration::from_secs(180);
/// Longer than a client gives itself.
const CLIENT: Duration = Duration::from_secs(60);
/// Of tokens.
const SECRET: &str = "a secret of the harbour master, 0123456789abcdef";

/// An API behind a key.
fn with_key(name: &str, backend: &str, spec: &str) -> String {
    let api = open_api("edge", name, backend, spec);
    let api = api.replace("subscriptionRequired: false", "subscriptionRequired: true");
    format!(
        "{api}
---
apiVersion: tidegate.dev/v1alpha1
kind: Subscription
metadata: {{name: ann}}
spec: {{scope: {{api: {name}}}}}
"
    )
}

/// An API for who shows a token in this query parameter.
fn with_token(name: &str, backend: &str, parameter: &str, spec: &str) -> String {
    let key = "{secretKeyRef: {name: tokens, key: hmac}}";
    let policy = format!("{{query: {parameter}, algorithms: [HS256], keys: [{key}]}}");
    let policies = format!("  onHandshake: {{inbound: [{{validateJwt: {policy}}}]}}\n");
    format!(
        "apiVersion: v1
kind: Secret
metadata: {{name: tokens}}
stringData: {{hmac: '{SECRET}'}}
---
{}{policies}",
        open_api("edge", name, backend, spec)
    )
}

fn token() -> anyhow::Result<String> {
    Signer::hs256(SECRET).token(300, &json!({"sub": "ann"}))
}

/// Starts a server; the port that it tells.
async fn server(name: &str, command: Command) -> anyhow::Result<(Process, u16)> {
    let mut process = Process::spawn(name, command)?;
    let port = process.line("its port", |line| {
        line.strip_prefix("listening on ")?.parse().ok()
    });
    let port = port.await?;
    Ok((process, port))
}

/// Runs a stack's client; the gateway drains and comes back when the client asks for that.
async fn talk(
    modules: &Path,
    stack: &str,
    arguments: &[&str],
    gateway: &mut Standalone,
) -> anyhow::Result<Value> {
    let arguments = [&["talk"], arguments].concat();
    let command = node(modules, &format!("stacks/{stack}.js"), &arguments);
    let mut client = Process::spawn(&format!("{stack}-client"), command)?;
    let asked = client.line("the wish for a drain", |line| {
        (line == "drain").then_some(())
    });
    asked.await?;
    gateway.restart().await?;
    let status = client.ended(CLIENT).await?;
    ensure!(status.success(), "{status}:\n{}", client.stderr());
    let printed = client.stdout();
    let last = printed.lines().last().context("nothing printed")?;
    Ok(serde_json::from_str(last)?)
}

#[tokio::test]
async fn ws() -> anyhow::Result<()> {
    let Some(modules) = set_up("node").await? else {
        return Ok(());
    };
    let (_server, port) = server("ws", node(&modules, "stacks/ws.js", &["serve"])).await?;
    let backend = format!("ws://127.0.0.1:{port}/");
    let api = with_key("ws", &backend, "  subprotocols: [chat.v1, chat.v2]\n");
    let mut gateway = Standalone::serve(&api).await?;
    let (url, key) = (format!("ws://{}/ws", gateway.host()), gateway.key("ann")?);
    let seen = talk(&modules, "ws", &[&url, &key], &mut gateway).await?;
    let expected = json!({
        "subprotocol": "chat.v2", "deflate": true, "text": "grüße", "large": true, "empty": 0,
        "fragments": "one, two, three", "inOrder": true,
        "clientsPing": "hello", "serversPing": "pong from the server",
        "clientsClose": "4000 enough", "plain": true, "serversClose": "4001 as asked",
        "lostServer": "1014 backend lost", "noKey": 401, "otherSubprotocol": 400,
        "drain": "1001 gateway is going away", "after": "again",
    });
    assert_eq!(seen, expected);
    Ok(())
}

#[tokio::test]
async fn socket_io() -> anyhow::Result<()> {
    let Some(modules) = set_up("node").await? else {
        return Ok(());
    };
    let command = node(&modules, "stacks/socketio.js", &["serve"]);
    let (_server, port) = server("socketio", command).await?;
    let backend = format!("ws://127.0.0.1:{port}/socket.io/");
    let api = with_token(
        "socket.io",
        &backend,
        "access_token",
        "  pathMatch: Prefix\n",
    );
    let mut gateway = Standalone::serve(&api).await?;
    let url = format!("http://{}/", gateway.host());
    let seen = talk(&modules, "socketio", &[&url, &token()?], &mut gateway).await?;
    let expected = json!({
        "transport": "websocket", "text": "grüße", "large": true, "nested": "ab7x",
        "serversAck": "who? me", "heartbeat": true, "room": "land ho",
        "namespace": "from admin", "namespaceRefused": "wrong word",
        "serversClose": "io server disconnect", "noToken": "Unexpected server response: 401",
        "drain": "transport close", "after": "again",
    });
    assert_eq!(seen, expected);
    Ok(())
}

#[tokio::test]
async fn graphql_ws() -> anyhow::Result<()> {
    let Some(modules) = set_up("node").await? else {
        return Ok(());
    };
    let command = node(&modules, "stacks/graphql.js", &["serve"]);
    let (_server, port) = server("graphql", command).await?;
    let backend = format!("ws://127.0.0.1:{port}/graphql");
    let allowed = "  subprotocols: [graphql-transport-ws]\n";
    let mut gateway = Standalone::serve(&open_api("edge", "graphql", &backend, allowed)).await?;
    let url = format!("ws://{}/graphql", gateway.host());
    let seen = talk(&modules, "graphql", &[&url], &mut gateway).await?;
    let expected = json!({
        "query": "grüße", "large": true, "subscription": 100, "completedByClient": 3,
        "error": "Cannot query field \"nothing\" on type \"Query\".", "pongs": true,
        "badWord": "4403 Forbidden", "noInit": "4408 Connection initialisation timeout",
        "subscribedTooEarly": "4401 Unauthorized", "invalid": "4400 Invalid message received",
        "legacySubprotocol": 400, "drain": 1001, "after": "began anew",
    });
    assert_eq!(seen, expected);
    Ok(())
}

#[tokio::test]
async fn mqtt() -> anyhow::Result<()> {
    let Some(modules) = set_up("node").await? else {
        return Ok(());
    };
    let (_broker, port) = server("mqtt", node(&modules, "stacks/mqtt.js", &["serve"])).await?;
    let backend = format!("ws://127.0.0.1:{port}/");
    let api = with_key("mqtt", &backend, "  subprotocols: [mqtt]\n");
    let mut gateway = Standalone::serve(&api).await?;
    let (url, key) = (format!("ws://{}/mqtt", gateway.host()), gateway.key("ann")?);
    let seen = talk(&modules, "mqtt", &[&url, &key], &mut gateway).await?;
    let expected = json!({
        "qos0": "calm 0 0", "qos1": "calm 1 1", "qos2": "calm 2 2", "large": true, "inOrder": true,
        "keepAlive": "pingresp", "will": "lost/bob adrift", "brokersClose": "closed",
        "otherSubprotocol": 400, "sessionPresent": true, "after": "again",
    });
    assert_eq!(seen, expected);
    Ok(())
}

/// RabbitMQ on free ports; first the broker, then the name server of its Erlang, which goes last.
struct RabbitMq {
    port: u16,
    _broker: Process,
    _names: Process,
    _directory: tempfile::TempDir,
}

impl RabbitMq {
    async fn start(program: &Path) -> anyhow::Result<Self> {
        let directory = tempfile::tempdir()?;
        let [port, names_port, nodes_port] = [free_port()?, free_port()?, free_port()?];
        let file = |name: &str| directory.path().join(name);
        fs::write(file("enabled_plugins"), "[rabbitmq_web_stomp].")?;
        fs::write(file("rabbitmq.conf"), configuration(port))?;
        let mut command = Command::new("epmd");
        command.args(["-port", &names_port.to_string()]);
        command.env("ERL_EPMD_ADDRESS", "127.0.0.1");
        let names = Process::spawn("epmd", command)?;
        let mut command = Command::new(program);
        command
            .env("HOME", directory.path())
            .env("ERL_EPMD_PORT", names_port.to_string())
            .env("RABBITMQ_NODENAME", format!("stomp-{port}@localhost"))
            .env("RABBITMQ_DIST_PORT", nodes_port.to_string())
            .env("RABBITMQ_MNESIA_BASE", file("data"))
            .env("RABBITMQ_LOG_BASE", file("log"))
            .env("RABBITMQ_PID_FILE", file("pid"))
            .env("RABBITMQ_CONF_ENV_FILE", file("none"))
            .env("RABBITMQ_ADVANCED_CONFIG_FILE", file("none"))
            .env("RABBITMQ_CONFIG_FILE", file("rabbitmq.conf"))
            .env("RABBITMQ_ENABLED_PLUGINS_FILE", file("enabled_plugins"))
            // Its start script becomes the broker, which can then be ended as one process.
            .env("RABBITMQ_ALLOW_INPUT", "1")
            .env("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", "-noinput +S 1");
        let broker = Process::spawn("rabbitmq", command)?;
        eventually("RabbitMQ to listen", BROKER_START, async || {
            tokio::net::TcpStream::connect(("127.0.0.1", port)).await?;
            Ok(())
        })
        .await?;
        Ok(Self {
            port,
            _broker: broker,
            _names: names,
            _directory: directory,
        })
    }
}

fn configuration(port: u16) -> String {
    format!(
        "listeners.tcp = none
stomp.listeners.tcp = none
web_stomp.tcp.ip = 127.0.0.1
web_stomp.tcp.port = {port}
web_stomp.ws_frame = binary
web_stomp.ws_opts.max_frame_size = 8388608
disk_free_limit.absolute = 1MB
log.console = true
log.console.level = warning
log.file = false
"
    )
}

#[tokio::test]
async fn stomp() -> anyhow::Result<()> {
    let (Some(modules), Some(broker)) = (set_up("node").await?, set_up("rabbitmq").await?) else {
        return Ok(());
    };
    let broker = RabbitMq::start(&broker).await?;
    let backend = format!("ws://127.0.0.1:{}/ws", broker.port);
    let api = with_key(
        "stomp",
        &backend,
        "  subprotocols: [v12.stomp, v11.stomp]\n",
    );
    let mut gateway = Standalone::serve(&api).await?;
    let (url, key) = (
        format!("ws://{}/stomp", gateway.host()),
        gateway.key("ann")?,
    );
    let seen = talk(&modules, "stomp", &[&url, &key], &mut gateway).await?;
    let expected = json!({
        "subprotocol": "v12.stomp", "version": "1.2", "text": true, "large": true, "receipt": "r1",
        "redelivered": "kept", "inOrder": true, "heartbeats": true,
        "error": "Unknown destination", "brokersClose": "1000 STOMP died",
        "otherSubprotocol": 400, "drain": 1001, "after": "again",
    });
    assert_eq!(seen, expected);
    Ok(())
}

#[tokio::test]
async fn phoenix() -> anyhow::Result<()> {
    let (Some(modules), Some(interpreter)) = (set_up("node").await?, set_up("python").await?)
    else {
        return Ok(());
    };
    let command = python(&interpreter, "stacks/phoenix.py", &[]);
    let (server, port) = server("phoenix", command).await?;
    let said = server.stdout();
    let said: Value = serde_json::from_str(said.lines().next().context("no first line")?)?;
    let csrf = said["token"].as_str().context("no token")?;
    let backend = format!("ws://127.0.0.1:{port}/live/websocket");
    let api = with_token("live", &backend, "token", "");
    let api = api.replace("path: /live\n", "path: /live/websocket\n");
    let mut gateway = Standalone::serve(&api).await?;
    let url = format!("ws://{}/live", gateway.host());
    let seen = talk(&modules, "phoenix", &[&url, csrf, &token()?], &mut gateway).await?;
    let expected = json!({
        "join": "mounted", "protocol": "2.0.0", "text": "grüße", "large": true, "inOrder": true,
        "push": "a push of the server", "heartbeat": true, "serversClose": 1000,
        "noToken": "Unexpected server response: 401", "drain": 1001, "after": "again",
    });
    assert_eq!(seen, expected);
    Ok(())
}

#[tokio::test]
async fn signalr() -> anyhow::Result<()> {
    let (Some(modules), Some(hub)) = (set_up("node").await?, set_up("signalr").await?) else {
        return Ok(());
    };
    let (_server, port) = server("signalr", Command::new(hub)).await?;
    let backend = format!("ws://127.0.0.1:{port}/chat");
    let api = with_token("chat", &backend, "access_token", "");
    let mut gateway = Standalone::serve(&api).await?;
    let url = format!("http://{}/chat", gateway.host());
    let seen = talk(&modules, "signalr", &[&url, &token()?], &mut gateway).await?;
    let away = "WebSocket closed with status code: 1001 (gateway is going away).";
    let expected = json!({
        "text": "grüße", "large": true, "binary": true, "stream": true,
        "toAll": ["land ho", "land ho"], "error": "Unknown method Nothing", "noToken": true,
        "serversClose": "Server returned an error on close", "drain": [away, away],
        "after": ["again", "again"],
    });
    assert_eq!(seen, expected);
    Ok(())
}
