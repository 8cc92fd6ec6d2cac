//! Policies over real sockets: what the client is told, and what the backend sees.

use std::time::{SystemTime, UNIX_EPOCH};

use jsonwebtoken::{EncodingKey, Header};
use serde_json::{Value, json};
use tidegate_config::policy::OnHandshake;
use tidegate_config::{SecretDataId, SubscriptionScope};

use crate::support::backend::{Backend, upgrade};
use crate::support::client::{
    closed, connect, connect_with_answer, echo, handshake, open, raw, receive,
};
use crate::support::config::{Config, NAMESPACE};
use crate::support::gateway::TestGateway;

const SECRET: &[u8] = b"the secret of the harbour master, 0123456789";

pub(crate) fn steps(on: Value) -> OnHandshake {
    serde_json::from_value(on).unwrap()
}

/// An API `chat` with these policies, and the secret that they may name.
fn chat(backend: &Backend, on: Value) -> Config {
    let mut config = Config::new().api_with("chat", backend.address, |api| {
        api.on_handshake = steps(on);
    });
    let id = SecretDataId::secret(NAMESPACE, "tokens", "hmac");
    config.secret_data.insert(id, SECRET.to_vec());
    config
}

/// The policy with the secret as its key.
fn validate_jwt(fields: Value) -> Value {
    let mut policy = json!({"keys": [{"secretKeyRef": {"name": "tokens", "key": "hmac"}}]});
    let all = policy.as_object_mut().unwrap();
    all.extend(fields.as_object().unwrap().clone());
    json!({ "validateJwt": policy })
}

fn token(seconds: i64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let expiry = i64::try_from(now.as_secs()).unwrap() + seconds;
    let claims = json!({"sub": "ishmael", "exp": expiry});
    jsonwebtoken::encode(
        &Header::default(),
        &claims,
        &EncodingKey::from_secret(SECRET),
    )
    .unwrap()
}

#[tokio::test]
async fn a_token_in_the_query_decides_and_stays_at_the_gateway() {
    let backend = Backend::echo().await;
    let on = json!({"inbound": [
        validate_jwt(json!({"query": "access_token"})),
        {"setHeader": {"name": "X-User", "values": ["${jwt.claims.sub}"]}},
    ]});
    let gateway = TestGateway::start(&chat(&backend, on)).await;
    for (name, path, message) in [
        ("no token", "/chat".to_owned(), "JWT not present."),
        (
            "an old token",
            format!("/chat?access_token={}", token(-5)),
            "JWT is expired. Access denied.",
        ),
    ] {
        let refused = connect(&gateway.url(&path), &[]).await.expect_err(name);
        assert_eq!(refused.status, 401, "{name}");
        let body: Value = serde_json::from_str(&refused.body).unwrap();
        assert_eq!(
            body,
            json!({"statusCode": 401, "message": message}),
            "{name}"
        );
        assert!(
            refused.answer.headers().contains_key("www-authenticate"),
            "{name}"
        );
    }
    assert!(backend.heads().is_empty());
    let path = format!("/chat?a=%2F&access_token={}&b", token(60));
    let mut socket = open(&gateway.url(&path)).await;
    echo(&mut socket, "hello").await;
    let head = backend.head().await;
    assert_eq!(head.request_line(), "GET /?a=%2F&b HTTP/1.1");
    assert_eq!(head.header("X-User"), ["ishmael"]);
    gateway
        .metric_is("tidegate_handshakes_total{api=\"harbour/chat\",reason=\"token_expired\",result=\"refused\"}", 1.0)
        .await;
}

