//! Listeners behind a load balancer that says with a PROXY header whom it speaks for.

use std::net::SocketAddr;

use futures::{SinkExt as _, StreamExt as _};
use serde_json::json;
use tidegate_config::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_tungstenite::tungstenite::Message;

use crate::handshake::parts;
use crate::policies::steps;
use crate::support::backend::Backend;
use crate::support::client::{handshake, raw, read_to_end};
use crate::support::config::Config;
use crate::support::gateway::TestGateway;
use crate::support::tls::Authority;
use crate::support::within;

const V1: &[u8] = b"PROXY TCP4 192.0.2.7 10.0.0.1 49153 80\r\n";
const V2: &[u8] =
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c\xc0\x00\x02\x07\x0a\x00\x00\x01\xc0\x01\x00\x50";
const V2_LOCAL: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00";

/// All listeners want headers, and this machine is believed.
fn balanced(config: Config) -> Config {
    config.settings(|settings| {
        settings.trusted_proxies = vec!["127.0.0.0/8".to_owned()];
        for listener in &mut settings.listeners {
            listener.proxy_protocol = true;
        }
    })
}

/// Says who the client is, instead of opening a tunnel.
async fn who() -> (Backend, Config) {
    let backend = Backend::echo().await;
    let config = Config::new().api_with("chat", backend.address, |api| {
        let body = "${client.ip} ${string(client.port)}";
        api.on_handshake = steps(json!({"inbound": [
            {"returnResponse": {"status": 418, "body": body}},
        ]}));
    });
    (backend, config)
}

async fn asked(address: SocketAddr, header: &[u8], lines: &str) -> (u16, String) {
    let request = [header, handshake("/chat", lines).as_bytes()].concat();
    let answer = raw(address, &request).await;
    let (status, body) = parts(&answer);
    (status, body.to_owned())
}

fn failed(reason: &str) -> String {
    format!("tidegate_handshakes_total{{api=\"-\",reason=\"{reason}\",result=\"failed\"}}")
}

#[tokio::test]
async fn the_client_is_whom_the_header_names() {
    let (_backend, config) = who().await;
    let gateway = TestGateway::start(&balanced(config)).await;
    let address = gateway.address("plain");
    for (name, header, lines, client) in [
        ("version 1", V1, "", "192.0.2.7 49153"),
        ("version 2", V2, "", "192.0.2.7 49153"),
        (
            "the named one is no proxy of ours",
            V2,
            "X-Forwarded-For: 6.6.6.6\r\n",
            "192.0.2.7 49153",
        ),
    ] {
        let answer = asked(address, header, lines).await;
        assert_eq!(answer, (418, client.to_owned()), "{name}");
    }
    let (status, own) = asked(address, V2_LOCAL, "").await;
    assert!(
        status == 418 && own.starts_with("127.0.0.1 "),
        "LOCAL is the balancer itself: {own}"
    );
}

#[tokio::test]
async fn an_http_proxy_behind_the_balancer_is_believed_as_well() {
    let (_backend, config) = who().await;
    let config = balanced(config)
        .settings(|settings| settings.trusted_proxies.push("192.0.2.0/24".to_owned()));
    let gateway = TestGateway::start(&config).await;
    let lines = "X-Forwarded-For: 203.0.113.9\r\n";
    let answer = asked(gateway.address("plain"), V1, lines).await;
    assert_eq!(answer, (418, "203.0.113.9 0".to_owned()));
}

/// An attacker that reaches the port past the balancer.
#[tokio::test]
async fn a_header_from_anybody_else_names_nobody() {
    let (_backend, config) = who().await;
    let config =
        balanced(config).settings(|settings| settings.trusted_proxies = vec!["10.0.0.0/8".into()]);
    let gateway = TestGateway::start(&config).await;
    for header in [V1, V2] {
        let (status, own) = asked(gateway.address("plain"), header, "").await;
        assert!(status == 418 && own.starts_with("127.0.0.1 "), "{own}");
    }
}

#[tokio::test]
async fn limits_policies_and_backends_see_the_named_client() {
    let backend = Backend::echo().await;
    let config = balanced(Config::new().api_with("chat", backend.address, |api| {
        api.on_handshake = steps(json!({"inbound": [
            {"ipFilter": {"forbid": ["198.51.100.0/24"]}},
        ]}));
    }))
    .settings(|settings| settings.limits.max_connections_per_ip = 1);
    let gateway = TestGateway::start(&config).await;
    let address = gateway.address("plain");
    let open = async |source: &str| {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let header = format!("PROXY TCP4 {source} 10.0.0.1 1 2\r\n");
        let request = header + &handshake("/chat", "");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = [0; 12];
        within("an answer", stream.read_exact(&mut answer))
            .await
            .unwrap();
        let status = parts(&String::from_utf8_lossy(&answer)).0;
        (status, stream)
    };
    let first = open("192.0.2.1").await;
    let second = open("192.0.2.2").await;
    assert_eq!((first.0, second.0), (101, 101));
    assert_eq!(open("192.0.2.1").await.0, 429, "one tunnel each");
    assert_eq!(open("198.51.100.1").await.0, 403, "ipFilter");
    let told: Vec<_> = backend
        .heads()
        .iter()
        .flat_map(|head| head.header("X-Forwarded-For"))
        .map(str::to_owned)
        .collect();
    assert_eq!(told, ["192.0.2.1", "192.0.2.2"]);
}

