//! The admin server: whom it tells what, and that nothing which a policy or a backend names leads
//! there.

use std::net::SocketAddr;

use serde_json::{Value, json};
use tidegate_config::BackendProxy;
use tidegate_config::policy::OnHandshake;
use tidegate_gateway::{AdminPorts, Options};
use tokio::io::AsyncWriteExt as _;

use crate::support::admin::{TOKEN, ask, ask_with, token_file, with_admin};
use crate::support::backend::Backend;
use crate::support::client::connect;
use crate::support::config::Config;
use crate::support::gateway::TestGateway;
use crate::support::port::FreePort;

fn steps(on: Value) -> OnHandshake {
    serde_json::from_value(on).unwrap()
}

/// An API `asks` that asks `url` and tells what it was told.
fn asking(config: Config, name: &str, url: &str) -> Config {
    let nowhere = SocketAddr::from(([127, 0, 0, 1], 9));
    config.api_with(name, nowhere, |api| {
        api.on_handshake = steps(json!({"inbound": [
            {"sendRequest": {"as": "asked", "url": url}},
            {"returnResponse": {"status": 418, "body": "${vars.asked.status} ${vars.asked.text}"}},
        ]}));
    })
}

/// An address of this machine that is no loopback address, if it has one.
fn own_address() -> Option<std::net::IpAddr> {
    let socket = std::net::UdpSocket::bind("0.0.0.0:0").ok()?;
    // Nothing is sent: the kernel only picks the address that it would send from.
    socket.connect("192.0.2.1:9").ok()?;
    let address = socket.local_addr().ok()?.ip();
    (!address.is_loopback() && !address.is_unspecified()).then_some(address)
}

/// All that leads to this port of this machine.
fn spellings(port: u16) -> Vec<String> {
    let hosts = [
        "127.0.0.1",
        "127.9.9.9",
        "127.1",
        "0x7f000001",
        "2130706433",
        "0.0.0.0",
        "0",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "localhost",
        "LOCALHOST.",
    ];
    let own = own_address().into_iter().map(|own| own.to_string());
    let hosts = hosts.into_iter().map(str::to_owned).chain(own);
    hosts.map(|host| format!("{host}:{port}")).collect()
}

async fn started(options: Options) -> (TestGateway, SocketAddr) {
    let gateway = TestGateway::start_empty(options).await;
    let admin = gateway.gateway.admin_address().unwrap();
    (gateway, admin)
}

#[tokio::test]
async fn a_policy_cannot_ask_the_admin_server_whatever_it_calls_it() {
    // Everywhere, so that every spelling would be answered.
    let everywhere = Options {
        admin_address: Some(SocketAddr::from(([0, 0, 0, 0], 0))),
        ..with_admin()
    };
    let (mut gateway, admin) = started(everywhere).await;
    let elsewhere = Backend::answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi").await;
    let spellings = spellings(admin.port());
    let mut config = Config::new();
    for (number, place) in spellings.iter().enumerate() {
        config = asking(
            config,
            &format!("a{number}"),
            &format!("http://{place}/livez"),
        );
    }
    config = asking(
        config,
        "elsewhere",
        &format!("http://{}/", elsewhere.address),
    );
    config = asking(
        config,
        "by-name",
        &format!("http://localhost:{}/", elsewhere.address.port()),
    );
    gateway.apply(&config).await;
    gateway.gateway.ready().await;
    for (number, place) in spellings.iter().enumerate() {
        let refused = connect(&gateway.url(&format!("/a{number}")), &[]).await;
        let refused = refused.unwrap_err();
        assert_eq!(refused.status, 502, "{place}: {refused:?}");
    }
    for path in ["/elsewhere", "/by-name"] {
        let refused = connect(&gateway.url(path), &[]).await.unwrap_err();
        assert_eq!((refused.status, &*refused.body), (418, "200 hi"), "{path}");
    }
}

