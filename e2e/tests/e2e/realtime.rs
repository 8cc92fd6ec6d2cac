//! examples/realtime: OpenAI's own client, with keys in a subprotocol and in a header, in front of two regions.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tempfile::TempDir;
use tidegate_config::policy::token_file_name;
use tidegate_e2e::http::{HttpServer, Response};
use tidegate_e2e::process::Process;
use tidegate_e2e::scene::{Scene, Served};
use tidegate_e2e::third_party::{node, run, set_up};
use tidegate_e2e::tls::Authority;

const AUDIENCE: &str = "api://AzureADTokenExchange";

/// A client's run is over in seconds; the script itself gives up after 30.
const END: Duration = Duration::from_secs(60);

/// The example in front of regions and a token endpoint that the test plays.
struct Stage {
    modules: PathBuf,
    /// Has no room.
    east: Process,
    west: Process,
    tokens: HttpServer,
    edge: Served,
    /// The token of a service account, as the kubelet would bring it.
    account: String,
    files: TempDir,
    /// Last, so that it goes last.
    scene: Scene,
}

/// A region, and its port.
async fn region(modules: &Path, name: &str, mood: &str) -> anyhow::Result<(Process, String)> {
    let command = node(modules, "realtime_service.js", &[name, mood]);
    let mut process = Process::spawn(&format!("realtime-{name}"), command)?;
    let port = process.line("its port", |line| {
        line.strip_prefix("listening on ").map(str::to_owned)
    });
    let port = port.await?;
    Ok((process, port))
}

/// Moves the example's regions and its token endpoint to where the test plays them.
async fn move_here(scene: &Scene, ports: [&str; 2], tokens: &HttpServer) -> anyhow::Result<()> {
    let replace =
        |path: String, value: String| json!({"op": "replace", "path": path, "value": value});
    let mut changes: Vec<_> = (0..)
        .zip(ports)
        .map(|(i, port): (usize, _)| {
            let url = format!("ws://127.0.0.1:{port}/openai/v1/realtime");
            replace(format!("/spec/backend/pool/{i}/url"), url)
        })
        .collect();
    let client = "/spec/onHandshake/inbound/0/backendAuth/oauth2ClientCredentials";
    let url = format!("http://{}/token", tokens.address());
    changes.push(replace(format!("{client}/tokenUrl"), url));
    let changes = Value::from(changes).to_string();
    let patch = ["patch", "wsapi/realtime", "--type", "json", "-p", &*changes];
    scene.kubectl().run(&patch).await?;
    Ok(())
}

/// Serves the example over TLS, because the library connects in no other way.
async fn serve(scene: &Scene, authority: &Authority, account: &str) -> anyhow::Result<Served> {
    let certificate = authority.issue(&["localhost"])?;
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "edge-tls"},
        "type": "kubernetes.io/tls",
        "stringData": {"tls.crt": certificate.chain, "tls.key": certificate.key},
    });
    scene.apply(&secret.to_string()).await?;
    let port = scene.free_port()?;
    let gateway = json!({"spec": {
        "deployment": {"managed": false},
        "listeners": [{
            "name": "secure", "port": port, "protocol": "WSS",
            "tls": {"certificateRefs": [{"name": "edge-tls"}]},
        }],
    }});
    scene.kubectl().patch("wsgw/edge", &gateway).await?;
    let plan = scene.plan("edge", port);
    let directory = plan.options.token_dir();
    fs::create_dir_all(&directory)?;
    fs::write(directory.join(token_file_name(AUDIENCE)), account)?;
    scene.start(plan).await
}

