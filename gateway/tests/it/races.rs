//! Handshakes that meet a change of configuration: whatever the order, what was taken away is gone.

use futures::{SinkExt as _, StreamExt as _};
use serde_json::json;
use tidegate_config::SubscriptionScope;
use tokio::task::JoinSet;

use crate::policies::steps;
use crate::support::backend::{Backend, upgrade};
use crate::support::client::{Socket, closed, connect};
use crate::support::config::Config;
use crate::support::gateway::TestGateway;
use crate::support::{until, within};

/// Handshakes of each round.
const CLIENTS: u64 = 60;
/// Every round takes the right away once, in the middle of them.
const ROUNDS: u64 = 5;

const KEY: &str = "white-whale-white-whale";

/// Opens every tunnel, after a while that differs from one to the next, so that a change meets
/// handshakes on both sides of their 101.
async fn hesitant() -> Backend {
    Backend::scripted(|head, stream| async move {
        let number: u64 = head.header("X-Number")[0].parse().unwrap();
        tokio::time::sleep(std::time::Duration::from_millis(number % 30)).await;
        let mut socket = upgrade(&head, stream, "").await;
        while let Some(Ok(message)) = socket.next().await {
            if message.is_text() && socket.send(message).await.is_err() {
                return;
            }
        }
    })
    .await
}

/// The tunnel, or the status that refused it.
async fn client(url: String, number: u64) -> Result<Socket, u16> {
    tokio::time::sleep(std::time::Duration::from_millis(number % 20)).await;
    let number = number.to_string();
    let headers = [("X-Harbour-Key", KEY), ("X-Number", number.as_str())];
    connect(&url, &headers)
        .await
        .map_err(|refused| refused.status)
}

/// Runs rounds of handshakes that meet `after`; every tunnel that was opened is closed, with `code`.
async fn race(before: &Config, after: &Config, status: u16, code: u16) {
    let mut gateway = TestGateway::start(before).await;
    let url = gateway.url("/chat");
    for round in 0..ROUNDS {
        let mut clients = JoinSet::new();
        for number in 0..CLIENTS {
            clients.spawn(client(url.clone(), number));
        }
        tokio::time::sleep(std::time::Duration::from_millis(5 + 5 * round)).await;
        gateway.apply(after).await;
        // Whoever asks now is refused, whatever the others are at.
        assert_eq!(
            client(url.clone(), 0).await.err(),
            Some(status),
            "round {round}"
        );
        for outcome in within("the handshakes", clients.join_all()).await {
            match outcome {
                Ok(mut tunnel) => {
                    let told = closed(&mut tunnel).await.map(|(code, _)| code);
                    assert_eq!(told, Some(code), "round {round}");
                }
                Err(refused) => assert_eq!(refused, status, "round {round}"),
            }
        }
        until("no tunnel to be left", || gateway.gateway.tunnels() == 0).await;
        gateway.metric_is("tidegate_connections_active", 0.0).await;
        gateway.apply(before).await;
        client(url.clone(), 0).await.expect("the right is back");
    }
}

#[tokio::test]
async fn a_key_that_is_revoked_during_handshakes_leaves_no_tunnel() {
    let backend = hesitant().await;
    let config = Config::new()
        .api_with("chat", backend.address, |api| {
            api.subscription_required = true
        })
        .subscription("ahab", SubscriptionScope::Gateway, KEY);
    let without = config.clone().without_subscription("ahab");
    race(&config, &without, 401, 1008).await;
}

#[tokio::test]
async fn an_api_that_goes_during_handshakes_leaves_no_tunnel() {
    let backend = hesitant().await;
    let config = Config::new().api("chat", backend.address).subscription(
        "ahab",
        SubscriptionScope::Gateway,
        KEY,
    );
    let without = config.clone().without_api("chat");
    race(&config, &without, 404, 1001).await;
}

/// A policy holds from the moment when its configuration is in use, for every handshake after that.
#[tokio::test]
async fn a_filter_that_comes_during_handshakes_holds_from_then_on() {
    let backend = hesitant().await;
    let config = Config::new().api("chat", backend.address).subscription(
        "ahab",
        SubscriptionScope::Gateway,
        KEY,
    );
    let filter = json!({"inbound": [{"ipFilter": {"allow": ["192.0.2.1"]}}]});
    let filtered = config
        .clone()
        .edit_api("chat", |api| api.on_handshake = steps(filter));
    let mut gateway = TestGateway::start(&config).await;
    let url = gateway.url("/chat");
    for round in 0..ROUNDS {
        let mut clients = JoinSet::new();
        for number in 0..CLIENTS {
            clients.spawn(client(url.clone(), number));
        }
        gateway.apply(&filtered).await;
        for number in 0..10 {
            let refused = client(url.clone(), number).await.err();
            assert_eq!(refused, Some(403), "round {round}");
        }
        for outcome in within("the handshakes", clients.join_all()).await {
            assert!(matches!(outcome, Ok(_) | Err(403)), "round {round}");
        }
        gateway.apply(&config).await;
    }
}
