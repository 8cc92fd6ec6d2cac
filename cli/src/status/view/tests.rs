use serde_json::{Value, json};

use super::*;
use crate::print::Row as _;

fn lease(seconds_ago: i64, annotations: Value) -> Lease {
    let renewed = Timestamp::from_second(1_000_000 - seconds_ago).unwrap();
    serde_json::from_value(json!({
        "metadata": {"name": "edge-0", "namespace": "shop", "labels": {LABEL_GATEWAY: "edge"},
            "annotations": annotations},
        "spec": {"renewTime": renewed.to_string(), "leaseDurationSeconds": 15},
    }))
    .unwrap()
}

#[test]
fn a_pod_is_current_lagging_silent_or_gone() {
    let latest = BTreeMap::from([(ObjectKey::new("shop", "edge"), 7)]);
    let rejected = json!([{"kind": "WebSocketApi", "key": {"namespace": "shop", "name": "chat"}, "generation": 2,
        "message": "bad path"}]);
    let unreachable = json!([{"dependency": "Counters", "place": "redis:6379", "message": "refused",
        "since": "2026-01-01T00:00:00Z"}]);
    for (name, lease, expected) in [
        (
            "current",
            lease(1, json!({ANNOTATION_REVISION: "7"})),
            Some("shop edge edge-0 7 current "),
        ),
        (
            "newer",
            lease(1, json!({ANNOTATION_REVISION: "8"})),
            Some("shop edge edge-0 8 current "),
        ),
        (
            "lagging, with its reason",
            lease(
                1,
                json!({ANNOTATION_REVISION: "6", ANNOTATION_CONFIG_ERROR: "no disk"}),
            ),
            Some("shop edge edge-0 6 lagging no disk"),
        ),
        (
            "nothing acknowledged",
            lease(1, json!({})),
            Some("shop edge edge-0 0 lagging "),
        ),
        (
            "silent",
            lease(60, json!({ANNOTATION_REVISION: "7"})),
            Some("shop edge edge-0 7 silent not heard of for 60 s"),
        ),
        ("gone", lease(600, json!({ANNOTATION_REVISION: "7"})), None),
        (
            "what it rejects and cannot reach",
            lease(
                1,
                json!({ANNOTATION_REVISION: "7", ANNOTATION_REJECTED: rejected.to_string(),
                ANNOTATION_UNREACHABLE: unreachable.to_string()}),
            ),
            Some(
                "shop edge edge-0 7 current rejects WebSocketApi shop/chat: bad path; cannot reach redis:6379 \
                 since 2026-01-01T00:00:00Z: refused",
            ),
        ),
        (
            "annotations that are no JSON",
            lease(
                1,
                json!({ANNOTATION_REVISION: "x", ANNOTATION_REJECTED: "x"}),
            ),
            Some("shop edge edge-0 0 lagging "),
        ),
    ] {
        let now = Timestamp::from_second(1_000_000).unwrap();
        let found = pod(&lease, &latest, now).map(|row| row.cells().join(" "));
        assert_eq!(found.as_deref(), expected, "{name}");
    }
}

fn object(observed: Option<i64>, conditions: &[(&str, &str, &str)], is_off: bool) -> ObjectState {
    let condition = |&(type_, status, reason): &(&str, &str, &str)| {
        serde_json::from_value(json!({"type": type_, "status": status, "reason": reason,
            "message": "change it", "lastTransitionTime": "2026-01-01T00:00:00Z"}))
        .unwrap()
    };
    ObjectState {
        kind: "Product",
        key: ObjectKey::new("shop", "gold"),
        generation: Some(2),
        observed,
        conditions: conditions.iter().map(condition).collect(),
        is_off,
    }
}

#[test]
fn an_object_is_shown_with_the_first_thing_that_is_wrong() {
    let good = ("Accepted", "True", "Accepted");
    let nowhere = ("Programmed", "False", "NotServed");
    let unresolved = ("ResolvedRefs", "False", "ApiNotFound");
    let invalid = ("Accepted", "False", "NoListener");
    for (name, object, expected) in [
        ("well", object(Some(2), &[good], false), None),
        (
            "no operator",
            object(None, &[], false),
            Some("observed NotObserved"),
        ),
        (
            "an older version seen",
            object(Some(1), &[good], false),
            Some("observed NotObserved"),
        ),
        (
            "unresolved",
            object(Some(2), &[good, unresolved, nowhere], false),
            Some("ResolvedRefs ApiNotFound"),
        ),
        (
            "not accepted for what is missing",
            object(Some(2), &[invalid, unresolved], false),
            Some("ResolvedRefs ApiNotFound"),
        ),
        (
            "served nowhere",
            object(Some(2), &[good, nowhere], false),
            Some("Programmed NotServed"),
        ),
        (
            "meant to be served nowhere",
            object(Some(2), &[good, nowhere], true),
            None,
        ),
        (
            "off, and wrong",
            object(Some(2), &[unresolved, nowhere], true),
            Some("ResolvedRefs ApiNotFound"),
        ),
    ] {
        let found = flaw(&object).map(|row| format!("{} {}", row.condition, row.reason));
        assert_eq!(found.as_deref(), expected, "{name}");
    }
}
