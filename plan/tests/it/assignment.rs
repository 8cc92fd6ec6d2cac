//! Which API is on which Gateway and listener, under which URL.

use serde_json::{Value, json};
use tidegate_config::{Duration, UrlScheme};

use crate::support::{
    Builder, api_reasons, api_verdict, certificate, edge, empty, key, pair, served, served_names,
};

#[test]
fn an_api_is_served_where_it_is_assigned_and_nowhere_else() {
    let plan = edge()
        .gateway("inner", json!({}))
        .api("chat", json!({}))
        .api(
            "both",
            json!({"gateways": [{"name": "edge"}, {"name": "inner"}]}),
        )
        .api("nowhere", json!({"gateways": []}))
        .plan();
    assert_eq!(served_names(&plan, "edge"), ["both", "chat"]);
    assert_eq!(served_names(&plan, "inner"), ["both"]);
    for name in ["chat", "both", "nowhere"] {
        assert_eq!(
            api_reasons(&plan, name),
            pair("Accepted", "ResolvedRefs"),
            "{name}"
        );
    }
    assert_eq!(plan.gateway_verdicts[&key("edge")].apis, 2);
    assert_eq!(
        plan.gateway_verdicts[&key("edge")].listeners[0].attached_apis,
        2
    );
}

#[test]
fn a_name_that_is_wrong_harms_only_itself() {
    let plan = edge()
        .api(
            "chat",
            json!({"gateways": [{"name": "edge"}, {"name": "gone"}]}),
        )
        .api(
            "lost",
            json!({"gateways": [{"name": "edge", "listener": "secure"}]}),
        )
        .plan();
    assert_eq!(served_names(&plan, "edge"), ["chat"]);
    assert_eq!(
        api_reasons(&plan, "chat"),
        pair("Accepted", "GatewayNotFound")
    );
    assert_eq!(api_verdict(&plan, "chat").unresolved, ["Gateway shop/gone"]);
    let message = &api_verdict(&plan, "chat").conditions.resolved.message;
    assert_eq!(
        message,
        "spec.gateways[1]: Gateway shop/gone does not exist"
    );
    assert_eq!(
        api_verdict(&plan, "lost").unresolved,
        ["listener secure of Gateway shop/edge"]
    );
}

#[test]
fn a_gateway_says_whose_apis_it_takes() {
    let selector = json!({"from": "Selector", "selector": {"matchLabels": {"tier": "gold"}}});
    let expressions = json!({"from": "Selector", "selector": {"matchExpressions": [
        {"key": "tier", "operator": "In", "values": ["gold", "silver"]},
    ]}});
    for (name, allowed, namespace, taken) in [
        ("default", json!({}), "shop", true),
        ("default, elsewhere", json!({}), "team", false),
        ("all", json!({"from": "All"}), "team", true),
        ("labels", selector.clone(), "team", true),
        ("other labels", selector.clone(), "poor", false),
        ("unknown namespace", selector, "void", false),
        ("expressions", expressions, "team", true),
        (
            "empty selector",
            json!({"from": "Selector", "selector": {}}),
            "poor",
            true,
        ),
    ] {
        let plan = empty()
            .namespace("team", &[("tier", "gold")])
            .namespace("poor", &[("tier", "tin")])
            .gateway("edge", json!({"apiNamespaces": allowed}))
            .api(
                &format!("{namespace}/chat"),
                json!({"gateways": [{"name": "edge", "namespace": "shop"}]}),
            )
            .plan();
        assert_eq!(!served_names(&plan, "edge").is_empty(), taken, "{name}");
        let verdict = &plan.api_verdicts[&key(&format!("{namespace}/chat"))];
        assert_eq!(verdict.conditions.resolved.status, taken, "{name}");
        assert_eq!(verdict.unresolved.is_empty(), taken, "{name}");
    }
}

fn two_listeners() -> Builder {
    let (certificate, private_key) = certificate();
    empty()
        .secret(
            "cert",
            &[
                ("tls.crt", certificate.as_bytes()),
                ("tls.key", private_key.as_bytes()),
            ],
        )
        .gateway(
            "edge",
            json!({"listeners": [
                {"name": "plain", "port": 80, "protocol": "WS"},
                {"name": "secure", "port": 8443, "protocol": "WSS", "hostnames": ["*.chat.example"],
                 "tls": {"certificateRefs": [{"name": "cert"}]}},
            ]}),
        )
}

#[test]
fn listeners_are_chosen_by_name_scheme_and_host() {
    let all = ["plain", "secure"];
    let cases: [(&str, Value, &[&str], &str); 8] = [
        ("all", json!({}), &all, "Accepted"),
        (
            "by name",
            json!({"gateways": [{"name": "edge", "listener": "secure"}]}),
            &["secure"],
            "Accepted",
        ),
        (
            "by scheme",
            json!({"protocols": ["ws"]}),
            &["plain"],
            "Accepted",
        ),
        (
            "by host",
            json!({"hostnames": ["other.example"]}),
            &["plain"],
            "Accepted",
        ),
        (
            "by narrower host",
            json!({"hostnames": ["a.chat.example"]}),
            &all,
            "Accepted",
        ),
        (
            "name and scheme exclude each other",
            json!({"gateways": [{"name": "edge", "listener": "plain"}], "protocols": ["wss"]}),
            &[],
            "NoListener",
        ),
        (
            "name and host exclude each other",
            json!({"gateways": [{"name": "edge", "listener": "secure"}], "hostnames": ["x.example"]}),
            &[],
            "NoMatchingHostname",
        ),
        (
            "the same Gateway twice",
            json!({"gateways": [{"name": "edge", "listener": "plain"}, {"name": "edge", "listener": "secure"}]}),
            &all,
            "Accepted",
        ),
    ];
    for (name, patch, listeners, reason) in cases {
        let plan = two_listeners().api("chat", patch).plan();
        let found = served(&plan, "edge", "chat").map(|api| api.listeners.clone());
        assert_eq!(found.unwrap_or_default(), listeners, "{name}");
        assert_eq!(api_reasons(&plan, "chat").0, reason, "{name}");
    }
}

