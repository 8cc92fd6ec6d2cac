use std::sync::Arc;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::*;
use crate::gather::Ack;
use crate::testing::{api_config, gateway_config, lease};

const KEYS: &str = "https://id.example/keys";

/// Live pods that cannot reach these.
fn pods(unreachable: &[Value]) -> Pods {
    let pod = |(number, away): (usize, &Value)| {
        let mut lease = lease(5, &json!([]));
        let annotations = lease.metadata.annotations.get_or_insert_default();
        annotations.insert(
            tidegate_config::ANNOTATION_UNREACHABLE.to_owned(),
            away.to_string(),
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
    config.apis = vec![chat, news];
    config.products = vec![
        serde_json::from_value(json!({
            "key": {"namespace": "shop", "name": "bundle"}, "generation": 1, "displayName": "",
            "open": false, "apis": ["chat"],
            "onHandshake": validating(KEYS), "values": {}, "blocked": null,
        }))
        .unwrap(),
    ];
    config
}

fn judged(outages: &Outages, kind: Kind, name: &str) -> (bool, Reason, String) {
    let object = ObjectRef::new(kind, &ObjectKey::new("shop", name));
    let judgement = outages.judge(&object);
    (judgement.status, judgement.reason, judgement.message)
}

fn outages(unreachable: &[Value]) -> Outages {
    let mut outages = Outages::default();
    let gateway = ObjectKey::new("shop", "edge");
    outages.add(&gateway, &config(), &pods(unreachable));
    outages
}

#[tokio::test(start_paused = true)]
async fn who_names_a_key_set_is_told_and_nobody_else() {
    let early = json!([key_set("2031-01-02T03:04:05Z")]);
    let late = json!([key_set("2031-01-02T03:04:09Z")]);
    let outages = outages(&[late, early, json!([])]);
    let expected = "Gateway shop/edge: 2/3 pods cannot reach keys at https://id.example/keys since \
                    2031-01-02T03:04:05Z (no route); keys that were fetched before stay in use";
    for (kind, name) in [(Kind::WebSocketApi, "chat"), (Kind::Product, "bundle")] {
        let expected = (false, Reason::KeySetUnavailable, expected.to_owned());
        assert_eq!(judged(&outages, kind, name), expected);
    }
    for (kind, name) in [(Kind::WebSocketApi, "news"), (Kind::Gateway, "edge")] {
        assert_eq!(judged(&outages, kind, name).1, Reason::Reachable, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn counters_are_the_gateways_own() {
    let away = json!([{
        "dependency": "Counters", "place": "redis:6379", "message": "refused",
        "since": "2031-01-02T03:04:05Z",
    }]);
    let outages = outages(&[away]);
    let (status, reason, message) = judged(&outages, Kind::Gateway, "edge");
    assert_eq!((status, reason), (false, Reason::CountersUnavailable));
    assert!(
        message.contains("1/1 pods cannot reach counters at redis:6379"),
        "{message}"
    );
    assert!(judged(&outages, Kind::WebSocketApi, "chat").0);
}

#[tokio::test(start_paused = true)]
async fn an_ill_backend_is_its_apis_own() {
    let ill = |api: &str| {
        json!({
            "dependency": "Backend", "place": "backend:9000", "message": "answered 500",
            "since": "2031-01-02T03:04:05Z", "api": {"namespace": "shop", "name": api},
        })
    };
    let outages = outages(&[json!([ill("chat")]), json!([ill("chat"), ill("other")])]);
    let (status, reason, message) = judged(&outages, Kind::WebSocketApi, "chat");
    assert_eq!((status, reason), (false, Reason::BackendUnhealthy));
    let expected = "2/2 pods cannot reach the backend backend:9000 since 2031-01-02T03:04:05Z";
    assert!(message.contains(expected), "{message}");
    assert!(judged(&outages, Kind::WebSocketApi, "news").0);
    assert!(judged(&outages, Kind::Gateway, "edge").0);
}

#[tokio::test(start_paused = true)]
async fn when_nobody_complains_all_is_well() {
    for said in [&[][..], &[json!([])], &[json!("nonsense")]] {
        let outages = outages(said);
        assert!(judged(&outages, Kind::WebSocketApi, "chat").0, "{said:?}");
        assert!(judged(&outages, Kind::Gateway, "edge").0, "{said:?}");
    }
}
