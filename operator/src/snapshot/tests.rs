use serde_json::json;

use super::*;
use crate::testing::lease;
use crate::watch::{Ack, Urgency};

fn key(name: &str) -> ObjectKey {
    ObjectKey::new("shop", name)
}

fn ack(cache: &mut Cache, pod: &str, revision: u64, now: Instant) {
    let keep = |_: Option<&Ack>| Ok(Ack::of(lease(revision, &json!([])), None, now));
    cache
        .acks
        .upsert(key(pod), "1".to_owned(), keep, |_, _| Urgency::Now);
}

#[tokio::test(start_paused = true)]
async fn dead_pods_count_for_revisions_and_for_nothing_else() {
    let start = Instant::now();
    let mut cache = Cache::default();
    ack(&mut cache, "dead", 9, start);
    ack(&mut cache, "live", 7, start + Duration::from_secs(10));
    let snapshot = Snapshot::of(&cache, start + Duration::from_secs(25));
    assert_eq!(snapshot.pods(&key("edge")).len(), 1);
    assert_eq!(snapshot.acknowledged(&key("edge")), 9);
    assert_eq!(snapshot.pods(&key("other")).len(), 0);
    assert!(snapshot.stale_leases().is_empty());
    let later = Snapshot::of(&cache, start + Duration::from_secs(621));
    assert_eq!(later.stale_leases(), [key("dead")]);
}
