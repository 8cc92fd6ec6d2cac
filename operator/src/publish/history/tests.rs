use tidegate_config::ObjectKey;

use super::*;
use crate::objects::CustomKind;

fn api(name: &str) -> ObjectRef {
    ObjectRef::new(CustomKind::WebSocketApi, &ObjectKey::new("shop", name))
}

#[tokio::test(start_paused = true)]
async fn a_pod_has_the_latest_version_when_no_later_revision_changed_it() {
    let at = Instant::now();
    let mut history = History::starting_at(5);
    history.record(6, [api("chat")].into(), at);
    history.record(8, [api("news")].into(), at + Duration::from_secs(2));
    for (revision, object, expected) in [
        (4, "quiet", false),
        (5, "quiet", true),
        (5, "chat", false),
        (6, "chat", true),
        (6, "news", false),
        (7, "news", false),
        (8, "news", true),
        (9, "news", true),
    ] {
        let is_latest = history.is_latest(revision, &api(object));
        assert_eq!(is_latest, expected, "{object} at {revision}");
    }
    let now = at + Duration::from_secs(3);
    assert_eq!(history.lag(5, now), Duration::from_secs(3));
    assert_eq!(history.lag(6, now), Duration::from_secs(1));
    assert_eq!(history.lag(8, now), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn changes_that_every_pod_has_are_forgotten_and_still_count() {
    let mut history = History::starting_at(1);
    for revision in 2..100 {
        history.record(revision, [api("chat")].into(), Instant::now());
        history.acknowledged(revision);
    }
    assert!(history.changes.is_empty());
    assert!(history.is_latest(99, &api("chat")));
    assert!(
        !history.is_latest(98, &api("chat")),
        "a pod from the past has nothing for sure"
    );
}
