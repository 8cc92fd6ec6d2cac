//! What `tidegate import apim` prints works: validated as it is, served without a cluster.

use std::fs;
use std::net::SocketAddr;
use std::process::{Command, Output};

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use tidegate_e2e::backend::Echo;
use tidegate_e2e::client::Request;
use tidegate_e2e::process::Process;
use tidegate_e2e::program::command;
use tidegate_e2e::third_party::{node, run, set_up};

fn resource(kind: &str, name: &str, properties: Value) -> Value {
    let kind = format!("Microsoft.ApiManagement/service/{kind}");
    json!({"type": kind, "name": format!("apim/{name}"), "properties": properties})
}

/// A WebSocket API of a template, with the policy of its only operation.
fn api(path: &str, url: &str, keys: bool, policy: &str) -> Vec<Value> {
    let api = json!({
        "type": "websocket", "displayName": "Chat", "path": path, "serviceUrl": url,
        "protocols": ["ws", "wss"], "subscriptionRequired": keys,
    });
    let policy = json!({"format": "rawxml", "value": policy});
    vec![
        resource("apis", "chat", api),
        resource(
            "apis/operations/policies",
            "chat/onHandshake/policy",
            policy,
        ),
    ]
}

async fn output(mut command: Command) -> anyhow::Result<Output> {
    Ok(tokio::task::spawn_blocking(move || command.output()).await??)
}

/// What an import of these resources prints, served by `tidegate run`.
struct Imported {
    _files: tempfile::TempDir,
    _process: Process,
    address: SocketAddr,
}

impl Imported {
    async fn serve(resources: Vec<Value>) -> anyhow::Result<Self> {
        let files = tempfile::tempdir()?;
        let at = |name: &str| files.path().join(name);
        fs::create_dir(at("served"))?;
        fs::create_dir(at("state"))?;
        fs::write(
            at("template.json"),
            json!({"resources": resources}).to_string(),
        )?;
        let mut import = command("tidegate")?;
        import.args(["import", "apim", "--gateway", "edge"]);
        import.arg(at("template.json"));
        let printed = output(import).await?;
        let said = String::from_utf8_lossy(&printed.stderr);
        ensure!(printed.status.success(), "it said {said}");
        let manifests = at("served").join("all.yaml");
        fs::write(&manifests, &printed.stdout)?;

        let mut validate = command("tidegate")?;
        validate.arg("validate").arg(&manifests);
        let verdict = output(validate).await?;
        ensure!(verdict.status.success(), "{verdict:?}");

        let mut run = command("tidegate")?;
        run.arg("run")
            .arg(at("served"))
            .args(["--bind-address", "127.0.0.1", "--free-ports", "--state-dir"])
            .arg(at("state"));
        let mut process = Process::spawn("run", run)?;
        let address = process.line("its address", |line| {
            let mut words = line.split(|c: char| c.is_whitespace() || c == '/');
            words.find_map(|word| word.parse::<SocketAddr>().ok())
        });
        let address = address.await?;
        Ok(Self {
            _files: files,
            _process: process,
            address,
        })
    }

    fn url(&self, target: &str) -> String {
        format!("ws://{}{target}", self.address)
    }
}

#[tokio::test]
async fn an_imported_negotiation_serves_the_real_signalr_client() -> anyhow::Result<()> {
    let Some(modules) = set_up("node").await? else {
        return Ok(());
    };
    let mut service = Process::spawn("signalr-service", node(&modules, "signalr_service.js", &[]))?;
    let port = service.line("its port", |line| {
        line.strip_prefix("listening on ").map(str::to_owned)
    });
    let port = port.await?;
    // The service that is played has no certificate.
    let policy = include_str!("../../imports/signalr.xml");
    let policy = policy
        .replace("https://", "http://")
        .replace("wss://", "ws://");
    let mut resources = api(
        "chat",
        "wss://example.service.signalr.net/client/",
        false,
        &policy,
    );
    let app = json!({"displayName": "app", "value": format!("http://127.0.0.1:{port}")});
    resources.push(resource("namedValues", "app", app));
    let edge = Imported::serve(resources).await?;

    let url = edge.url("/chat?hub=other&id=mine&access_token=mine");
    let url = url.replacen("ws:", "http:", 1);
    let client = node(&modules, "signalr.js", &[&url, "ann"]);
    let seen = run("signalr-client", client).await?;
    assert_eq!(seen, json!({"result": "ann: grüße", "said": "grüße"}));
    let said = service.stdout();
    let lines = said
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let upgrade = lines
        .filter_map(|line| line["upgrade"].as_str().map(str::to_owned))
        .next();
    let upgrade = upgrade.context("no WebSocket came")?;
    for parameter in [
        "hub=chat",
        "asrs.op=%2Fchat",
        "negotiateVersion=1",
        "asrs_request_id=a%2Bb%2Fc%3D",
        "id=token-1%2F%3D",
    ] {
        ensure!(upgrade.contains(parameter), "{parameter}: {upgrade}");
    }
    ensure!(!upgrade.contains("mine"), "{upgrade}");

    for (name, status, message) in [
        ("403", 403, "Not allowed."),
        ("error", 502, "The application refused to negotiate."),
        ("500", 502, "The application refused to negotiate."),
        ("no-websockets", 502, "The service offers no WebSockets."),
    ] {
        let request = Request::new(edge.url("/chat"));
        let request = request.header("authorization", format!("Bearer {name}"));
        let refused = request.refused_with(status).await.context(name)?;
        ensure!(refused.body.contains(message), "{name}: {}", refused.body);
    }
    Ok(())
}

#[tokio::test]
async fn an_imported_hub_gets_its_token_and_not_the_key() -> anyhow::Result<()> {
    let echo = Echo::start().await?;
    let url = format!("ws://{}/client/hubs/chat", echo.address());
    let policy = include_str!("../../imports/web-pubsub.xml");
    let mut resources = api("client/hubs/chat", &url, true, policy);
    let key = "a-primary-key-of-thirty-two-chars";
    let subscription = json!({
        "displayName": "Front end", "scope": "/apis/chat", "state": "active",
        "primaryKey": key, "secondaryKey": "a-secondary-key-of-thirty-two-chars",
    });
    resources.push(resource("subscriptions", "front-end", subscription));
    let edge = Imported::serve(resources).await?;

    let hub = "/client/hubs/chat";
    let with = |query: &str| Request::new(edge.url(&format!("{hub}?{query}")));
    with("access_token=t").refused_with(401).await?;
    let refused = with(&format!("subscription-key={key}"))
        .refused_with(401)
        .await?;
    assert_eq!(refused.message()?, "No token for Chat.");
    assert_eq!(refused.header("www-authenticate"), Some("Bearer"));
    let query = format!("subscription-key={key}&access_token=t&room=blue");
    let mut tunnel = with(&query).open().await?;
    tunnel.echo("grüße").await?;
    let head = echo.last_head()?;
    assert_eq!(head.target(), format!("{hub}?access_token=t"));
    // An extra segment is another path, as there.
    let more = Request::new(edge.url(&format!("{hub}/more?{query}")));
    more.refused_with(404).await?;
    Ok(())
}
