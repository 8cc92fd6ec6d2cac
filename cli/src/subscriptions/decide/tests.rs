use super::*;

fn subscription(spec: Value, status: Value) -> Subscription {
    let mut whole = json!({"scope": {"product": "gold"}});
    for (name, value) in spec.as_object().unwrap() {
        whole[name] = value.clone();
    }
    serde_json::from_value(json!({
        "apiVersion": "tidegate.dev/v1alpha1", "kind": "Subscription",
        "metadata": {"name": "ann", "generation": 3}, "spec": whole, "status": status,
    }))
    .unwrap()
}

fn outdated() -> Value {
    json!({"conditions": [{"type": "Accepted", "status": "False", "reason": "ApprovalOutdated", "message": "",
        "lastTransitionTime": "2026-01-01T00:00:00Z"}]})
}

fn edit(field: &'static str, value: Value) -> Decision {
    Decision::Edit(vec![(field, value)])
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn every_action_on_every_state_edits_or_says_why_not() {
    let already = |text: &str| Decision::Already(text.to_owned());
    let refused = |text: &str| Decision::Refused(text.to_owned());
    let final_ =
        "is Cancelled, which is meant to be final; to open it again all the same, set spec.state";
    let none = || json!({});
    for (action, spec, status, expected) in [
        (
            Action::Approve,
            json!({}),
            none(),
            edit(APPROVAL, json!("Approved")),
        ),
        (
            Action::Approve,
            json!({"approval": "Rejected"}),
            none(),
            edit(APPROVAL, json!("Approved")),
        ),
        (
            Action::Approve,
            json!({"approval": "Approved"}),
            none(),
            already("is approved already"),
        ),
        (
            Action::Approve,
            json!({"approval": "Approved", "approvalGeneration": 4}),
            outdated(),
            edit("spec.approvalGeneration", json!(5)),
        ),
        (
            Action::Approve,
            json!({"state": "Cancelled"}),
            none(),
            refused("is Cancelled; there is nothing to approve"),
        ),
        (
            Action::Reject,
            json!({}),
            none(),
            edit(APPROVAL, json!("Rejected")),
        ),
        (
            Action::Reject,
            json!({"approval": "Approved"}),
            none(),
            edit(APPROVAL, json!("Rejected")),
        ),
        (
            Action::Reject,
            json!({"approval": "Rejected"}),
            none(),
            already("is rejected already"),
        ),
        (
            Action::Suspend,
            json!({}),
            none(),
            edit(STATE, json!("Suspended")),
        ),
        (
            Action::Suspend,
            json!({"state": "Suspended"}),
            none(),
            already("is Suspended already"),
        ),
        (
            Action::Suspend,
            json!({"state": "Cancelled"}),
            none(),
            refused(final_),
        ),
        (
            Action::Resume,
            json!({"state": "Suspended"}),
            none(),
            edit(STATE, json!("Active")),
        ),
        (
            Action::Resume,
            json!({}),
            none(),
            already("is Active already"),
        ),
        (
            Action::Resume,
            json!({"state": "Cancelled"}),
            none(),
            refused(final_),
        ),
        (
            Action::Cancel,
            json!({}),
            none(),
            edit(STATE, json!("Cancelled")),
        ),
        (
            Action::Cancel,
            json!({"state": "Suspended"}),
            none(),
            edit(STATE, json!("Cancelled")),
        ),
        (
            Action::Cancel,
            json!({"state": "Cancelled"}),
            none(),
            already("is Cancelled already"),
        ),
    ] {
        let found = action.decide(&subscription(spec.clone(), status));
        assert_eq!(found, expected, "{action:?} {spec}");
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn only_generated_keys_of_a_live_subscription_are_renewed() {
    const PRIMARY: Action = Action::Rotate {
        primary: true,
        secondary: false,
    };
    const BOTH: Action = Action::Rotate {
        primary: true,
        secondary: true,
    };
    let key = |generation: Value| json!({"generation": generation, "hashPrefix": "00000000"});
    let keys = |primary: Value, secondary: Value| json!({"secretName": "ann-keys", "primary": primary, "secondary": secondary});
    let supplied = "has keys that you supply, in Secret ann-keys: change them there";
    for (name, action, spec, status, expected) in [
        (
            "one of two",
            PRIMARY,
            json!({}),
            json!({"state": "Active", "keys": keys(key(json!(1)), key(json!(1)))}),
            Ok(vec![("spec.keys.primaryGeneration", json!(2))]),
        ),
        (
            "both, suspended",
            BOTH,
            json!({"keys": {"primaryGeneration": 4}}),
            json!({"state": "Suspended", "keys": keys(key(json!(4)), key(json!(7)))}),
            Ok(vec![
                ("spec.keys.primaryGeneration", json!(5)),
                ("spec.keys.secondaryGeneration", json!(8)),
            ]),
        ),
        (
            "not seen by the operator",
            PRIMARY,
            json!({}),
            json!({}),
            Ok(vec![("spec.keys.primaryGeneration", json!(2))]),
        ),
        (
            "supplied",
            PRIMARY,
            json!({}),
            json!({"state": "Active", "keys": keys(key(json!(null)), json!(null))}),
            Err(supplied),
        ),
        (
            "a Secret that is not there",
            PRIMARY,
            json!({"keys": {"secretName": "ann-keys"}}),
            json!({"state": "Active", "keys": keys(json!(null), json!(null))}),
            Err(supplied),
        ),
        (
            "cancelled",
            PRIMARY,
            json!({"state": "Cancelled"}),
            json!({"state": "Cancelled"}),
            Err("is Cancelled: its keys open nothing, and are not renewed"),
        ),
        (
            "expired",
            PRIMARY,
            json!({}),
            json!({"state": "Expired"}),
            Err("is Expired: its keys open nothing, and are not renewed"),
        ),
    ] {
        let expected = match expected {
            Ok(edits) => Decision::Edit(edits),
            Err(text) => Decision::Refused(text.to_owned()),
        };
        assert_eq!(
            action.decide(&subscription(spec, status)),
            expected,
            "{name}"
        );
    }
}

#[test]
fn a_change_is_settled_when_every_pod_serves_it_or_never_will() {
    let status = |observed: i64, primary: i64, programmed: (&str, &str, i64)| {
        let (status, reason, about) = programmed;
        json!({"observedGeneration": observed, "state": "Active",
            "keys": {"secretName": "s", "primary": {"generation": primary, "hashPrefix": "0"}},
            "conditions": [{"type": "Programmed", "status": status, "reason": reason, "message": "",
                "observedGeneration": about, "lastTransitionTime": "2026-01-01T00:00:00Z"}]})
    };
    let rotate = Action::Rotate {
        primary: true,
        secondary: false,
    };
    let spec = json!({"keys": {"primaryGeneration": 2}});
    for (name, action, status, settled) in [
        ("never seen", Action::Suspend, json!({}), false),
        (
            "an older version seen",
            Action::Suspend,
            status(2, 2, ("True", "Programmed", 2)),
            false,
        ),
        (
            "on its way",
            Action::Suspend,
            status(3, 2, ("False", "Pending", 3)),
            false,
        ),
        (
            "served",
            Action::Suspend,
            status(3, 2, ("True", "Programmed", 3)),
            true,
        ),
        (
            "served nowhere",
            Action::Suspend,
            status(3, 2, ("False", "NotServed", 3)),
            true,
        ),
        (
            "the key is old",
            rotate,
            status(3, 1, ("True", "Programmed", 3)),
            false,
        ),
        (
            "the key is new",
            rotate,
            status(3, 2, ("True", "Programmed", 3)),
            true,
        ),
    ] {
        let found = action.is_settled(&subscription(spec.clone(), status));
        assert_eq!(found, settled, "{name}");
    }
}
