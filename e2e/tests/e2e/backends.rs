//! What stands behind a gateway, and on the way there.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::ensure;
use serde_json::{Value, json};
use tidegate_e2e::backend::{Backend, Echo};
use tidegate_e2e::namespace::Condition;
use tidegate_e2e::process::Process;
use tidegate_e2e::third_party::{node, set_up};
use tidegate_e2e::wait::{WAIT_TIMEOUT, eventually};

use crate::examples::example;
use crate::stage::{EchoStage, echo_stage, stage};

impl EchoStage {
    /// Gives the API this backend, and waits until it is served.
    async fn backend(&self, backend: Value) -> anyhow::Result<()> {
        let patch = json!({"spec": {"backend": backend}});
        let kubectl = self.scene.kubectl();
        kubectl
            .patch("websocketapi.tidegate.dev/api", &patch)
            .await?;
        self.scene.programmed("WebSocketApi", "api").await
    }
}

/// An HTTP proxy that wants credentials, and its address. `None`: there is no Node.js.
async fn proxy() -> anyhow::Result<Option<(Process, String)>> {
    let Some(modules) = set_up("node").await? else {
        return Ok(None);
    };
    let mut process = Process::spawn("proxy", node(&modules, "proxy.js", &[]))?;
    let port = process.line("its port", |line| {
        line.strip_prefix("listening on ").map(str::to_owned)
    });
    let port = port.await?;
    Ok(Some((process, format!("http://127.0.0.1:{port}"))))
}

#[tokio::test]
async fn a_proxy_that_wants_credentials() -> anyhow::Result<()> {
    let Some((proxy, url)) = proxy().await? else {
        return Ok(());
    };
    let stage = echo_stage("proxy", "").await?;
    stage.backend(json!({"proxy": {"url": url}})).await?;
    stage.edge.answers("/api", 502).await?;
    let secret = |password: &str| {
        format!(
            "{{apiVersion: v1, kind: Secret, metadata: {{name: proxy}}, \
             type: kubernetes.io/basic-auth, \
             stringData: {{username: gate, password: {password}}}}}"
        )
    };
    stage.scene.apply(&secret("wrong")).await?;
    let with = json!({"proxy": {"url": url, "credentialsRef": "proxy"}});
    stage.backend(with).await?;
    stage.edge.answers("/api", 502).await?;
    stage.scene.apply(&secret("hunter2")).await?;
    stage.edge.answers("/api", 101).await?;
    stage
        .edge
        .request("/api")
        .open()
        .await?
        .echo("there")
        .await?;
    let asked = format!("asked {} tunnel", stage.echo.address());
    let log = proxy.stdout();
    ensure!(log.contains(&asked) && log.contains("refused "), "{log}");
    let said = stage.edge.gateway.process.stdout() + &stage.edge.gateway.process.stderr();
    ensure!(said.contains("backend_proxy_failed"), "{said}");
    ensure!(!said.contains("hunter2"), "the log has the password");
    Ok(())
}

#[tokio::test]
async fn a_circuit_opens_and_closes() -> anyhow::Result<()> {
    let mut stage = stage("circuit", "").await?;
    let breaker = json!({"consecutiveFailures": 2, "tripDuration": "1s"});
    let patch = json!({"spec": {"backend": {"circuitBreaker": breaker}}});
    let kubectl = stage.scene.kubectl();
    kubectl
        .patch("websocketapi.tidegate.dev/api", &patch)
        .await?;
    stage.scene.programmed("WebSocketApi", "api").await?;
    for _ in 0..2 {
        let asked = stage.edge.request("/api").send();
        let answered = async {
            stage
                .backend
                .handshake()
                .await?
                .refuse("500 Unhealthy", &[], "unhealthy")
                .await
        };
        let (outcome, answered) = tokio::join!(asked, answered);
        answered?;
        ensure!(outcome?.status() == 500, "the backend's own answer");
    }
    let refused = stage.edge.request("/api").refused_with(503).await?;
    ensure!(refused.header("retry-after") == Some("1"), "{refused:?}");
    ensure!(stage.backend.is_idle(), "it was asked nevertheless");
    let opened = "tidegate_backend_circuits_opened_total";
    let api = format!("{}/api", stage.scene.namespace().name());
    stage
        .edge
        .gateway
        .metric(opened, &[("api", &api)], 1.0)
        .await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (_client, _backend) = stage.tunnel().await?;
    let asked = stage.edge.request("/api").open();
    let answered = async { stage.backend.handshake().await?.accept().await };
    let (client, backend) = tokio::join!(asked, answered);
    client?;
    backend?;
    Ok(())
}

/// What a backend does, and how it feels.
#[derive(Default)]
struct Clinic {
    is_ill: AtomicBool,
    tunnels: AtomicUsize,
}

impl Clinic {
    /// Answers checks by how it feels, and takes every tunnel.
    async fn run(&self, mut backend: Backend) -> anyhow::Result<()> {
        let mut held = Vec::new();
        loop {
            let handshake = backend.handshake().await?;
            if handshake.head.target() == "/healthz" {
                let is_ill = self.is_ill.load(Ordering::SeqCst);
                let status = if is_ill { "500 Ill" } else { "204 Well" };
                handshake.refuse(status, &[], "").await?;
            } else {
                self.tunnels.fetch_add(1, Ordering::SeqCst);
                held.push(handshake.accept().await?);
            }
        }
    }

