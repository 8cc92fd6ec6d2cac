//! Where subscriptions stand, and what they open.

use serde_json::{Value, json};
use tidegate_api::SubscriptionPhase;
use tidegate_config::{InactiveState, SubscriptionScope, key_hash};
use tidegate_plan::Plan;

use crate::support::{Builder, NOW, edge, key, pair, primary, reasons, subscription};

/// Two Gateways, two APIs, a product with one of them.
fn shop() -> Builder {
    edge()
        .gateway("inner", json!({}))
        .api(
            "chat",
            json!({"gateways": [{"name": "edge"}, {"name": "inner"}]}),
        )
        .api("feed", json!({"gateways": [{"name": "inner"}]}))
        .product("gold", json!({"apis": [{"name": "chat"}]}))
        .product(
            "asks",
            json!({"apis": [{"name": "chat"}], "approvalRequired": true}),
        )
        .product(
            "hidden",
            json!({"apis": [{"name": "chat"}], "state": "NotPublished"}),
        )
}

fn verdict_of(plan: &Plan, name: &str) -> (String, String) {
    let verdict = &plan.subscription_verdicts[&key(name)].conditions;
    reasons(&verdict.accepted, &verdict.resolved)
}

#[test]
fn a_subscription_is_where_its_scope_is() {
    let product = SubscriptionScope::Product("gold".to_owned());
    let api = SubscriptionScope::Api("feed".to_owned());
    for (name, scope, gateways, expected) in [
        (
            "product",
            json!({"product": "gold"}),
            vec!["edge", "inner"],
            product,
        ),
        ("api", json!({"api": "feed"}), vec!["inner"], api),
        (
            "gateway",
            json!({"gateway": "edge"}),
            vec!["edge"],
            SubscriptionScope::Gateway,
        ),
    ] {
        let patch = json!({"scope": scope, "displayName": "Ann", "owner": "ann@example.com",
            "expiresAt": "2026-07-01T00:00:00Z", "allowTracing": name == "api"});
        let plan = shop().subscription("mine", patch).plan();
        let found: Vec<_> = plan.subscription_verdicts[&key("mine")]
            .gateways
            .iter()
            .map(|gateway| gateway.name.clone())
            .collect();
        assert_eq!(found, gateways, "{name}");
        assert_eq!(
            verdict_of(&plan, "mine"),
            pair("Accepted", "ResolvedRefs"),
            "{name}"
        );
        for gateway in ["edge", "inner"] {
            let config = subscription(&plan, gateway, "mine");
            assert_eq!(
                config.is_some(),
                gateways.contains(&gateway),
                "{name} on {gateway}"
            );
        }
        let config = subscription(&plan, gateways[0], "mine").unwrap();
        assert_eq!(config.scope, expected, "{name}");
        assert_eq!(config.key_hashes, [key_hash(&primary("mine"))], "{name}");
        assert_eq!(config.display_name, "Ann", "{name}");
        assert_eq!(config.owner.as_deref(), Some("ann@example.com"), "{name}");
        assert_eq!(config.expires_at, Some(1_782_864_000), "{name}");
        assert_eq!(config.allow_tracing, name == "api", "{name}");
    }
}

#[test]
fn a_subscription_to_nothing_says_so() {
    for (name, scope, accepted, resolved) in [
        (
            "product",
            json!({"product": "gone"}),
            "Accepted",
            "ProductNotFound",
        ),
        ("api", json!({"api": "gone"}), "Accepted", "ApiNotFound"),
        (
            "gateway",
            json!({"gateway": "gone"}),
            "Accepted",
            "GatewayNotFound",
        ),
        (
            "unpublished",
            json!({"product": "hidden"}),
            "NotPublished",
            "ResolvedRefs",
        ),
        ("none", json!({}), "Invalid", "ResolvedRefs"),
        (
            "two",
            json!({"api": "chat", "product": "gold"}),
            "Invalid",
            "ResolvedRefs",
        ),
    ] {
        let plan = shop().subscription("mine", json!({"scope": scope})).plan();
        assert_eq!(
            verdict_of(&plan, "mine"),
            pair(accepted, resolved),
            "{name}"
        );
        assert!(subscription(&plan, "edge", "mine").is_none(), "{name}");
    }
}

#[test]
fn only_an_active_subscription_opens_anything() {
    use SubscriptionPhase as P;
    let with = |product: &str, patch: Value| {
        let mut spec = json!({"scope": {"product": product}});
        spec.as_object_mut()
            .unwrap()
            .extend(patch.as_object().unwrap().clone());
        spec
    };
    for (name, spec, phase) in [
        ("plain", with("gold", json!({})), P::Active),
        (
            "suspended",
            with("gold", json!({"state": "Suspended"})),
            P::Suspended,
        ),
        (
            "cancelled",
            with("gold", json!({"state": "Cancelled"})),
            P::Cancelled,
        ),
        ("undecided", with("asks", json!({})), P::Submitted),
        (
            "approved",
            with("asks", json!({"approval": "Approved"})),
            P::Active,
        ),
        (
            "rejected",
            with("asks", json!({"approval": "Rejected"})),
            P::Rejected,
        ),
        (
            "rejected though nobody asked",
            with("gold", json!({"approval": "Rejected"})),
            P::Rejected,
        ),
        (
            "expires later",
            with("gold", json!({"expiresAt": "2026-06-01T12:00:01Z"})),
            P::Active,
        ),
        (
            "expires now",
            with("gold", json!({"expiresAt": "2026-06-01T12:00:00Z"})),
            P::Expired,
        ),
        (
            "expired and suspended",
            with(
                "gold",
                json!({"expiresAt": "2020-01-01T00:00:00Z", "state": "Suspended"}),
            ),
            P::Expired,
        ),
        (
            "cancelled and expired",
            with(
                "gold",
                json!({"expiresAt": "2020-01-01T00:00:00Z", "state": "Cancelled"}),
            ),
            P::Cancelled,
        ),
        (
            "undecided and suspended",
            with("asks", json!({"state": "Suspended"})),
            P::Submitted,
        ),
    ] {
        let plan = shop().subscription("mine", spec).plan();
        assert_eq!(
            plan.subscription_verdicts[&key("mine")].phase,
            phase,
            "{name}"
        );
        let rendered = subscription(&plan, "edge", "mine").is_some();
        assert_eq!(rendered, phase == P::Active, "{name}");
    }
}

