//! Backends, and requests of policies, that lead back to the gateway they come from.

use std::net::SocketAddr;
use std::sync::Arc;

use serde_json::json;
use tidegate_config::{Duration, PoolMember};

use crate::handshake::parts;
use crate::policies::steps;
use crate::support::backend::Backend;
use crate::support::client::{connect, echo, handshake, open, raw};
use crate::support::config::{Config, api};
use crate::support::gateway::TestGateway;
use crate::support::until;

const LOOPS: &str =
    "tidegate_handshakes_total{api=\"harbour/chat\",reason=\"loop_detected\",result=\"refused\"}";

/// An empty gateway, whose address can be a backend's.
async fn gateway() -> (TestGateway, SocketAddr) {
    let gateway = TestGateway::start(&Config::new()).await;
    let address = gateway.address("plain");
    (gateway, address)
}

/// `/chat` leads to `/chat` at `address`.
fn leading_to(address: SocketAddr) -> Config {
    Config::new().api_with("chat", address, |api| {
        api.backend_url = format!("ws://{address}/chat");
    })
}

/// All handshakes of `/chat`, however they ended.
fn handshakes(gateway: &TestGateway) -> f64 {
    let text = gateway.metrics.render();
    let lines = text
        .lines()
        .filter(|line| line.starts_with("tidegate_handshakes_total{api=\"harbour/chat\""));
    lines
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
        .sum()
}

#[tokio::test]
async fn a_backend_that_is_the_gateway_itself_is_a_508_and_one_hop() {
    let set = |address: SocketAddr| {
        let url = format!("ws://{address}/chat");
        json!({"inbound": [{"setBackend": {"url": url}}]})
    };
    for (name, hops) in [("url", 2.0), ("pool", 3.0), ("setBackend", 2.0)] {
        let (mut gateway, address) = gateway().await;
        let config = match name {
            "url" => leading_to(address),
            "pool" => leading_to(address).edit_api("chat", |api| {
                let path = "/chat";
                api.backend_pool = [0, 1]
                    .map(|priority| PoolMember {
                        name: None,
                        url: match priority {
                            0 => format!("ws://127.0.0.1:1{path}"),
                            _ => format!("ws://{address}{path}"),
                        },
                        weight: 1,
                        priority,
                    })
                    .into();
                api.backend_url.clone_from(&api.backend_pool[0].url);
            }),
            _ => leading_to(([127, 0, 0, 1], 1).into())
                .edit_api("chat", |api| api.on_handshake = steps(set(address))),
        };
        gateway.apply(&config).await;
        let answer = raw(address, handshake("/chat", "").as_bytes()).await;
        let (status, body) = parts(&answer);
        assert_eq!(status, 508, "{name}: {answer}");
        assert!(body.contains("has passed tidegate-"), "{name}: {body}");
        assert_eq!(gateway.metric(LOOPS), 1.0, "{name}");
        assert!(handshakes(&gateway) <= hops, "{name}");
    }
}

#[tokio::test]
async fn a_circle_of_two_gateways_ends_where_it_began() {
    let (mut first, at_first) = gateway().await;
    let (mut second, at_second) = gateway().await;
    first.apply(&leading_to(at_second)).await;
    second.apply(&leading_to(at_first)).await;
    let refused = connect(&first.url("/chat"), &[]).await.err().unwrap();
    assert_eq!(refused.status, 508);
    assert_eq!(handshakes(&first) + handshakes(&second), 3.0);
    assert_eq!((first.metric(LOOPS), second.metric(LOOPS)), (1.0, 0.0));
}

/// A Service spreads a loop over all pods of the Gateway.
#[tokio::test]
async fn pods_of_one_gateway_know_each_other() {
    let (mut first, at_first) = gateway().await;
    let (mut second, at_second) = gateway().await;
    let of_one = |config: Config| config.settings(|settings| settings.uid = Some("a".into()));
    first.apply(&of_one(leading_to(at_second))).await;
    second.apply(&of_one(leading_to(at_first))).await;
    let refused = connect(&first.url("/chat"), &[]).await.err().unwrap();
    assert_eq!(refused.status, 508);
    assert_eq!((first.metric(LOOPS), second.metric(LOOPS)), (0.0, 1.0));
}

