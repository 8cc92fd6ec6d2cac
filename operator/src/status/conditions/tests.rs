use super::*;
use crate::testing::parse;

fn time(text: &str) -> Time {
    parse(serde_json::json!(text))
}

#[test]
fn a_transition_is_a_change_of_status_and_of_nothing_else() {
    let (then, now) = (time("2031-01-01T00:00:00Z"), time("2031-01-02T00:00:00Z"));
    let good = Judgement::good(tidegate_api::Reason::Accepted, "fine");
    let stamp = Stamp {
        now: &then,
        live: &[],
    };
    let before = [stamp.one(ConditionType::Accepted, &good, 1)];
    let stamp = Stamp {
        now: &now,
        live: &before,
    };
    let other = Judgement::good(tidegate_api::Reason::Accepted, "other words");
    let bad = Judgement::bad(tidegate_api::Reason::Invalid, "no");
    for (judgement, type_, since) in [
        (&other, ConditionType::Accepted, &then),
        (&bad, ConditionType::Accepted, &now),
        (&good, ConditionType::ResolvedRefs, &now),
    ] {
        let condition = stamp.one(type_, judgement, 2);
        assert_eq!(
            &condition.last_transition_time, since,
            "{type_}: {judgement:?}"
        );
        assert_eq!(condition.observed_generation, Some(2));
    }
}

#[test]
fn long_messages_are_cut_between_characters() {
    assert_eq!(cut("kürz"), "kürz");
    let long = cut(&"ü".repeat(5000));
    assert_eq!(long.chars().count(), MESSAGE_MAX + 1);
}
