//! Quotas over real sockets: relayed bytes, live tunnels, restarts.

use serde_json::{Value, json};
use tidegate_config::policy::OnHandshake;
use tidegate_gateway::Options;

use crate::support::backend::Backend;
use crate::support::client::{Refused, closed, connect, echo, open};
use crate::support::config::Config;
use crate::support::gateway::TestGateway;
use crate::support::within;

fn config(backend: &Backend, quota: Value) -> Config {
    let on: OnHandshake =
        serde_json::from_value(json!({"inbound": [{ "quotaByKey": quota }]})).unwrap();
    Config::new().api_with("chat", backend.address, |api| api.on_handshake = on)
}

/// Connects until it is refused: relayed bytes are booked once a second.
async fn until_refused(url: &str) -> Refused {
    within("a refusal", async {
        loop {
            match connect(url, &[]).await {
                Ok(_) => tokio::time::sleep(std::time::Duration::from_millis(50)).await,
                Err(refused) => return refused,
            }
        }
    })
    .await
}

fn message(refused: &Refused) -> String {
    let body: Value = serde_json::from_str(&refused.body).unwrap();
    assert_eq!(body["statusCode"], 403);
    body["message"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn relayed_bytes_use_up_a_quota_and_live_tunnels_stay() {
    let backend = Backend::echo().await;
    let quota = json!({"key": "'all'", "bandwidthKb": 1, "period": "87600h"});
    let gateway = TestGateway::start(&config(&backend, quota)).await;
    let url = gateway.url("/chat");
    let mut socket = open(&url).await;
    echo(&mut socket, &"x".repeat(600)).await;
    let refused = within("the quota to be used up", until_refused(&url)).await;
    assert_eq!(refused.status, 403);
    let text = "Out of bandwidth quota. Quota will be replenished in ";
    assert!(message(&refused).starts_with(text), "{}", refused.body);
    let wait = refused.answer.headers()["retry-after"].to_str().unwrap();
    assert!(wait.parse::<u64>().unwrap() > 0);
    echo(&mut socket, "still here").await;
    gateway
        .metric_is("tidegate_handshakes_total{api=\"harbour/chat\",reason=\"quota_exceeded\",result=\"refused\"}", 1.0)
        .await;
    assert_eq!(gateway.metric("tidegate_quota_keys"), 1.0);
}

#[tokio::test]
async fn all_tunnels_of_a_quota_are_closed_when_it_says_so() {
    let backend = Backend::echo().await;
    let quota = json!({
        "key": "request.query('who')", "bandwidthKb": 1, "period": "0", "closeOnExceed": true,
    });
    let gateway = TestGateway::start(&config(&backend, quota)).await;
    let url = gateway.url("/chat?who=ahab");
    let mut silent = open(&url).await;
    let mut other = open(&gateway.url("/chat?who=ishmael")).await;
    let mut busy = open(&url).await;
    echo(&mut busy, &"x".repeat(600)).await;
    for socket in [&mut silent, &mut busy] {
        let (code, _) = closed(socket).await.expect("a code");
        assert_eq!(code, 1008);
    }
    let refused = connect(&url, &[]).await.expect_err("used up");
    assert_eq!(message(&refused), "Out of bandwidth quota.");
    assert!(!refused.answer.headers().contains_key("retry-after"));
    echo(&mut other, "still here").await;
    gateway
        .metric_is("tidegate_tunnels_closed_total{api=\"harbour/chat\",code=\"1008\",initiator=\"gateway\"}", 2.0)
        .await;
}

#[tokio::test]
async fn a_restart_renews_no_quota() {
    let backend = Backend::echo().await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("quotas.json");
    let config = config(
        &backend,
        json!({"key": "'all'", "calls": 5, "bandwidthKb": 1, "period": "0"}),
    );
    let start = async || {
        let mut gateway = TestGateway::start_empty(Options {
            quota_file: Some(file.clone()),
            ..Options::local()
        })
        .await;
        gateway.apply(&config).await;
        within("the listeners", gateway.gateway.ready()).await;
        gateway
    };
    let gateway = start().await;
    let mut socket = open(&gateway.url("/chat")).await;
    echo(&mut socket, &"x".repeat(600)).await;
    // The last bytes are booked when the tunnel is closed by the drain.
    within("the end", gateway.gateway.shutdown()).await;

    let gateway = start().await;
    let refused = connect(&gateway.url("/chat"), &[])
        .await
        .expect_err("used up");
    assert_eq!(message(&refused), "Out of bandwidth quota.");
    within("the end", gateway.gateway.shutdown()).await;

    let text = std::fs::read(&file).unwrap();
    std::fs::write(&file, &text[..text.len() / 2]).unwrap();
    let gateway = start().await;
    open(&gateway.url("/chat")).await;
}
