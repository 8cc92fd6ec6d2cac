//! From `kubectl apply` to a served API, and what the statuses say on the way.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use tidegate_e2e::backend::Echo;
use tidegate_e2e::namespace::Condition;
use tidegate_e2e::scene::{Scene, Served, open_api};
use tidegate_e2e::tls::Authority;
use tidegate_e2e::token::{Signer, read};
use tidegate_e2e::wait::{PATIENCE, eventually, throughout};

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
    eventually(what, PATIENCE, async || {
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

/// A Gateway that the operator runs; here, nothing ever runs its pods.
async fn managed(hint: &str) -> anyhow::Result<(Scene, u16)> {
    let scene = Scene::new(hint).await?;
    let port = scene.free_port()?;
    let spec = json!({"listeners": [{"name": "plain", "port": port, "protocol": "WS"}]});
    scene
        .apply(&object("Gateway", "edge", &spec).to_string())
        .await?;
    scene
        .condition(("Gateway", "edge"), "Accepted", "True")
        .await?;
    Ok((scene, port))
}

#[tokio::test]
async fn a_managed_gateway_gets_all_that_its_pods_need() -> anyhow::Result<()> {
    let (scene, _) = managed("managed").await?;
    for kind in [
        "Deployment",
        "Service",
        "ServiceAccount",
        "Role",
        "RoleBinding",
    ] {
        let what = format!("a {kind} for the gateway");
        eventually(&what, PATIENCE, async || {
            let objects = scene.namespace().list(kind).await?;
            let owned = |object: &Value| {
                let owner = &object["metadata"]["ownerReferences"][0];
                owner["kind"] == "Gateway" && owner["name"] == "edge"
            };
            ensure!(objects.iter().any(owned), "{objects:?}");
            Ok(())
        })
        .await?;
    }
    let programmed = scene
        .condition(("Gateway", "edge"), "Programmed", "False")
        .await?;
    assert!(!programmed.message.is_empty());
    Ok(())
}

/// Here nobody scales: the tests are the autoscaler.
#[tokio::test]
async fn the_number_of_pods_stays_what_it_is_under_an_autoscaler() -> anyhow::Result<()> {
    let (scene, _) = managed("autoscaling").await?;
    let deploy = async |spec: Value| {
        let patch = json!({"spec": {"deployment": spec}});
        scene.kubectl().patch("wsgw/edge", &patch).await
    };
    let replicas = async |number: i64, marked: &str| {
        let what = format!("{number} pods, marked {marked:?}");
        eventually(&what, PATIENCE, async || {
            let spec = scene.namespace().get("Deployment", "edge").await?["spec"].clone();
            let mark = spec["template"]["metadata"]["annotations"]["mark"].as_str();
            let got = (spec["replicas"].as_i64(), mark.unwrap_or_default());
            ensure!(got == (Some(number), marked), "{got:?}");
            Ok(())
        })
        .await
    };
    deploy(json!({"replicas": 5})).await?;
    replicas(5, "").await?;
    let autoscaling = json!({"minReplicas": 3, "maxReplicas": 9, "targetActiveTunnels": 5000});
    let both = deploy(json!({"autoscaling": autoscaling})).await;
    let refusal = both.err().map(|error| error.to_string());
    let refusal = refusal.context("both were accepted")?;
    assert!(refusal.contains("exclude each other"), "{refusal}");

    deploy(json!({"replicas": null, "autoscaling": autoscaling})).await?;
    eventually("an autoscaler", PATIENCE, async || {
        let spec = &scene
            .namespace()
            .get("HorizontalPodAutoscaler", "edge")
            .await?["spec"];
        ensure!(spec["maxReplicas"] == 9, "{spec}");
        Ok(())
    })
    .await?;
    // Not one, which is what leaving the number out means for the API server.
    deploy(json!({"podAnnotations": {"mark": "switched"}})).await?;
    replicas(5, "switched").await?;
    let scale = ["scale", "deployment/edge", "--replicas=7"];
    scene.kubectl().run(&scale).await?;
    deploy(json!({"podAnnotations": {"mark": "scaled"}})).await?;
    replicas(7, "scaled").await?;

    deploy(json!({"replicas": 4, "autoscaling": null})).await?;
    replicas(4, "scaled").await?;
    eventually("no autoscaler", PATIENCE, async || {
        let left = scene.namespace().list("HorizontalPodAutoscaler").await?;
        ensure!(left.is_empty(), "{left:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn the_rights_of_a_gateways_pods_suffice_and_are_no_more() -> anyhow::Result<()> {
    let (scene, port) = managed("rights").await?;
    let account = account_of(&scene, "edge").await?;
    let kubeconfig = scene.kubeconfig_of(&account).await?;
    let mut plan = scene.plan("edge", port);
    plan.options.kubeconfig = kubeconfig;
    let edge = scene.start(plan).await?;
    let echo = Echo::start().await?;
    scene
        .apply(&open_api("edge", "api", &echo.url(), ""))
        .await?;
    edge.answers("/api", 101).await?;
    let user = format!(
        "system:serviceaccount:{}:{account}",
        scene.namespace().name()
    );
    for forbidden in [
        "list secrets",
        "delete configmaps",
        "update wsapi",
        "get secret/other",
    ] {
        let mut arguments = vec!["auth", "can-i"];
        arguments.extend(forbidden.split(' '));
        arguments.extend(["--as", &user]);
        let said = scene.kubectl().run(&arguments).await;
        let said = said.err().map(|no| no.to_string()).unwrap_or_default();
        assert!(said.ends_with("no"), "{forbidden}: {said:?}");
    }
    Ok(())
}

async fn account_of(scene: &Scene, gateway: &str) -> anyhow::Result<String> {
    let what = format!("a Deployment with a ServiceAccount for {gateway}");
    eventually(&what, PATIENCE, async || {
        let deployments = scene.namespace().list("Deployment").await?;
        let account = deployments.iter().find_map(|deployment| {
            let ours = deployment["metadata"]["labels"]["tidegate.dev/gateway"] == gateway;
            let account = &deployment["spec"]["template"]["spec"]["serviceAccountName"];
            account.as_str().filter(|_| ours).map(str::to_owned)
        });
        account.with_context(|| format!("{deployments:?}"))
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
    eventually("the new certificate is shown", PATIENCE, async || {
        request(&new)?.open().await?.echo("renewed").await
    })
    .await?;
    assert!(request(&old)?.open().await.is_err(), "the old one is gone");
    tunnel.echo("never noticed").await
}

fn object(kind: &str, name: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": "tidegate.dev/v1alpha1", "kind": kind,
        "metadata": {"name": name}, "spec": spec,
    })
}

// --- the examples, as they stand ------------------------------------------------

/// Applies `examples/NAME/` unchanged; then moves each Gateway to a free port and each API to a
/// backend of ours, and runs the Gateways.
pub(crate) async fn example(
    name: &str,
    gateways: &[&str],
    apis: &[(&str, &str)],
) -> anyhow::Result<(Scene, Vec<Served>)> {
    let scene = Scene::new(name).await?;
    scene
        .kubectl()
        .apply_file(&format!("examples/{name}/"))
        .await?;
    for gateway in gateways {
        scene
            .condition(("Gateway", gateway), "Accepted", "True")
            .await?;
    }
    for (api, backend) in apis {
        scene
            .condition(("WebSocketApi", api), "Accepted", "True")
            .await?;
        let patch = json!({"spec": {"backend": {"url": backend}}});
        scene
            .kubectl()
            .patch(&format!("wsapi/{api}"), &patch)
            .await?;
    }
    let mut served = Vec::new();
    for gateway in gateways {
        let port = scene.free_port()?;
        let patch = json!({"spec": {
            "deployment": {"managed": false},
            "listeners": [{"name": "plain", "port": port, "protocol": "WS"}],
        }});
        let object = format!("wsgw/{gateway}");
        scene.kubectl().patch(&object, &patch).await?;
        served.push(scene.start(scene.plan(gateway, port)).await?);
    }
    for (api, _) in apis {
        scene.programmed("WebSocketApi", api).await?;
    }
    Ok((scene, served))
}

#[tokio::test]
async fn example_web_pubsub() -> anyhow::Result<()> {
    let echo = Echo::start().await?;
    let backend = format!("ws://{}/client/hubs/chat", echo.address());
    let feed = format!("ws://{}/client/hubs/feed", echo.address());
    let apis = [("chat", &*backend), ("feed", &*feed)];
    let (scene, served) = example("web-pubsub", &["edge"], &apis).await?;
    scene.programmed("Subscription", "chat").await?;
    let (key, _) = scene.keys("chat").await?;
    let target = format!("/client/hubs/chat?access_token=abc&subscription-key={key}");
    served[0]
        .request(&target)
        .open()
        .await?
        .echo("hello")
        .await?;
    let seen = echo.last_head()?;
    assert_eq!(seen.target(), "/client/hubs/chat?access_token=abc");
    let no_token = format!("/client/hubs/chat?subscription-key={key}");
    let refused = served[0].request(&no_token).refused_with(401).await?;
    assert_eq!(refused.message()?, "Access token is missing.");
    let no_key = "/client/hubs/chat?access_token=abc";
    served[0].request(no_key).refused_with(401).await?;
    let more = format!("/client/hubs/chat/more?access_token=abc&subscription-key={key}");
    served[0].request(&more).refused_with(404).await?;

    let target = format!("/feed?access_token=mine&subscription-key={key}");
    served[0]
        .request(&target)
        .open()
        .await?
        .echo("news")
        .await?;
    let seen = echo.last_head()?;
    let token = seen
        .target()
        .strip_prefix("/client/hubs/feed?access_token=");
    let token = token.with_context(|| seen.target().to_owned())?;
    let access_key = "replace-this-by-the-access-key-of-your-service";
    let claims = read(token, access_key)?;
    assert_eq!(
        claims["aud"],
        "https://example.webpubsub.azure.com/client/hubs/feed"
    );
    assert_eq!(claims["sub"], "chat");
    assert_eq!(claims["role"], json!(["webpubsub.joinLeaveGroup.news"]));
    let life = claims["exp"].as_i64().zip(claims["iat"].as_i64());
    assert_eq!(life.map(|(end, start)| end - start), Some(300));
    Ok(())
}

#[tokio::test]
async fn example_jwt() -> anyhow::Result<()> {
    let echo = Echo::start().await?;
    let apis = [("orders", &*echo.url()), ("orders-browser", &*echo.url())];
    let (_scene, served) = example("jwt", &["edge"], &apis).await?;
    let signer = Signer::hs256("an-example-secret-of-at-least-32-bytes");
    let claims = json!({
        "iss": "https://login.example.com", "aud": "orders", "sub": "alice", "scope": "orders.read",
    });
    let token = signer.token(600, &claims)?;
    let request = served[0].request("/orders");
    let request = request.header("authorization", format!("Bearer {token}"));
    request.open().await?.echo("hello").await?;
    assert_eq!(echo.last_head()?.get("x-user"), Some("alice"));
    served[0].request("/orders").refused_with(401).await?;

    let browser = format!("/browser/orders?access_token={token}");
    let from = |origin: &str| served[0].request(&browser).header("origin", origin);
    from("https://shop.example.com").open().await?;
    from("https://eu.shop.example.com").open().await?;
    from("https://evil.example.com").refused_with(403).await?;
    Ok(())
}

#[tokio::test]
async fn example_fragment() -> anyhow::Result<()> {
    let echo = Echo::start().await?;
    let apis = [("radar", &*echo.url()), ("sonar", &*echo.url())];
    let (scene, served) = example("fragment", &["edge"], &apis).await?;
    for (api, depth) in [("radar", None), ("sonar", Some("40"))] {
        let request = || served[0].request(&format!("/{api}"));
        request()
            .header("x-app", "bridge")
            .open()
            .await?
            .echo("in")
            .await?;
        let head = echo.last_head()?;
        assert_eq!((head.get("x-api"), head.get("x-depth")), (Some(api), depth));
        let refused = request()
            .header("x-app", "galley")
            .refused_with(403)
            .await?;
        let title = if api == "radar" { "Radar" } else { "Sonar" };
        assert_eq!(refused.message()?, format!("galley may not use {title}"));
    }
    let status = scene.status("PolicyFragment", "checked").await?;
    assert_eq!(status["users"], 2, "{status}");
    Ok(())
}

#[tokio::test]
async fn example_product() -> anyhow::Result<()> {
    let echo = Echo::start().await?;
    let apis = [("prices", &*echo.url()), ("news", &*echo.url())];
    let (scene, served) = example("product", &["edge"], &apis).await?;
    scene.programmed("Subscription", "trader").await?;
    let (key, _) = scene.keys("trader").await?;
    for (target, seen) in [("/prices", "/"), ("/news/sea", "/?topic=sea")] {
        let request = served[0].request(target);
        let request = request.header("ocp-apim-subscription-key", &*key);
        request.open().await?.echo("hello").await?;
        let head = echo.last_head()?;
        assert_eq!(head.target(), seen);
        assert_eq!(head.get("x-subscriber"), Some("trader"));
        served[0].request(target).refused_with(401).await?;
    }
    Ok(())
}

#[tokio::test]
async fn example_echo() -> anyhow::Result<()> {
    let echo = Echo::start().await?;
    let (scene, served) = example("echo", &["edge"], &[("echo", &*echo.url())]).await?;
    scene.programmed("Subscription", "me").await?;
    let (key, _) = scene.keys("me").await?;
    let request = served[0].request("/echo");
    let request = request.header("ocp-apim-subscription-key", &*key);
    request.open().await?.echo("hello").await?;
    served[0].request("/echo").refused_with(401).await?;
    Ok(())
}

#[tokio::test]
async fn example_two_gateways() -> anyhow::Result<()> {
    let echo = Echo::start().await?;
    let apis = [("telemetry", &*echo.url()), ("quotes", &*echo.url())];
    let (_scene, served) = example("two-gateways", &["internal", "public"], &apis).await?;
    let (internal, public) = (&served[0], &served[1]);
    for (gateway, target, status) in [
        (internal, "/telemetry", 101),
        (internal, "/quotes", 101),
        (public, "/telemetry", 404),
        (public, "/quotes", 101),
    ] {
        let got = gateway.request(target).send().await?.status();
        assert_eq!(got, status, "{target} at {}", gateway.host());
    }
    Ok(())
}

#[test]
fn every_example_has_a_test() -> anyhow::Result<()> {
    let tested = [
        "echo",
        "fragment",
        "jwt",
        "pool",
        "product",
        "signalr",
        "two-gateways",
        "web-pubsub",
    ];
    let examples = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
    let mut found = Vec::new();
    for entry in std::fs::read_dir(examples)? {
        found.push(entry?.file_name().to_string_lossy().into_owned());
    }
    found.sort();
    assert_eq!(found, tested);
    Ok(())
}
