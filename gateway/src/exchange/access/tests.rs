use bytes::Bytes;
use serde_json::json;
use tidegate_config::{InactiveState, key_hash};

use super::*;
use crate::head::parse_request;

const NOW: i64 = 1_000;

fn api(name: &str, required: bool) -> ApiConfig {
    serde_json::from_value(json!({
        "key": {"namespace": "shop", "name": name},
        "generation": 1,
        "displayName": name,
        "listeners": ["l"],
        "hostnames": [],
        "path": "/p",
        "pathMatch": "Exact",
        "protocols": ["ws"],
        "backendUrl": "ws://b",
        "hostHeader": null,
        "backendTls": {},
        "subscriptionRequired": required,
        "subscriptionKey": {"header": "X-Key", "query": "key", "keep": false},
        "onHandshake": {},
        "allowedOrigins": null,
        "subprotocols": null,
        "limits": {},
        "timeouts": {},
        "liveAccess": {},
        "onChange": "Keep",
        "values": {},
        "blocked": null,
    }))
    .unwrap()
}

fn request(target: &str, key: Option<&str>) -> RequestHead {
    let field = key
        .map(|key| format!("x-key: {key}\r\n"))
        .unwrap_or_default();
    let text = format!("GET {target} HTTP/1.1\r\nHost: h\r\n{field}\r\n");
    parse_request(&Bytes::from(text)).unwrap()
}

/// The request alone, without a key in a subprotocol.
fn by(request: &RequestHead) -> KeyCarrier<'_> {
    KeyCarrier {
        request,
        subprotocol: None,
    }
}

fn subscription(
    name: &str,
    scope: SubscriptionScope,
    expires_at: Option<i64>,
) -> Arc<SubscriptionConfig> {
    let (namespace, short) = name.split_once('/').unwrap_or(("shop", name));
    Arc::new(SubscriptionConfig {
        key: ObjectKey::new(namespace, short),
        generation: 1,
        display_name: name.to_owned(),
        owner: None,
        scope,
        key_hashes: vec![key_hash(name), key_hash(&format!("{name}-secondary"))],
        expires_at,
        allow_tracing: false,
    })
}

/// Product `gold` has the API `chat`, `silver` has `other`; `open_product` opens `chat` as well.
fn index(open_product: bool) -> AccessIndex {
    use SubscriptionScope::{Api, Gateway, Product};
    let mut index = AccessIndex::default();
    let key = |name: &str| ObjectKey::new("shop", name);
    index.add_product(&key("gold"), &["chat".to_owned()], false);
    index.add_product(&key("silver"), &["other".to_owned()], false);
    if open_product {
        index.add_product(&key("open"), &["chat".to_owned()], true);
    }
    for (name, scope, expires_at) in [
        ("gold-key", Product("gold".to_owned()), None),
        ("silver-key", Product("silver".to_owned()), None),
        ("chat-key", Api("chat".to_owned()), None),
        ("other-key", Api("other".to_owned()), None),
        ("all-key", Gateway, None),
        ("expired-key", Gateway, Some(NOW)),
        ("expiring-key", Gateway, Some(NOW + 1)),
        ("lost-key", Product("unpublished".to_owned()), None),
        ("team/gold-key", Product("shop/gold".to_owned()), None),
        ("team/chat-key", Api("shop/chat".to_owned()), None),
        ("team/near-key", Product("gold".to_owned()), None),
        ("team/far-key", Api("far/chat".to_owned()), None),
    ] {
        index.add_subscription(&subscription(name, scope, expires_at));
    }
    for (name, state) in [
        ("suspended-key", InactiveState::Suspended),
        ("cancelled-key", InactiveState::Cancelled),
        // As if the configuration had both.
        ("gold-key", InactiveState::Suspended),
    ] {
        index.add_inactive(&InactiveSubscription {
            key: key(name),
            state,
            key_hashes: vec![key_hash(name), "no hash".to_owned()],
        });
    }
    index.sorted()
}

/// `Ok(product whose policies apply)`, or the reason.
fn decided(
    open_product: bool,
    required: bool,
    key: Option<&str>,
) -> Result<Option<String>, Reason> {
    let answer = index(open_product).decide(&api("chat", required), by(&request("/p", key)), NOW);
    answer
        .map(|granted| granted.product.map(|key| key.name))
        .map_err(|refusal| refusal.reason)
}

