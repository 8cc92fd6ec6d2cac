use serde_json::json;
use tidegate_api::{ConditionType, SubscriptionPhase};
use tidegate_plan::Conditions;

use super::*;
use crate::testing::{parse, pods, published};

/// Status and reason of the condition `Programmed`.
fn programmed(accepted: ConditionState) -> (String, String) {
    let gateway = ObjectKey::new("shop", "edge");
    let (published, pods) = (published(5), pods(&[5]));
    let mut progress = Progress::new(crate::status::Outages::default());
    progress.add(&gateway, Some(&published), &pods, None);
    let verdict = SubscriptionVerdict {
        request: None,
        conditions: Conditions {
            generation: 3,
            accepted,
            resolved: ConditionState::good(Reason::ResolvedRefs, ""),
            flaws: Vec::new(),
        },
        phase: SubscriptionPhase::Active,
        approved: None,
        keys: parse(json!({"secretName": "trader-keys"})),
        gateways: vec![gateway.clone()],
    };
    let now = parse(json!("2031-01-01T00:00:00Z"));
    let builder = ConditionBuilder {
        now: &now,
        live: &[],
    };
    let key = ObjectKey::new("shop", "trader");
    let status = subscription_status(&key, &verdict, &progress, builder);
    let found = status.conditions.into_iter();
    let found = found.filter(|c| c.type_ == ConditionType::Programmed.as_str());
    let found: Vec<_> = found.map(|c| (c.status, c.reason)).collect();
    found.into_iter().next().unwrap()
}

#[test]
fn a_subscription_with_one_bad_key_of_two_is_not_programmed() {
    let expected = |status: &str, reason: &str| (status.to_owned(), reason.to_owned());
    let good = ConditionState::good(Reason::Accepted, "valid");
    assert_eq!(programmed(good), expected("True", "Programmed"));
    let bad = ConditionState::bad(Reason::KeyTooShort, "secondaryKey of Secret …");
    assert_eq!(programmed(bad), expected("False", "Invalid"));
}
