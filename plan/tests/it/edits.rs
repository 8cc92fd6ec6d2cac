//! A planner that follows a world edit by edit gives the same as one that starts from nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;
use serde_json::{Value, json};
use tidegate_config::{ChangedConfig, GatewayConfig, ObjectKey};
use tidegate_plan::{Changed, Plan, Planner, Previous, plan};

use crate::support::{Builder, empty, key};

/// One edit: what, which object, and how it is to be.
#[derive(Clone, Copy, Debug)]
struct Edit {
    what: u8,
    name: u8,
    how: [u8; 4],
}

fn edit() -> impl Strategy<Value = Edit> {
    (0..32_u8, 0..8_u8, any::<[u8; 4]>()).prop_map(|(what, name, how)| Edit { what, name, how })
}

fn choose<T: Clone>(from: &[T], by: u8) -> T {
    from[usize::from(by) % from.len()].clone()
}

const APIS: [&str; 5] = ["a", "b", "c", "bay/a", "bay/d"];
const GATEWAYS: [&str; 2] = ["edge", "inner"];
const PRODUCTS: [&str; 3] = ["p", "q", "bay/p"];
const SUBSCRIPTIONS: [&str; 6] = ["s", "t", "u", "v", "bay/s", "bay/t"];
const FRAGMENTS: [&str; 3] = ["f", "g", "bay/f"];
const SECRETS: [&str; 9] = [
    "jwt",
    "s-keys",
    "t-keys",
    "u-keys",
    "v-keys",
    "bay/s-keys",
    "bay/t-keys",
    "bay/jwt",
    "own",
];

impl Edit {
    fn apply(self, world: Builder) -> Builder {
        let [a, b, c, d] = self.how;
        let by = self.name;
        match self.what {
            0..=7 => world.api(choose(&APIS, by), api(a, b, c, d)),
            8..=9 => world.gateway(choose(&GATEWAYS, by), gateway(a, b, c)),
            10..=12 => world.product(choose(&PRODUCTS, by), product(a, b, c)),
            13..=17 => world
                .subscription_without_keys(choose(&SUBSCRIPTIONS, by), subscription(a, b, c, d)),
            18..=19 => world.fragment(choose(&FRAGMENTS, by), fragment(a, b)),
            20..=22 => {
                let text = choose(
                    &[
                        "a secret of thirty-two bytes....",
                        "short",
                        "the same key for two of them",
                    ],
                    a,
                );
                let name = choose(&["hmac", "primaryKey", "secondaryKey"], b);
                world.secret(choose(&SECRETS, c), &[(name, text.as_bytes())])
            }
            23 => world.config_map(
                choose(&["values", "bay/values"], by),
                &[("text", choose(&["x", "y"], a))],
            ),
            24 => world.namespace(
                choose(&["shop", "bay"], by),
                choose(&[&[("team", "red")][..], &[]], a),
            ),
            25..=28 => self.remove(world),
            29 => serve(world, None),
            30 => serve(world, Some(choose(&GATEWAYS, by))),
            _ => {
                let mut world = world;
                world.world.now += i64::from(a % 8) - 1;
                world
            }
        }
    }

    fn remove(self, mut world: Builder) -> Builder {
        let by = self.name;
        let all = &mut world.world;
        match self.what {
            25 => drop(all.apis.remove(&key(choose(&APIS, by)))),
            26 => drop(all.subscriptions.remove(&key(choose(&SUBSCRIPTIONS, by)))),
            27 => drop(all.secrets.remove(&key(choose(&SECRETS, by)))),
            _ => match self.how[0] % 4 {
                0 => drop(all.gateways.remove(&key(choose(&GATEWAYS, by)))),
                1 => drop(all.products.remove(&key(choose(&PRODUCTS, by)))),
                2 => drop(all.fragments.remove(&key(choose(&FRAGMENTS, by)))),
                _ => drop(all.config_maps.remove(&key("values"))),
            },
        }
        world
    }
}

/// What is planned is served: on every Gateway, or on one.
fn serve(mut world: Builder, only: Option<&str>) -> Builder {
    for (gateway, planned) in &world.plan().gateways {
        if only.is_none_or(|only| *gateway == key(only)) {
            let previous = Previous::of(&planned.config, planned.secret_data.clone());
            let previous = Arc::new(previous);
            world.world.previous.insert(gateway.clone(), previous);
        }
    }
    world
}

