use serde_json::json;

use super::*;
use crate::testing::parse;

fn condition(type_: &str, status: &str, reason: &str) -> Condition {
    parse(json!({
        "type": type_, "status": status, "reason": reason, "message": "m",
        "lastTransitionTime": "2031-01-01T00:00:00Z",
    }))
}

/// What is told when a condition goes from `before` to `after`, each `STATUS REASON`: a warning
/// (true), good news (false), nothing.
fn told(type_: &str, before: &str, after: &str) -> Option<bool> {
    let of = |text: &str| {
        let (status, reason) = text.split_once(' ')?;
        Some(condition(type_, status, reason))
    };
    let told = transitions(of(before).as_slice(), &[of(after).unwrap()]);
    assert!(told.len() <= 1);
    told.first().map(|transition| transition.warning)
}

#[test]
fn events_tell_of_what_got_worse_and_of_what_is_good_again() {
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
        assert_eq!(told("Accepted", before, after), expected, "{name}");
    }
}

#[test]
fn waiting_for_pods_is_no_event_but_a_refusal_is() {
    for (name, before, after, expected) in [
        ("waiting", "True Programmed", "False Pending", None),
        ("waiting from the start", "", "False NoPods", None),
        ("served", "False Pending", "True Programmed", None),
        ("refused", "False Pending", "False Rejected", Some(true)),
        ("still refused", "False Rejected", "False Rejected", None),
        ("taken", "False Rejected", "True Programmed", Some(false)),
    ] {
        assert_eq!(told("Programmed", before, after), expected, "{name}");
    }
}
