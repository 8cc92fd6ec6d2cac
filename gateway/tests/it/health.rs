//! Active health checks: what they ask, what they change, and that they follow the configuration.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};
use tidegate_config::{PoolMember, Unreachable};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;

use crate::support::backend::{Backend, upgrade};
use crate::support::client::{echo, open};
use crate::support::config::{Config, key};
use crate::support::gateway::TestGateway;
use crate::support::tls::{Authority, secure_echo};
use crate::support::{until, within};

const GOOD: &str =
    "tidegate_backend_health_checks_total{api=\"harbour/chat\",result=\"succeeded\"}";
const BAD: &str = "tidegate_backend_health_checks_total{api=\"harbour/chat\",result=\"failed\"}";
const UNHEALTHY: &str = "tidegate_backends_out{api=\"harbour/chat\",reason=\"unhealthy\"}";

const SET_ASIDE: &str = "tidegate_backends_out{api=\"harbour/chat\",reason=\"set_aside\"}";

/// Checks at once and often. The schema does not allow that; a configuration made by hand does.
fn often(mut active: Value) -> Value {
    for (field, value) in [
        ("interval", json!("20ms")),
        ("timeout", json!("20s")),
        ("healthyThreshold", json!(1)),
        ("unhealthyThreshold", json!(2)),
    ] {
        if active.get(field).is_none() {
            active[field] = value;
        }
    }
    json!({ "active": active })
}

/// `/chat` at these members, the first ones preferred, checked so.
fn checked(members: &[SocketAddr], active: Value) -> Config {
    Config::new().api_with("chat", members[0], |api| {
        let members = members
            .iter()
            .zip(0..)
            .map(|(address, priority)| PoolMember {
                name: None,
                url: format!("ws://{address}/hub?v=1"),
                weight: 1,
                priority,
            });
        api.backend_pool = members.collect();
        api.backend_url = api.backend_pool[0].url.clone();
        api.health_check = Some(serde_json::from_value(often(active)).unwrap());
    })
}

/// Echoes WebSockets, and answers every other request 200, or 500 while it is unhealthy.
async fn clinic(unhealthy: &Arc<AtomicBool>) -> Backend {
    let unhealthy = Arc::clone(unhealthy);
    Backend::scripted(move |head, mut stream| {
        let unhealthy = unhealthy.load(Ordering::SeqCst);
        async move {
            use futures::{SinkExt as _, StreamExt as _};
            if head.header("Upgrade").is_empty() || unhealthy {
                let status = if unhealthy { "500 Unhealthy" } else { "200 OK" };
                let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n");
                let _ = stream.write_all(answer.as_bytes()).await;
                return;
            }
            let mut socket = upgrade(&head, stream, "").await;
            while let Some(Ok(message)) = socket.next().await {
                if message.is_text() && socket.send(message).await.is_err() {
                    return;
                }
            }
        }
    })
    .await
}

/// What the pod tells the operator, once it is so.
async fn unreachable(
    gateway: &TestGateway,
    is_so: impl Fn(&[Unreachable]) -> bool,
) -> Vec<Unreachable> {
    let mut status = gateway.gateway.status();
    let told = status.wait_for(|applied| is_so(&applied.unreachable));
    let told = within("what is out of reach", told).await;
    told.unwrap().unreachable.clone()
}

#[tokio::test]
async fn who_is_ill_gets_no_handshakes_until_it_is_well_again() {
    for (active, line) in [
        (
            json!({"type": "Http", "path": "/healthz?deep=1"}),
            "GET /healthz?deep=1 HTTP/1.1",
        ),
        (json!({"type": "WebSocket"}), "GET /hub?v=1 HTTP/1.1"),
    ] {
        let unhealthy = Arc::new(AtomicBool::new(false));
        let first = clinic(&unhealthy).await;
        let spare = clinic(&Arc::new(AtomicBool::new(false))).await;
        let config = checked(&[first.address, spare.address], active);
        let gateway = TestGateway::start(&config).await;
        until("a check of each", || {
            !first.heads().is_empty() && !spare.heads().is_empty()
        })
        .await;
        let asked = first.heads()[0].clone();
        assert_eq!(asked.request_line(), line);
        assert_eq!(asked.header("Host"), [first.address.to_string()]);
        unhealthy.store(true, Ordering::SeqCst);
        gateway.metric_is(UNHEALTHY, 1.0).await;
        let place = first.address.to_string();
        let told = unreachable(&gateway, |told| !told.is_empty()).await;
        let told = told.iter().map(|one| (one.api.clone(), one.place.as_str()));
        assert_eq!(
            told.collect::<Vec<_>>(),
            [(Some(key("chat")), place.as_str())]
        );
        for _ in 0..3 {
            // The unhealthy one would refuse it.
            echo(&mut open(&gateway.url("/chat")).await, "elsewhere").await;
        }
        unhealthy.store(false, Ordering::SeqCst);
        gateway.metric_is(UNHEALTHY, 0.0).await;
        unreachable(&gateway, <[_]>::is_empty).await;
        echo(&mut open(&gateway.url("/chat")).await, "back").await;
        assert_eq!(
            gateway.metric(SET_ASIDE),
            0.0,
            "nobody had to fail for that"
        );
    }
}

#[tokio::test]
async fn when_all_are_ill_they_are_asked_nevertheless() {
    let unhealthy = Arc::new(AtomicBool::new(false));
    let only = clinic(&unhealthy).await;
    let config = checked(&[only.address], json!({"type": "Http", "path": "/"}));
    let gateway = TestGateway::start(&config).await;
    unhealthy.store(true, Ordering::SeqCst);
    gateway.metric_is(UNHEALTHY, 1.0).await;
    unhealthy.store(false, Ordering::SeqCst);
    echo(&mut open(&gateway.url("/chat")).await, "nevertheless").await;
}