fn api(a: u8, b: u8, c: u8, d: u8) -> Value {
    let gateway = |name| json!({"name": name, "namespace": "shop"});
    let gateways = match a % 4 {
        0 => vec![gateway("edge"), gateway("inner")],
        1 => vec![gateway("inner")],
        2 => vec![gateway("edge")],
        _ => vec![json!({"name": "edge", "namespace": "shop", "listener": "named"})],
    };
    let (path, path_match) = choose(
        &[
            ("/x", "Exact"),
            ("/x", "Prefix"),
            ("/x/y", "Exact"),
            ("/{r}/y", "Template"),
            ("/", "Prefix"),
            ("/z", "Exact"),
            ("/./z", "Exact"),
        ],
        b,
    );
    let steps = choose(
        &[
            json!([]),
            json!([{"includeFragment": {"name": "f"}}]),
            json!([{"validateJwt": {"keys": [{"secretKeyRef": {"name": "jwt", "key": "hmac"}}]}}]),
            json!([{"setHeader": {"name": "X", "values": ["${values.v}"]}}]),
            json!([{"setHeader": {"name": "X", "values": ["${"]}}]),
            json!([{"when": "no.such", "setHeader": {"name": "X", "values": ["1"]}}]),
        ],
        c,
    );
    let values = choose(
        &[
            json!([]),
            json!([{"name": "v", "configMapKeyRef": {"name": "values", "key": "text"}}]),
            json!([{"name": "v", "secretKeyRef": {"name": "jwt", "key": "hmac"}}]),
        ],
        d / 4,
    );
    let hosts = choose(&[json!([]), json!(["h.example"]), json!(["*.example"])], d);
    json!({
        "gateways": gateways, "path": path, "pathMatch": path_match, "hostnames": hosts,
        "labels": choose(&[json!({"team": "red"}), json!({})], d / 16),
        "onHandshake": {"inbound": steps}, "values": values,
        "subscriptionRequired": d.is_multiple_of(2),
    })
}

fn gateway(a: u8, b: u8, c: u8) -> Value {
    let listeners = choose(
        &[
            json!([{"name": "plain", "port": 8081, "protocol": "WS"}]),
            json!([
                {"name": "named", "port": 8081, "protocol": "WS", "hostnames": ["h.example"]},
                {"name": "plain", "port": 8082, "protocol": "WS"},
            ]),
            json!([{"name": "named", "port": 8443, "protocol": "WSS", "tls": {"certificateRefs": [{"name": "tls"}]}}]),
        ],
        a,
    );
    let from = choose(
        &[
            json!({"from": "All"}),
            json!({"from": "All", "overlappingRoutes": "Allow"}),
            json!({"from": "Selector", "selector": {"matchLabels": {"team": "red"}}}),
            json!({"from": "Same"}),
        ],
        b,
    );
    let steps = choose(
        &[
            json!([]),
            json!([{"includeFragment": {"name": "f"}}]),
            json!([{"when": "1 +", "setHeader": {"name": "X", "values": ["1"]}}]),
        ],
        c,
    );
    let values = choose(&[json!([]), json!([{"name": "v", "value": "1"}])], c / 4);
    json!({"listeners": listeners, "apiNamespaces": from, "values": values,
        "onHandshake": {"inbound": steps}})
}

fn product(a: u8, b: u8, c: u8) -> Value {
    let steps = choose(&[json!([]), json!([{"includeFragment": {"name": "g"}}])], c);
    let mut spec = json!({
        "apis": choose(&[json!([]), json!([{"name": "a"}]), json!([{"name": "a"}, {"name": "b"}])], a),
        "state": choose(&["Published", "Published", "NotPublished"], b),
        "subscriptionRequired": b.is_multiple_of(2),
        "approvalRequired": b.is_multiple_of(5),
        "onHandshake": {"inbound": steps},
        "values": choose(&[json!([]), json!([{"name": "v", "value": "2"}])], c / 2),
    });
    if a.is_multiple_of(2) {
        spec["apiSelector"] = json!({"matchLabels": {"team": "red"}});
    }
    if c.is_multiple_of(3) {
        spec["subscriptionsLimit"] = json!(1);
    }
    spec
}

fn subscription(a: u8, b: u8, c: u8, d: u8) -> Value {
    let scope = choose(
        &[
            json!({"product": "p"}),
            json!({"product": "q"}),
            json!({"api": "a"}),
            json!({"gateway": "edge"}),
            json!({}),
        ],
        a,
    );
    let mut spec = json!({"scope": scope, "state": choose(&["Active", "Active", "Suspended", "Cancelled"], b)});
    if c.is_multiple_of(2) {
        spec["owner"] = json!(choose(&["ann", "bob"], c / 2));
    }
    if c.is_multiple_of(5) {
        spec["keys"] = json!({"secretName": "own"});
    }
    if d.is_multiple_of(3) {
        let now = jiff::Timestamp::from_second(crate::support::NOW + i64::from(d % 16)).unwrap();
        spec["expiresAt"] = json!(now.to_string());
    }
    if d.is_multiple_of(4) {
        spec["approval"] = json!(choose(&["Approved", "Rejected"], d / 4));
    }
    spec
}

