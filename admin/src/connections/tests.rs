use std::io::Write as _;
use std::net::TcpStream as StdStream;
use std::time::Duration;

use tokio::net::TcpListener;

use super::*;

/// Connections with the peer address that a test wants.
struct Arrivals {
    listener: TcpListener,
    connections: Arc<Connections>,
}

impl Arrivals {
    async fn new() -> Self {
        Self {
            listener: TcpListener::bind("127.0.0.1:0").await.unwrap(),
            connections: Arc::default(),
        }
    }

    /// The client's end, and the server's when it was admitted.
    async fn one(&self, peer: &str) -> (StdStream, Option<Connection>) {
        let client = StdStream::connect(self.listener.local_addr().unwrap()).unwrap();
        let (stream, _) = self.listener.accept().await.unwrap();
        let peer = SocketAddr::new(peer.parse().unwrap(), 1);
        (client, self.connections.admit(stream, peer))
    }

    async fn many(&self, count: usize, peer: &str) -> Vec<(StdStream, Option<Connection>)> {
        let mut all = Vec::new();
        for _ in 0..count {
            all.push(self.one(peer).await);
        }
        all
    }
}

/// Was it closed for another one?
fn is_evicted(connection: &Option<Connection>) -> bool {
    let connection = connection.as_ref().unwrap();
    let table = connection.connections.0.lock();
    !table.open.contains_key(&connection.number)
}

fn evicted(all: &[(StdStream, Option<Connection>)]) -> Vec<usize> {
    let all = all.iter().enumerate();
    all.filter(|(_, (_, connection))| is_evicted(connection))
        .map(|(number, _)| number)
        .collect()
}

#[tokio::test]
async fn the_oldest_connection_without_a_head_is_closed_for_one_too_many() {
    let arrivals = Arrivals::new().await;
    let all = arrivals.many(MAX_CONNECTIONS, "10.0.0.1").await;
    all[0].1.as_ref().unwrap().head_received();
    assert!(evicted(&all).is_empty());
    let more = arrivals.many(2, "10.0.0.1").await;
    assert!(more.iter().all(|(_, connection)| !is_evicted(connection)));
    assert_eq!(evicted(&all), [1, 2], "the one with a head stays");
}

#[tokio::test]
async fn the_peer_with_most_connections_gives_way_to_the_others() {
    let arrivals = Arrivals::new().await;
    let probe = arrivals.many(1, "10.0.0.2").await;
    let crowd = arrivals.many(MAX_CONNECTIONS - 1, "10.0.0.1").await;
    let (_client, last) = arrivals.one("10.0.0.3").await;
    assert!(!is_evicted(&last));
    assert!(
        evicted(&probe).is_empty(),
        "the oldest, but the only one of its peer"
    );
    assert_eq!(evicted(&crowd), [0]);
}

#[tokio::test]
async fn ipv6_addresses_of_one_network_are_one_peer() {
    let arrivals = Arrivals::new().await;
    let probe = arrivals.many(1, "2001:db8:1::1").await;
    let mut crowd = Vec::new();
    for host in 1..MAX_CONNECTIONS {
        crowd.extend(arrivals.many(1, &format!("2001:db8:2::{host:x}")).await);
    }
    let _more = arrivals.many(1, "2001:db8:3::1").await;
    assert!(evicted(&probe).is_empty());
    assert_eq!(evicted(&crowd), [0]);
}

#[tokio::test]
async fn a_connection_with_unread_bytes_is_not_closed() {
    let arrivals = Arrivals::new().await;
    let mut all = arrivals.many(MAX_CONNECTIONS, "10.0.0.1").await;
    let (client, connection) = &mut all[0];
    client.write_all(b"G").unwrap();
    let carried_over = async {
        while !connection.as_ref().unwrap().stream.has_unread() {
            tokio::task::yield_now().await;
        }
    };
    let carried_over = tokio::time::timeout(Duration::from_secs(20), carried_over).await;
    carried_over.expect("the kernel does not carry the byte over");
    let _more = arrivals.many(1, "10.0.0.1").await;
    assert_eq!(evicted(&all), [1]);
}

#[tokio::test]
async fn no_connection_is_admitted_while_all_are_being_answered() {
    let arrivals = Arrivals::new().await;
    let mut all = arrivals.many(MAX_CONNECTIONS, "10.0.0.1").await;
    for (_, connection) in &all {
        connection.as_ref().unwrap().head_received();
    }
    assert!(arrivals.one("10.0.0.1").await.1.is_none());
    all.pop();
    assert!(arrivals.one("10.0.0.1").await.1.is_some());
}
