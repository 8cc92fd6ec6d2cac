//! What both sides see of a handshake, byte for byte.

use std::time::Duration;

use tidegate_e2e::backend::Echo;
use tidegate_e2e::tls::Authority;
use tidegate_e2e::upgrade::Upgrade;
use tidegate_wire::{Frame, Wire, frame};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::stage::{echo_stage, stage};

#[tokio::test]
async fn every_correct_spelling_of_an_upgrade_opens_a_tunnel() -> anyhow::Result<()> {
    let mut stage = stage("spelling", "").await?;
    let plain = stage.upgrade();
    let connection = || plain.clone().without("Connection");
    let cases = [
        ("as usual", plain.clone()),
        (
            "keep-alive too",
            connection().and("Connection", "keep-alive, Upgrade"),
        ),
        ("mixed case", connection().and("cOnNeCtIoN", "uPGRADE")),
        (
            "split over lines",
            connection()
                .and("Connection", "keep-alive")
                .and("Connection", "Upgrade"),
        ),
        (
            "capital W",
            plain.clone().without("Upgrade").and("UPGRADE", "WebSocket"),
        ),
    ];
    for (case, upgrade) in cases {
        let key = upgrade
            .headers
            .iter()
            .find(|(n, _)| n == "Sec-WebSocket-Key");
        let accept = derive_accept_key(key.map_or("", |(_, key)| key).as_bytes());
        let (mut client, handshake) = stage.knock(upgrade.bytes()).await?;
        let backend = handshake.accept().await?;
        let answer = client.head().await?;
        assert_eq!(answer.status(), 101, "{case}: {answer:?}");
        let got = answer.get("sec-websocket-accept");
        assert_eq!(got, Some(&*accept), "{case}");
        drop(backend);
    }
    Ok(())
}

#[tokio::test]
async fn a_head_may_come_in_pieces() -> anyhow::Result<()> {
    let mut stage = stage("pieces", "").await?;
    let mut client = Wire::connect(stage.edge.address(), None).await?;
    for piece in stage.upgrade().bytes().chunks(7) {
        client.send(piece).await?;
        tokio::task::yield_now().await;
    }
    let _backend = stage.backend.handshake().await?.accept().await?;
    assert_eq!(client.head().await?.status(), 101);
    Ok(())
}

#[tokio::test]
async fn frames_in_the_same_segment_as_a_handshake_get_through() -> anyhow::Result<()> {
    let mut stage = stage("readahead", "").await?;
    let early = Frame::text("too eager").masked();
    let bytes = [stage.upgrade().bytes(), early.bytes()].concat();
    let (mut client, handshake) = stage.knock(bytes).await?;
    let greeting = Frame::text("hello");
    let mut backend = handshake.accept_with(&[], &greeting.bytes()).await?;
    assert_eq!(client.head().await?.status(), 101);
    assert_eq!(client.frame().await?, greeting);
    assert_eq!(backend.frame().await?.unmasked(), early.unmasked());
    Ok(())
}

#[tokio::test]
async fn the_client_gets_no_101_before_the_backend_gave_one() -> anyhow::Result<()> {
    let mut stage = stage("order", "").await?;
    let (mut client, handshake) = stage.knock(stage.upgrade().bytes()).await?;
    client.silence(Duration::from_millis(500)).await?;
    let _backend = handshake.accept().await?;
    assert_eq!(client.head().await?.status(), 101);
    Ok(())
}

#[tokio::test]
async fn the_backend_chooses_the_subprotocol() -> anyhow::Result<()> {
    let mut stage = stage("subprotocol", "").await?;
    let header = "Sec-WebSocket-Protocol";
    let offering = stage.upgrade().and(header, "chat.v2, chat.v1");
    for chosen in [Some("chat.v1"), None] {
        let (mut client, handshake) = stage.knock(offering.bytes()).await?;
        assert_eq!(handshake.head.all(header).join(", "), "chat.v2, chat.v1");
        let headers: Vec<_> = chosen.iter().map(|chosen| (header, *chosen)).collect();
        let _backend = handshake.accept_with(&headers, b"").await?;
        let answer = client.head().await?;
        assert_eq!((answer.status(), answer.get(header)), (101, chosen));
    }
    Ok(())
}

#[tokio::test]
async fn extensions_are_between_client_and_backend() -> anyhow::Result<()> {
    let mut stage = stage("extensions", "").await?;
    let header = "Sec-WebSocket-Extensions";
    let offer = "permessage-deflate; client_max_window_bits, x-private; a=\"b\"";
    let agreed = "permessage-deflate; server_no_context_takeover";
    let upgrade = stage.upgrade().and(header, offer);
    let (mut client, handshake) = stage.knock(upgrade.bytes()).await?;
    assert_eq!(handshake.head.get(header), Some(offer));
    let mut backend = handshake.accept_with(&[(header, agreed)], b"").await?;
    assert_eq!(client.head().await?.get(header), Some(agreed));
    // What the bytes mean is not the gateway's business: these are no valid deflate data.
    let mut compressed = Frame::new(frame::TEXT, [0xff; 300]);
    compressed.rsv1 = true;
    client.send_frame(&compressed.clone().masked()).await?;
    assert_eq!(backend.frame().await?.unmasked(), compressed);
    backend.send_frame(&compressed).await?;
    assert_eq!(client.frame().await?, compressed);
    Ok(())
}

