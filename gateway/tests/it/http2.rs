//! WebSockets in streams of HTTP/2 (RFC 8441).

mod abuse;
mod ending;
mod floods;
mod heads;

use futures::{SinkExt as _, StreamExt as _};
use serde_json::json;
use tidegate_config::{ListenerConfig, Protocol, SubscriptionScope};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;

use crate::handshake::parts;
use crate::policies::steps;
use crate::support::backend::{Backend, upgrade};
use crate::support::client::{handshake, raw};
use crate::support::config::Config;
use crate::support::gateway::TestGateway;
use crate::support::http2::{Http2, Socket, text};
use crate::support::tls::Authority;
use crate::support::within;

/// All listeners speak HTTP/2 as well.
pub(crate) fn modern(config: Config) -> Config {
    config.settings(|settings| {
        for listener in &mut settings.listeners {
            listener.http2 = true;
        }
    })
}

async fn echo(socket: &mut Socket, text: &str) {
    socket.send(Message::text(text)).await.unwrap();
    assert_eq!(next(socket).await, Message::text(text));
}

async fn next(socket: &mut Socket) -> Message {
    let next = within("a message over HTTP/2", socket.next()).await;
    next.expect("the stream ended").unwrap()
}

/// One API `chat` with an echo backend.
async fn chat() -> (Backend, Config) {
    let backend = Backend::echo().await;
    let config = modern(Config::new().api("chat", backend.address));
    (backend, config)
}

#[tokio::test]
async fn a_tunnel_opens_with_200_and_the_backend_sees_a_handshake_of_http_1() {
    let backend = Backend::scripted(|head, stream| async move {
        let lines = "Sec-WebSocket-Protocol: chat.v2\r\nX-Backend: yes\r\n";
        let mut socket = upgrade(&head, stream, lines).await;
        while let Some(Ok(message)) = socket.next().await {
            let _ = socket.send(message).await;
        }
    })
    .await;
    let gateway = TestGateway::start(&modern(Config::new().api("chat", backend.address))).await;
    let mut client = Http2::plain(gateway.address("plain")).await;
    let fields = [
        ("sec-websocket-protocol", "chat.v2, chat.v1"),
        ("cookie", "a=b"),
        ("cookie", "c=d"),
        ("x-forwarded-for", "6.6.6.6"),
    ];
    let (stream, answer) = client.connect("/chat?room=1", &fields).await.unwrap();
    assert_eq!(answer.headers()["sec-websocket-protocol"], "chat.v2");
    assert_eq!(answer.headers()["x-backend"], "yes");
    for name in ["sec-websocket-accept", "upgrade", "connection"] {
        assert!(!answer.headers().contains_key(name), "{name}");
    }
    let role = tokio_tungstenite::tungstenite::protocol::Role::Client;
    let mut socket = tokio_tungstenite::WebSocketStream::from_raw_socket(stream, role, None).await;
    echo(&mut socket, "through a stream").await;

    let head = backend.head().await;
    assert_eq!(head.request_line(), "GET /?room=1 HTTP/1.1");
    for (name, values) in [
        ("Upgrade", &["websocket"][..]),
        ("Sec-WebSocket-Version", &["13"]),
        ("Sec-WebSocket-Protocol", &["chat.v2, chat.v1"]),
        ("Cookie", &["a=b; c=d"]),
        ("X-Forwarded-For", &["127.0.0.1"]),
        ("X-Forwarded-Host", &["harbour.example"]),
        ("X-Forwarded-Proto", &["http"]),
    ] {
        assert_eq!(head.header(name), values, "{name}");
    }
    assert_eq!(head.header("Sec-WebSocket-Key").len(), 1);
    assert!(!head.text.contains(":protocol"), "{}", head.text);
}

#[tokio::test]
async fn tls_agrees_on_it_by_alpn() {
    let authority = Authority::new();
    let (backend, config) = chat().await;
    let (chain, key) = authority.issue("harbour.example");
    let gateway = TestGateway::start(&modern(config.tls_listener(&chain, &key))).await;
    let address = gateway.address("secure");
    let mut client = Http2::secure(address, &authority, "harbour.example").await;
    assert!(client.is_offered().await);
    let mut first = client.open("/chat").await;
    let mut second = client.open("/chat").await;
    echo(&mut first, "one").await;
    echo(&mut second, "two").await;
    assert_eq!(backend.heads()[0].header("X-Forwarded-Proto"), ["https"]);
}