#[test]
fn the_decision_table() {
    use Reason::{SubscriptionKeyInvalid as Invalid, SubscriptionKeyMissing as Missing};
    let gold = || Ok(Some("gold".to_owned()));
    let open = || Ok(Some("open".to_owned()));
    for (open_product, required, key, expected) in [
        // Products and API want a subscription.
        (false, true, Some("gold-key"), gold()),
        (false, true, Some("gold-key-secondary"), gold()),
        (false, true, Some("chat-key"), Ok(None)),
        // Of a Subscription in another namespace.
        (false, true, Some("team/gold-key"), gold()),
        (false, true, Some("team/chat-key"), Ok(None)),
        (false, true, Some("team/near-key"), Err(Invalid)),
        (false, true, Some("team/far-key"), Err(Invalid)),
        (false, true, Some("all-key"), Ok(None)),
        (false, true, Some("expiring-key"), Ok(None)),
        (false, true, None, Err(Missing)),
        (false, true, Some("silver-key"), Err(Invalid)),
        (false, true, Some("other-key"), Err(Invalid)),
        (false, true, Some("lost-key"), Err(Invalid)),
        (false, true, Some("expired-key"), Err(Invalid)),
        (false, true, Some("suspended-key"), Err(Invalid)),
        (false, true, Some("cancelled-key"), Err(Invalid)),
        (false, true, Some("unknown"), Err(Invalid)),
        // The API wants none.
        (false, false, Some("gold-key"), gold()),
        (false, false, Some("chat-key"), Ok(None)),
        (false, false, None, Ok(None)),
        (false, false, Some("suspended-key"), Err(Invalid)),
        (false, false, Some("unknown"), Err(Invalid)),
        (false, false, Some("silver-key"), Err(Invalid)),
        // An open product has the API.
        (true, true, Some("gold-key"), gold()),
        (true, true, Some("chat-key"), Ok(None)),
        (true, true, Some("all-key"), Ok(None)),
        (true, true, None, open()),
        (true, true, Some("silver-key"), open()),
        (true, true, Some("other-key"), open()),
        (true, true, Some("unknown"), Err(Invalid)),
        (true, true, Some("expired-key"), Err(Invalid)),
        // Both.
        (true, false, Some("gold-key"), gold()),
        (true, false, None, open()),
        (true, false, Some("chat-key"), Ok(None)),
    ] {
        let what = format!("open product {open_product}, required {required}, key {key:?}");
        assert_eq!(decided(open_product, required, key), expected, "{what}");
    }
}

#[test]
fn a_product_opens_apis_of_its_own_namespace_only() {
    let mut elsewhere = api("chat", true);
    elsewhere.key.namespace = "other".to_owned();
    let index = index(true);
    for key in ["gold-key", "chat-key"] {
        let answer = index.decide(&elsewhere, by(&request("/p", Some(key))), NOW);
        assert_eq!(answer.unwrap_err().reason, Reason::SubscriptionKeyInvalid);
    }
    let answer = index.decide(&elsewhere, by(&request("/p", None)), NOW);
    assert_eq!(answer.unwrap_err().reason, Reason::SubscriptionKeyMissing);
    assert!(
        index
            .decide(&elsewhere, by(&request("/p", Some("all-key"))), NOW)
            .is_ok()
    );
}

#[test]
fn the_header_beats_the_query() {
    for (name, target, header, expected) in [
        ("query alone", "/p?a=1&key=gold-key", None, Ok(())),
        ("encoded query", "/p?k%65y=gold%2Dkey", None, Ok(())),
        (
            "wrong header, right query",
            "/p?key=gold-key",
            Some("x"),
            Err("invalid"),
        ),
        (
            "right header, wrong query",
            "/p?key=x",
            Some("gold-key"),
            Ok(()),
        ),
        (
            "empty header, right query",
            "/p?key=gold-key",
            Some(""),
            Ok(()),
        ),
        ("empty query", "/p?key=", None, Err("missing")),
        (
            "another case in the query",
            "/p?KEY=gold-key",
            None,
            Err("missing"),
        ),
    ] {
        let answer = index(false).decide(&api("chat", true), by(&request(target, header)), NOW);
        let answer = answer.map(drop).map_err(|refusal| match refusal.reason {
            Reason::SubscriptionKeyMissing => "missing",
            Reason::SubscriptionKeyInvalid => "invalid",
            other => panic!("unexpected reason {other:?}"),
        });
        assert_eq!(answer, expected, "{name}");
    }
}

