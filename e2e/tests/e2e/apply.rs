//! From `kubectl apply` to a served API, and what the statuses say on the way.

use std::time::{Duration, Instant};

use anyhow::ensure;
use serde_json::{Value, json};
use tidegate_e2e::backend::Echo;
use tidegate_e2e::namespace::Condition;
use tidegate_e2e::scene::{Scene, open_api};
use tidegate_e2e::tls::Authority;
use tidegate_e2e::wait::{WAIT_TIMEOUT, eventually, throughout};

#[tokio::test]
async fn an_api_is_served_where_it_is_assigned_and_nowhere_else() -> anyhow::Result<()> {
    let scene = Scene::new("assigned").await?;
    let echo = Echo::start().await?;
    let (here, there) = (scene.gateway("here").await?, scene.gateway("there").await?);
    scene
        .apply(&open_api("here", "api", &echo.url(), ""))
        .await?;
    let applied = Instant::now();
    here.answers("/api", 101).await?;
    println!("served {:?} after kubectl said applied", applied.elapsed());
    here.request("/api").open().await?.echo("served").await?;
    assert_eq!(there.request("/api").send().await?.status(), 404);

    let both = json!({"spec": {"gateways": [{"name": "here"}, {"name": "there"}]}});
    scene.kubectl().patch("wsapi/api", &both).await?;
    there.answers("/api", 101).await?;
    let only_there = json!({"spec": {"gateways": [{"name": "there"}]}});
    scene.kubectl().patch("wsapi/api", &only_there).await?;
    here.answers("/api", 404).await?;
    there.answers("/api", 101).await
}

#[tokio::test]
async fn nothing_is_programmed_before_a_gateway_said_so() -> anyhow::Result<()> {
    let scene = Scene::new("unacknowledged").await?;
    let echo = Echo::start().await?;
    let plan = scene.gateway_without_process("edge", "").await?;
    scene
        .apply(&open_api("edge", "api", &echo.url(), ""))
        .await?;
    for object in [("Gateway", "edge"), ("WebSocketApi", "api")] {
        scene.condition(object, "Accepted", "True").await?;
        scene.condition(object, "ResolvedRefs", "True").await?;
        let condition = scene.condition(object, "Programmed", "False").await?;
        assert!(!condition.message.is_empty(), "{object:?}: it says why");
    }
    throughout(
        "not programmed without a process",
        Duration::from_secs(1),
        async || {
            let api = scene.namespace().get("WebSocketApi", "api").await?;
            ensure!(Condition::of(&api, "Programmed")?.status == "False");
            Ok(())
        },
    )
    .await?;
    let edge = scene.start(plan).await?;
    scene.programmed("WebSocketApi", "api").await?;
    scene.programmed("Gateway", "edge").await?;
    edge.request("/api").open().await?.echo("served").await?;
    let status = scene.status("WebSocketApi", "api").await?;
    assert_eq!(status["gateways"][0]["applied"], "1/1", "{status}");
    Ok(())
}

