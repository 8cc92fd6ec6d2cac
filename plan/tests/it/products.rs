//! Products: which APIs they hold, and on which Gateways.

use serde_json::json;

use crate::support::{api_verdict, edge, key, pair, product, reasons};

#[test]
fn a_product_holds_apis_by_name_and_by_label() {
    let plan = edge()
        .api("chat", json!({"labels": {"tier": "gold"}}))
        .api("feed", json!({"labels": {"tier": "tin"}}))
        .api("team/chat", json!({"labels": {"tier": "gold"}}))
        .product(
            "named",
            json!({"apis": [{"name": "feed"}, {"name": "gone"}]}),
        )
        .product(
            "labelled",
            json!({"apiSelector": {"matchLabels": {"tier": "gold"}}}),
        )
        .product(
            "both",
            json!({"apis": [{"name": "feed"}], "apiSelector": {"matchLabels": {"tier": "gold"}}}),
        )
        .plan();
    for (name, resolved, unresolved) in [
        ("named", vec!["feed"], vec!["gone"]),
        ("labelled", vec!["chat"], vec![]),
        ("both", vec!["chat", "feed"], vec![]),
    ] {
        let verdict = &plan.product_verdicts[&key(name)];
        assert_eq!(verdict.resolved_apis, resolved, "{name}");
        assert_eq!(verdict.unresolved_apis, unresolved, "{name}");
        assert_eq!(
            verdict.conditions.resolved.status,
            unresolved.is_empty(),
            "{name}"
        );
        assert_eq!(
            product(&plan, "edge", name).unwrap().apis,
            resolved,
            "{name}"
        );
    }
    assert_eq!(api_verdict(&plan, "chat").products, ["both", "labelled"]);
}

#[test]
fn a_product_goes_where_its_apis_are() {
    let plan = edge()
        .gateway("inner", json!({}))
        .gateway("idle", json!({}))
        .api("chat", json!({}))
        .api("feed", json!({"gateways": [{"name": "inner"}]}))
        .product(
            "gold",
            json!({
                "displayName": "Gold", "apis": [{"name": "chat"}, {"name": "feed"}],
                "values": [{"name": "tier", "value": "gold"}],
            }),
        )
        .plan();
    assert_eq!(product(&plan, "edge", "gold").unwrap().apis, ["chat"]);
    assert_eq!(product(&plan, "inner", "gold").unwrap().apis, ["feed"]);
    assert!(product(&plan, "idle", "gold").is_none());
    let config = product(&plan, "edge", "gold").unwrap();
    assert_eq!((config.display_name.as_str(), config.open), ("Gold", false));
    assert_eq!(config.values.len(), 1);
    assert_eq!(plan.product_verdicts[&key("gold")].gateways.len(), 2);
}

#[test]
fn an_unpublished_product_is_nowhere() {
    let plan = edge()
        .api("chat", json!({}))
        .product(
            "gold",
            json!({"apis": [{"name": "chat"}], "state": "NotPublished"}),
        )
        .plan();
    assert!(product(&plan, "edge", "gold").is_none());
    let verdict = &plan.product_verdicts[&key("gold")];
    assert_eq!(verdict.resolved_apis, ["chat"]);
    assert!(verdict.conditions.accepted.status);
}

#[test]
fn an_api_is_in_one_open_product() {
    let open = json!({"apis": [{"name": "chat"}], "subscriptionRequired": false});
    let plan = edge()
        .api("chat", json!({}))
        .api("feed", json!({}))
        .product("hidden", json!({"apis": [{"name": "chat"}], "subscriptionRequired": false, "state": "NotPublished"}))
        .product("first", open)
        .product("second", json!({"apis": [{"name": "chat"}, {"name": "feed"}], "subscriptionRequired": false}))
        .product("closed", json!({"apis": [{"name": "chat"}]}))
        .plan();
    assert!(product(&plan, "edge", "first").unwrap().open);
    assert_eq!(product(&plan, "edge", "first").unwrap().apis, ["chat"]);
    assert_eq!(product(&plan, "edge", "second").unwrap().apis, ["feed"]);
    assert_eq!(product(&plan, "edge", "closed").unwrap().apis, ["chat"]);
    let verdict = &plan.product_verdicts[&key("second")].conditions;
    assert_eq!(
        reasons(&verdict.accepted, &verdict.resolved),
        pair("Conflict", "ResolvedRefs")
    );
    assert_eq!(
        verdict.accepted.message,
        "WebSocketApi chat is already in the open product first"
    );
}