#[tokio::test]
async fn the_header_stands_before_tls() {
    let authority = Authority::new();
    let backend = Backend::echo().await;
    let (chain, key) = authority.issue("harbour.example");
    let config = Config::new()
        .api("chat", backend.address)
        .tls_listener(&chain, &key);
    let gateway = TestGateway::start(&balanced(config)).await;
    let mut socket = TcpStream::connect(gateway.address("secure")).await.unwrap();
    socket.write_all(V2).await.unwrap();
    let connector = TlsConnector::from(std::sync::Arc::new(authority.client_config()));
    let name = "harbour.example".try_into().unwrap();
    let stream = within("TLS", connector.connect(name, socket))
        .await
        .unwrap();
    let url = "wss://harbour.example/chat";
    let (mut tunnel, _) = tokio_tungstenite::client_async(url, stream).await.unwrap();
    tunnel.send(Message::text("behind both")).await.unwrap();
    let answer = within("the echo", tunnel.next()).await.unwrap().unwrap();
    assert_eq!(answer, Message::text("behind both"));
    assert_eq!(backend.heads()[0].header("X-Forwarded-For"), ["192.0.2.7"]);
}

/// A client that could leave it out could choose to be taken for the balancer.
#[tokio::test]
async fn a_connection_without_a_header_is_closed_without_an_answer() {
    let (_backend, config) = who().await;
    let gateway = TestGateway::start(&balanced(config)).await;
    let address = gateway.address("plain");
    for (count, bytes) in [
        handshake("/chat", "").into_bytes(),
        b"PROXY TCP4 nobody\r\n".to_vec(),
        [&V2[..14], b"\xff\xff"].concat(),
    ]
    .iter()
    .enumerate()
    {
        let answer = raw(address, bytes).await;
        assert_eq!(answer, "", "{bytes:?}");
        gateway
            .metric_is(&failed("proxy_header_invalid"), count as f64 + 1.0)
            .await;
    }
}

/// On a listener without `proxyProtocol` a header is what it looks like: no request.
#[tokio::test]
async fn a_header_where_none_is_wanted_is_a_bad_request() {
    let (_backend, config) = who().await;
    let gateway = TestGateway::start(&config).await;
    let answer = asked(gateway.address("plain"), V1, "").await;
    assert_eq!(answer.0, 400, "{answer:?}");
}

#[tokio::test]
async fn a_second_header_is_no_request_either() {
    let (_backend, config) = who().await;
    let gateway = TestGateway::start(&balanced(config)).await;
    let answer = asked(gateway.address("plain"), &[V1, V1].concat(), "").await;
    assert_eq!(answer.0, 400, "{answer:?}");
}

#[tokio::test]
async fn a_header_that_does_not_come_is_not_waited_for() {
    let (_backend, config) = who().await;
    let config = balanced(config)
        .settings(|settings| settings.timeouts.handshake = Duration::from_millis(100));
    let gateway = TestGateway::start(&config).await;
    for (count, begin) in [&b"PRO"[..], &V2[..20]].iter().enumerate() {
        let mut socket = TcpStream::connect(gateway.address("plain")).await.unwrap();
        socket.write_all(begin).await.unwrap();
        assert_eq!(read_to_end(&mut socket).await, "", "{begin:?}");
        gateway
            .metric_is(&failed("handshake_timeout"), count as f64 + 1.0)
            .await;
    }
}

/// What health checks do: connect and go, with or without a header.
#[tokio::test]
async fn a_health_check_is_no_handshake() {
    let (_backend, config) = who().await;
    let gateway = TestGateway::start(&balanced(config)).await;
    for header in [b"", V2_LOCAL, V1] {
        let mut socket = TcpStream::connect(gateway.address("plain")).await.unwrap();
        socket.write_all(header).await.unwrap();
        socket.shutdown().await.unwrap();
        assert_eq!(read_to_end(&mut socket).await, "");
    }
    let told = gateway.metrics.render();
    assert!(!told.contains("tidegate_handshakes_total{"), "{told}");
}
