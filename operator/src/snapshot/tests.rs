use serde_json::{Value, json};

use super::*;
use crate::testing::{lease, parse};
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

fn product(cache: &mut Cache, name: &str, deleted: Value) {
    let product: Product = parse(json!({
        "apiVersion": "tidegate.dev/v1alpha1", "kind": "Product",
        "metadata": { "namespace": "shop", "name": name, "deletionTimestamp": deleted },
        "spec": {},
    }));
    let store = &mut cache.products;
    store.upsert(
        key(name),
        "1".to_owned(),
        |_| Ok(product),
        |_, _| Urgency::Now,
    );
}

#[tokio::test(start_paused = true)]
async fn dead_pods_count_for_revisions_and_for_nothing_else() {
    let start = Instant::now();
    let mut cache = Cache::default();
    ack(&mut cache, "dead", 9, start);
    ack(&mut cache, "live", 7, start + Duration::from_secs(10));
    let snapshot = Snapshot::of(&cache, start + Duration::from_secs(25), &[]);
    assert_eq!(snapshot.pods(&key("edge")).len(), 1);
    assert_eq!(snapshot.acknowledged(&key("edge")), 9);
    assert_eq!(snapshot.pods(&key("other")).len(), 0);
    assert!(snapshot.stale_leases().is_empty());
    let later = Snapshot::of(&cache, start + Duration::from_secs(621), &[]);
    assert_eq!(later.stale_leases(), [key("dead")]);
}

#[test]
fn an_object_that_is_being_deleted_counts_as_gone() {
    let mut cache = Cache::default();
    product(&mut cache, "here", Value::Null);
    product(&mut cache, "going", json!("2031-01-01T00:00:00Z"));
    let snapshot = Snapshot::of(&cache, Instant::now(), &[]);
    let names: Vec<_> = snapshot
        .products
        .iter()
        .map(|product| product.name_any())
        .collect();
    assert_eq!(names, ["here"]);
}

#[test]
fn without_rights_on_namespaces_the_name_is_the_only_label() {
    let snapshot = Snapshot::of(&Cache::default(), Instant::now(), &["shop".to_owned()]);
    let world = snapshot.world(&ReferencedObjects::default());
    assert_eq!(world.namespace_labels["shop"][NAMESPACE_NAME], "shop");
}