/// A half-offered WebSocket breaks browsers, which do not try again over HTTP/1.1.
#[tokio::test]
async fn a_listener_without_it_does_not_offer_it() {
    let authority = Authority::new();
    let backend = Backend::echo().await;
    let (chain, key) = authority.issue("harbour.example");
    let config = Config::new()
        .api("chat", backend.address)
        .tls_listener(&chain, &key);
    let gateway = TestGateway::start(&config).await;
    let mut tls = authority.client_config();
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let address = gateway.address("secure");
    let stream = crate::support::tls::tls_connect(address, "harbour.example", tls).await;
    let chosen = stream
        .unwrap()
        .get_ref()
        .1
        .alpn_protocol()
        .map(<[u8]>::to_vec);
    assert_eq!(chosen, Some(b"http/1.1".to_vec()));
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let answer = raw(gateway.address("plain"), preface).await;
    assert_eq!(parts(&answer).0, 400, "{answer}");
}

#[tokio::test]
async fn http_1_goes_on_beside_it() {
    let (_backend, config) = chat().await;
    let gateway = TestGateway::start(&config).await;
    let mut socket = crate::support::client::open(&gateway.url("/chat")).await;
    crate::support::client::echo(&mut socket, "as ever").await;
    // A method that begins as the preface does, byte by byte.
    let mut stream = TcpStream::connect(gateway.address("plain")).await.unwrap();
    let request = handshake("/chat", "").replacen("GET", "PRINT", 1);
    for byte in request.as_bytes() {
        stream.write_all(&[*byte]).await.unwrap();
        tokio::task::yield_now().await;
    }
    let mut answer = [0; 12];
    within("an answer", stream.read_exact(&mut answer))
        .await
        .unwrap();
    assert_eq!(parts(&String::from_utf8_lossy(&answer)).0, 400);
}

const V13: (&str, &str) = ("sec-websocket-version", "13");
const WEBSOCKET: Option<&str> = Some("websocket");
const NO_UPGRADE: &str = "Invalid websocket upgrade request";

/// Name, method, path, protocol and fields; status and message of the answer.
type Case = (
    &'static str,
    &'static str,
    &'static str,
    Option<&'static str>,
    &'static [(&'static str, &'static str)],
    u16,
    &'static str,
);

const NO_HANDSHAKES: [Case; 9] = [
    (
        "no such path",
        "GET",
        "/none",
        None,
        &[],
        404,
        "Resource not found",
    ),
    (
        "an ordinary request",
        "GET",
        "/chat",
        None,
        &[V13],
        400,
        NO_UPGRADE,
    ),
    (
        "an ordinary CONNECT",
        "CONNECT",
        "",
        None,
        &[],
        400,
        "Invalid request",
    ),
    (
        "another protocol",
        "CONNECT",
        "/chat",
        Some("connect-udp"),
        &[V13],
        400,
        NO_UPGRADE,
    ),
    (
        "no version",
        "CONNECT",
        "/chat",
        WEBSOCKET,
        &[],
        400,
        NO_UPGRADE,
    ),
    (
        "another version",
        "CONNECT",
        "/chat",
        WEBSOCKET,
        &[("sec-websocket-version", "8")],
        426,
        "Unsupported websocket version",
    ),
    (
        "a body",
        "CONNECT",
        "/chat",
        WEBSOCKET,
        &[V13, ("content-length", "5")],
        400,
        NO_UPGRADE,
    ),
    (
        "no key",
        "CONNECT",
        "/private",
        WEBSOCKET,
        &[V13],
        401,
        "Access denied due to missing subscription key. Make sure to include subscription \
             key when making requests to an API.",
    ),
    (
        "a policy",
        "CONNECT",
        "/closed",
        WEBSOCKET,
        &[V13],
        451,
        "not here",
    ),
];

#[tokio::test]
async fn what_is_no_handshake_is_refused_with_a_body_and_the_connection_goes_on() {
    let (backend, config) = chat().await;
    let config = config
        .api_with("private", backend.address, |api| {
            api.subscription_required = true
        })
        .api_with("closed", backend.address, |api| {
            api.on_handshake = steps(json!({"inbound": [
                {"returnResponse": {"status": 451, "message": "not here"}},
            ]}));
        })
        .subscription("ahab", SubscriptionScope::Gateway, "white-whale");
    let gateway = TestGateway::start(&config).await;
    let mut client = Http2::plain(gateway.address("plain")).await;
    for (name, method, path, protocol, fields, status, message) in NO_HANDSHAKES {
        let answer = client.request(method, path, protocol, fields).await;
        let (answer, _stream) = answer.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(answer.status(), status, "{name}");
        assert!(!answer.headers().contains_key("upgrade"), "{name}");
        assert_eq!(
            answer.headers()["content-type"],
            "application/json",
            "{name}"
        );
        let body = format!("{{\"statusCode\":{status},\"message\":\"{message}\"}}");
        assert_eq!(text(answer.into_body()).await, body, "{name}");
    }
    assert!(backend.heads().is_empty());
    let mut socket = client.open("/private?harbour-key=white-whale").await;
    echo(&mut socket, "and yet").await;
}

