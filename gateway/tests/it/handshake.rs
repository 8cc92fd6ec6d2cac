//! The client's handshake: what passes, and what each refusal looks like.

use serde_json::json;
use tidegate_config::{PathMatch, PoolMember, SubscriptionScope, UrlScheme};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::backend::{Backend, upgrade};
use crate::support::client::{
    connect, connect_with_answer, echo, handshake, open, raw, read_to_end,
};
use crate::support::config::Config;
use crate::support::gateway::TestGateway;
use crate::support::{until, within};

/// Status and body of a raw answer.
pub(crate) fn parts(answer: &str) -> (u16, &str) {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((answer, ""));
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    (status.unwrap_or_default(), body)
}

fn refusals(result: &str, reason: &str, api: &str) -> String {
    format!("tidegate_handshakes_total{{api=\"{api}\",reason=\"{reason}\",result=\"{result}\"}}")
}

#[tokio::test]
async fn a_valid_handshake_becomes_a_tunnel_and_is_counted() {
    let backend = Backend::echo().await;
    let gateway = TestGateway::start(&Config::new().api("chat", backend.address)).await;
    let mut socket = open(&gateway.url("/chat")).await;
    echo(&mut socket, "hello").await;
    assert_eq!(
        gateway.metric(&refusals("accepted", "", "harbour/chat")),
        1.0
    );
    assert_eq!(
        gateway.metric("tidegate_tunnels_active{api=\"harbour/chat\"}"),
        1.0
    );
    assert_eq!(gateway.metric("tidegate_connections_active"), 1.0);
    socket.close(None).await.unwrap();
    gateway
        .metric_is("tidegate_tunnels_active{api=\"harbour/chat\"}", 0.0)
        .await;
    gateway.metric_is("tidegate_connections_active", 0.0).await;
    let messages =
        "tidegate_messages_total{api=\"harbour/chat\",direction=\"to_backend\",type=\"text\"}";
    gateway.metric_is(messages, 1.0).await;
}