#[test]
fn the_next_expiry_is_the_next_change() {
    let at = |time: &str| json!({"scope": {"product": "gold"}, "expiresAt": time});
    let plan = shop()
        .subscription("past", at("2026-06-01T11:59:59Z"))
        .subscription("soon", at("2026-06-01T12:00:05Z"))
        .subscription("later", at("2026-06-01T13:00:00Z"))
        .plan();
    assert_eq!(plan.next_change, Some(NOW + 5));
    assert_eq!(shop().plan().next_change, None);
}

#[test]
fn a_limit_per_owner_keeps_the_oldest() {
    let of = |owner: Option<&str>, patch: Value| {
        let mut spec = json!({"scope": {"product": "few"}, "owner": owner});
        spec.as_object_mut()
            .unwrap()
            .extend(patch.as_object().unwrap().clone());
        spec
    };
    let plan = shop()
        .product(
            "few",
            json!({"apis": [{"name": "chat"}], "subscriptionsLimit": 1}),
        )
        .subscription("gave-up", of(Some("ann"), json!({"state": "Cancelled"})))
        .subscription("z-first", of(Some("ann"), json!({})))
        .subscription("a-second", of(Some("ann"), json!({})))
        .subscription("others", of(Some("bob"), json!({})))
        .subscription("nobodys", of(None, json!({})))
        .subscription("nobodys-too", of(None, json!({})))
        .plan();
    for (name, reason, phase) in [
        ("z-first", "Accepted", SubscriptionPhase::Active),
        ("a-second", "LimitReached", SubscriptionPhase::Submitted),
        ("others", "Accepted", SubscriptionPhase::Active),
        ("nobodys", "Accepted", SubscriptionPhase::Active),
        ("nobodys-too", "Accepted", SubscriptionPhase::Active),
    ] {
        assert_eq!(verdict_of(&plan, name).0, reason, "{name}");
        assert_eq!(
            plan.subscription_verdicts[&key(name)].phase,
            phase,
            "{name}"
        );
        let rendered = subscription(&plan, "edge", name).is_some();
        assert_eq!(rendered, phase == SubscriptionPhase::Active, "{name}");
    }
    assert_eq!(plan.product_verdicts[&key("few")].subscriptions, 4);
}

#[test]
fn a_gateway_knows_why_a_subscription_opens_nothing() {
    let of = |product: &str, patch: Value| {
        let mut spec = json!({"scope": {"product": product}});
        spec.as_object_mut()
            .unwrap()
            .extend(patch.as_object().unwrap().clone());
        spec
    };
    let few = json!({"apis": [{"name": "chat"}], "subscriptionsLimit": 1});
    let plan = shop()
        .product("few", few)
        .subscription("active", of("gold", json!({})))
        .subscription("suspended", of("gold", json!({"state": "Suspended"})))
        .subscription("cancelled", of("gold", json!({"state": "Cancelled"})))
        .subscription(
            "expired",
            of("gold", json!({"expiresAt": "2020-01-01T00:00:00Z"})),
        )
        .subscription("undecided", of("asks", json!({})))
        .subscription("rejected", of("asks", json!({"approval": "Rejected"})))
        .subscription("unpublished", of("hidden", json!({})))
        .subscription("first", of("few", json!({"owner": "ann"})))
        .subscription("second", of("few", json!({"owner": "ann"})))
        .subscription(
            "one-api",
            json!({"scope": {"api": "feed"}, "state": "Suspended"}),
        )
        .subscription(
            "one-gateway",
            json!({"scope": {"gateway": "edge"}, "state": "Suspended"}),
        )
        .subscription("lost", of("gone", json!({"state": "Suspended"})))
        .subscription_without_keys("keyless", of("gold", json!({"state": "Suspended"})))
        .plan();
    let known = |gateway: &str| -> Vec<_> {
        let config = &plan.gateways[&key(gateway)].config;
        for found in &config.inactive {
            assert_eq!(found.key_hashes, [key_hash(&primary(&found.key.name))]);
        }
        let known = config.inactive.iter();
        known
            .map(|found| (found.key.name.clone(), found.state))
            .collect()
    };
    use InactiveState as S;
    let both = [
        ("cancelled", S::Cancelled),
        ("expired", S::Expired),
        ("one-api", S::Suspended),
        ("one-gateway", S::Suspended),
        ("rejected", S::Rejected),
        ("second", S::OverLimit),
        ("suspended", S::Suspended),
        ("undecided", S::NotApproved),
        ("unpublished", S::NotPublished),
    ];
    for (gateway, other) in [("edge", "one-api"), ("inner", "one-gateway")] {
        let wanted = both.iter().filter(|(name, _)| *name != other);
        let wanted: Vec<_> = wanted
            .map(|(name, state)| ((*name).to_owned(), *state))
            .collect();
        assert_eq!(known(gateway), wanted, "{gateway}");
    }
}