    fn tunnels(&self) -> usize {
        self.tunnels.load(Ordering::SeqCst)
    }
}

/// The first one becomes unhealthy and healthy again; each time handshakes follow.
async fn illness(stage: &EchoStage, first: &Clinic, spare: &Clinic) -> anyhow::Result<()> {
    let api = format!("{}/api", stage.scene.namespace().name());
    let labels = [("api", api.as_str()), ("reason", "unhealthy")];
    let out = async |count: f64| {
        let gateway = &stage.edge.gateway;
        gateway
            .metric("tidegate_backends_out", &labels, count)
            .await
    };
    let _tunnel = stage.edge.request("/api").open().await?;
    assert_eq!((first.tunnels(), spare.tunnels()), (1, 0));
    first.is_ill.store(true, Ordering::SeqCst);
    out(1.0).await?;
    for _ in 0..3 {
        stage.edge.request("/api").open().await?;
    }
    assert_eq!((first.tunnels(), spare.tunnels()), (1, 3), "ejected");
    first.is_ill.store(false, Ordering::SeqCst);
    out(0.0).await?;
    stage.edge.request("/api").open().await?;
    assert_eq!((first.tunnels(), spare.tunnels()), (2, 3), "back again");
    Ok(())
}

#[tokio::test]
async fn a_member_that_is_ill_is_left_out_until_it_is_well() -> anyhow::Result<()> {
    let stage = echo_stage("health", "").await?;
    let backends = [Backend::start().await?, Backend::start().await?];
    let member = |(priority, backend): (usize, &Backend)| json!({"url": format!("ws://{}/hub", backend.address()), "priority": priority});
    let pool: Vec<_> = backends.iter().enumerate().map(member).collect();
    let active = json!({
        "type": "Http", "path": "/healthz", "interval": "1s",
        "unhealthyThreshold": 1, "healthyThreshold": 1,
    });
    let backend = json!({"url": null, "pool": pool, "healthCheck": {"active": active}});
    let [first, spare] = [Clinic::default(), Clinic::default()];
    let [first_backend, spare_backend] = backends;
    let story = async {
        stage.backend(backend).await?;
        illness(&stage, &first, &spare).await
    };
    tokio::select! {
        end = story => end,
        end = first.run(first_backend) => end,
        end = spare.run(spare_backend) => end,
    }
}

#[tokio::test]
async fn example_pool() -> anyhow::Result<()> {
    let (blue, green) = (Echo::start().await?, Echo::start().await?);
    let spare = Echo::start().await?;
    let (scene, served) = example("pool", &["edge"], &[]).await?;
    let member = |(index, echo): (usize, &Echo)| {
        let at = format!("/spec/backend/pool/{index}/url");
        json!({"op": "replace", "path": at, "value": format!("{}hub", echo.url())})
    };
    let echoes = [&blue, &green, &spare].into_iter().enumerate();
    let patch = echoes.map(member).collect::<Value>().to_string();
    let kubectl = scene.kubectl();
    kubectl
        .run(&["patch", "wsapi/chat", "--type", "json", "-p", &patch])
        .await?;
    scene.programmed("WebSocketApi", "chat").await?;
    let asked = |echo: &Echo, target: &str| {
        let heads = echo.heads();
        heads.iter().filter(|head| head.target() == target).count()
    };
    let mut tunnels = Vec::new();
    for i in 0..6 {
        let request = served[0].request(&format!("/chat?n={}", i % 2));
        let mut tunnel = request.open().await?;
        tunnel.echo("hello").await?;
        tunnels.push(tunnel);
    }
    let both = |echo: &Echo| asked(echo, "/hub?n=0") + asked(echo, "/hub?n=1");
    assert_eq!((both(&blue), both(&green), both(&spare)), (4, 2, 0));
    let request = served[0].request("/chat?shard=green");
    request.open().await?.echo("to green").await?;
    assert_eq!(asked(&green, "/hub?shard=green"), 1);
    eventually("a health check of each", WAIT_TIMEOUT, async || {
        let each = [&blue, &green, &spare];
        ensure!(each.iter().all(|echo| asked(echo, "/hub") > 0), "not yet");
        Ok(())
    })
    .await?;
    let first = format!("{}hub +2", blue.url());
    drop((blue, green));
    let request = served[0].request("/chat?n=0");
    request.open().await?.echo("to the spare one").await?;
    assert_eq!(both(&spare), 1);
    // Three checks, one every five seconds.
    eventually(
        "the unhealthy backends in the status",
        Duration::from_secs(60),
        async || {
            let chat = scene.namespace().get("WebSocketApi", "chat").await?;
            let told = Condition::of(&chat, "DependenciesReachable")?;
            ensure!(told.reason == "BackendUnhealthy", "{told:?}");
            Ok(())
        },
    )
    .await?;
    let wide = kubectl.run(&["get", "wsapi", "chat", "-o", "wide"]).await?;
    assert!(wide.contains(&first), "{wide}");
    Ok(())
}