#[tokio::test]
async fn a_token_among_the_subprotocols_leaves_the_others() {
    let backend = Backend::scripted(|head, stream| async move {
        let mut socket = upgrade(&head, stream, "Sec-WebSocket-Protocol: chat.v2\r\n").await;
        let _ = socket.close(None).await;
    })
    .await;
    let on = json!({"inbound": [validate_jwt(json!({"subprotocol": "bearer."}))]});
    let config = chat(&backend, on).edit_api("chat", |api| {
        api.subprotocols = Some(vec!["chat.v1".to_owned(), "chat.v2".to_owned()]);
    });
    let gateway = TestGateway::start(&config).await;
    let offered = format!("bearer.{}, chat.v1, chat.v2", token(60));
    let headers = [("Sec-WebSocket-Protocol", offered.as_str())];
    let (_, answer) = connect_with_answer(&gateway.url("/chat"), &headers)
        .await
        .unwrap();
    assert_eq!(answer.headers()["sec-websocket-protocol"], "chat.v2");
    let head = backend.head().await;
    assert_eq!(head.header("Sec-WebSocket-Protocol"), ["chat.v1, chat.v2"]);
}

#[tokio::test]
async fn the_tunnel_closes_when_its_token_ends() {
    let backend = Backend::echo().await;
    let on = json!({"inbound": [validate_jwt(json!({}))]});
    let gateway = TestGateway::start(&chat(&backend, on)).await;
    let bearer = format!("Bearer {}", token(2));
    let headers = [("Authorization", bearer.as_str())];
    let mut socket = connect(&gateway.url("/chat"), &headers).await.unwrap();
    echo(&mut socket, "hello").await;
    let (code, _) = closed(&mut socket).await.expect("a code");
    assert_eq!(code, 1008);
    assert!(backend.head().await.header("Authorization").is_empty());
}

#[tokio::test]
async fn the_products_policies_run_with_its_key_only() {
    let backend = Backend::echo().await;
    let mark = |letter: &str| json!({"setHeader": {"name": "X-Path", "values": [letter], "ifExists": "Append"}});
    let config = chat(&backend, json!({"inbound": [mark("api")]}))
        .settings(|settings| settings.on_handshake = steps(json!({"inbound": [mark("gateway")]})))
        .product("gold", &["chat"], |product| {
            product.on_handshake = steps(json!({"inbound": [mark("product")]}));
        })
        .subscription(
            "ahab",
            SubscriptionScope::Product("gold".to_owned()),
            "white-whale-1",
        )
        .subscription(
            "starbuck",
            SubscriptionScope::Api("chat".to_owned()),
            "white-whale-2",
        );
    let gateway = TestGateway::start(&config).await;
    for (key, expected) in [
        ("white-whale-1", "gateway, product, api"),
        ("white-whale-2", "gateway, api"),
    ] {
        let before = backend.heads().len();
        let mut socket = connect(&gateway.url("/chat"), &[("X-Harbour-Key", key)])
            .await
            .unwrap();
        echo(&mut socket, "hello").await;
        assert_eq!(backend.heads()[before].header("X-Path"), [expected]);
    }
}

#[tokio::test]
async fn a_closed_tunnel_frees_the_place_of_its_key() {
    let backend = Backend::echo().await;
    let limit = json!({"limitConnections": {"key": "client.ip", "max": 1}});
    let gateway = TestGateway::start(&chat(&backend, json!({"inbound": [limit]}))).await;
    let url = gateway.url("/chat");
    for _ in 0..2 {
        let mut tunnel = open(&url).await;
        let refused = connect(&url, &[]).await.expect_err("a second one");
        assert_eq!(refused.status, 429);
        assert_eq!(
            refused.body,
            r#"{"statusCode":429,"message":"Too many connections for this key"}"#
        );
        assert_eq!(refused.answer.headers()["retry-after"], "5");
        tunnel.close(None).await.unwrap();
        gateway.metric_is("tidegate_connections_active", 0.0).await;
    }
}

#[tokio::test]
async fn a_handshake_that_the_backend_refuses_frees_the_place_of_its_key() {
    let backend = Backend::answering("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n").await;
    let limit = json!({"limitConnections": {"key": "client.ip", "max": 1}});
    let gateway = TestGateway::start(&chat(&backend, json!({"inbound": [limit]}))).await;
    for _ in 0..3 {
        let refused = connect(&gateway.url("/chat"), &[]).await.expect_err("403");
        assert_eq!(refused.status, 403);
    }
}

