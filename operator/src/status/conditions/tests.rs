use super::*;
use crate::testing::parse;

fn time(text: &str) -> Time {
    parse(serde_json::json!(text))
}

#[test]
fn only_a_change_of_status_is_a_transition() {
    let (then, now) = (time("2031-01-01T00:00:00Z"), time("2031-01-02T00:00:00Z"));
    let good = ConditionState::good(tidegate_api::Reason::Accepted, "fine");
    let builder = ConditionBuilder {
        now: &then,
        live: &[],
    };
    let before = [builder.condition(ConditionType::Accepted, &good, 1)];
    let builder = ConditionBuilder {
        now: &now,
        live: &before,
    };
    let other = ConditionState::good(tidegate_api::Reason::Accepted, "other words");
    let bad = ConditionState::bad(tidegate_api::Reason::Invalid, "no");
    for (state, type_, since) in [
        (&other, ConditionType::Accepted, &then),
        (&bad, ConditionType::Accepted, &now),
        (&good, ConditionType::ResolvedRefs, &now),
    ] {
        let condition = builder.condition(type_, state, 2);
        assert_eq!(&condition.last_transition_time, since, "{type_}: {state:?}");
        assert_eq!(condition.observed_generation, Some(2));
    }
}

#[test]
fn long_messages_are_truncated_between_characters() {
    assert_eq!(truncated("kürz"), "kürz");
    let long = truncated(&"ü".repeat(5000));
    assert_eq!(long.chars().count(), MAX_MESSAGE_LENGTH + 1);
}