#[tokio::test]
async fn frames_pass_unchanged_in_both_directions() -> anyhow::Result<()> {
    let mut stage = stage("frames", "").await?;
    let (mut client, mut backend) = stage.tunnel().await?;
    let frames = [
        Frame::text("begins").unfinished(),
        Frame::new(frame::PING, *b"in between"),
        Frame::new(frame::CONTINUATION, *b", goes on").unfinished(),
        Frame::new(frame::CONTINUATION, *b", ends"),
        Frame::new(frame::PONG, *b"unasked"),
        Frame::new(frame::BINARY, []),
        Frame::new(frame::BINARY, [7; 125]),
        Frame::new(frame::BINARY, [8; 126]),
        Frame::new(frame::BINARY, vec![9; 65_536]),
        Frame::new(frame::BINARY, vec![10; 3 << 20]),
    ];
    for frame in frames {
        let masked = frame.clone().masked();
        client.send_frame(&masked).await?;
        assert_eq!(backend.frame().await?, masked, "to the backend");
        backend.send_frame(&frame).await?;
        assert_eq!(client.frame().await?, frame, "to the client");
    }
    Ok(())
}

#[tokio::test]
async fn a_backends_refusal_reaches_the_client() -> anyhow::Result<()> {
    let mut stage = stage("refusal", "").await?;
    let upgrade = stage.upgrade();
    let cases = [
        ("403 Forbidden", "X-Why", "not you", "{\"error\":\"no\"}"),
        ("401 Unauthorized", "WWW-Authenticate", "Bearer", ""),
        ("503 Service Unavailable", "Retry-After", "7", "later"),
    ];
    for (status, name, value, body) in cases {
        let (mut client, handshake) = stage.knock(upgrade.bytes()).await?;
        let headers = [(name, value), ("Content-Type", "text/x-test")];
        handshake.refuse(status, &headers, body).await?;
        let (answer, got) = client.answer().await?;
        assert_eq!(answer.status().to_string(), status[..3], "{answer:?}");
        assert_eq!(answer.get(name), Some(value));
        assert_eq!(
            (&*got, answer.get("content-type")),
            (body, Some("text/x-test"))
        );
        client.end().await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_backend_that_fails_the_handshake_is_a_bad_gateway() -> anyhow::Result<()> {
    let timeouts = "  timeouts: {backendHandshake: 1s}";
    let mut stage = stage("bad-backend", timeouts).await?;
    let cases: [(&str, &[u8], u16); 5] = [
        (
            "wrong accept key",
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n\r\n",
            502,
        ),
        ("no upgrade", b"HTTP/1.1 101 Switching Protocols\r\n\r\n", 502),
        ("no HTTP", b"SSH-2.0-OpenSSH_9.9\r\n\r\n", 502),
        ("half an answer", b"HTTP/1.1 101 Swi", 504),
        ("silence", b"", 504),
    ];
    for (case, answer, status) in cases {
        let (mut client, handshake) = stage.knock(stage.upgrade().bytes()).await?;
        let mut backend = handshake.into_wire();
        backend.send(answer).await?;
        let (head, body) = client.answer().await?;
        assert_eq!(head.status(), status, "{case}: {head:?}");
        assert!(
            body.contains(&format!("\"statusCode\":{status}")),
            "{case}: {body}"
        );
        client.end().await?;
    }
    let (mut client, handshake) = stage.knock(stage.upgrade().bytes()).await?;
    drop(handshake);
    assert_eq!(client.head().await?.status(), 502, "hangs up");
    Ok(())
}

#[tokio::test]
async fn a_backend_that_is_not_there_is_a_bad_gateway() -> anyhow::Result<()> {
    let stage = echo_stage("no-backend", "").await?;
    let edge = &stage.edge;
    let away = Echo::start().await?.url(); // gone at once, and nobody else gets its port so soon
    stage.scene.open_api(edge, "away", &away, "").await?;
    let refused = edge.request("/away").refused_with(502).await?;
    refused.message()?;
    edge.request("/api").open().await?.echo("others work").await
}

#[tokio::test]
async fn what_is_no_upgrade_is_refused_with_a_body() -> anyhow::Result<()> {
    let stage = stage("no-upgrade", "").await?;
    let good = stage.upgrade();
    let version = || good.clone().without("Sec-WebSocket-Version");
    let key = || good.clone().without("Sec-WebSocket-Key");
    let cases = [
        ("no Upgrade", good.clone().without("Upgrade"), 400),
        ("no Connection", good.clone().without("Connection"), 400),
        ("no version", version(), 400),
        (
            "old version",
            version().and("Sec-WebSocket-Version", "8"),
            426,
        ),
        ("no key", key(), 400),
        ("short key", key().and("Sec-WebSocket-Key", "c2hvcnQ="), 400),
    ];
    for (case, upgrade, status) in cases {
        let mut client = Wire::connect(stage.edge.address(), None).await?;
        client.send(upgrade.bytes()).await?;
        let (head, body) = client.answer().await?;
        assert_eq!(head.status(), status, "{case}: {head:?} {body}");
        let version = (status == 426).then_some("13");
        assert_eq!(head.get("sec-websocket-version"), version, "{case}");
        let body: serde_json::Value = serde_json::from_str(&body)?;
        assert_eq!(body["statusCode"], status, "{case}");
        let message = if status == 426 {
            "Unsupported websocket version"
        } else {
            "Invalid websocket upgrade request"
        };
        assert_eq!(body["message"], message, "{case}");
        client.end().await?;
    }
    assert!(stage.backend.is_idle(), "none of these reached the backend");
    Ok(())
}

#[tokio::test]
async fn only_the_exact_path_is_the_api() -> anyhow::Result<()> {
    let stage = echo_stage("path", "").await?;
    for target in ["/", "/api/", "/api/more", "/API", "/ap", "//api"] {
        let refused = stage.edge.request(target).refused_with(404).await?;
        assert_eq!(refused.message()?, "Resource not found", "{target}");
    }
    stage
        .edge
        .request("/api?a=b")
        .open()
        .await?
        .echo("found")
        .await
}

#[tokio::test]
async fn the_backends_request_is_the_clients_as_far_as_it_should() -> anyhow::Result<()> {
    let mut stage = stage("request", "").await?;
    let backend = stage.backend.address();
    let url = format!("ws://{backend}/base?fixed=1");
    stage.scene.open_api(&stage.edge, "query", &url, "").await?;
    let upgrade = Upgrade::new(&stage.edge.host(), "/query?a=b%20c&a=d&empty=")
        .and("X-Custom", "kept")
        .and("Cookie", "a=b")
        .and("Connection", "X-User")
        .and("X-User", "named by Connection");
    let (mut client, handshake) = stage.knock(upgrade.bytes()).await?;
    let head = handshake.head.clone();
    assert_eq!(head.target(), "/base?fixed=1&a=b%20c&a=d&empty=");
    assert_eq!(head.get("host"), Some(&*backend.to_string()));
    assert_eq!(head.get("x-custom"), Some("kept"));
    assert_eq!(head.get("cookie"), Some("a=b"));
    // What ends at the gateway is the gateway's choice alone: a client that could take headers
    // away could take away those that the backend trusts.
    assert_eq!(head.get("x-user"), Some("named by Connection"));
    assert_eq!(head.get("connection"), Some("Upgrade"));
    assert_eq!(head.get("sec-websocket-version"), Some("13"));
    let headers = [("X-Server", "kept too"), ("Set-Cookie", "c=d")];
    let _backend = handshake.accept_with(&headers, b"").await?;
    let answer = client.head().await?;
    assert_eq!(answer.get("x-server"), Some("kept too"));
    assert_eq!(answer.get("set-cookie"), Some("c=d"));
    Ok(())
}

#[tokio::test]
async fn tls_on_both_sides_is_verified() -> anyhow::Result<()> {
    let stage = echo_stage("tls", "").await?;
    let scene = &stage.scene;
    let authority = Authority::new("the test's")?;
    let certificate = authority.issue(&["localhost", "127.0.0.1"])?;
    let echo = Echo::start_tls(certificate.server()?).await?;
    let anchors = serde_json::json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "anchors"},
        "data": {"ca.crt": authority.pem()},
    });
    scene.apply(&anchors.to_string()).await?;
    let url = |host: &str| format!("wss://{host}:{}/", echo.address().port());
    let trusting = |url: &str, name: &str| {
        format!("{{url: '{url}', tls: {{caRefs: [{{kind: ConfigMap, name: {name}}}]}}}}")
    };
    let apis = [
        ("trusted", trusting(&url("localhost"), "anchors"), 101),
        ("by-address", trusting(&url("127.0.0.1"), "anchors"), 101),
        // Signed by the right authority, for another name.
        ("misnamed", trusting(&url("127.0.0.2"), "anchors"), 502),
        // The system's authorities did not sign it.
        ("untrusted", format!("{{url: '{}'}}", url("localhost")), 502),
        (
            "unverified",
            format!(
                "{{url: '{}', tls: {{insecureSkipVerify: true}}}}",
                url("localhost")
            ),
            101,
        ),
    ];
    for (name, backend, status) in &apis {
        scene
            .apply(&format!(
                "apiVersion: tidegate.dev/v1alpha1
kind: WebSocketApi
metadata: {{name: {name}}}
spec:
  gateways: [{{name: edge}}]
  path: /{name}
  subscriptionRequired: false
  backend: {backend}"
            ))
            .await?;
        scene.programmed("WebSocketApi", name).await?;
        let outcome = stage.edge.request(&format!("/{name}")).send().await?;
        assert_eq!(outcome.status(), *status, "{name}: {outcome:?}");
    }
    Ok(())
}
