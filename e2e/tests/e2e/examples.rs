//! The examples, as they stand.

use anyhow::Context;
use serde_json::json;
use tidegate_e2e::backend::Echo;
use tidegate_e2e::scene::{Scene, Served};
use tidegate_e2e::token::{Signer, read};

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
        "realtime",
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