/// Waits until the Gateway's status holds a value. (It is written less often than it changes.)
async fn gateway_says(
    scene: &Scene,
    what: &str,
    pointer: &str,
    value: &Value,
) -> anyhow::Result<()> {
    eventually(what, WAIT_TIMEOUT, async || {
        let status = scene.status("Gateway", "edge").await?;
        ensure!(status.pointer(pointer) == Some(value), "{status}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_pod_that_lags_is_named() -> anyhow::Result<()> {
    let scene = Scene::new("lagging").await?;
    let echo = Echo::start().await?;
    let edge = scene.gateway("edge").await?;
    let mut second = scene.plan("edge", 0);
    second.options.pod = "edge-second".to_owned();
    second.options.state.set_extension("second");
    second.options.bind = "127.0.0.2".to_owned(); // the same port, so another address
    let second = scene.start(second).await?;
    scene
        .apply(&open_api("edge", "api", &echo.url(), ""))
        .await?;
    scene.programmed("WebSocketApi", "api").await?;
    gateway_says(&scene, "both pods", "/pods/total", &json!(2)).await?;

    // A pod that hangs: its Lease is still young, but it takes over nothing.
    second.gateway.process.suspend()?;
    let changed = json!({"spec": {"displayName": "changed"}});
    scene.kubectl().patch("wsapi/api", &changed).await?;
    scene
        .condition(("WebSocketApi", "api"), "Programmed", "False")
        .await?;
    let lagging = json!(["edge-second"]);
    gateway_says(&scene, "who lags", "/pods/lagging", &lagging).await?;
    edge.request("/api").open().await?.echo("served").await?;
    second.gateway.process.resume()?;
    scene.programmed("WebSocketApi", "api").await
}

#[tokio::test]
async fn objects_may_come_and_go_in_any_order() -> anyhow::Result<()> {
    let scene = Scene::new("order").await?;
    let echo = Echo::start().await?;
    // The last first: a subscription of a product of an API on a gateway, none of which exist.
    let subscription = object(
        "Subscription",
        "alice",
        &json!({"scope": {"product": "all"}}),
    );
    scene.apply(&subscription.to_string()).await?;
    scene
        .condition(("Subscription", "alice"), "ResolvedRefs", "False")
        .await?;
    let product = object("Product", "all", &json!({"apis": [{"name": "api"}]}));
    scene.apply(&product.to_string()).await?;
    scene
        .condition(("Product", "all"), "ResolvedRefs", "False")
        .await?;
    let api = open_api("edge", "api", &echo.url(), "")
        .replace("subscriptionRequired: false", "subscriptionRequired: true");
    scene.apply(&api).await?;
    scene
        .condition(("WebSocketApi", "api"), "ResolvedRefs", "False")
        .await?;
    let edge = scene.gateway("edge").await?;
    for kind_and_name in [
        ("WebSocketApi", "api"),
        ("Product", "all"),
        ("Subscription", "alice"),
        ("Gateway", "edge"),
    ] {
        scene.condition(kind_and_name, "Programmed", "True").await?;
    }
    let (key, _) = scene.keys("alice").await?;
    let target = format!("/api?subscription-key={key}");
    edge.request(&target).open().await?.echo("in").await?;

    // And the first first: the gateway goes, the rest says so and keeps standing.
    scene.kubectl().delete(&["wsgw/edge"]).await?;
    scene
        .condition(("WebSocketApi", "api"), "ResolvedRefs", "False")
        .await?;
    scene
        .kubectl()
        .delete(&["wsprod/all", "wsapi/api", "wssub/alice"])
        .await?;
    nothing_is_left(&scene).await
}

/// What the operator made is gone. (A namespace has its own ConfigMap and ServiceAccount.)
async fn nothing_is_left(scene: &Scene) -> anyhow::Result<()> {
    let of_the_namespace = ["kube-root-ca.crt", "default"];
    eventually("nothing is left", Duration::from_secs(60), async || {
        for kind in [
            "Gateway",
            "WebSocketApi",
            "Product",
            "Subscription",
            "ConfigMap",
            "Secret",
            "Deployment",
            "Service",
            "ServiceAccount",
            "Role",
            "RoleBinding",
            "PodDisruptionBudget",
            "HorizontalPodAutoscaler",
        ] {
            for object in scene.namespace().list(kind).await? {
                let name = object["metadata"]["name"].as_str().unwrap_or_default();
                ensure!(of_the_namespace.contains(&name), "{kind} {name}");
            }
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn another_namespaces_api_needs_the_gateways_permission() -> anyhow::Result<()> {
    let (home, abroad) = (Scene::new("home").await?, Scene::new("abroad").await?);
    let echo = Echo::start().await?;
    let edge = home.gateway("edge").await?;
    let api = open_api("edge", "api", &echo.url(), "").replace(
        "{name: edge}",
        &format!("{{name: edge, namespace: {}}}", home.namespace().name()),
    );
    abroad.apply(&api).await?;
    abroad
        .condition(("WebSocketApi", "api"), "ResolvedRefs", "False")
        .await?;
    assert_eq!(edge.request("/api").send().await?.status(), 404);
    let all = json!({"spec": {"apiNamespaces": {"from": "All"}}});
    home.kubectl().patch("wsgw/edge", &all).await?;
    edge.answers("/api", 101).await?;
    abroad.programmed("WebSocketApi", "api").await?;
    let same = json!({"spec": {"apiNamespaces": {"from": "Same"}}});
    home.kubectl().patch("wsgw/edge", &same).await?;
    edge.answers("/api", 404).await
}

#[tokio::test]
async fn a_tls_listener_takes_over_a_new_certificate_without_a_drop() -> anyhow::Result<()> {
    let scene = Scene::new("listener-tls").await?;
    let echo = Echo::start().await?;
    let (old, new) = (Authority::new("old")?, Authority::new("new")?);
    let secret = |authority: &Authority| {
        let certificate = authority.issue(&["localhost", "edge.example"])?;
        anyhow::Ok(
            json!({
                "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
                "metadata": {"name": "edge-tls"},
                "stringData": {"tls.crt": certificate.chain, "tls.key": certificate.key},
            })
            .to_string(),
        )
    };
    scene.apply(&secret(&old)?).await?;
    let secure = scene.free_port()?;
    let listener = format!(
        "  - {{name: secure, port: {secure}, protocol: WSS, tls: {{certificateRefs: [{{name: edge-tls}}]}}}}"
    );
    let edge = scene.gateway_with("edge", &listener).await?;
    scene.open_api(&edge, "api", &echo.url(), "").await?;
    let request = |authority: &Authority| {
        let request = tidegate_e2e::client::Request::new(format!("wss://localhost:{secure}/api"));
        anyhow::Ok(request.tls(authority.client()?))
    };
    let mut tunnel = request(&old)?.open().await?;
    tunnel.echo("encrypted").await?;
    edge.request("/api").open().await?.echo("plain").await?;

    scene.apply(&secret(&new)?).await?;
    eventually("the new certificate is shown", WAIT_TIMEOUT, async || {
        request(&new)?.open().await?.echo("renewed").await
    })
    .await?;
    assert!(request(&old)?.open().await.is_err(), "the old one is gone");
    tunnel.echo("never noticed").await
}

pub(crate) fn object(kind: &str, name: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": "tidegate.dev/v1alpha1", "kind": kind,
        "metadata": {"name": name}, "spec": spec,
    })
}