async fn stage() -> anyhow::Result<Option<Stage>> {
    let Some(modules) = set_up("node").await? else {
        return Ok(None);
    };
    let (east, east_port) = region(&modules, "east", "full").await?;
    let (west, west_port) = region(&modules, "west", "serves").await?;
    let tokens = HttpServer::start(|_, _| {
        Response::json(r#"{"access_token": "token-of-the-gateway", "expires_in": 3600}"#)
    })
    .await?;
    let scene = Scene::new("realtime").await?;
    scene.kubectl().apply_file("examples/realtime/").await?;
    for object in [("Gateway", "edge"), ("WebSocketApi", "realtime")] {
        scene.condition(object, "Accepted", "True").await?;
    }
    move_here(&scene, [&east_port, &west_port], &tokens).await?;
    let create = ["create", "token", "default", "--audience", AUDIENCE];
    let account = scene.kubectl().run(&create).await?.trim().to_owned();
    let authority = Authority::new("realtime")?;
    let edge = serve(&scene, &authority, &account).await?;
    scene.programmed("WebSocketApi", "realtime").await?;
    let files = tempfile::tempdir()?;
    fs::write(files.path().join("ca.pem"), authority.pem())?;
    Ok(Some(Stage {
        modules,
        east,
        west,
        tokens,
        edge,
        account,
        files,
        scene,
    }))
}

impl Stage {
    /// The library as a page or as a server, with a key.
    fn client(&self, kind: &str, key: &str, more: &[&str]) -> Command {
        let url = format!("https://localhost:{}/openai/v1", self.edge.plan.port);
        let arguments = [&[kind, &url, key], more].concat();
        let mut command = node(&self.modules, "realtime.js", &arguments);
        command
            .env("NODE_EXTRA_CA_CERTS", self.files.path().join("ca.pem"))
            // Before version 22 a page's WebSocket is there only on request.
            .env("NODE_OPTIONS", "--experimental-websocket");
        command
    }

    async fn talk(&self, kind: &str, key: &str) -> anyhow::Result<Value> {
        run("realtime-client", self.client(kind, key, &[])).await
    }

    /// A client that is connected and waits for the end.
    async fn waiting(&self, kind: &str, key: &str) -> anyhow::Result<Process> {
        let client = self.client(kind, key, &["stay"]);
        let mut client = Process::spawn("realtime-client", client)?;
        let answered = client.line("an answer", |line| (line == "answered").then_some(()));
        answered.await?;
        Ok(client)
    }
}

/// With which code a client that waited was closed.
async fn closed(mut client: Process) -> anyhow::Result<Value> {
    client.ended(END).await?;
    let printed = client.stdout();
    let last = printed.lines().last().context("it printed nothing")?;
    Ok(serde_json::from_str::<Value>(last)?["code"].take())
}

/// The handshakes that a region got.
fn handshakes(region: &Process) -> Vec<Value> {
    let said = region.stdout();
    let lines = said
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok());
    lines.collect()
}

/// The claims of a token, unverified.
fn claims(token: &str) -> anyhow::Result<Value> {
    let payload = token.split('.').nth(1).context("it is no token")?;
    Ok(serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload)?)?)
}

#[tokio::test]
async fn the_real_client_gets_a_region_with_room_and_its_key_goes_nowhere() -> anyhow::Result<()> {
    let Some(stage) = stage().await? else {
        return Ok(());
    };
    let (page, _) = stage.scene.keys("page").await?;
    let (worker, _) = stage.scene.keys("worker").await?;
    let seen = stage.talk("page", &page).await?;
    let expected = json!({"text": "west: grüße", "model": "gpt-realtime", "protocol": "realtime", "code": 1000});
    assert_eq!(seen, expected);
    let seen = stage.talk("server", &worker).await?;
    assert_eq!(seen["text"], "west: grüße", "{seen}");
    // East said when to come back, so only the first handshake went there.
    let (east, west) = (handshakes(&stage.east), handshakes(&stage.west));
    assert_eq!((east.len(), west.len()), (1, 2), "{east:?} {west:?}");
    for handshake in east.iter().chain(&west) {
        let text = handshake.to_string();
        ensure!(!text.contains(&page) && !text.contains(&worker), "{text}");
        ensure!(!text.contains("unused"), "{text}");
        let headers = &handshake["headers"];
        assert_eq!(headers["authorization"], "Bearer token-of-the-gateway");
        assert_eq!(headers["api-key"], Value::Null);
        assert_eq!(
            handshake["target"],
            "/openai/v1/realtime?model=gpt-realtime"
        );
    }
    for handshake in [&east[0], &west[0]] {
        assert_eq!(handshake["headers"]["sec-websocket-protocol"], "realtime");
    }
    for (name, key) in [("a page", &*page), ("nobody's key", "0123456789abcdef")] {
        let refused = stage.talk("server", &format!("x{key}")).await?;
        let error = refused["error"].as_str().context("no error")?;
        ensure!(error.contains("401"), "{name}: {error}");
    }
    Ok(())
}

