//! Subscriptions to what is in another namespace, and the decisions of its owner.

use std::sync::Arc;

use serde_json::{Value, json};
use tidegate_api::{SubscriptionPhase, SubscriptionRequest};
use tidegate_config::SubscriptionScope;
use tidegate_plan::{Plan, Planner};

use crate::support::{Builder, edge, key, subscription};

/// An API and a product of the shop, for which others may ask.
fn shop(product: Value) -> Builder {
    let mut spec = json!({"apis": [{"name": "chat"}], "subscriptionNamespaces": {"from": "All"}});
    spec.as_object_mut()
        .unwrap()
        .extend(product.as_object().unwrap().clone());
    edge()
        .api("chat", json!({}))
        .product("gold", spec)
        .namespace("team", &[("tier", "one")])
}

fn asking(patch: Value) -> Value {
    let mut spec = json!({"scope": {"namespace": "shop", "product": "gold"}, "owner": "ann"});
    spec.as_object_mut()
        .unwrap()
        .extend(patch.as_object().unwrap().clone());
    spec
}

/// What the operator and the owner do: the new requests exist, with this decision.
fn decided(mut builder: Builder, decision: Option<&str>) -> Builder {
    for (name, spec) in builder.plan().new_requests {
        let mut request = SubscriptionRequest::new(&name.name, spec);
        request.metadata.namespace = Some(name.namespace);
        request.spec.approval = decision.map(|text| serde_json::from_value(json!(text)).unwrap());
        builder.world.add(Arc::new(request));
    }
    builder
}

fn phase(plan: &Plan) -> SubscriptionPhase {
    plan.subscription_verdicts[&key("team/app")].phase
}

fn is_open(plan: &Plan) -> bool {
    subscription(plan, "edge", "team/app").is_some()
}

#[test]
fn a_subscription_of_another_namespace_opens_the_product_there() {
    let plan = shop(json!({}))
        .subscription("team/app", asking(json!({})))
        .plan();
    let served = subscription(&plan, "edge", "team/app").unwrap();
    let scope = SubscriptionScope::Product("shop/gold".to_owned());
    assert_eq!(served.scope, scope);
    assert_eq!(plan.product_verdicts[&key("gold")].subscriptions, 1);
    let api = json!({"scope": {"namespace": "shop", "api": "chat"}});
    let allowed = json!({"subscriptionNamespaces": {"from": "All"}});
    let plan = shop(json!({}))
        .api("chat", allowed)
        .subscription("team/app", api)
        .plan();
    let served = subscription(&plan, "edge", "team/app").unwrap();
    assert_eq!(served.scope, SubscriptionScope::Api("shop/chat".to_owned()));
}

#[test]
fn a_product_says_which_namespaces_may_ask() {
    let selector =
        |tier: &str| json!({"from": "Selector", "selector": {"matchLabels": {"tier": tier}}});
    for (allowed, is_allowed) in [
        (json!({"from": "All"}), true),
        (json!({"from": "Same"}), false),
        (json!({}), false),
        (selector("one"), true),
        (selector("two"), false),
    ] {
        let product = json!({"subscriptionNamespaces": allowed});
        let plan = shop(product)
            .subscription("team/app", asking(json!({})))
            .plan();
        assert_eq!(is_open(&plan), is_allowed, "{allowed}");
        assert_eq!(
            plan.new_requests.len(),
            usize::from(is_allowed),
            "{allowed}"
        );
        if !is_allowed {
            let verdict = &plan.subscription_verdicts[&key("team/app")];
            assert_eq!(verdict.phase, SubscriptionPhase::Submitted);
            assert_eq!(
                verdict.conditions.resolved.reason.as_str(),
                "NotAllowedByOwner"
            );
        }
    }
}