/// A request, and what becomes of it: status, message, and the API and reason it is counted by.
type Case<'a> = (&'a str, String, (u16, &'a str), (&'a str, &'a str));

async fn refuses(gateway: &TestGateway, cases: &[Case<'_>]) {
    for (name, request, (status, message), (api, reason)) in cases {
        let reasons = refusals("refused", reason, api);
        let before = gateway.metric(&reasons);
        let answer = raw(gateway.address("plain"), request.as_bytes()).await;
        let body = format!("{{\"statusCode\":{status},\"message\":\"{message}\"}}");
        assert_eq!(parts(&answer), (*status, body.as_str()), "{name}");
        assert!(answer.contains("\r\nConnection: close"), "{name}: {answer}");
        assert_eq!(gateway.metric(&reasons), before + 1.0, "{name}: {reason}");
    }
}

#[tokio::test]
async fn what_is_no_websocket_handshake_is_refused() {
    let backend = Backend::echo().await;
    let gateway = TestGateway::start(&Config::new().api("chat", backend.address)).await;
    let valid = handshake("/chat", "");
    let plain = "GET /chat HTTP/1.1\r\nHost: a\r\n\r\n".to_owned();
    let body = handshake("/chat", "Content-Length: 3\r\n");
    let post = valid.replace("GET", "POST");
    let old_http = valid.replace("HTTP/1.1", "HTTP/1.0");
    let old_version = valid.replace("Version: 13", "Version: 8");
    let bad = (400, "Invalid websocket upgrade request");
    let why = ("harbour/chat", "invalid_upgrade");
    let wrong_version = (426, "Unsupported websocket version");
    let cases = [
        ("no upgrade", plain, bad, why),
        ("a body", body, bad, why),
        ("POST", post, bad, why),
        ("HTTP/1.0", old_http, bad, why),
        (
            "version 8",
            old_version,
            wrong_version,
            ("harbour/chat", "unsupported_version"),
        ),
    ];
    refuses(&gateway, &cases).await;
    assert!(backend.heads().is_empty(), "no refusal reaches the backend");
}

#[tokio::test]
async fn what_is_no_acceptable_head_is_refused() {
    let gateway = TestGateway::start(&Config::new()).await;
    let valid = handshake("/chat", "");
    let no_host = valid.replace("Host: harbour.example\r\n", "");
    let hello = "\u{16}\u{3}\u{1}hello\r\n\r\n".to_owned();
    let long_url = handshake(&format!("/{}", "a".repeat(17_000)), "");
    let long_field = handshake("/chat", &format!("X: {}\r\n", "a".repeat(17_000)));
    let (invalid, why) = ((400, "Invalid request"), ("-", "invalid_request"));
    let too_long = (414, "Request URL too long");
    let too_large = (431, "Request header fields too large");
    let cases = [
        ("no host", no_host, invalid, why),
        ("not HTTP", hello, invalid, why),
        ("a long URL", long_url, too_long, ("-", "url_too_long")),
        (
            "a long head",
            long_field,
            too_large,
            ("-", "head_too_large"),
        ),
    ];
    refuses(&gateway, &cases).await;
}

#[tokio::test]
async fn what_the_api_does_not_allow_is_refused() {
    let backend = Backend::echo().await;
    let config = Config::new()
        .api("chat", backend.address)
        .api_with("secure-only", backend.address, |api| {
            api.protocols = vec![UrlScheme::Wss];
        })
        .api_with("blocked", backend.address, |api| {
            api.blocked = Some("no key".to_owned());
        })
        .api_with("origins", backend.address, |api| {
            api.allowed_origins = Some(vec!["https://harbour.example".to_owned()]);
        })
        .api_with("protocols", backend.address, |api| {
            api.subprotocols = Some(vec!["whale.v1".to_owned()]);
        });
    let gateway = TestGateway::start(&config).await;
    let request = |path: &str| handshake(path, "");
    let origin = handshake("/origins", "Origin: https://evil.example\r\n");
    let offer = handshake("/protocols", "Sec-WebSocket-Protocol: x\r\n");
    let (nothing, no_route) = ((404, "Resource not found"), ("-", "route_not_found"));
    let scheme = ("-", "scheme_not_allowed");
    let another = (403, "Origin not allowed");
    let none_left = (400, "None of the offered subprotocols is allowed");
    let unavailable = (503, "API is not available");
    let cases = [
        ("no route", request("/nothing"), nothing, no_route),
        ("below an exact path", request("/chat/x"), nothing, no_route),
        ("another scheme", request("/secure-only"), nothing, scheme),
        (
            "another origin",
            origin,
            another,
            ("harbour/origins", "origin_not_allowed"),
        ),
        (
            "a subprotocol",
            offer,
            none_left,
            ("harbour/protocols", "subprotocol_not_allowed"),
        ),
        (
            "a blocked API",
            request("/blocked"),
            unavailable,
            ("harbour/blocked", "blocked"),
        ),
    ];
    refuses(&gateway, &cases).await;
    assert!(backend.heads().is_empty(), "no refusal reaches the backend");
}

#[tokio::test]
async fn a_wrong_version_is_told_the_right_one() {
    let backend = Backend::echo().await;
    let gateway = TestGateway::start(&Config::new().api("chat", backend.address)).await;
    let request = handshake("/chat", "").replace("Version: 13", "Version: 99");
    let answer = raw(gateway.address("plain"), request.as_bytes()).await;
    assert!(
        answer.contains("\r\nSec-WebSocket-Version: 13\r\n"),
        "{answer}"
    );
}

#[tokio::test]
async fn lenient_but_valid_handshakes_pass() {
    let backend = Backend::echo().await;
    let gateway = TestGateway::start(&Config::new().api("chat", backend.address)).await;
    let valid = handshake("/chat", "");
    for (name, request) in [
        (
            "a list",
            valid.replace("Connection: Upgrade", "Connection: keep-alive, Upgrade"),
        ),
        (
            "two lines",
            valid.replace(
                "Connection: Upgrade",
                "Connection: keep-alive\r\nconnection: upgrade",
            ),
        ),
        (
            "another case",
            valid.replace("Upgrade: websocket", "UPGRADE: WebSocket"),
        ),
        (
            "an absolute URL",
            valid.replace("GET /chat", "GET http://harbour.example/chat"),
        ),
        ("bare line feeds", valid.replace("\r\n", "\n")),
    ] {
        let mut stream = TcpStream::connect(gateway.address("plain")).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = [0; 12];
        within("an answer", stream.read_exact(&mut answer))
            .await
            .unwrap();
        assert_eq!(&answer, b"HTTP/1.1 101", "{name}");
    }
}

#[tokio::test]
async fn a_handshake_may_come_byte_by_byte() {
    let backend = Backend::echo().await;
    let gateway = TestGateway::start(&Config::new().api("chat", backend.address)).await;
    let mut stream = TcpStream::connect(gateway.address("plain")).await.unwrap();
    stream.set_nodelay(true).unwrap();
    for byte in handshake("/chat", "").as_bytes() {
        stream.write_all(&[*byte]).await.unwrap();
    }
    let mut answer = [0; 12];
    within("an answer", stream.read_exact(&mut answer))
        .await
        .unwrap();
    assert_eq!(&answer, b"HTTP/1.1 101");
}

#[tokio::test]
async fn a_slow_head_is_answered_with_408_and_silence_is_closed() {
    let backend = Backend::echo().await;
    let config = Config::new()
        .api("chat", backend.address)
        .settings(|settings| {
            // Half a head that comes later than this is silence.
            settings.timeouts.handshake = tidegate_config::Duration::from_secs(1);
        });
    let gateway = TestGateway::start(&config).await;
    let answer = raw(gateway.address("plain"), b"GET /chat HTT").await;
    assert_eq!(parts(&answer).0, 408, "{answer}");
    let answer = raw(gateway.address("plain"), b"").await;
    assert_eq!(answer, "");
    gateway
        .metric_is(&refusals("failed", "handshake_timeout", "-"), 2.0)
        .await;
}

#[tokio::test]
async fn a_health_check_that_says_nothing_is_no_handshake() {
    let gateway = TestGateway::start(&Config::new()).await;
    let mut stream = TcpStream::connect(gateway.address("plain")).await.unwrap();
    stream.shutdown().await.unwrap();
    assert_eq!(read_to_end(&mut stream).await, "");
    let mut stream = TcpStream::connect(gateway.address("plain")).await.unwrap();
    stream.write_all(b"GET / HTT").await.unwrap();
    drop(stream);
    gateway
        .metric_is(&refusals("failed", "client_gone", "-"), 1.0)
        .await;
    let text = gateway.metrics.render();
    let lines: Vec<_> = text
        .lines()
        .filter(|l| l.starts_with("tidegate_handshakes_total{"))
        .collect();
    assert_eq!(lines.len(), 1, "{lines:?}");
}

#[tokio::test]
async fn routes_are_found_by_listener_host_and_path() {
    let backend = Backend::echo().await;
    let host = |host: &str| vec![host.to_owned()];
    let config = Config::new()
        .api_with("exact", backend.address, |api| api.path = "/a".to_owned())
        .api_with("hosted", backend.address, |api| {
            (api.path, api.hostnames) = ("/a".to_owned(), host("*.harbour.example"));
        })
        .api_with("prefix", backend.address, |api| {
            (api.path, api.path_match) = ("/p".to_owned(), PathMatch::Prefix);
            api.backend_url = format!("ws://{}/base/?own=1", backend.address);
        })
        .api_with("template", backend.address, |api| {
            (api.path, api.path_match) = ("/rooms/{room}".to_owned(), PathMatch::Template);
        })
        .api_with("elsewhere", backend.address, |api| {
            api.listeners = vec!["other".to_owned()]
        });
    let gateway = TestGateway::start(&config).await;
    for (host, path, expected) in [
        ("a.example", "/a", "harbour/exact"),
        ("x.harbour.example", "/a", "harbour/hosted"),
        ("X.Harbour.Example:8080", "/a", "harbour/hosted"),
        ("x.harbour.example", "/p/q", "harbour/prefix"),
        ("a.example", "/rooms/7", "harbour/template"),
    ] {
        let accepted = refusals("accepted", "", expected);
        let before = gateway.metric(&accepted);
        let request = handshake(path, "").replace("harbour.example", host);
        let mut stream = TcpStream::connect(gateway.address("plain")).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        within("an answer", stream.read_u8()).await.unwrap();
        assert_eq!(gateway.metric(&accepted), before + 1.0, "{host}{path}");
    }
    let lines: Vec<_> = backend
        .heads()
        .iter()
        .map(|head| head.request_line().to_owned())
        .collect();
    assert!(
        lines.contains(&"GET /base/q?own=1 HTTP/1.1".to_owned()),
        "{lines:?}"
    );
    let refused = connect(&gateway.url("/elsewhere"), &[]).await.unwrap_err();
    assert_eq!(refused.status, 404);
}

#[tokio::test]
async fn the_backend_sees_what_it_should() {
    let backend = Backend::echo().await;
    let config = Config::new()
        .api_with("chat", backend.address, |api| {
            api.backend_url = format!("ws://{}/ws?own=1", backend.address);
        })
        .subscription("ahab", SubscriptionScope::Gateway, "secret")
        .settings(|settings| settings.trusted_proxies = vec!["127.0.0.0/8".to_owned()]);
    let gateway = TestGateway::start(&config).await;
    let headers = [
        ("X-Forwarded-For", "203.0.113.9"),
        ("Authorization", "Bearer t"),
        ("X_Forged", "1"),
        ("Sec-WebSocket-Protocol", "a, b"),
        ("Sec-WebSocket-Extensions", "x-ext; p=1"),
        (
            "traceparent",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ),
    ];
    let lines = headers
        .map(|(name, value)| format!("{name}: {value}\r\n"))
        .concat();
    let request = handshake("/chat?b=%2F&harbour-key=secret&c", &lines);
    let mut stream = TcpStream::connect(gateway.address("plain")).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let head = backend.head().await;
    assert_eq!(head.request_line(), "GET /ws?own=1&b=%2F&c HTTP/1.1");
    for (name, expected) in [
        ("Host", vec![backend.address.to_string()]),
        ("Connection", vec!["Upgrade".to_owned()]),
        ("Upgrade", vec!["websocket".to_owned()]),
        ("Sec-WebSocket-Version", vec!["13".to_owned()]),
        ("Sec-WebSocket-Protocol", vec!["a, b".to_owned()]),
        ("Sec-WebSocket-Extensions", vec!["x-ext; p=1".to_owned()]),
        ("Authorization", vec!["Bearer t".to_owned()]),
        ("X-Forwarded-For", vec!["203.0.113.9, 127.0.0.1".to_owned()]),
        ("X-Forwarded-Proto", vec!["http".to_owned()]),
        ("X-Forwarded-Host", vec!["harbour.example".to_owned()]),
        ("traceparent", vec![headers[5].1.to_owned()]),
        ("X_Forged", vec![]),
        ("X-Forged", vec![]),
    ] {
        assert_eq!(head.header(name), expected, "{name}");
    }
    assert_ne!(
        head.header("Sec-WebSocket-Key"),
        ["dGhlIHNhbXBsZSBub25jZQ=="]
    );
}

#[tokio::test]
async fn subprotocol_and_extensions_are_the_backends_choice() {
    let backend = Backend::scripted(|head, stream| async move {
        let lines = "Sec-WebSocket-Protocol: whale.v1\r\nSet-Cookie: a=b\r\nX-Served-By: moby\r\n";
        let _open = upgrade(&head, stream, lines).await;
        std::future::pending::<()>().await;
    })
    .await;
    let config = Config::new().api_with("chat", backend.address, |api| {
        api.subprotocols = Some(vec!["whale.v1".to_owned()]);
    });
    let gateway = TestGateway::start(&config).await;
    let offer = [("Sec-WebSocket-Protocol", "whale.v2, whale.v1")];
    let (_socket, answer) = connect_with_answer(&gateway.url("/chat"), &offer)
        .await
        .unwrap();
    let value = |name: &str| {
        answer
            .headers()
            .get(name)
            .and_then(|value| value.to_str().ok())
    };
    assert_eq!(value("sec-websocket-protocol"), Some("whale.v1"));
    assert_eq!(value("set-cookie"), Some("a=b"));
    assert_eq!(value("x-served-by"), Some("moby"));
    assert_eq!(
        backend.head().await.header("Sec-WebSocket-Protocol"),
        ["whale.v1"]
    );
}

/// Backends that compare Origin with Host (JupyterLab, n8n) take every host that the gateway serves.
#[tokio::test]
async fn the_clients_host_can_be_handed_on_with_its_port() {
    let (one, two, other) = (
        Backend::echo().await,
        Backend::echo().await,
        Backend::echo().await,
    );
    let steps = json!({"inbound": [
        {"when": "request.query('other') == '1'", "setBackend": {"url": format!("ws://{}", other.address)}},
    ]});
    let config = Config::new().api_with("chat", one.address, |api| {
        api.host_header = Some("${request.host}".to_owned());
        let member = |backend: &Backend| PoolMember {
            name: None,
            url: format!("ws://{}", backend.address),
            weight: 1,
            priority: 0,
        };
        api.backend_pool = vec![member(&one), member(&two)];
        api.on_handshake = serde_json::from_value(steps).unwrap();
    });
    let config = config.api_with("bad", one.address, |api| {
        api.host_header = Some("${request.header('X-Host')}".to_owned());
    });
    let gateway = TestGateway::start(&config).await;
    for (host, path, expected) in [
        ("lab.example:8443", "/chat", "lab.example:8443"),
        ("other.example", "/chat", "other.example"),
        ("[::1]:81", "/chat", "[::1]:81"),
        (
            "lab.example:8443",
            "/chat?other=1",
            &other.address.to_string(),
        ),
    ] {
        let seen = || [one.heads(), two.heads(), other.heads()].concat();
        let before = seen().len();
        let request = handshake(path, "").replace("harbour.example", host);
        let mut stream = TcpStream::connect(gateway.address("plain")).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        until("a request", || seen().len() > before).await;
        let hosts: Vec<_> = seen()
            .iter()
            .map(|head| head.header("Host").join(","))
            .collect();
        assert!(hosts.contains(&expected.to_owned()), "{host}: {hosts:?}");
    }
    assert!(!one.heads().is_empty() && !two.heads().is_empty());
    let bad = handshake("/bad", "X-Host: a b\r\n");
    let answer = raw(gateway.address("plain"), bad.as_bytes()).await;
    assert_eq!(parts(&answer).0, 500);
    let reason = refusals("failed", "expression_failed", "harbour/bad");
    assert_eq!(gateway.metric(&reason), 1.0);
}

#[tokio::test]
async fn the_configured_host_header_reaches_the_backend() {
    let backend = Backend::echo().await;
    let config = Config::new().api_with("chat", backend.address, |api| {
        api.host_header = Some("inner.example".to_owned());
    });
    let gateway = TestGateway::start(&config).await;
    open(&gateway.url("/chat")).await;
    assert_eq!(backend.head().await.header("Host"), ["inner.example"]);
}