#[tokio::test]
async fn heads_have_the_limits_of_http_1() {
    let (_backend, config) = chat().await;
    let config = config.settings(|settings| {
        settings.limits.max_header_bytes = 1024;
        settings.limits.max_url_bytes = 128;
    });
    let gateway = TestGateway::start(&config).await;
    let mut client = Http2::plain(gateway.address("plain")).await;
    let long = "x".repeat(1024);
    let refused = client
        .connect("/chat", &[("x", &long)])
        .await
        .err()
        .unwrap();
    let body = r#"{"statusCode":431,"message":"Request header fields too large"}"#;
    assert_eq!((refused.status, refused.body.as_str()), (431, body));
    let path = format!("/chat?{}", "x".repeat(128));
    let refused = client.connect(&path, &[]).await.err().unwrap();
    let body = r#"{"statusCode":414,"message":"Request URL too long"}"#;
    assert_eq!((refused.status, refused.body.as_str()), (414, body));
    client.open("/chat").await;
}

/// Each stream is a connection to every limit, and is decided by the configuration of its time.
#[tokio::test]
async fn streams_are_counted_and_configured_one_by_one() {
    let (backend, config) = chat().await;
    let config = config.settings(|settings| settings.limits.max_connections_per_ip = 2);
    let mut gateway = TestGateway::start(&config).await;
    let mut client = Http2::plain(gateway.address("plain")).await;
    let mut first = client.open("/chat").await;
    let mut second = client.open("/chat").await;
    assert_eq!(
        client.connect("/chat", &[]).await.err().unwrap().status,
        429
    );
    assert_eq!(gateway.gateway.tunnels(), 2);

    second.close(None).await.unwrap();
    while second.next().await.is_some() {}
    gateway
        .metric_is("tidegate_tunnels_active{api=\"harbour/chat\"}", 1.0)
        .await;
    gateway.apply(&config.api("late", backend.address)).await;
    let mut late = client.open("/late").await;
    echo(&mut first, "kept").await;
    echo(&mut late, "found").await;
}

/// A connection that was agreed on with one listener is none of another one's (RFC 9113 §9.1.2).
#[tokio::test]
async fn a_host_of_a_listener_without_it_is_misdirected() {
    let (_backend, config) = chat().await;
    let config = config
        .settings(|settings| {
            settings.listeners[0].hostnames = vec!["other.example".to_owned()];
            settings.listeners.push(ListenerConfig {
                name: "old".to_owned(),
                port: settings.listeners[0].port,
                protocol: Protocol::Ws,
                hostnames: vec!["harbour.example".to_owned()],
                tls: None,
                proxy_protocol: false,
                http2: false,
            });
        })
        .edit_api("chat", |api| api.listeners.push("old".to_owned()));
    let gateway = TestGateway::start(&config).await;
    let mut client = Http2::plain(gateway.address("plain")).await;
    let refused = client.connect("/chat", &[]).await.err().unwrap();
    assert_eq!(refused.status, 421, "{refused:?}");
    let answer = raw(gateway.address("plain"), handshake("/none", "").as_bytes()).await;
    assert_eq!(parts(&answer).0, 404, "HTTP/1.1 is that listener's own");
}

#[tokio::test]
async fn what_a_policy_says_first_comes_first_in_a_stream_too() {
    let backend = Backend::echo().await;
    let greet = json!({"outbound": [{"onOpen": {"sendText": "hello from ${request.path}"}}]});
    let config = Config::new().api_with("chat", backend.address, |api| {
        api.on_handshake = serde_json::from_value(greet).unwrap();
    });
    let gateway = TestGateway::start(&modern(config)).await;
    let mut client = Http2::plain(gateway.address("plain")).await;
    let mut socket = client.open("/chat").await;
    assert_eq!(
        next(&mut socket).await,
        Message::text("hello from /chat"),
        "the backend's echo of it"
    );
    echo(&mut socket, "mine").await;
    let sent =
        "tidegate_messages_total{api=\"harbour/chat\",direction=\"to_backend\",type=\"text\"}";
    gateway.metric_is(sent, 2.0).await;
}
