//! Start, change of configuration, admin server, the way down.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use futures::StreamExt as _;
use tidegate_config::{ListenerConfig, Protocol, SubscriptionScope};
use tidegate_gateway::{Metrics, Options, Ports, Problem};
use tokio::sync::watch;

use crate::support::admin::{ask, with_admin};
use crate::support::backend::Backend;
use crate::support::client::{self, closed, connect, echo, open, raw};
use crate::support::config::Config;
use crate::support::gateway::TestGateway;
use crate::support::port::FreePort;
use crate::support::{until, within};

const LOCAL: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// Status and body.
async fn get(gateway: &TestGateway, path: &str) -> (u16, String) {
    let address = gateway.gateway.admin_address().unwrap();
    ask(address, &format!("GET {path}"), "").await
}

#[tokio::test]
async fn a_gateway_is_ready_with_its_first_configuration() {
    let mut gateway = TestGateway::start_empty(with_admin()).await;
    assert_eq!(get(&gateway, "/livez").await.0, 200);
    let (status, why) = get(&gateway, "/readyz").await;
    assert_eq!((status, why.trim()), (503, "waiting for a configuration"));

    gateway.apply(&Config::new()).await;
    within("readiness", gateway.gateway.ready()).await;
    assert_eq!(get(&gateway, "/readyz").await.0, 200);
    assert_eq!(gateway.metric("tidegate_config_revision"), 41.0);
    assert_eq!(gateway.metric("tidegate_config_synchronized"), 1.0);
}

#[tokio::test]
async fn changes_of_configuration_leave_tunnels_alone() {
    let backend = Backend::echo().await;
    let config = Config::new().api("chat", backend.address);
    let mut gateway = TestGateway::start(&config).await;
    let mut tunnel = open(&gateway.url("/chat")).await;
    for change in 0..50 {
        let other = format!("other-{}", change % 7);
        gateway
            .apply(&config.clone().api(&other, backend.address))
            .await;
        echo(&mut tunnel, &format!("after change {change}")).await;
        let mut another = open(&gateway.url(&format!("/{other}"))).await;
        echo(&mut another, "new").await;
    }
    gateway
        .metric_is("tidegate_tunnels_active{api=\"harbour/chat\"}", 1.0)
        .await;
}

#[tokio::test]
async fn listeners_come_and_go_with_the_configuration() {
    let backend = Backend::echo().await;
    let config = Config::new().api("chat", backend.address);
    let mut gateway = TestGateway::start(&config).await;
    let second = ListenerConfig {
        name: "second".to_owned(),
        port: 8082,
        protocol: Protocol::Ws,
        hostnames: Vec::new(),
        tls: None,
        proxy_protocol: false,
        http2: false,
    };
    let both = config
        .clone()
        .settings(|settings| settings.listeners.push(second))
        .edit_api("chat", |api| api.listeners.push("second".to_owned()));
    let first = gateway.address("plain");
    gateway.apply(&both).await;
    assert_eq!(gateway.address("plain"), first, "the first stays bound");
    let address = gateway.address("second");
    let mut tunnel = open(&format!("ws://{address}/chat")).await;
    echo(&mut tunnel, "through the second").await;

    gateway.apply(&config).await;
    assert_eq!(gateway.gateway.bound().len(), 1);
    until("the second port to be closed", || {
        std::net::TcpStream::connect(address).is_err()
    })
    .await;
}