#[tokio::test]
async fn a_limit_survives_a_change_of_the_configuration() {
    let backend = Backend::echo().await;
    let limit = json!({"rateLimitByKey": {
        "key": "client.ip", "calls": 2, "period": "300s", "remainingHeader": "X-Left",
    }});
    let config = chat(&backend, json!({"inbound": [limit.clone()]}));
    let mut gateway = TestGateway::start(&config).await;
    let url = gateway.url("/chat");
    let (_, answer) = connect_with_answer(&url, &[]).await.unwrap();
    assert_eq!(answer.headers()["x-left"], "1");
    let renamed = json!({"inbound": [{"setHeader": {"name": "X-A", "values": ["1"]}}, limit]});
    gateway.apply(&chat(&backend, renamed)).await;
    open(&url).await;
    let refused = connect(&url, &[]).await.expect_err("a third one");
    assert_eq!(refused.status, 429);
    let wait: u32 = refused.answer.headers()["retry-after"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!((1..=300).contains(&wait), "{wait}");
    let message = format!("Rate limit is exceeded. Try again in {wait} seconds.");
    let body: Value = serde_json::from_str(&refused.body).unwrap();
    assert_eq!(body, json!({"statusCode": 429, "message": message}));
    assert_eq!(refused.answer.headers()["x-left"], "0");
}

#[tokio::test]
async fn outbound_and_on_error_shape_the_answer() {
    let backend = Backend::scripted(|head, mut stream| async move {
        use tokio::io::AsyncWriteExt as _;
        if head.request_line().contains("closed") {
            let answer =
                "HTTP/1.1 403 Forbidden\r\nContent-Length: 4\r\nX-Origin: backend\r\n\r\nshut";
            let _ = stream.write_all(answer.as_bytes()).await;
            return;
        }
        let mut socket = upgrade(&head, stream, "Server: whaler/1\r\n").await;
        let _ = socket.close(None).await;
    })
    .await;
    let on = json!({
        "inbound": [{"when": "request.query('who') == 'nobody'", "returnResponse": {"status": 410, "message": "gone"}}],
        "outbound": [
            {"setHeader": {"name": "Server", "ifExists": "Delete"}},
            {"setHeader": {"name": "X-Status", "values": ["${response.status}"]}},
        ],
        "onError": [{"setHeader": {"name": "X-Reason", "values": ["${error.reason} ${error.source}"]}}],
    });
    let gateway = TestGateway::start(&chat(&backend, on)).await;
    let (_, answer) = connect_with_answer(&gateway.url("/chat"), &[])
        .await
        .unwrap();
    assert_eq!(answer.headers()["x-status"], "101");
    assert!(!answer.headers().contains_key("server"));
    let refused = connect(&gateway.url("/chat?door=closed"), &[])
        .await
        .expect_err("closed");
    assert_eq!((refused.status, refused.body.as_str()), (403, "shut"));
    let headers = refused.answer.headers();
    assert_eq!(headers["x-status"], "403");
    assert_eq!(headers["x-reason"], "backend_refused backend");
    assert_eq!(headers["x-origin"], "backend");
    let gone = connect(&gateway.url("/chat?who=nobody"), &[])
        .await
        .expect_err("gone");
    assert_eq!(
        (gone.status, gone.body.as_str()),
        (410, r#"{"statusCode":410,"message":"gone"}"#)
    );
    assert!(!gone.answer.headers().contains_key("x-reason"), "no error");
}

#[tokio::test]
async fn a_client_cannot_remove_or_split_a_policys_header() {
    let backend = Backend::echo().await;
    let on = json!({"inbound": [
        {"setHeader": {"name": "X-Checked", "values": ["by ${request.query('by')}"]}},
    ]});
    let gateway = TestGateway::start(&chat(&backend, on)).await;
    let address = gateway.address("plain");
    let split = raw(
        address,
        handshake("/chat?by=x%0d%0aX-Admin:1", "").as_bytes(),
    )
    .await;
    assert!(split.starts_with("HTTP/1.1 500 "), "{split}");
    assert!(
        split.ends_with(r#"{"statusCode":500,"message":"Internal server error"}"#),
        "{split}"
    );
    assert!(backend.heads().is_empty());
    let headers = [("Connection", "Upgrade, X-Checked"), ("X-Checked", "by me")];
    let request = handshake(
        "/chat?by=us",
        &headers.map(|(n, v)| format!("{n}: {v}\r\n")).concat(),
    );
    let request = request.replacen("Connection: Upgrade\r\n", "", 1);
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut stream, request.as_bytes())
        .await
        .unwrap();
    assert_eq!(backend.head().await.header("X-Checked"), ["by us"]);
}

#[tokio::test]
async fn another_backend_gets_the_clients_query() {
    let own = Backend::echo().await;
    let other = Backend::scripted(|head, stream| async move {
        use futures::SinkExt as _;
        let mut socket = upgrade(&head, stream, "").await;
        let _ = socket.send("other".into()).await;
    })
    .await;
    let url = format!("ws://{}/${{request.query('room')}}?fixed=1", other.address);
    let on = json!({"inbound": [
        {"when": "request.query('room', '') != ''", "setBackend": {"url": url}},
        {"setQueryParameter": {"name": "user", "values": ["a b&c"]}},
    ]});
    let config = chat(&own, on).edit_api("chat", |api| {
        api.host_header = Some("own.example".to_owned())
    });
    let gateway = TestGateway::start(&config).await;
    let mut socket = open(&gateway.url("/chat?room=blue")).await;
    assert_eq!(receive(&mut socket).await.into_text().unwrap(), "other");
    let head = other.head().await;
    assert_eq!(
        head.request_line(),
        "GET /blue?fixed=1&room=blue&user=a%20b%26c HTTP/1.1"
    );
    assert_eq!(head.header("Host"), [other.address.to_string()]);
    open(&gateway.url("/chat")).await;
    assert_eq!(own.head().await.header("Host"), ["own.example"]);
}

#[tokio::test]
async fn a_broken_policy_keeps_the_one_that_worked() {
    let backend = Backend::echo().await;
    let allow = |address: &str| json!({"inbound": [{"ipFilter": {"allow": [address]}}]});
    let mut gateway = TestGateway::start(&chat(&backend, allow("192.0.2.1"))).await;
    let refused = connect(&gateway.url("/chat"), &[])
        .await
        .expect_err("not allowed");
    assert_eq!(
        (refused.status, refused.body.as_str()),
        (403, r#"{"statusCode":403,"message":"Forbidden"}"#)
    );
    gateway
        .apply(&chat(&backend, allow("not an address")))
        .await;
    let rejected = gateway.gateway.status().borrow().rejected.clone();
    assert_eq!(rejected.len(), 1);
    assert!(
        rejected[0].message.contains("ipFilter.allow[0]"),
        "{}",
        rejected[0].message
    );
    assert_eq!(
        connect(&gateway.url("/chat"), &[])
            .await
            .expect_err("still")
            .status,
        403
    );
    gateway.apply(&chat(&backend, allow("127.0.0.1"))).await;
    open(&gateway.url("/chat")).await;
}

#[tokio::test]
async fn the_backend_is_asked_for_the_rewritten_path_and_its_refusal_explained() {
    let backend = Backend::answering(
        "HTTP/1.1 500 Oops\r\nContent-Type: text/html\r\nContent-Length: 5\r\n\r\n<h1>!",
    )
    .await;
    let on = json!({
        "inbound": [{"rewritePath": {"path": "/rooms/${url.encode(request.query('room'))}?v=2"}}],
        "onError": [{"setStatus": {"status": 503, "message": "in repair"}}],
    });
    let gateway = TestGateway::start(&chat(&backend, on)).await;
    let url = gateway.url("/chat?room=a%2Fb%20c&v=1");
    let refused = connect(&url, &[]).await.expect_err("the backend is broken");
    let body = r#"{"statusCode":503,"message":"in repair"}"#;
    assert_eq!((refused.status, refused.body.as_str()), (503, body));
    assert_eq!(refused.answer.headers()["content-type"], "application/json");
    let line = "GET /rooms/a%2Fb%20c?v=2&room=a%2Fb%20c HTTP/1.1";
    assert_eq!(backend.head().await.request_line(), line);
}
