//! Several backends: who gets a handshake, and what happens when one of them fails.

use std::net::SocketAddr;

use tidegate_config::{Duration, PoolMember};

use crate::support::backend::Backend;
use crate::support::client::{closed, connect, echo, open, read_to_end};
use crate::support::config::Config;
use crate::support::gateway::TestGateway;
use crate::support::port::FreePort;
use crate::support::until;

/// `/chat` with these members: address and priority.
fn pool(members: &[(SocketAddr, u32)]) -> Config {
    Config::new().api_with("chat", members[0].0, |api| {
        api.timeouts.connect = Some(Duration::from_secs(2));
        api.timeouts.backend_handshake = Some(Duration::from_secs(2));
        let members = members.iter().map(|(address, priority)| PoolMember {
            name: None,
            url: format!("ws://{address}"),
            weight: 1,
            priority: *priority,
        });
        api.backend_pool = members.collect();
    })
}

#[tokio::test]
async fn tunnels_are_spread_over_the_members() {
    let (a, b) = (Backend::echo().await, Backend::echo().await);
    let gateway = TestGateway::start(&pool(&[(a.address, 0), (b.address, 0)])).await;
    let mut sockets = Vec::new();
    for _ in 0..6 {
        let mut socket = open(&gateway.url("/chat")).await;
        echo(&mut socket, "hello").await;
        sockets.push(socket);
    }
    assert_eq!((a.heads().len(), b.heads().len()), (3, 3));
    let host = b.heads()[0].header("Host").join(",");
    assert_eq!(host, b.address.to_string());
}

#[tokio::test]
async fn who_gives_no_answer_is_passed_over() {
    let hangs_up = Backend::answering("").await;
    let silent = Backend::scripted(|_, mut stream| async move {
        read_to_end(&mut stream).await;
    })
    .await;
    let nobody = FreePort::new();
    for (name, bad) in [
        ("nobody there", nobody.address),
        ("hangs up", hangs_up.address),
        ("silent", silent.address),
    ] {
        let good = Backend::echo().await;
        let gateway = TestGateway::start(&pool(&[(bad, 0), (good.address, 1)])).await;
        for _ in 0..4 {
            echo(&mut open(&gateway.url("/chat")).await, name).await;
        }
        assert_eq!(good.heads().len(), 4, "{name}");
    }
}

#[tokio::test]
async fn an_answer_that_began_is_the_answer() {
    for (name, answer, status) in [
        ("half a head", "HTTP/1.1 101 Sw", 502),
        ("no WebSocket", "HTTP/1.1 200 OK\r\n\r\n", 502),
        (
            "a refusal",
            "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n",
            503,
        ),
    ] {
        let (bad, spare) = (Backend::answering(answer).await, Backend::echo().await);
        let gateway = TestGateway::start(&pool(&[(bad.address, 0), (spare.address, 1)])).await;
        let refused = connect(&gateway.url("/chat"), &[]).await.unwrap_err();
        assert_eq!(refused.status, status, "{name}");
        assert_eq!(spare.heads().len(), 0, "{name}");
    }
}

#[tokio::test]
async fn when_nobody_answers_the_client_hears_it() {
    let gone = [FreePort::new(), FreePort::new()];
    let gateway = TestGateway::start(&pool(&[(gone[0].address, 0), (gone[1].address, 0)])).await;
    for _ in 0..2 {
        let refused = connect(&gateway.url("/chat"), &[]).await.unwrap_err();
        assert_eq!(refused.status, 502);
    }
    let failed = "tidegate_handshakes_total{api=\"harbour/chat\",reason=\"backend_connect_failed\",result=\"failed\"}";
    assert_eq!(gateway.metric(failed), 2.0);
}

#[tokio::test]
async fn a_lost_member_loses_its_tunnels_and_no_handshake() {
    let (lost, stays) = (Backend::echo().await, Backend::echo().await);
    let config = pool(&[(lost.address, 0), (stays.address, 1)]);
    let gateway = TestGateway::start(&config).await;
    let mut socket = open(&gateway.url("/chat")).await;
    echo(&mut socket, "hello").await;
    let address = lost.address;
    drop(lost);
    let _nobody = FreePort::left_by(address).await;
    // The library does not know 1014 and hides it; the count tells.
    closed(&mut socket).await;
    until("the tunnel to be counted as closed with 1014", || {
        let text = gateway.metrics.render();
        let mut closes = text
            .lines()
            .filter(|line| line.starts_with("tidegate_tunnels_closed_total"));
        closes.any(|line| line.contains("code=\"1014\"") && line.ends_with(" 1"))
    })
    .await;
    for _ in 0..4 {
        echo(&mut open(&gateway.url("/chat")).await, "elsewhere").await;
    }
    assert_eq!(stays.heads().len(), 4);
}

#[tokio::test]
async fn tunnels_count_across_a_change_of_the_api() {
    let (a, b) = (Backend::echo().await, Backend::echo().await);
    let mut gateway = TestGateway::start(&pool(&[(a.address, 0)])).await;
    let mut sockets = Vec::new();
    for _ in 0..3 {
        sockets.push(open(&gateway.url("/chat")).await);
    }
    gateway
        .apply(&pool(&[(a.address, 0), (b.address, 0)]))
        .await;
    for _ in 0..3 {
        sockets.push(open(&gateway.url("/chat")).await);
    }
    assert_eq!((a.heads().len(), b.heads().len()), (3, 3));
}