#[test]
fn what_is_not_allowed_and_what_is_not_there_read_the_same() {
    let message = |name: &str| {
        let scope = json!({"scope": {"namespace": "shop", "product": name}});
        let product = json!({"subscriptionNamespaces": {"from": "Same"}});
        let plan = shop(product).subscription("team/app", scope).plan();
        let verdict = &plan.subscription_verdicts[&key("team/app")];
        verdict.conditions.resolved.message.replace(name, "NAME")
    };
    assert_eq!(message("gold"), message("gone"));
    assert!(
        message("gold").contains("namespace team"),
        "{}",
        message("gold")
    );
}

#[test]
fn consent_product_approval_and_state_decide_together() {
    use SubscriptionPhase as P;
    let asks = json!({"approvalRequired": true});
    let closed = json!({"subscriptionNamespaces": {"from": "Same"}});
    let hidden = json!({"state": "NotPublished"});
    let expired = json!({"expiresAt": "2020-01-01T00:00:00Z"});
    let none = json!({});
    for (product, decision, spec, expected, opens) in [
        (&none, None, &none, P::Active, true),
        (&none, Some("Approved"), &none, P::Active, true),
        (&none, Some("Rejected"), &none, P::Rejected, false),
        (&asks, None, &none, P::Submitted, false),
        (&asks, Some("Approved"), &none, P::Active, true),
        (&asks, Some("Rejected"), &none, P::Rejected, false),
        (
            &asks,
            Some("Approved"),
            &json!({"state": "Suspended"}),
            P::Suspended,
            false,
        ),
        (
            &asks,
            None,
            &json!({"state": "Suspended"}),
            P::Submitted,
            false,
        ),
        (
            &asks,
            Some("Approved"),
            &json!({"state": "Cancelled"}),
            P::Cancelled,
            false,
        ),
        (
            &asks,
            Some("Approved"),
            &json!({"approval": "Rejected"}),
            P::Rejected,
            false,
        ),
        (&asks, Some("Approved"), &expired, P::Expired, false),
        (&closed, Some("Approved"), &none, P::Submitted, false),
        (&hidden, Some("Approved"), &none, P::Active, false),
    ] {
        let asked =
            |product: &Value| shop(product.clone()).subscription("team/app", asking(json!({})));
        let open = if product == &closed { &asks } else { product };
        let requested = decided(asked(open), decision);
        let mut before = shop(product.clone()).subscription("team/app", asking(spec.clone()));
        before.world.requests = requested.world.requests.clone();
        if spec.get("expiresAt").is_some() {
            before.world.requests.clear();
        }
        let plan = before.plan();
        let case = format!("{product} {decision:?} {spec}");
        assert_eq!((phase(&plan), is_open(&plan)), (expected, opens), "{case}");
    }
}

#[test]
fn a_decision_is_about_the_terms_that_were_asked_for() {
    let of = |patch: Value| {
        shop(json!({"approvalRequired": true})).subscription("team/app", asking(patch))
    };
    let until = json!({"expiresAt": "2027-01-01T00:00:00Z", "allowTracing": true});
    let approved = decided(of(until.clone()), Some("Approved"));
    for (terms, holds) in [
        (until, true),
        (json!({"expiresAt": "2026-12-01T00:00:00Z"}), true),
        (json!({"expiresAt": "2027-02-01T00:00:00Z"}), false),
        (json!({}), false),
        (
            json!({"expiresAt": "2026-12-01T00:00:00Z", "owner": "bob"}),
            false,
        ),
    ] {
        let mut changed = of(terms.clone());
        changed.world.requests = approved.world.requests.clone();
        let plan = changed.plan();
        assert_eq!(is_open(&plan), holds, "{terms}");
        // Other terms have another request, and the one before is about nothing any more.
        assert_eq!(plan.new_requests.is_empty(), holds, "{terms}");
        assert_eq!(plan.outdated_requests.is_empty(), holds, "{terms}");
    }
}

#[test]
fn a_rejection_holds_whatever_is_asked_for() {
    let rejected = decided(
        shop(json!({})).subscription("team/app", asking(json!({}))),
        Some("Rejected"),
    );
    let mut changed = shop(json!({})).subscription("team/app", asking(json!({"owner": "bob"})));
    changed.world.requests = rejected.world.requests;
    let plan = changed.plan();
    assert_eq!(phase(&plan), SubscriptionPhase::Rejected);
    assert!(plan.outdated_requests.is_empty() && plan.new_requests.is_empty());
}