#[tokio::test]
async fn a_port_that_is_taken_harms_its_listener_only() {
    let taken = std::net::TcpListener::bind(LOCAL).unwrap();
    let free = FreePort::new();
    let taken_port = taken.local_addr().unwrap().port();
    let listener = |name: &str, port| ListenerConfig {
        name: name.to_owned(),
        port,
        protocol: Protocol::Ws,
        hostnames: Vec::new(),
        tls: None,
        proxy_protocol: false,
        http2: false,
    };
    let config = Config::new().settings(|settings| {
        settings.listeners = vec![
            listener("taken", taken_port),
            listener("free", free.number()),
        ];
    });
    let options = Options {
        ports: Ports::AsConfigured,
        ..with_admin()
    };
    let mut gateway = TestGateway::start_empty(options).await;
    gateway.apply(&config).await;
    let applied = gateway.gateway.status().borrow().clone();
    assert_eq!(applied.rejected.len(), 1, "{applied:?}");
    assert!(applied.rejected[0].message.contains("taken"), "{applied:?}");
    assert_eq!(gateway.gateway.bound().len(), 1);
    assert_eq!(get(&gateway, "/readyz").await.0, 503);

    drop(taken);
    within("both listeners", gateway.gateway.ready()).await;
    let mut status = gateway.gateway.status();
    let healed = status.wait_for(|applied| applied.rejected.is_empty());
    within("nothing to be rejected", healed).await.unwrap();
    assert_eq!(get(&gateway, "/readyz").await.0, 200);
}

#[tokio::test]
async fn what_the_source_complains_about_is_told() {
    let (problems, receiver) = watch::channel(None);
    let options = Options {
        problems: Some(receiver),
        ..with_admin()
    };
    let mut gateway = TestGateway::start_empty(options).await;
    gateway.apply(&Config::new()).await;
    problems.send_replace(Some(Problem {
        reason: "part_missing",
        message: "part edge-config-apis-0 is missing".to_owned(),
    }));
    let mut status = gateway.gateway.status();
    let told = status.wait_for(|applied| applied.error.is_some());
    let told = within("the problem in the status", told)
        .await
        .unwrap()
        .clone();
    assert_eq!((told.revision, told.synchronized), (41, false));
    assert_eq!(gateway.metric("tidegate_config_synchronized"), 0.0);
    let errors = "tidegate_config_errors_total{reason=\"part_missing\"}";
    assert_eq!(gateway.metric(errors), 1.0);
    assert_eq!(get(&gateway, "/readyz").await.0, 200, "last good is served");
    assert!(
        get(&gateway, "/status")
            .await
            .1
            .contains("edge-config-apis-0")
    );

    problems.send_replace(None);
    let solved = status.wait_for(|applied| applied.synchronized);
    within("the problem to be solved", solved).await.unwrap();
    assert_eq!(gateway.metric(errors), 1.0);
}

#[tokio::test]
async fn the_admin_server_shows_what_is_served_and_no_secret() {
    let backend = Backend::echo().await;
    let config = Config::new()
        .api_with("chat", backend.address, |api| {
            api.backend_url = format!("ws://{}/?token=s3cret", backend.address);
        })
        .product("gold", &["chat"], |_| {})
        .subscription(
            "ahab",
            SubscriptionScope::Gateway,
            "white-whale-white-whale",
        );
    let mut gateway = TestGateway::start_empty(with_admin()).await;
    gateway.apply(&config).await;
    let (status, body) = get(&gateway, "/config").await;
    assert_eq!(status, 200);
    let shown: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(shown["revision"], 41);
    assert_eq!(shown["apis"][0]["path"], "/chat");
    assert_eq!(shown["products"][0]["apis"][0], "chat");
    assert_eq!(shown["subscriptions"], 1);
    assert!(!body.contains("s3cret"), "{body}");
    let hash = &config.config.subscriptions[0].key_hashes[0];
    assert!(!body.contains(hash), "{body}");

    let (_, status) = get(&gateway, "/status").await;
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    assert_eq!(status["ready"], true);
    assert_eq!(status["listeners"][0]["name"], "plain");
}

#[tokio::test]
async fn the_admin_server_takes_what_it_knows_only() {
    let gateway = TestGateway::start_empty(with_admin()).await;
    assert_eq!(get(&gateway, "/metrics").await.0, 200);
    assert_eq!(get(&gateway, "/nothing").await.0, 404);
    let address = gateway.gateway.admin_address().unwrap();
    for path in ["/livez", "/metrics", "/config"] {
        let answer = ask(address, &format!("POST {path}"), "").await;
        assert_eq!(answer.0, 405, "{path}");
    }
    let long = format!("GET /{}", "x".repeat(100_000));
    assert!(ask(address, &long, "").await.0 >= 400);
}

