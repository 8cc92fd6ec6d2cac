//! What is counted of connections, as a scrape shows it.

use futures::SinkExt as _;
use tidegate_config::SubscriptionScope;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};

use crate::support::backend::Backend;
use crate::support::client::{closed, connect, echo, open};
use crate::support::config::Config;
use crate::support::gateway::TestGateway;

/// A frame that does not end its message, unless `last`.
fn part(kind: Data, last: bool) -> Message {
    Message::Frame(Frame::message("part", OpCode::Data(kind), last))
}

/// All series of the API `counted`, and those without one, that are not 0.
fn counted(gateway: &TestGateway, metric: &str) -> Vec<String> {
    let text = gateway.metrics.render();
    let lines = text.lines().filter_map(|line| line.strip_prefix(metric));
    let lines = lines.filter(|line| !line.ends_with(" 0"));
    lines
        .map(|line| line.replace("api=\"harbour/counted\",", ""))
        .collect()
}

/// What the tunnel below leaves in the metrics.
const TRACES: [(&str, &[&str]); 6] = [
    (
        "tidegate_handshakes_total",
        &[r#"{reason="",result="accepted"} 1"#],
    ),
    (
        "tidegate_tunnels_closed_total",
        &[r#"{code="1000",initiator="client"} 1"#],
    ),
    ("tidegate_tunnel_duration_seconds_count", &[" 1"]),
    (
        "tidegate_messages_total",
        &[
            r#"{direction="to_backend",type="binary"} 1"#,
            r#"{direction="to_backend",type="binary_fragment"} 1"#,
            r#"{direction="to_backend",type="close"} 1"#,
            r#"{direction="to_backend",type="ping"} 1"#,
            r#"{direction="to_backend",type="text"} 1"#,
            r#"{direction="to_backend",type="text_fragment"} 2"#,
            r#"{direction="to_client",type="binary"} 1"#,
            r#"{direction="to_client",type="close"} 1"#,
            r#"{direction="to_client",type="pong"} 1"#,
            r#"{direction="to_client",type="text"} 1"#,
        ],
    ),
    // Towards the backend headers and masks of 6 bytes, back headers of 2; frames of 4 bytes, which
    // come back as messages of 12 and 8; the ping has 1, the Close 6 with its code.
    (
        "tidegate_bytes_total",
        &[
            r#"{direction="to_backend",type="binary"} 10"#,
            r#"{direction="to_backend",type="binary_fragment"} 10"#,
            r#"{direction="to_backend",type="close"} 12"#,
            r#"{direction="to_backend",type="ping"} 7"#,
            r#"{direction="to_backend",type="text"} 10"#,
            r#"{direction="to_backend",type="text_fragment"} 20"#,
            r#"{direction="to_client",type="binary"} 10"#,
            r#"{direction="to_client",type="close"} 8"#,
            r#"{direction="to_client",type="pong"} 3"#,
            r#"{direction="to_client",type="text"} 14"#,
        ],
    ),
    (
        "tidegate_handshake_duration_seconds_count",
        &[
            r#"{phase="backend"} 1"#,
            r#"{phase="connect"} 1"#,
            r#"{phase="head"} 1"#,
            r#"{phase="inbound"} 1"#,
            r#"{phase="outbound"} 1"#,
            r#"{phase="total"} 1"#,
        ],
    ),
];

#[tokio::test]
async fn a_tunnel_is_counted_from_its_handshake_to_its_close() {
    let backend = Backend::echo().await;
    let gateway = TestGateway::start(&Config::new().api("counted", backend.address)).await;
    let mut socket = open(&gateway.url("/counted")).await;
    let active = r#"tidegate_tunnels_active{api="harbour/counted"}"#;
    gateway.metric_is(active, 1.0).await;
    for frame in [
        part(Data::Text, false),
        part(Data::Continue, false),
        part(Data::Continue, true),
        part(Data::Binary, false),
        Message::Ping("?".into()),
        part(Data::Continue, true),
    ] {
        socket.send(frame).await.unwrap();
    }
    let close = CloseFrame {
        code: CloseCode::Normal,
        reason: "done".into(),
    };
    for _ in 0..3 {
        // Both messages come back whole, and the pong.
        crate::support::client::receive(&mut socket).await;
    }
    socket.close(Some(close)).await.unwrap();
    closed(&mut socket).await;
    gateway.metric_is(active, 0.0).await;
    for (metric, expected) in TRACES {
        assert_eq!(counted(&gateway, metric), expected, "{metric}");
    }
}

#[tokio::test]
async fn a_handshake_without_a_tunnel_is_counted_by_its_reason() {
    let backend = Backend::echo().await;
    let config = Config::new().api_with("counted", backend.address, |api| {
        api.subscription_required = true;
    });
    let gateway = TestGateway::start(&config).await;
    for path in ["/counted", "/uncounted"] {
        let refused = connect(&gateway.url(path), &[]).await;
        assert!(refused.is_err(), "{path}");
    }
    let expected = [
        r#"{api="-",reason="route_not_found",result="refused"} 1"#,
        r#"{reason="subscription_key_missing",result="refused"} 1"#,
    ];
    assert_eq!(counted(&gateway, "tidegate_handshakes_total"), expected);
    assert_eq!(counted(&gateway, "tidegate_tunnels_active"), [""; 0]);
}

#[tokio::test]
async fn messages_are_counted_by_the_labels_that_were_asked_for() {
    use tidegate_config::MessageLabel::{Api, Product, Subscription};
    let backend = Backend::echo().await;
    let config = |labels: &[_]| {
        let config = Config::new()
            .api("counted", backend.address)
            .product("gold", &["counted"], |_| {})
            .subscription(
                "ahab",
                SubscriptionScope::Product("gold".to_owned()),
                "white-whale",
            );
        let labels = labels.to_vec();
        config.settings(|settings| {
            settings.telemetry.metrics = Some(tidegate_config::MetricLabels {
                message_labels: Some(labels),
            });
        })
    };
    let mut gateway = TestGateway::start(&config(&[Api])).await;
    let url = gateway.url("/counted?harbour-key=white-whale");
    for (labels, expected) in [
        (
            &[Api][..],
            r#"{api="harbour/counted",direction="to_client",type="text"}"#,
        ),
        (&[], r#"{direction="to_client",type="text"}"#),
        (
            &[Product],
            r#"{direction="to_client",product="harbour/gold",type="text"}"#,
        ),
        (
            &[Subscription, Api],
            r#"{api="harbour/counted",direction="to_client",subscription="harbour/ahab",type="text"}"#,
        ),
    ] {
        gateway.apply(&config(labels)).await;
        let mut socket = open(&url).await;
        echo(&mut socket, "hello").await;
        let series = format!("tidegate_messages_total{expected}");
        gateway.metric_is(&series, 1.0).await;
    }
    let gone = config(&[Subscription, Api]).without_subscription("ahab");
    gateway.apply(&gone).await;
    assert!(!gateway.metrics.render().contains("harbour/ahab"));
    assert!(gateway.metrics.render().contains("harbour/gold"));
}