#[tokio::test]
async fn a_web_socket_check_makes_a_handshake_and_sends_a_close() {
    let (sender, mut seen) = tokio::sync::mpsc::unbounded_channel();
    let backend = Backend::scripted(move |head, stream| {
        let sender = sender.clone();
        async move {
            use futures::StreamExt as _;
            let line = head.request_line().to_owned();
            let mut socket = upgrade(&head, stream, "").await;
            let first = socket.next().await;
            let _ = sender.send((line, first));
        }
    })
    .await;
    let config = checked(&[backend.address], json!({"type": "WebSocket"}));
    let _gateway = TestGateway::start(&config).await;
    let (line, first) = crate::support::within("a check", seen.recv())
        .await
        .unwrap();
    assert_eq!(line, "GET /hub?v=1 HTTP/1.1");
    use tokio_tungstenite::tungstenite::Message;
    let Some(Ok(Message::Close(Some(frame)))) = first else {
        panic!("{first:?}");
    };
    assert_eq!(u16::from(frame.code), 1000);
}

/// Old servers answer so, and servers that name what they speak without being asked.
#[tokio::test]
async fn an_answer_that_only_looks_odd_is_an_answer_to_a_check() {
    for (name, active, answer, good) in [
        (
            "HTTP/1.0",
            json!({"type": "Http"}),
            "HTTP/1.0 200 OK\r\n\r\n".to_owned(),
            true,
        ),
        (
            "a space in front of a colon",
            json!({"type": "Http"}),
            "HTTP/1.1 204 No\r\nServer : x\r\n\r\n".to_owned(),
            true,
        ),
        (
            "HTTP/1.0, not well",
            json!({"type": "Http"}),
            "HTTP/1.0 503 No\r\n\r\n".to_owned(),
            false,
        ),
        (
            "a subprotocol",
            json!({"type": "WebSocket"}),
            "Sec-WebSocket-Protocol: mqtt\r\n".to_owned(),
            true,
        ),
        (
            "a head above its limit",
            json!({"type": "Http"}),
            format!("HTTP/1.1 200 OK\r\nX-A: {}\r\n\r\n", "a".repeat(2000)),
            false,
        ),
    ] {
        let backend = Backend::scripted(move |head, mut stream| {
            let answer = match answer.starts_with("HTTP/") {
                true => answer.clone(),
                false => head.switching(&answer),
            };
            async move {
                let _ = stream.write_all(answer.as_bytes()).await;
                let _ = stream.shutdown().await;
            }
        })
        .await;
        let config = checked(&[backend.address], active).edit_api("chat", |api| {
            api.limits.max_response_header_bytes = Some(1024);
            // A check has no request: the backend's own name stands in.
            api.host_header = Some("${request.host}".to_owned());
        });
        let gateway = TestGateway::start(&config).await;
        let (right, wrong) = if good { (GOOD, BAD) } else { (BAD, GOOD) };
        until("a check", || gateway.metric(right) > 0.0).await;
        assert_eq!(gateway.metric(wrong), 0.0, "{name}");
        let host = backend.heads()[0].header("Host").join(",");
        assert_eq!(host, backend.address.to_string(), "{name}");
    }
}

#[tokio::test]
async fn a_tcp_check_agrees_on_tls_where_the_backend_speaks_it() {
    let authority = Authority::new();
    let secure = secure_echo(authority.server_config("localhost")).await;
    let with = |skip: bool| {
        Config::new().api_with("chat", secure, |api| {
            api.backend_url = format!("wss://{secure}/");
            api.backend_tls.insecure_skip_verify = skip;
            api.health_check = Some(serde_json::from_value(often(json!({"type": "Tcp"}))).unwrap());
        })
    };
    let mut gateway = TestGateway::start(&with(true)).await;
    until("a good check", || gateway.metric(GOOD) > 0.0).await;
    assert_eq!(gateway.metric(BAD), 0.0);
    gateway.apply(&with(false)).await;
    gateway.metric_is(UNHEALTHY, 1.0).await;
}

#[tokio::test]
async fn a_backend_that_does_not_answer_in_time_is_ill() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let active = json!({"type": "Http", "timeout": "20ms"});
    let gateway = TestGateway::start(&checked(&[address], active)).await;
    gateway.metric_is(UNHEALTHY, 1.0).await;
    assert!(gateway.metric(BAD) >= 2.0);
}

#[tokio::test]
async fn checks_end_with_the_configuration_that_asks_for_them() {
    let unhealthy = Arc::new(AtomicBool::new(true));
    let backend = clinic(&unhealthy).await;
    let checked_still = clinic(&Arc::new(AtomicBool::new(false))).await;
    let active = json!({"type": "Http"});
    let config = checked(&[backend.address], active.clone()).api_with(
        "news",
        checked_still.address,
        |api| api.health_check = Some(serde_json::from_value(often(active)).unwrap()),
    );
    let mut gateway = TestGateway::start(&config).await;
    gateway.metric_is(UNHEALTHY, 1.0).await;
    let without = config
        .clone()
        .edit_api("chat", |api| api.health_check = None);
    gateway.apply(&without).await;
    let (asked, others) = (backend.heads().len(), checked_still.heads().len());
    until("five checks of another API", || {
        checked_still.heads().len() >= others + 5
    })
    .await;
    assert!(
        backend.heads().len() <= asked + 1,
        "one may have been on its way"
    );
    gateway.apply(&config.without_api("chat")).await;
    assert_eq!(gateway.metric(UNHEALTHY), 0.0);
}
