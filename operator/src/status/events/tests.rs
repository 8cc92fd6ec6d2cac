use serde_json::json;

use super::*;
use crate::testing::parse;

fn condition(type_: &str, status: &str, reason: &str) -> Condition {
    parse(json!({
        "type": type_, "status": status, "reason": reason, "message": "m",
        "lastTransitionTime": "2031-01-01T00:00:00Z",
    }))
}

/// The Event when a condition changes from `before` to `after`, each `STATUS REASON`: a warning (true), a
/// normal one (false), or none.
fn event_for(type_: &str, before: &str, after: &str) -> Option<bool> {
    let of = |text: &str| {
        let (status, reason) = text.split_once(' ')?;
        Some(condition(type_, status, reason))
    };
    let events = events(of(before).as_slice(), &[of(after).unwrap()]);
    assert!(events.len() <= 1);
    events.first().map(|event| event.warning)
}

#[test]
fn there_are_events_for_new_problems_and_for_solved_ones() {
    for (name, before, after, expected) in [
        ("a good start", "", "True Accepted", None),
        ("a bad start", "", "False Invalid", Some(true)),
        ("worse", "True Accepted", "False Invalid", Some(true)),
        (
            "bad otherwise",
            "False Conflict",
            "False Invalid",
            Some(true),
        ),
        ("still bad", "False Invalid", "False Invalid", None),
        ("good again", "False Invalid", "True Accepted", Some(false)),
        ("keys to come", "", "False KeysPending", None),
        ("keys there", "False KeysPending", "True ResolvedRefs", None),
    ] {
        assert_eq!(event_for("Accepted", before, after), expected, "{name}");
    }
}

#[test]
fn there_is_no_event_for_waiting_pods_but_one_for_a_rejection() {
    for (name, before, after, expected) in [
        ("waiting", "True Programmed", "False Pending", None),
        ("waiting from the start", "", "False NoPods", None),
        ("served", "False Pending", "True Programmed", None),
        ("rejected", "False Pending", "False Rejected", Some(true)),
        ("still rejected", "False Rejected", "False Rejected", None),
        (
            "no longer rejected",
            "False Rejected",
            "True Programmed",
            Some(false),
        ),
    ] {
        assert_eq!(event_for("Programmed", before, after), expected, "{name}");
    }
}