#[tokio::test]
async fn gateways_behind_one_another_and_other_proxies_are_no_loop() {
    let backend = Backend::echo().await;
    let inner = TestGateway::start(&Config::new().api("chat", backend.address)).await;
    let outer = TestGateway::start(&leading_to(inner.address("plain"))).await;
    let fields = [
        ("Via", "1.0 fred, 1.1 p.example.net"),
        ("Via", "1.1 varnish (Varnish/7.4), 2 cloudfront"),
        // Nobody can name it away.
        ("Connection", "Upgrade, Via"),
    ];
    let mut socket = connect(&outer.url("/chat"), &fields).await.unwrap();
    echo(&mut socket, "through both").await;
    let head = backend.head().await;
    let via = head.header("Via");
    assert_eq!(via[..2], [fields[0].1, fields[1].1]);
    let names: Vec<_> = via[2..]
        .iter()
        .filter_map(|line| line.strip_prefix("1.1 tidegate-"))
        .collect();
    assert_eq!(names.len(), 2, "{via:?}");
    assert_ne!(names[0], names[1], "both are harbour/edge, of two clusters");
}

#[tokio::test]
async fn a_chain_of_gateways_without_end_is_refused() {
    let backend = Backend::echo().await;
    let gateway = TestGateway::start(&Config::new().api("chat", backend.address)).await;
    let chain = |count: usize| {
        let members = (0..count).map(|number| format!("1.1 tidegate-{number:016x}"));
        members.collect::<Vec<_>>().join(", ")
    };
    let long = connect(&gateway.url("/chat"), &[("Via", &chain(9))]).await;
    assert_eq!(long.err().unwrap().status, 508);
    let socket = connect(&gateway.url("/chat"), &[("Via", &chain(8))]).await;
    assert!(socket.is_ok());
}

/// What a refused handshake makes a policy send is a request, and may be refused itself.
#[tokio::test]
async fn a_request_of_a_policy_that_leads_back_goes_round_once() {
    let (mut gateway, address) = gateway().await;
    let url = format!("http://{address}/chat");
    for (step, name) in [("sendRequest", "answer"), ("notify", "")] {
        let mut asks = json!({"url": url, "ignoreError": true});
        if name.is_empty() {
            asks = json!({ "url": url });
        } else {
            asks["as"] = json!(name);
        }
        let on = json!({"onError": [{step: asks}]});
        let config = leading_to(([127, 0, 0, 1], 1).into()).edit_api("chat", |api| {
            api.on_handshake = steps(on);
            api.timeouts.handshake_total = Some(Duration::from_secs(5));
        });
        let before = (handshakes(&gateway), gateway.metric(LOOPS));
        gateway.apply(&config).await;
        // Not even a handshake: onError runs all the same.
        let answer = raw(address, b"GET /chat HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert_eq!(parts(&answer).0, 400, "{step}");
        gateway.metric_is(LOOPS, before.1 + 1.0).await;
        assert_eq!(handshakes(&gateway), before.0 + 2.0, "{step}");
    }
}

#[tokio::test]
async fn a_health_check_that_leads_back_says_so() {
    let (mut gateway, address) = gateway().await;
    for (kind, path) in [("WebSocket", "/chat"), ("Http", "/chat")] {
        let before = gateway.metric(LOOPS);
        let config = leading_to(address).edit_api("chat", |api| {
            let active = json!({"type": kind, "path": path, "interval": "20ms", "timeout": "20s",
                "healthyThreshold": 1, "unhealthyThreshold": 1});
            api.health_check = Some(serde_json::from_value(json!({ "active": active })).unwrap());
        });
        gateway.apply(&config).await;
        until("a check to be refused", || gateway.metric(LOOPS) > before).await;
    }
    gateway
        .metric_is(
            "tidegate_backends_out{api=\"harbour/chat\",reason=\"unhealthy\"}",
            1.0,
        )
        .await;
}

/// Over all that, an API whose backend is somebody else works.
#[tokio::test]
async fn a_loop_takes_no_place_of_others() {
    let backend = Backend::echo().await;
    let (mut gateway, address) = gateway().await;
    let mut config = leading_to(address).api("other", backend.address);
    config = config.settings(|settings| settings.limits.max_connections = 3);
    config
        .config
        .apis
        .push(Arc::new(api("third", "ws://127.0.0.1:1")));
    gateway.apply(&config).await;
    for _ in 0..5 {
        let refused = connect(&gateway.url("/chat"), &[]).await.err().unwrap();
        assert_eq!(refused.status, 508);
    }
    let mut socket = open(&gateway.url("/other")).await;
    echo(&mut socket, "still here").await;
}
