//! The circuit breaker of backends, and members of a pool that policies call by name.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;
use tidegate_config::{CircuitBreaker, Duration, PoolMember};

use crate::support::backend::{Backend, upgrade};
use crate::support::client::{Refused, connect, echo, open};
use crate::support::config::Config;
use crate::support::gateway::TestGateway;
use crate::support::port::FreePort;
use crate::support::within;

/// `/chat` at one backend, whose circuit opens at two failures.
fn guarded(backend: SocketAddr, trip: Duration) -> Config {
    Config::new().api_with("chat", backend, |api| {
        api.circuit_breaker = Some(CircuitBreaker {
            consecutive_failures: 2,
            trip_duration: trip,
            statuses: None,
        });
    })
}

/// A backend that answers 503 as long as `unhealthy` is set, and how often it was asked.
async fn moody(unhealthy: &Arc<AtomicBool>) -> Backend {
    let unhealthy = Arc::clone(unhealthy);
    Backend::scripted(move |head, mut stream| {
        let unhealthy = unhealthy.load(Ordering::SeqCst);
        async move {
            if unhealthy {
                use tokio::io::AsyncWriteExt as _;
                let answer = b"HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy";
                let _ = stream.write_all(answer).await;
                return;
            }
            let mut socket = upgrade(&head, stream, "").await;
            use futures::{SinkExt as _, StreamExt as _};
            while let Some(Ok(message)) = socket.next().await {
                if socket.send(message).await.is_err() {
                    return;
                }
            }
        }
    })
    .await
}

async fn refusal(gateway: &TestGateway) -> Refused {
    connect(&gateway.url("/chat"), &[]).await.unwrap_err()
}

const OUT: &str = "tidegate_backends_out{api=\"harbour/chat\",reason=\"circuit_open\"}";
const OPENED: &str = "tidegate_backend_circuits_opened_total{api=\"harbour/chat\"}";

#[tokio::test]
async fn an_open_circuit_spares_the_backend_and_tells_when_to_come_back() {
    let unhealthy = Arc::new(AtomicBool::new(true));
    let backend = moody(&unhealthy).await;
    let mut gateway =
        TestGateway::start(&guarded(backend.address, Duration::from_secs(3600))).await;
    for _ in 0..2 {
        let refused = refusal(&gateway).await;
        assert_eq!((refused.status, refused.body.as_str()), (503, "busy"));
    }
    unhealthy.store(false, Ordering::SeqCst);
    let changed = guarded(backend.address, Duration::from_secs(1800)).api("other", backend.address);
    for _ in 0..2 {
        let refused = refusal(&gateway).await;
        assert_eq!(
            (refused.status, refused.body.as_str()),
            (
                503,
                r#"{"statusCode":503,"message":"Backend is not available"}"#
            )
        );
        let after = refused.answer.headers()["retry-after"].to_str().unwrap();
        let seconds: u32 = after.parse().unwrap();
        assert!((3000..=3600).contains(&seconds), "{after}");
        gateway.apply(&changed).await;
    }
    assert_eq!(backend.heads().len(), 2, "nobody asked it any more");
    assert_eq!(gateway.metric(OUT), 1.0);
    assert_eq!(gateway.metric(OPENED), 1.0);
    let reason = "tidegate_handshakes_total{api=\"harbour/chat\",reason=\"backend_circuit_open\",result=\"failed\"}";
    assert_eq!(gateway.metric(reason), 2.0);
}

#[tokio::test]
async fn a_backend_that_is_well_again_closes_its_circuit() {
    let unhealthy = Arc::new(AtomicBool::new(true));
    let backend = moody(&unhealthy).await;
    let config = guarded(backend.address, Duration::from_millis(50));
    let gateway = TestGateway::start(&config).await;
    for _ in 0..2 {
        refusal(&gateway).await;
    }
    gateway.metric_is(OPENED, 1.0).await;
    unhealthy.store(false, Ordering::SeqCst);
    within("the circuit to let somebody through", async {
        while connect(&gateway.url("/chat"), &[]).await.is_err() {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    })
    .await;
    for _ in 0..3 {
        echo(&mut open(&gateway.url("/chat")).await, "back").await;
    }
    assert_eq!(gateway.metric(OUT), 0.0);
}

#[tokio::test]
async fn a_refusal_below_500_is_no_failure() {
    let backend = Backend::answering("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno").await;
    let config = guarded(backend.address, Duration::from_secs(3600));
    let gateway = TestGateway::start(&config).await;
    for _ in 0..4 {
        assert_eq!(refusal(&gateway).await.status, 403);
    }
    assert_eq!(gateway.metric(OUT), 0.0);
}

#[tokio::test]
async fn a_policy_calls_a_member_by_name_and_no_other_is_asked() {
    let (green, blue) = (Backend::echo().await, Backend::echo().await);
    let gone = FreePort::new();
    let config = Config::new().api_with("chat", green.address, |api| {
        let members = [
            ("green", green.address, 0),
            ("blue", blue.address, 5),
            ("gone", gone.address, 0),
        ];
        let members = members.map(|(name, address, priority)| PoolMember {
            name: Some(name.to_owned()),
            url: format!("ws://{address}"),
            weight: 1,
            priority,
        });
        api.backend_pool = members.to_vec();
        let steps = json!({"inbound": [
            {"when": "request.query('to', '') != ''", "setBackend": {"ref": "${request.query('to')}"}},
        ]});
        api.on_handshake = serde_json::from_value(steps).unwrap();
    });
    let gateway = TestGateway::start(&config).await;
    for _ in 0..3 {
        echo(
            &mut open(&gateway.url("/chat?to=blue")).await,
            "to the blue one",
        )
        .await;
    }
    assert_eq!((green.heads().len(), blue.heads().len()), (0, 3));
    assert_eq!(blue.heads()[0].request_line(), "GET /?to=blue HTTP/1.1");
    echo(&mut open(&gateway.url("/chat")).await, "to any").await;
    assert_eq!((green.heads().len(), blue.heads().len()), (1, 3));
    for (to, status) in [("gone", 502), ("nobody", 500)] {
        let url = gateway.url(&format!("/chat?to={to}"));
        let refused = connect(&url, &[]).await.unwrap_err();
        assert_eq!(refused.status, status, "{to}");
    }
    assert_eq!((green.heads().len(), blue.heads().len()), (1, 3));
}
