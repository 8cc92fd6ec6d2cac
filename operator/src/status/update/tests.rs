use serde_json::{Value, json};

use super::*;
use crate::testing::parse;

fn condition(type_: &str, status: &str, since: &str) -> Value {
    json!({
        "type": type_, "status": status, "reason": "R", "message": "",
        "observedGeneration": 1, "lastTransitionTime": since,
    })
}

fn product(status: Value) -> Product {
    parse(json!({
        "apiVersion": "tidegate.dev/v1alpha1", "kind": "Product",
        "metadata": { "namespace": "shop", "name": "all", "uid": "u" },
        "spec": {}, "status": status,
    }))
}

#[test]
fn a_status_is_written_only_when_it_differs() {
    let wanted: ProductStatus = parse(json!({
        "subscriptions": 3,
        "conditions": [
            condition("Accepted", "True", "2031-01-01T00:00:00Z"),
            condition("Programmed", "False", "2031-01-01T00:00:00Z"),
        ],
    }));
    let reordered = json!({
        "subscriptions": 3,
        "conditions": [
            condition("Programmed", "False", "2031-01-01T00:00:00Z"),
            condition("Accepted", "True", "2031-01-01T00:00:00Z"),
        ],
    });
    let mut others = reordered.clone();
    let synced = condition("Synced", "True", "2031-01-01T00:00:00Z");
    others["conditions"].as_array_mut().unwrap().push(synced);
    let mut fewer = reordered.clone();
    fewer["conditions"] = json!([condition("Accepted", "True", "2031-01-01T00:00:00Z")]);
    let mut different = reordered.clone();
    different["subscriptions"] = json!(2);
    let cases = [
        ("the same", serde_json::to_value(&wanted).unwrap(), false),
        ("in another order", reordered, false),
        ("with somebody else's condition", others, false),
        ("with a condition missing", fewer, true),
        ("with another count", different, true),
        ("none", Value::Null, true),
    ];
    for (name, live, expected) in cases {
        let update = StatusUpdate::of(&product(live), wanted.clone());
        assert_eq!(update.is_some(), expected, "{name}");
    }
}