#[test]
fn a_request_of_nobody_is_deleted_and_one_under_a_wrong_name_does_not_count() {
    let asked = shop(json!({"approvalRequired": true})).subscription("team/app", asking(json!({})));
    let mut approved = decided(asked, Some("Approved"));
    let (name, request) = approved.world.requests.pop_first().unwrap();
    let mut forged = (*request).clone();
    forged.metadata.name = Some("forged".to_owned());
    approved.world.add(Arc::new(forged));
    let plan = approved.plan();
    assert!(!is_open(&plan));
    assert_eq!(plan.outdated_requests.first(), Some(&key("forged")));
    assert_eq!(plan.new_requests.keys().next(), Some(&name));
    approved.world.add(request);
    approved.world.subscriptions.clear();
    let plan = approved.plan();
    assert_eq!(plan.outdated_requests.len(), 2);
    assert!(plan.new_requests.is_empty());
}

#[test]
fn an_owner_may_decide_beforehand() {
    let mut asked =
        shop(json!({"approvalRequired": true})).subscription("team/app", asking(json!({})));
    let request = json!({
        "apiVersion": tidegate_api::API_VERSION,
        "kind": "SubscriptionRequest",
        "metadata": {"namespace": "shop", "name": "any"},
        "spec": {
            "subscription": {"namespace": "team", "name": "app"},
            "terms": {"product": "gold", "owner": "ann"},
            "approval": "Approved",
        },
    });
    let request: SubscriptionRequest = serde_json::from_value(request).unwrap();
    asked.world.add(Arc::new(request));
    let plan = asked.plan();
    assert!(is_open(&plan));
    assert_eq!(
        plan.subscription_verdicts[&key("team/app")]
            .request
            .as_deref(),
        Some("any")
    );
}

#[test]
fn owners_of_different_namespaces_do_not_take_each_others_places() {
    let plan = shop(json!({"subscriptionsLimit": 1}))
        .subscription("team/app", asking(json!({})))
        .subscription("other/app", asking(json!({})))
        .subscription("team/second", asking(json!({})))
        .subscription("free/one", asking(json!({"owner": null})))
        .subscription("free/two", asking(json!({"owner": null})))
        .plan();
    for (name, expected) in [
        ("team/app", SubscriptionPhase::Active),
        ("other/app", SubscriptionPhase::Active),
        ("team/second", SubscriptionPhase::Submitted),
        ("free/one", SubscriptionPhase::Active),
        ("free/two", SubscriptionPhase::Submitted),
    ] {
        assert_eq!(
            plan.subscription_verdicts[&key(name)].phase,
            expected,
            "{name}"
        );
    }
}

#[test]
fn no_scope_gets_around_the_approval_of_a_product() {
    use SubscriptionPhase as P;
    let asks = json!({"apis": [{"name": "chat"}], "approvalRequired": true});
    let gives = json!({"apis": [{"name": "chat"}]});
    let hidden = json!({"apis": [{"name": "chat"}], "state": "NotPublished"});
    for (case, products, api, expected) in [
        ("no product", vec![], json!({}), P::Active),
        ("one that gives", vec![&gives], json!({}), P::Active),
        ("one that asks", vec![&asks], json!({}), P::Submitted),
        ("both", vec![&asks, &gives], json!({}), P::Active),
        (
            "the other hidden",
            vec![&asks, &hidden],
            json!({}),
            P::Submitted,
        ),
        (
            "the API says no",
            vec![&asks],
            json!({"approvalRequired": false}),
            P::Active,
        ),
        (
            "the API asks",
            vec![&gives],
            json!({"approvalRequired": true}),
            P::Submitted,
        ),
    ] {
        for (scope, approval) in [
            (json!({"api": "chat"}), None),
            (json!({"gateway": "edge"}), None),
            (json!({"gateway": "edge"}), Some("Approved")),
        ] {
            let mut shop = edge().api("chat", api.clone());
            for (at, product) in products.iter().enumerate() {
                shop = shop.product(&format!("p{at}"), (*product).clone());
            }
            let spec = json!({"scope": scope, "approval": approval});
            let plan = shop.subscription("direct", spec).plan();
            let found = plan.subscription_verdicts[&key("direct")].phase;
            let expected = if approval.is_some() {
                P::Active
            } else {
                expected
            };
            assert_eq!(found, expected, "{case}, {scope}");
            let is_open = subscription(&plan, "edge", "direct").is_some();
            assert_eq!(is_open, expected == P::Active, "{case}, {scope}");
        }
    }
}