#[tokio::test]
async fn a_token_by_workload_identity_is_asked_for_once() -> anyhow::Result<()> {
    let Some(stage) = stage().await? else {
        return Ok(());
    };
    let (worker, _) = stage.scene.keys("worker").await?;
    for _ in 0..3 {
        let seen = stage.talk("server", &worker).await?;
        assert_eq!(seen["text"], "west: grüße", "{seen}");
    }
    let asked = stage.tokens.requests();
    assert_eq!(asked.len(), 1, "{asked:?}");
    let head = &asked[0].head;
    assert_eq!((head.method(), head.target()), ("POST", "/token"));
    let form: Vec<_> = url::form_urlencoded::parse(asked[0].body.as_bytes()).collect();
    let jwt_bearer = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
    for (expected, (name, value)) in [
        ("grant_type", "client_credentials"),
        ("client_id", "CLIENT"),
        ("client_assertion_type", jwt_bearer),
        ("client_assertion", &*stage.account),
        ("scope", "https://cognitiveservices.azure.com/.default"),
    ]
    .iter()
    .zip(&form)
    {
        assert_eq!((&**name, &**value), *expected);
    }
    assert_eq!(form.len(), 5);
    assert_eq!(claims(&stage.account)?["aud"], json!([AUDIENCE]));
    // An audience that the Gateway's owner does not list opens no token.
    let none = json!({"spec": {"deployment": {"tokenAudiences": []}}});
    stage.scene.kubectl().patch("wsgw/edge", &none).await?;
    let api = ("WebSocketApi", "realtime");
    let refused = stage.scene.condition(api, "Accepted", "False").await?;
    let text = format!("{refused:?}");
    ensure!(text.contains("deployment.tokenAudiences"), "{text}");
    Ok(())
}

#[tokio::test]
async fn connections_are_limited_by_product_and_end_with_access_and_time() -> anyhow::Result<()> {
    let Some(stage) = stage().await? else {
        return Ok(());
    };
    let (page, _) = stage.scene.keys("page").await?;
    let (worker, _) = stage.scene.keys("worker").await?;
    let first = stage.waiting("page", &page).await?;
    let second = stage.talk("page", &page).await?;
    ensure!(second["error"].is_string(), "{second}");
    let limited = [("reason", "connection_limit")];
    let name = "tidegate_handshakes_total";
    let refused = stage.edge.gateway.metrics().await?.sum(name, &limited)?;
    assert_eq!(refused, Some(1.0));
    // A server's product has more room.
    let servers = [
        stage.waiting("server", &worker).await?,
        stage.waiting("server", &worker).await?,
    ];
    let suspended = json!({"spec": {"state": "Suspended"}});
    stage
        .scene
        .kubectl()
        .patch("wssub/page", &suspended)
        .await?;
    assert_eq!(closed(first).await?, 1008);
    for mut server in servers {
        ensure!(server.is_running(), "{}", server.stdout());
        server.kill()?;
    }
    let short = json!({"spec": {"timeouts": {"maxDuration": "1s"}}});
    stage
        .scene
        .kubectl()
        .patch("wsapi/realtime", &short)
        .await?;
    stage.scene.programmed("WebSocketApi", "realtime").await?;
    let timed = stage.waiting("server", &worker).await?;
    assert_eq!(closed(timed).await?, 1001);
    Ok(())
}
