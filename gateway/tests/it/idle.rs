//! Connections that ask for nothing: what they count for, and that they keep nobody out.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

use crate::handshake::parts;
use crate::support::backend::Backend;
use crate::support::client::{handshake, read_to_end};
use crate::support::config::Config;
use crate::support::gateway::TestGateway;
use crate::support::within;

const REJECTED: &str = "tidegate_connections_rejected_total{reason=\"address_limit\"}";

/// Connects from an address of this machine.
pub(crate) async fn from(ip: [u8; 4], address: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((ip, 0).into()).unwrap();
    within("a connection", socket.connect(address))
        .await
        .unwrap()
}

/// The status of a handshake for `/chat`; 0: closed without an answer.
pub(crate) async fn ask(stream: &mut TcpStream) -> u16 {
    let head = handshake("/chat", "");
    if stream.write_all(head.as_bytes()).await.is_err() {
        return 0;
    }
    let mut answer = [0; 12];
    let read = within("an answer", stream.read_exact(&mut answer)).await;
    read.map_or(0, |_| parts(&String::from_utf8_lossy(&answer)).0)
}

#[tokio::test]
async fn connections_without_a_request_count_for_their_address() {
    let backend = Backend::echo().await;
    let config = Config::new()
        .api("chat", backend.address)
        .settings(|settings| settings.limits.max_connections_per_ip = 2);
    let gateway = TestGateway::start(&config).await;
    let address = gateway.address("plain");
    let mut idle = vec![from([127, 0, 0, 3], address).await];
    idle.push(from([127, 0, 0, 3], address).await);
    gateway.metric_is("tidegate_connections_active", 2.0).await;
    let mut third = from([127, 0, 0, 3], address).await;
    assert_eq!(ask(&mut third).await, 429, "it is told why");
    drop(third);
    gateway.metric_is("tidegate_connections_active", 2.0).await;

    // Some more may wait to be told so, then it is enough.
    for _ in 0..8 {
        idle.push(from([127, 0, 0, 3], address).await);
    }
    gateway.metric_is("tidegate_connections_active", 10.0).await;
    let mut closed = from([127, 0, 0, 3], address).await;
    assert_eq!(read_to_end(&mut closed).await, "");
    assert_eq!(gateway.metric(REJECTED), 1.0);

    // Nobody else is concerned, and a place that is free again is free.
    let mut other = from([127, 0, 0, 4], address).await;
    assert_eq!(ask(&mut other).await, 101);
    drop(idle.drain(..1));
    gateway.metric_is("tidegate_connections_active", 10.0).await;
    let mut last = idle.pop().unwrap();
    assert_eq!(ask(&mut last).await, 101, "it was one too many before");
}

#[tokio::test]
async fn behind_a_balancer_the_named_client_is_counted_before_its_request() {
    let backend = Backend::echo().await;
    let config = Config::new()
        .api("chat", backend.address)
        .settings(|settings| {
            settings.limits.max_connections_per_ip = 1;
            settings.trusted_proxies = vec!["127.0.0.0/8".to_owned()];
            settings.listeners[0].proxy_protocol = true;
        });
    let gateway = TestGateway::start(&config).await;
    let address = gateway.address("plain");
    let named = async |client: &str| {
        let mut stream = from([127, 0, 0, 1], address).await;
        let header = format!("PROXY TCP6 {client} 2001:db8::1 1 2\r\n");
        stream.write_all(header.as_bytes()).await.unwrap();
        stream
    };
    // The balancer itself has as many as it likes.
    let mut idle = Vec::new();
    for number in 1..=12 {
        idle.push(named(&format!("2001:db8:0:{number}::7")).await);
    }
    gateway.metric_is("tidegate_connections_active", 12.0).await;
    // One subscriber's network is one client, whichever of its addresses it uses.
    within("a second connection to be refused", async {
        // Its own header may be read before that of the first.
        while ask(&mut named("2001:db8:0:3:ffff::8").await).await != 429 {}
    })
    .await;
    let mut other = named("2001:db8:0:100::7").await;
    assert_eq!(ask(&mut other).await, 101);
    assert_eq!(ask(&mut idle[2]).await, 101, "it holds the place");
}

#[tokio::test]
async fn the_prefix_of_ipv6_clients_is_an_option() {
    let backend = Backend::echo().await;
    let config = |length: u8| {
        Config::new()
            .api("chat", backend.address)
            .settings(|settings| {
                settings.limits.max_connections_per_ip = 1;
                settings.limits.ipv6_prefix_length = length;
                settings.trusted_proxies = vec!["127.0.0.0/8".to_owned()];
            })
    };
    for (length, second, expected) in [
        (64, "2001:db8:0:1:2::2", 429),
        (64, "2001:db8:0:2::1", 101),
        (128, "2001:db8:0:1::2", 101),
        (48, "2001:db8:0:2::1", 429),
    ] {
        let gateway = TestGateway::start(&config(length)).await;
        let address = gateway.address("plain");
        let ask = async |client: &str| {
            let mut stream = TcpStream::connect(address).await.unwrap();
            let head = handshake("/chat", &format!("X-Forwarded-For: {client}\r\n"));
            stream.write_all(head.as_bytes()).await.unwrap();
            let mut answer = [0; 12];
            let read = within("an answer", stream.read_exact(&mut answer)).await;
            read.unwrap();
            (parts(&String::from_utf8_lossy(&answer)).0, stream)
        };
        let first = ask("2001:db8:0:1::1").await;
        assert_eq!(first.0, 101);
        assert_eq!(ask(second).await.0, expected, "{second}/{length}");
    }
}