#[test]
fn a_subprotocol_is_read_last() {
    for (name, target, header, offered, expected) in [
        ("alone", "/p", None, "gold-key", true),
        ("an unknown one", "/p", None, "x", false),
        ("header first", "/p", Some("x"), "gold-key", false),
        ("query first", "/p?key=x", None, "gold-key", false),
        (
            "empty header and query",
            "/p?key=",
            Some(""),
            "gold-key",
            true,
        ),
    ] {
        let offered = HeaderValue::from_static(offered);
        let request = request(target, header);
        let carrier = KeyCarrier {
            request: &request,
            subprotocol: Some(&offered),
        };
        let answer = index(false).decide(&api("chat", true), carrier, NOW);
        let answer = answer.map_err(|refusal| refusal.reason);
        match expected {
            true => assert!(answer.is_ok(), "{name}"),
            false => assert_eq!(
                answer.unwrap_err(),
                Reason::SubscriptionKeyInvalid,
                "{name}"
            ),
        }
    }
}

#[test]
fn the_session_learns_which_key_was_used() {
    let answer = index(false).decide(
        &api("chat", true),
        by(&request("/p", Some("gold-key"))),
        NOW,
    );
    let granted = answer.unwrap();
    assert_eq!(granted.key_hash, Some(key_hash("gold-key")));
    assert_eq!(granted.subscription.unwrap().key.name, "gold-key");
}

#[test]
fn a_401_tells_where_the_key_goes() {
    let refusal = index(false)
        .decide(&api("chat", true), by(&request("/p", None)), NOW)
        .unwrap_err();
    assert_eq!(refusal.status, 401);
    let (name, value) = &refusal.headers[0];
    assert_eq!(name, WWW_AUTHENTICATE);
    assert_eq!(
        value,
        "TidegateKey realm=\"h/p\", header=\"X-Key\", query=\"key\""
    );
    let mut api = api("chat", true);
    api.subscription_key.subprotocol = Some("key.".to_owned());
    let refusal = index(false).decide(&api, by(&request("/p", None)), NOW);
    let (_, value) = &refusal.unwrap_err().headers[0];
    assert_eq!(
        value,
        "TidegateKey realm=\"h/p\", header=\"X-Key\", query=\"key\", subprotocol=\"key.\""
    );
}

#[test]
fn subscriptions_are_found_by_name() {
    let index = index(false);
    let gold = subscription(
        "gold-key",
        SubscriptionScope::Product("gold".to_owned()),
        None,
    );
    assert_eq!(index.subscription(&gold.key), Some(&*gold));
    assert_eq!(index.subscription(&ObjectKey::new("shop", "nobody")), None);
}

#[test]
fn a_refusal_says_why_to_the_log_and_the_same_to_every_client() {
    let answer = |key: &str| {
        let request = request("/p", Some(key));
        let answer = index(false).decide(&api("chat", true), by(&request), NOW);
        answer.unwrap_err()
    };
    let unknown = answer("unknown");
    for (key, wanted) in [
        (
            "unknown",
            "the key is of no subscription that this Gateway knows",
        ),
        (
            "suspended-key",
            "the key is of Subscription shop/suspended-key, which is suspended",
        ),
        (
            "cancelled-key",
            "the key is of Subscription shop/cancelled-key, which is cancelled",
        ),
        (
            "expired-key",
            "the key is of Subscription shop/expired-key, which has expired",
        ),
        (
            "other-key",
            "the key is of Subscription shop/other-key, which is for WebSocketApi shop/other, not for \
             WebSocketApi shop/chat",
        ),
        (
            "silver-key",
            "the key is of Subscription shop/silver-key, which is for Product shop/silver, not for \
             WebSocketApi shop/chat",
        ),
    ] {
        let refusal = answer(key);
        assert_eq!(refusal.detail.as_deref(), Some(wanted), "{key}");
        assert_eq!(refusal.encode(), unknown.encode(), "{key}");
    }
}
