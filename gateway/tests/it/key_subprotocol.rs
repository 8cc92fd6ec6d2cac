//! Subscription keys in a subprotocol, as browsers send them to realtime APIs.

use futures::{SinkExt as _, StreamExt as _};
use serde_json::json;
use tidegate_config::SubscriptionScope;

use crate::http2::modern;
use crate::logs::{listen, wait_for};
use crate::policies::steps;
use crate::support::backend::{Backend, upgrade};
use crate::support::client::{closed, connect, connect_with_answer, echo};
use crate::support::config::Config;
use crate::support::gateway::TestGateway;
use crate::support::http2::Http2;

const KEY: &str = "white-whale-0123456789";
const PROTOCOL: &str = "sec-websocket-protocol";

/// Chooses the first subprotocol that it is offered, and echoes.
pub(crate) async fn realtime() -> Backend {
    Backend::scripted(|head, stream| async move {
        let offers = head.header(PROTOCOL).join(",");
        let first = offers.split(',').next().unwrap_or_default().trim();
        let line = match first {
            "" => String::new(),
            first => format!("Sec-WebSocket-Protocol: {first}\r\n"),
        };
        let mut socket = upgrade(&head, stream, &line).await;
        while let Some(Ok(message)) = socket.next().await {
            let is_data = message.is_text() || message.is_binary();
            if is_data && socket.send(message).await.is_err() {
                return;
            }
        }
    })
    .await
}

/// An API whose policies show everything that they can read of the offer.
fn config(api: &str, backend: &Backend) -> Config {
    modern(
        Config::new()
            .api_with(api, backend.address, |api| {
                api.subscription_required = true;
                // Keeping is about header and query: the key must not reach the backend even so.
                api.subscription_key.keep = true;
                api.subscription_key.subprotocol = Some("openai-insecure-api-key.".to_owned());
                api.on_handshake = steps(json!({"inbound": [
                    {"setHeader": {"name": "X-Offers", "values": ["${request.subprotocols.join('+')}"]}},
                    {"setHeader": {"name": "X-All", "values": ["${request.headers['sec-websocket-protocol'].join('+')}"]}},
                    {"setHeader": {"name": "X-Product", "values": ["${product.name} ${subscription.name}"]}},
                ]}));
            })
            .product("gold", &[api], |_| {})
            .subscription("ahab", SubscriptionScope::Product("gold".to_owned()), KEY),
    )
}

#[tokio::test]
async fn a_key_in_a_subprotocol_opens_and_the_real_subprotocol_is_agreed_on() {
    listen();
    let backend = realtime().await;
    let config = config("keyed-realtime", &backend);
    let mut gateway = TestGateway::start(&config).await;
    let offer = format!("realtime, openai-insecure-api-key.{KEY}, openai-beta.realtime-v1");
    let url = gateway.url("/keyed-realtime");
    let connected = connect_with_answer(&url, &[(PROTOCOL, &offer)]).await;
    let (mut socket, answer) = connected.unwrap();
    assert_eq!(answer.headers()[PROTOCOL], "realtime");
    echo(&mut socket, "hello").await;
    let head = backend.head().await;
    assert_eq!(head.header(PROTOCOL), ["realtime, openai-beta.realtime-v1"]);
    assert_eq!(
        head.header("X-Offers"),
        ["realtime+openai-beta.realtime-v1"]
    );
    assert_eq!(head.header("X-Product"), ["gold ahab"]);
    assert!(!head.text.contains(KEY), "{head:?}");
    // Live access knows by which key the tunnel was opened.
    gateway.apply(&config.without_subscription("ahab")).await;
    assert_eq!(closed(&mut socket).await.unwrap().0, 1008);
    let (_, text) = wait_for("keyed-realtime", 2).await;
    assert!(
        text.contains("harbour/ahab") && !text.contains(KEY),
        "{text}"
    );
}

#[tokio::test]
async fn a_key_in_a_subprotocol_works_over_http_2() {
    let backend = realtime().await;
    let gateway = TestGateway::start(&config("chat", &backend)).await;
    let mut client = Http2::plain(gateway.address("plain")).await;
    let key = format!("openai-insecure-api-key.{KEY}");
    for (name, fields) in [
        ("one line", &[(PROTOCOL, &*format!("realtime,{key}"))][..]),
        ("two lines", &[(PROTOCOL, &*key), (PROTOCOL, "realtime")]),
    ] {
        let (_socket, answer) = client.connect("/chat", fields).await.unwrap();
        assert_eq!(answer.headers()[PROTOCOL], "realtime", "{name}");
    }
    let refused = client.connect("/chat", &[(PROTOCOL, "realtime")]).await;
    assert_eq!(refused.err().map(|refused| refused.status), Some(401));
    for head in backend.heads() {
        assert!(!head.text.contains(KEY), "{head:?}");
        assert_eq!(head.header(PROTOCOL), ["realtime"]);
    }
}

#[tokio::test]
async fn a_key_in_a_subprotocol_is_removed_whatever_opens_the_api() {
    let backend = realtime().await;
    let config = config("chat", &backend).edit_api("chat", |api| {
        api.subscription_required = false;
        // Without a key there is no product to name.
        api.on_handshake = steps(json!({}));
        api.subprotocols = Some(vec!["realtime".to_owned()]);
    });
    let gateway = TestGateway::start(&config).await;
    let url = gateway.url("/chat");
    let wrong = "realtime, openai-insecure-api-key.black-whale-0123456789";
    let refused = connect(&url, &[(PROTOCOL, wrong)]).await.unwrap_err();
    assert_eq!(refused.status, 401);
    let challenge = refused.answer.headers()["www-authenticate"].to_str();
    assert!(
        challenge
            .unwrap()
            .ends_with("subprotocol=\"openai-insecure-api-key.\""),
        "{refused:?}"
    );
    let both = [(PROTOCOL, wrong), ("x-harbour-key", KEY)];
    connect(&url, &both).await.unwrap();
    // Neither is an empty key forwarded, which opens nothing and forbids nothing.
    let empty = [(PROTOCOL, "openai-insecure-api-key., realtime")];
    connect(&url, &empty).await.unwrap();
    for head in backend.heads() {
        assert_eq!(head.header(PROTOCOL), ["realtime"]);
    }
}
