use serde_json::json;

use super::*;
use crate::testing::{lease, parse};

fn renewed(revision: u64, second: u32) -> Lease {
    let mut lease = lease(revision, &json!([]));
    let time = json!(format!("2031-01-02T03:04:{second:02}.000000Z"));
    lease.spec.as_mut().unwrap().renew_time = Some(parse(time));
    lease
}

#[tokio::test(start_paused = true)]
async fn a_lease_counts_from_when_it_was_seen_to_change() {
    let start = Instant::now();
    let at = |seconds| start + Duration::from_secs(seconds);
    let first = Ack::of(renewed(3, 1), None, at(0));
    assert!(first.is_live(at(19)));
    assert!(!first.is_live(at(20)));
    let same = Ack::of(renewed(3, 1), Some(&first), at(15));
    assert!(!same.is_live(at(20)), "received again is not renewed");
    let next = Ack::of(renewed(3, 2), Some(&same), at(15));
    assert!(next.is_live(at(34)));
}

#[tokio::test(start_paused = true)]
async fn only_what_a_status_shows_is_a_difference() {
    let start = Instant::now();
    let at = |seconds| start + Duration::from_secs(seconds);
    let before = Ack::of(renewed(3, 1), None, at(0));
    let rejected = json!([{
        "kind": "WebSocketApi",
        "key": { "namespace": "shop", "name": "chat" },
        "generation": 2,
        "message": "no",
    }]);
    let mut failing = renewed(3, 2);
    let annotations = failing.metadata.annotations.get_or_insert_default();
    annotations.insert(
        ANNOTATION_CONFIG_ERROR.to_owned(),
        "part x is missing".to_owned(),
    );
    let mut unreachable = renewed(3, 2);
    let annotations = unreachable.metadata.annotations.get_or_insert_default();
    let counters = json!([{
        "dependency": "Counters", "place": "redis:6379", "message": "no", "since": "2031-01-01T00:00:00Z",
    }]);
    annotations.insert(ANNOTATION_UNREACHABLE.to_owned(), counters.to_string());
    let cases = [
        ("a dependency out of reach", unreachable, 5, true),
        ("renewed", renewed(3, 2), 5, false),
        ("renewed after it had expired", renewed(3, 2), 25, true),
        ("another revision", renewed(4, 2), 5, true),
        ("a rejected object", lease(3, &rejected), 5, true),
        ("an error", failing, 5, true),
    ];
    for (name, lease, seconds, expected) in cases {
        let after = Ack::of(lease, Some(&before), at(seconds));
        assert_eq!(before.differs_from(&after), expected, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn annotations_that_cannot_be_parsed_acknowledge_nothing() {
    let mut lease = lease(3, &json!("nonsense"));
    let annotations = lease.metadata.annotations.as_mut().unwrap();
    annotations.insert(ANNOTATION_REVISION.to_owned(), "three".to_owned());
    let ack = Ack::of(lease, None, Instant::now());
    assert_eq!((ack.revision, ack.rejected.len()), (0, 0));
}