fn is_draining(metrics: &Metrics) -> bool {
    metrics.render().contains("\ntidegate_draining 1\n")
}

#[tokio::test]
async fn a_drain_sends_a_close_to_every_tunnel() {
    let backend = Backend::echo().await;
    let config = Config::new().api("chat", backend.address);
    let mut gateway = TestGateway::start_empty(with_admin()).await;
    gateway.apply(&config).await;
    let url = gateway.url("/chat");
    let mut tunnels = Vec::new();
    for _ in 0..20 {
        tunnels.push(open(&url).await);
    }
    let drained = within("the drain", gateway.gateway.shutdown());
    let clients = async {
        for mut tunnel in tunnels {
            let (code, _) = closed(&mut tunnel).await.expect("a code");
            assert_eq!(code, 1001);
            let end = within("the end of the connection", tunnel.next()).await;
            assert!(end.is_none(), "{end:?}");
        }
    };
    tokio::join!(drained, clients);
    assert!(is_draining(&gateway.metrics));
}

#[tokio::test]
async fn a_draining_gateway_refuses_handshakes_and_is_not_ready() {
    let backend = Backend::echo().await;
    let config = Config::new()
        .api("chat", backend.address)
        .settings(|settings| {
            // The window keeps the drain going while the test looks at it.
            settings.drain.window = tidegate_config::Duration::from_secs(3);
        });
    let mut gateway = TestGateway::start_empty(with_admin()).await;
    gateway.apply(&config).await;
    let url = gateway.url("/chat");
    let mut tunnels = Vec::new();
    for _ in 0..10 {
        tunnels.push(open(&url).await);
    }
    let admin_address = gateway.gateway.admin_address().unwrap();
    let look = async {
        until("the drain to begin", || is_draining(&gateway.metrics)).await;
        let refused = connect(&url, &[]).await.unwrap_err();
        assert_eq!(refused.status, 503, "{refused:?}");
        let ready = b"GET /readyz HTTP/1.1\r\nHost: a\r\n\r\n";
        let ready = raw(admin_address, ready).await;
        assert!(
            ready.starts_with("HTTP/1.1 503") && ready.contains("draining"),
            "{ready}"
        );
    };
    let metrics = gateway.metrics.clone();
    let drained = within("the drain", gateway.gateway.shutdown());
    let clients = async {
        for tunnel in &mut tunnels {
            assert_eq!(closed(tunnel).await.map(|(code, _)| code), Some(1001));
            // Reads the end, which also answers the Close.
            let _ = tunnel.next().await;
        }
    };
    tokio::join!(look, drained, clients);
    assert!(is_draining(&metrics));
}

#[tokio::test]
async fn a_peer_that_does_not_answer_a_close_is_cut_in_the_end() {
    let backend = Backend::echo().await;
    let config = Config::new().api("chat", backend.address);
    let gateway = TestGateway::start(&config).await;
    let address = gateway.address("plain");
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    use tokio::io::AsyncWriteExt as _;
    let handshake = client::handshake("/chat", "");
    stream.write_all(handshake.as_bytes()).await.unwrap();
    until("the tunnel", || gateway.gateway.tunnels() == 1).await;
    within("the drain", gateway.gateway.shutdown()).await;
    let read = client::read_to_end(&mut stream).await;
    assert!(read.starts_with("HTTP/1.1 101"), "{read}");
}

#[tokio::test]
async fn a_dropped_gateway_cuts_everything() {
    let backend = Backend::echo().await;
    let config = Config::new().api("chat", backend.address);
    let gateway = TestGateway::start(&config).await;
    let (url, address) = (gateway.url("/chat"), gateway.address("plain"));
    let mut tunnel = open(&url).await;
    drop(gateway);
    within("the tunnel to end", async {
        while let Some(Ok(_)) = tunnel.next().await {}
    })
    .await;
    until("the port to be closed", || {
        std::net::TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_err()
    })
    .await;
}
