use std::sync::Arc;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::*;
use crate::testing::{api_config, gateway_config, lease};
use crate::watch::Ack;

const KEYS: &str = "https://id.example/keys";

/// Live pods that cannot reach these.
fn pods(unreachable: &[Value]) -> Pods {
    let pod = |(number, unreachable): (usize, &Value)| {
        let mut lease = lease(5, &json!([]));
        let annotations = lease.metadata.annotations.get_or_insert_default();
        annotations.insert(
            tidegate_config::ANNOTATION_UNREACHABLE.to_owned(),
            unreachable.to_string(),
        );
        let ack = Ack::of(lease, None, Instant::now());
        (format!("pod-{number}"), Arc::new(ack))
    };
    Pods::new(unreachable.iter().enumerate().map(pod).collect())
}

fn key_set(since: &str) -> Value {
    json!({"dependency": "KeySet", "place": KEYS, "message": "no route", "since": since})
}

/// API `chat` and product `bundle` name the keys, API `news` does not.
fn config() -> GatewayConfig {
    let validating = |url: &str| {
        let step = json!({"validateJwt": {"jwks": [url]}});
        serde_json::from_value(json!({"inbound": [step]})).unwrap()
    };
    let mut config = gateway_config("shop", "edge");
    let mut chat = api_config("shop", "chat");
    chat.on_handshake = validating("https://id.example/keys?secret=1");
    let mut news = api_config("shop", "news");
    news.on_handshake = validating("https://other.example/keys");
    config.apis = vec![Arc::new(chat), Arc::new(news)];
    config.products = vec![Arc::new(
        serde_json::from_value(json!({
            "key": {"namespace": "shop", "name": "bundle"}, "generation": 1, "displayName": "",
            "open": false, "apis": ["chat"],
            "onHandshake": validating(KEYS), "values": {}, "blocked": null,
        }))
        .unwrap(),
    )];
    config
}

fn condition(outages: &Outages, kind: CustomKind, name: &str) -> (bool, Reason, String) {
    let object = ObjectRef::new(kind, &ObjectKey::new("shop", name));
    let state = outages.condition(&object);
    (state.status, state.reason, state.message)
}

fn outages(unreachable: &[Value]) -> Outages {
    let mut outages = Outages::default();
    let gateway = ObjectKey::new("shop", "edge");
    outages.add(&gateway, &config(), &pods(unreachable));
    outages
}

#[tokio::test(start_paused = true)]
async fn a_key_set_concerns_the_objects_that_name_it_and_no_others() {
    let early = json!([key_set("2031-01-02T03:04:05Z")]);
    let late = json!([key_set("2031-01-02T03:04:09Z")]);
    let outages = outages(&[late, early, json!([])]);
    let expected = "Gateway shop/edge: 2/3 pods cannot reach the keys at https://id.example/keys since \
                    2031-01-02T03:04:05Z (no route); the keys that were fetched before stay in use";
    for (kind, name) in [
        (CustomKind::WebSocketApi, "chat"),
        (CustomKind::Product, "bundle"),
    ] {
        let expected = (false, Reason::KeySetUnavailable, expected.to_owned());
        assert_eq!(condition(&outages, kind, name), expected);
    }
    for (kind, name) in [
        (CustomKind::WebSocketApi, "news"),
        (CustomKind::Gateway, "edge"),
    ] {
        assert_eq!(
            condition(&outages, kind, name).1,
            Reason::Reachable,
            "{name}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn counters_concern_the_gateway_only() {
    let counters = json!([{
        "dependency": "Counters", "place": "redis:6379", "message": "refused",
        "since": "2031-01-02T03:04:05Z",
    }]);
    let outages = outages(&[counters]);
    let (status, reason, message) = condition(&outages, CustomKind::Gateway, "edge");
    assert_eq!((status, reason), (false, Reason::CountersUnavailable));
    assert!(
        message.contains("1/1 pods cannot reach the counters at redis:6379"),
        "{message}"
    );
    assert!(condition(&outages, CustomKind::WebSocketApi, "chat").0);
}

#[tokio::test(start_paused = true)]
async fn an_unhealthy_backend_concerns_its_api_only() {
    let unhealthy = |api: &str| {
        json!({
            "dependency": "Backend", "place": "backend:9000", "message": "answered 500",
            "since": "2031-01-02T03:04:05Z", "api": {"namespace": "shop", "name": api},
        })
    };
    let outages = outages(&[
        json!([unhealthy("chat")]),
        json!([unhealthy("chat"), unhealthy("other")]),
    ]);
    let (status, reason, message) = condition(&outages, CustomKind::WebSocketApi, "chat");
    assert_eq!((status, reason), (false, Reason::BackendUnhealthy));
    let expected = "2/2 pods cannot reach the backend backend:9000 since 2031-01-02T03:04:05Z";
    assert!(message.contains(expected), "{message}");
    assert!(condition(&outages, CustomKind::WebSocketApi, "news").0);
    assert!(condition(&outages, CustomKind::Gateway, "edge").0);
}

#[tokio::test(start_paused = true)]
async fn without_reports_every_dependency_counts_as_reachable() {
    for said in [&[][..], &[json!([])], &[json!("nonsense")]] {
        let outages = outages(said);
        assert!(
            condition(&outages, CustomKind::WebSocketApi, "chat").0,
            "{said:?}"
        );
        assert!(
            condition(&outages, CustomKind::Gateway, "edge").0,
            "{said:?}"
        );
    }
}