fn fragment(a: u8, b: u8) -> Value {
    let steps = choose(
        &[
            json!([{"setHeader": {"name": "X", "values": ["1"]}}]),
            json!([{"includeFragment": {"name": "g"}}]),
            json!([{"includeFragment": {"name": "f"}}]),
            json!([{"validateJwt": {"keys": [{"secretKeyRef": {"name": "jwt", "key": "hmac"}}]}}]),
        ],
        a,
    );
    match b % 4 {
        0 => json!({"steps": [{"setHeader": {"name": "X", "values": ["${"]}}]}),
        _ => json!({"steps": steps}),
    }
}

/// Keys of which two maps have different values.
fn differing<V: PartialEq>(
    old: &BTreeMap<ObjectKey, V>,
    new: &BTreeMap<ObjectKey, V>,
) -> BTreeSet<ObjectKey> {
    let keys = old.keys().chain(new.keys());
    keys.filter(|key| old.get(*key) != new.get(*key))
        .cloned()
        .collect()
}

/// Does it say what differs, and nothing else?
fn is_exact(changed: &Changed, old: &Plan, new: &Plan) -> Result<(), TestCaseError> {
    let verdicts = &changed.verdicts;
    prop_assert_eq!(
        &verdicts.gateways,
        &differing(&old.gateway_verdicts, &new.gateway_verdicts)
    );
    prop_assert_eq!(
        &verdicts.apis,
        &differing(&old.api_verdicts, &new.api_verdicts)
    );
    prop_assert_eq!(
        &verdicts.fragments,
        &differing(&old.fragment_verdicts, &new.fragment_verdicts)
    );
    prop_assert_eq!(
        &verdicts.products,
        &differing(&old.product_verdicts, &new.product_verdicts)
    );
    let subscriptions = differing(&old.subscription_verdicts, &new.subscription_verdicts);
    prop_assert_eq!(&verdicts.subscriptions, &subscriptions);
    prop_assert_eq!(changed.key_requests, old.key_requests != new.key_requests);
    let wanted = old.wanted_secrets.symmetric_difference(&new.wanted_secrets);
    prop_assert_eq!(&changed.wanted_secrets, &wanted.cloned().collect());
    for (key, new) in &new.gateways {
        let found = changed.configs.get(key).cloned().unwrap_or_default();
        let expected = match old.gateways.get(key) {
            Some(old) => difference(&old.config, &new.config, old.secret_data != new.secret_data),
            None => continue,
        };
        prop_assert_eq!(found, expected, "{}", key);
    }
    Ok(())
}

fn difference(old: &GatewayConfig, new: &GatewayConfig, secret_data: bool) -> ChangedConfig {
    macro_rules! keyed {
        ($config:expr, $list:ident) => {
            $config
                .$list
                .iter()
                .map(|it| (it.key.clone(), it.clone()))
                .collect()
        };
    }
    ChangedConfig {
        settings: old.settings != new.settings,
        secret_data,
        inactive: old.inactive != new.inactive,
        apis: differing(&keyed!(old, apis), &keyed!(new, apis)),
        products: differing(&keyed!(old, products), &keyed!(new, products)),
        subscriptions: differing(&keyed!(old, subscriptions), &keyed!(new, subscriptions)),
    }
}

/// Plans after the edits that say so, with a planner that follows and with a new one.
fn follow(edits: &[(Edit, bool)]) -> Result<(), TestCaseError> {
    let mut world = empty()
        .gateway("edge", gateway(0, 0, 0))
        .namespace("bay", &[]);
    let mut planner = Planner::default();
    for (edit, and_plan) in edits {
        world = edit.apply(world);
        if !and_plan {
            continue;
        }
        let old = planner.last().clone();
        let new = planner.plan(&world.world).clone();
        prop_assert_eq!(&new, &plan(&world.world), "after {:?}", edit);
        is_exact(planner.changed(), &old, &new)?;
        planner.plan(&world.world);
        prop_assert_eq!(planner.changed(), &Changed::default(), "nothing changed");
        prop_assert!(planner.is_idle());
    }
    Ok(())
}

/// An API that was served comes back and asks for a listener that is not there: its route is nobody else's again.
#[test]
fn an_api_that_comes_back_is_seen_where_it_was_served() {
    let edit = |what, name, how| Edit { what, name, how };
    let edits = [
        (edit(0, 5, [162, 0, 0, 0]), false),
        (edit(29, 0, [0; 4]), false),
        (edit(0, 3, [104, 91, 0, 0]), false),
        (edit(25, 5, [0; 4]), false),
        (edit(8, 1, [0; 4]), true),
        (edit(0, 0, [11, 0, 0, 0]), true),
    ];
    follow(&edits).unwrap();
}

proptest! {
    #[test]
    fn a_planner_that_follows_gives_the_same_as_a_new_one(
        edits in proptest::collection::vec((edit(), any::<bool>()), 1..60),
    ) {
        follow(&edits)?;
    }
}