/// What `/explain` says of a handshake at `path` that goes on to the backend.
async fn detail(gateway: &TestGateway, admin: SocketAddr, path: &str) -> String {
    let question = json!({"url": gateway.url(path), "dial": true}).to_string();
    let (status, text) = ask(admin, "POST /explain", &question).await;
    assert_eq!(status, 200, "{text}");
    let trace: Value = serde_json::from_str(&text).unwrap();
    trace["outcome"]["detail"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

const WHY: &str = "is the gateway's own admin server";

#[tokio::test]
async fn no_backend_and_no_proxy_is_the_admin_server() {
    let (mut gateway, admin) = started(with_admin()).await;
    let port = admin.port();
    let elsewhere = Backend::echo().await;
    let config = Config::new()
        .api("direct", admin)
        .api_with("by-name", admin, |api| {
            api.backend_url = format!("ws://localhost:{port}/config");
        })
        .api_with("chosen", elsewhere.address, |api| {
            api.on_handshake = steps(json!({"inbound": [
                {"setBackend": {"url": format!("ws://[::ffff:127.0.0.1]:{port}")}},
            ]}));
        })
        .api_with("through", elsewhere.address, |api| {
            api.backend_proxy = Some(BackendProxy {
                url: format!("http://127.1:{port}"),
                credentials_ref: None,
            });
        })
        .api_with("checked", admin, |api| {
            api.health_check = Some(
                serde_json::from_value(json!({"active": {
                    "type": "Tcp", "interval": "20ms", "timeout": "20s",
                    "healthyThreshold": 1, "unhealthyThreshold": 1,
                }}))
                .unwrap(),
            );
        })
        .api("elsewhere", elsewhere.address);
    gateway.apply(&config).await;
    gateway.gateway.ready().await;
    for path in ["/direct", "/by-name", "/chosen", "/through"] {
        let refused = connect(&gateway.url(path), &[]).await.unwrap_err();
        assert_eq!(refused.status, 502, "{path}");
        let detail = detail(&gateway, admin, path).await;
        assert!(detail.contains(WHY), "{path}: {detail}");
    }
    assert!(connect(&gateway.url("/elsewhere"), &[]).await.is_ok());
    let unhealthy = "tidegate_backends_out{api=\"harbour/checked\",reason=\"unhealthy\"}";
    gateway.metric_is(unhealthy, 1.0).await;
}

#[tokio::test]
async fn the_admin_servers_of_one_process_are_closed_to_all_its_gateways() {
    let ports = AdminPorts::default();
    let options = || Options {
        admin_ports: ports.clone(),
        ..with_admin()
    };
    let (other, port) = started(options()).await;
    let (mut gateway, _) = started(options()).await;
    gateway
        .apply(&asking(
            Config::new(),
            "asks",
            &format!("http://{port}/livez"),
        ))
        .await;
    gateway.gateway.ready().await;
    let refused = connect(&gateway.url("/asks"), &[]).await.unwrap_err();
    assert_eq!(refused.status, 502, "{refused:?}");
    drop(other);
    // Its port is anybody's again.
    let listener = FreePort::left_by(port).await.listen();
    let answer = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi";
        stream.write_all(answer).await.unwrap();
        // The client reads what it was sent before it sees the end.
        stream
    };
    let url = gateway.url("/asks");
    let (_stream, refused) = tokio::join!(answer, connect(&url, &[]));
    assert_eq!(refused.unwrap_err().body, "200 hi");
}

/// All that is not for everybody.
const TOLD: [&str; 4] = [
    "GET /config",
    "GET /status",
    "GET /traces/1",
    "POST /explain",
];

#[tokio::test]
async fn what_tells_of_tenants_wants_the_token() {
    let (_gateway, admin) = started(with_admin()).await;
    let right = format!("Authorization: Bearer {TOKEN}");
    for request in TOLD {
        for (lines, status) in [
            (&["Host: 127.0.0.1"][..], 401),
            (&["Host: localhost", "Authorization: Bearer wrong"], 401),
            (
                &["Host: localhost", "Authorization: Basic Zm9vOmJhcg=="],
                401,
            ),
            (&["Host: evil.example", &right], 403),
            (&[&right], 403),
            (
                &["Host: 127.0.0.1", &right, "Origin: http://127.0.0.1"],
                403,
            ),
            (
                &["Host: 127.0.0.1", &right, "Sec-Fetch-Site: cross-site"],
                403,
            ),
            (
                &["Host: 127.0.0.1", &right, "Sec-Fetch-Site: same-origin"],
                403,
            ),
        ] {
            let answer = ask_with(admin, request, lines, "{}").await;
            assert_eq!(answer.status, status, "{request} {lines:?}: {answer:?}");
            let challenged = answer.head.contains("www-authenticate: Bearer realm=");
            assert_eq!(challenged, status == 401, "{answer:?}");
        }
    }
    for request in ["GET /livez", "GET /readyz", "GET /metrics", "HEAD /livez"] {
        let answer = ask_with(admin, request, &["Host: edge.shop.svc:9090"], "").await;
        assert!(matches!(answer.status, 200 | 503), "{request}: {answer:?}");
    }
    let page = ["Host: 127.0.0.1", "Origin: https://evil.example"];
    assert_eq!(ask_with(admin, "GET /metrics", &page, "").await.status, 403);
}

#[tokio::test]
async fn a_question_is_json_and_says_so() {
    let (_gateway, admin) = started(with_admin()).await;
    let right = format!("Authorization: Bearer {TOKEN}");
    for kind in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
    ] {
        let kind = format!("Content-Type: {kind}");
        let lines = ["Host: 127.0.0.1", &right, &kind];
        let answer = ask_with(admin, "POST /explain", &lines, "{}").await;
        assert_eq!(answer.status, 415, "{kind}: {answer:?}");
    }
    let answer = ask_with(admin, "POST /explain", &["Host: 127.0.0.1", &right], "{}").await;
    assert_eq!(answer.status, 415, "{answer:?}");
    // What it then says is of the question.
    assert_eq!(ask(admin, "POST /explain", "{}").await.0, 503);
}

#[tokio::test]
async fn the_challenge_names_the_gateway() {
    let (mut gateway, admin) = started(with_admin()).await;
    gateway.apply(&Config::new()).await;
    let answer = ask_with(admin, "GET /config", &["Host: 127.0.0.1"], "").await;
    let challenge = "www-authenticate: Bearer realm=\"harbour/edge\"";
    assert!(answer.head.contains(challenge), "{answer:?}");
}

#[tokio::test]
async fn without_a_token_nobody_is_told_and_probes_are_answered() {
    for file in [None, Some("/nonexistent".into())] {
        let options = Options {
            admin_token_file: file,
            ..with_admin()
        };
        let (_gateway, admin) = started(options).await;
        for request in TOLD {
            let (status, body) = ask(admin, request, "{}").await;
            assert_eq!(status, 403, "{request}: {body}");
        }
        assert_eq!(ask(admin, "GET /livez", "").await.0, 200);
    }
    assert!(token_file().exists());
}
