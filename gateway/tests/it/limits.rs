//! How many connections there may be, and that places are free again.

use tidegate_config::SubscriptionScope;

use crate::handshake::parts;
use crate::support::backend::Backend;
use crate::support::client::{connect, handshake, open, raw};
use crate::support::config::Config;
use crate::support::gateway::TestGateway;

#[tokio::test]
async fn each_limit_has_its_status_and_a_closed_tunnel_frees_its_place() {
    let backend = Backend::echo().await;
    let subscribed =
        |config: Config| config.subscription("ahab", SubscriptionScope::Gateway, "white-whale");
    let chat = || Config::new().api("chat", backend.address);
    let pod = chat().settings(|settings| settings.limits.max_connections = 1);
    let address = chat().settings(|settings| settings.limits.max_connections_per_ip = 1);
    let api = chat().edit_api("chat", |api| api.limits.max_connections = Some(1));
    let subscription = subscribed(chat().edit_api("chat", |api| {
        api.limits.max_connections_per_subscription = Some(1)
    }));
    for (name, config, status, message) in [
        ("pod", pod, 503, "Gateway is full"),
        (
            "address",
            address,
            429,
            "Too many connections for this address",
        ),
        ("API", api, 503, "Too many connections for this API"),
        (
            "subscription",
            subscription,
            429,
            "Too many connections for this subscription",
        ),
    ] {
        let gateway = TestGateway::start(&config).await;
        let key = if name == "subscription" {
            "?harbour-key=white-whale"
        } else {
            ""
        };
        let url = gateway.url(&format!("/chat{key}"));
        let mut first = open(&url).await;
        let refused = connect(&url, &[]).await.expect_err(name);
        assert_eq!(refused.status, status, "{name}");
        assert_eq!(
            refused.body,
            format!("{{\"statusCode\":{status},\"message\":\"{message}\"}}")
        );
        assert!(
            refused.answer.headers().contains_key("retry-after"),
            "{name}"
        );
        first.close(None).await.unwrap();
        gateway.metric_is("tidegate_connections_active", 0.0).await;
        open(&url).await;
    }
}

#[tokio::test]
async fn a_failed_handshake_frees_its_place() {
    let backend = Backend::answering("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n").await;
    let config = Config::new().api_with("chat", backend.address, |api| {
        api.limits.max_connections = Some(1);
    });
    let gateway = TestGateway::start(&config).await;
    for _ in 0..3 {
        let answer = raw(gateway.address("plain"), handshake("/chat", "").as_bytes()).await;
        assert_eq!(parts(&answer).0, 403, "{answer}");
        gateway.metric_is("tidegate_connections_active", 0.0).await;
    }
}

#[tokio::test]
async fn more_handshakes_than_a_second_may_have_are_refused() {
    let backend = Backend::echo().await;
    let config = Config::new()
        .api("chat", backend.address)
        .settings(|settings| settings.limits.max_handshakes_per_second = 1);
    let gateway = TestGateway::start(&config).await;
    // Two of three fall into the same second, however slow this machine is at times.
    let mut refused = 0;
    for _ in 0..50 {
        if let Err(answer) = connect(&gateway.url("/chat"), &[]).await {
            assert_eq!(answer.status, 503);
            assert_eq!(
                answer.body,
                r#"{"statusCode":503,"message":"Too many handshakes"}"#
            );
            refused += 1;
        }
    }
    assert!(refused > 0);
}