#[test]
fn a_change_is_planned_as_if_everything_were_new() {
    let asks = json!({"approvalRequired": true});
    let step = |builder: Builder, planner: &mut Planner, case: &str| {
        let plan = planner.plan(&builder.world).clone();
        assert!(plan == builder.plan(), "{case}");
        builder
    };
    let mut planner = Planner::default();
    let shop = step(shop(json!({})), &mut planner, "no subscription");
    let shop = shop
        .subscription("team/app", asking(json!({})))
        .subscription("direct", json!({"scope": {"api": "chat"}}))
        .subscription("whole", json!({"scope": {"gateway": "edge"}}));
    let shop = step(shop, &mut planner, "three subscriptions");
    let shop = step(decided(shop, None), &mut planner, "undecided");
    let product = |patch: Value| {
        let mut spec =
            json!({"apis": [{"name": "chat"}], "subscriptionNamespaces": {"from": "All"}});
        let patch = patch.as_object().unwrap().clone();
        spec.as_object_mut().unwrap().extend(patch);
        spec
    };
    let shop = step(shop.product("gold", product(asks)), &mut planner, "asks");
    let mut approved = shop;
    for request in approved.world.requests.values_mut() {
        let approval = serde_json::from_value(json!("Approved")).unwrap();
        Arc::make_mut(request).spec.approval = Some(approval);
    }
    let shop = step(approved, &mut planner, "approved");
    let tier = json!({"subscriptionNamespaces": {"from": "Selector",
        "selector": {"matchLabels": {"tier": "one"}}}});
    let shop = step(
        shop.product("gold", product(tier)),
        &mut planner,
        "by labels",
    );
    let shop = step(shop.namespace("team", &[]), &mut planner, "another label");
    let shop = step(
        shop.namespace("team", &[("tier", "one")]),
        &mut planner,
        "the label again",
    );
    let said = json!({"approvalRequired": true, "subscriptionNamespaces": {"from": "All"}});
    let shop = step(shop.api("chat", said), &mut planner, "the API asks");
    let mut shop = step(
        shop.api("chat", json!({"gateways": []})),
        &mut planner,
        "served nowhere",
    );
    let request = shop.world.requests.pop_first().unwrap().1;
    let mut shop = step(shop, &mut planner, "request deleted");
    shop.world.add(request);
    shop.world.subscriptions.remove(&key("team/app"));
    let mut shop = step(shop, &mut planner, "subscription deleted");
    shop.world.requests.clear();
    step(shop, &mut planner, "nothing left");
}

#[test]
fn a_namespace_does_not_stop_the_keys_to_another_ones_gateway() {
    let plan = edge()
        .gateway("edge", json!({"apiNamespaces": {"from": "All"}}))
        .api(
            "team/chat",
            json!({"gateways": [{"name": "edge", "namespace": "shop"}]}),
        )
        .product(
            "team/asks",
            json!({"apis": [{"name": "chat"}], "approvalRequired": true}),
        )
        .subscription("whole", json!({"scope": {"gateway": "edge"}}))
        .plan();
    let verdict = &plan.subscription_verdicts[&key("whole")];
    assert_eq!(verdict.phase, SubscriptionPhase::Active);
    assert!(subscription(&plan, "edge", "whole").is_some());
}