#[test]
fn urls_say_scheme_host_port_and_path() {
    let plan = two_listeners()
        .api("any", json!({}))
        .api("named", json!({"hostnames": ["eu.chat.example", "x.example"], "path": "/n/{room}", "pathMatch": "Template"}))
        .plan();
    assert_eq!(
        api_verdict(&plan, "any").urls,
        ["ws://edge.shop.svc/any", "wss://*.chat.example:8443/any"]
    );
    assert_eq!(
        api_verdict(&plan, "named").urls,
        [
            "ws://eu.chat.example/n/{room}",
            "ws://x.example/n/{room}",
            "wss://eu.chat.example:8443/n/{room}",
        ]
    );
}

#[test]
fn a_gateways_address_stands_in_urls_once_it_is_known() {
    for (address, url) in [
        ("203.0.113.7", "ws://203.0.113.7:8081/chat"),
        ("2001:db8::7", "ws://[2001:db8::7]:8081/chat"),
        ("lb.example", "ws://lb.example:8081/chat"),
    ] {
        let mut built = edge().api("chat", json!({}));
        let mut gateway = built.world.gateways[&key("edge")].as_ref().clone();
        let status = json!({"addresses": [{"type": "IPAddress", "value": address}]});
        gateway.status = Some(serde_json::from_value(status).unwrap());
        built.world.gateways = [(key("edge"), gateway.into())].into();
        assert_eq!(api_verdict(&built.plan(), "chat").urls, [url]);
    }
}

#[test]
fn everything_an_api_says_is_rendered() {
    let plan = empty()
        .gateway(
            "edge",
            json!({
                "listeners": [{"name": "plain", "port": 8081, "protocol": "WS"}],
                "subscriptionKey": {"header": "X-Edge-Key", "query": "edge-key", "subprotocol": "edge-key."},
                "limits": {"maxMessageBytes": 4096, "maxConnectionsPerSubscription": 7},
                "timeouts": {"connect": "3s", "idle": "90s"},
            }),
        )
        .api(
            "chat",
            json!({
                "displayName": "Chat",
                "backend": {"url": "wss://chat.internal/hub?v=2", "hostHeader": "chat.example",
                            "tls": {"serverName": "chat.tls", "insecureSkipVerify": true}},
                "subscriptionRequired": false,
                "subscriptionKey": {"query": "chat-key", "keep": true},
                "allowedOrigins": ["https://a.example"],
                "subprotocols": ["chat.v2"],
                "limits": {"maxMessageBytes": 99},
                "timeouts": {"idle": "30s"},
                "liveAccess": {"enforce": false, "closeCode": 4001},
                "onChange": "Drain",
                "values": [{"name": "tier", "value": "gold"}],
            }),
        )
        .plan();
    // All its pods call themselves by it.
    let settings = &plan.gateways[&key("edge")].config.settings;
    assert_eq!(settings.uid.as_deref(), Some("uid-edge"));
    let api = served(&plan, "edge", "chat").unwrap();
    assert_eq!((api.generation, api.display_name.as_str()), (12, "Chat"));
    assert_eq!(api.backend_url, "wss://chat.internal/hub?v=2");
    assert_eq!(api.host_header.as_deref(), Some("chat.example"));
    assert_eq!(api.backend_tls.server_name.as_deref(), Some("chat.tls"));
    assert!(api.backend_tls.insecure_skip_verify);
    assert!(!api.subscription_required);
    assert_eq!(api.subscription_key.header, "X-Edge-Key");
    assert_eq!(api.subscription_key.query, "chat-key");
    assert_eq!(
        api.subscription_key.subprotocol.as_deref(),
        Some("edge-key.")
    );
    assert!(api.subscription_key.keep);
    assert_eq!(
        api.allowed_origins.as_deref(),
        Some(&["https://a.example".to_owned()][..])
    );
    assert_eq!(
        api.subprotocols.as_deref(),
        Some(&["chat.v2".to_owned()][..])
    );
    assert_eq!(api.limits.max_message_bytes, Some(99));
    assert_eq!(api.limits.max_connections_per_subscription, Some(7));
    assert_eq!(api.timeouts.connect, Some(Duration::from_secs(3)));
    assert_eq!(api.timeouts.idle, Some(Duration::from_secs(30)));
    assert_eq!(
        api.timeouts.backend_handshake,
        Some(Duration::from_secs(10))
    );
    assert_eq!(api.live_access.close_code.get(), 4001);
    assert_eq!(api.on_change, tidegate_config::OnChange::Drain);
    assert_eq!(api.protocols, [UrlScheme::Ws, UrlScheme::Wss]);
    assert_eq!(api.values.len(), 1);
    assert_eq!(api.blocked, None);
}
