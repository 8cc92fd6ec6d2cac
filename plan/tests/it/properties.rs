//! What holds for every world.

use proptest::prelude::*;
use serde_json::{Value, json};
use tidegate_plan::{Planner, plan};

use crate::support::{Builder, edge, key, served};

/// Values for fields, good and bad.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("/a".to_owned()),
        Just("/{a}/{a}".to_owned()),
        Just("${client.ip}".to_owned()),
        Just("${".to_owned()),
        Just("1 +".to_owned()),
        Just("ws://chat:70000".to_owned()),
        Just("wss://chat/x?y".to_owned()),
        Just("10.0.0.0/8".to_owned()),
        Just("edge".to_owned()),
        Just("jwt".to_owned()),
        ".{0,12}",
    ]
}

fn step() -> impl Strategy<Value = Value> {
    (text(), text(), 0..8_u8).prop_map(|(a, b, kind)| match kind {
        0 => json!({"when": a, "setVariable": {"name": "v", "value": b}}),
        1 => json!({"setHeader": {"name": a, "values": [b]}}),
        2 => json!({"ipFilter": {"allow": [a, b]}}),
        3 => json!({"setBackend": {"url": a}}),
        4 => json!({"validateJwt": {"keys": [{"secretKeyRef": {"name": a, "key": b}}]}}),
        5 => json!({"validateJwt": {"keys": [{"n": a, "e": b}], "algorithms": ["ES256"]}}),
        6 => json!({"base": {}}),
        _ => json!({"id": a}),
    })
}

fn api() -> impl Strategy<Value = Value> {
    let names = proptest::collection::vec((text(), proptest::option::of(text())), 0..3);
    let steps = proptest::collection::vec(step(), 0..3);
    let matches = prop_oneof![Just("Exact"), Just("Prefix"), Just("Template")];
    (names, steps, text(), text(), text(), matches).prop_map(
        |(names, steps, path, url, host, matching)| {
            let gateway = |(name, listener)| json!({"name": name, "listener": listener});
            json!({
                "gateways": names.into_iter().map(gateway).chain([json!({"name": "edge"})]).collect::<Vec<_>>(),
                "path": path, "pathMatch": matching, "hostnames": [host],
                "backend": {"url": url, "tls": {"caRefs": [{"kind": "Secret", "name": "jwt", "key": "hmac"}]}},
                "onHandshake": {"inbound": steps},
                "values": [{"name": "v", "secretKeyRef": {"name": "jwt", "key": "hmac"}}],
            })
        },
    )
}

fn scope() -> impl Strategy<Value = Value> {
    (text(), 0..4_u8).prop_map(|(name, kind)| match kind {
        0 => json!({"product": name}),
        1 => json!({"api": name}),
        2 => json!({"gateway": name}),
        _ => json!({}),
    })
}

/// A world that works: `steady` on `edge`, with a product and a subscription.
fn steady() -> Builder {
    edge()
        .secret("jwt", &[("hmac", b"a secret of thirty-two bytes....")])
        .api("steady", json!({
            "path": "/steady",
            "onHandshake": {"inbound": [{"validateJwt": {"keys": [{"secretKeyRef": {"name": "jwt", "key": "hmac"}}]}}]},
        }))
        .product("gold", json!({"apis": [{"name": "steady"}]}))
        .subscription("mine", json!({"scope": {"product": "gold"}}))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn a_broken_object_changes_nobody_else(
        before in api(),
        after in api(),
        steps in proptest::collection::vec(step(), 0..3),
        scope in scope(),
    ) {
        let calm = steady().plan();
        let world = steady()
            .api("wild", before)
            .served()
            .api("wild", after)
            .product("odd", json!({"apis": [{"name": "wild"}, {"name": "steady"}], "onHandshake": {"inbound": steps}}))
            .subscription("odd", json!({"scope": scope}));
        let plan = world.plan();
        prop_assert_eq!(served(&plan, "edge", "steady"), served(&calm, "edge", "steady"));
        let (found, expected) = (&plan.gateways[&key("edge")], &calm.gateways[&key("edge")]);
        prop_assert_eq!(&found.config.settings, &expected.config.settings);
        prop_assert!(found.config.products.contains(&expected.config.products[0]));
        prop_assert!(found.config.subscriptions.contains(&expected.config.subscriptions[0]));
        for (id, bytes) in expected.secret_data.iter() {
            prop_assert_eq!(found.secret_data.get(id), Some(bytes));
        }
    }

    #[test]
    fn plans_are_stable(first in api(), second in api()) {
        let world = steady().api("wild", first).served().api("wild", second);
        let once = world.plan();
        let mut planner = Planner::default();
        planner.plan(&steady().world);
        prop_assert_eq!(planner.plan(&world.world), &once, "what a planner remembers shows");
        let again = plan(&world.served().world);
        prop_assert_eq!(&again.gateways, &once.gateways);
    }
}
