//! Statuses of members of a pool that send the handshake on, and how long those members are left alone.

use std::net::SocketAddr;

use serde_json::json;
use tidegate_config::{Duration, Failover, PoolMember};

use crate::support::backend::Backend;
use crate::support::client::{connect, echo, open};
use crate::support::config::Config;
use crate::support::gateway::TestGateway;
use crate::support::port::FreePort;

const BUSY: &str = "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 3600\r\nX-Region: east\r\nContent-Length: 4\r\n\r\nbusy";
const EJECTED: &str = "tidegate_backends_out{api=\"harbour/chat\",reason=\"set_aside\"}";
const RETRIED: &str = "tidegate_backend_handshakes_retried_total{api=\"harbour/chat\"}";

/// `/chat` with these members in this order; 429 and 503 send a handshake on.
fn regions(members: &[SocketAddr]) -> Config {
    Config::new().api_with("chat", members[0], |api| {
        api.timeouts.connect = Some(Duration::from_secs(5));
        api.timeouts.backend_handshake = Some(Duration::from_secs(5));
        let members = (0..).zip(members).map(|(priority, address)| PoolMember {
            name: Some(format!("m{priority}")),
            url: format!("ws://{address}"),
            weight: 1,
            priority,
        });
        api.backend_pool = members.collect();
        let failover = json!({"statuses": [429, "503-504"]});
        api.failover = Some(serde_json::from_value::<Failover>(failover).unwrap());
    })
}

#[tokio::test]
async fn a_429_of_the_first_region_ends_in_a_101_of_the_second_in_the_same_handshake() {
    let (east, west) = (Backend::answering(BUSY).await, Backend::echo().await);
    let gateway = TestGateway::start(&regions(&[east.address, west.address])).await;
    for _ in 0..4 {
        echo(&mut open(&gateway.url("/chat")).await, "hello").await;
    }
    // Asked once: its Retry-After is obeyed.
    assert_eq!((east.heads().len(), west.heads().len()), (1, 4));
    assert_eq!(gateway.metric(EJECTED), 1.0);
    assert_eq!(gateway.metric(RETRIED), 1.0);
    let accepted =
        "tidegate_handshakes_total{api=\"harbour/chat\",reason=\"\",result=\"accepted\"}";
    assert_eq!(gateway.metric(accepted), 4.0);
}

#[tokio::test]
async fn when_no_member_is_left_the_client_gets_the_last_answer() {
    let nobody = FreePort::new();
    let slow = "HTTP/1.1 503 Slow\r\nContent-Length: 4\r\n\r\nslow";
    let gone = "HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno";
    for (name, second, expected) in [
        ("another such status", Some(slow), (503, "slow")),
        ("another status", Some(gone), (403, "no")),
        ("no answer", None, (429, "busy")),
    ] {
        let east = Backend::answering(BUSY).await;
        let west = Backend::answering(second.unwrap_or_default()).await;
        let address = second.map_or(nobody.address, |_| west.address);
        let gateway = TestGateway::start(&regions(&[east.address, address])).await;
        let refused = connect(&gateway.url("/chat"), &[]).await.unwrap_err();
        assert_eq!((refused.status, &*refused.body), expected, "{name}");
        let region = refused.answer.headers().get("x-region");
        assert_eq!(region.is_some(), expected.0 == 429, "{name}");
    }
}

#[tokio::test]
async fn other_statuses_and_chosen_members_stay_with_the_client() {
    let unlisted = "HTTP/1.1 502 No\r\nRetry-After: 3600\r\nContent-Length: 0\r\n\r\n";
    let (east, west) = (Backend::answering(unlisted).await, Backend::echo().await);
    let gateway = TestGateway::start(&regions(&[east.address, west.address])).await;
    let refused = connect(&gateway.url("/chat"), &[]).await.unwrap_err();
    assert_eq!((refused.status, west.heads().len()), (502, 0));
    assert_eq!(gateway.metric(EJECTED), 0.0);
    let east = Backend::answering(BUSY).await;
    let config = regions(&[east.address, west.address]).edit_api("chat", |api| {
        let on = json!({"inbound": [{"setBackend": {"ref": "m0"}}]});
        api.on_handshake = serde_json::from_value(on).unwrap();
    });
    let gateway = TestGateway::start(&config).await;
    let refused = connect(&gateway.url("/chat"), &[]).await.unwrap_err();
    assert_eq!((refused.status, west.heads().len()), (429, 0));
}

#[tokio::test]
async fn statuses_of_the_circuit_are_those_that_are_named() {
    let limited = Backend::answering(BUSY).await;
    let broken = Backend::answering("HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n").await;
    for (name, backend, opens) in [("named", &limited, true), ("not named", &broken, false)] {
        let config = Config::new().api_with("chat", backend.address, |api| {
            let breaker =
                json!({"consecutiveFailures": 2, "tripDuration": "1h", "statuses": [429]});
            api.circuit_breaker = Some(serde_json::from_value(breaker).unwrap());
        });
        let gateway = TestGateway::start(&config).await;
        for _ in 0..3 {
            connect(&gateway.url("/chat"), &[]).await.unwrap_err();
        }
        let open = "tidegate_backends_out{api=\"harbour/chat\",reason=\"circuit_open\"}";
        assert_eq!(gateway.metric(open) == 1.0, opens, "{name}");
        assert_eq!(backend.heads().len(), if opens { 2 } else { 3 }, "{name}");
    }
}
