use serde_json::{Value, json};

use super::*;
use crate::gather::{Ack, Wake};
use crate::testing::{lease, parse};

fn key(name: &str) -> ObjectKey {
    ObjectKey::new("shop", name)
}

fn ack(index: &mut Index, pod: &str, revision: u64, now: Instant) {
    let keep = |_: Option<&Ack>| Ok(Ack::of(lease(revision, &json!([])), None, now));
    index
        .acks
        .upsert(key(pod), "1".to_owned(), keep, |_, _| Wake::Now);
}

fn product(index: &mut Index, name: &str, deleted: Value) {
    let product: Product = parse(json!({
        "apiVersion": "tidegate.dev/v1alpha1", "kind": "Product",
        "metadata": { "namespace": "shop", "name": name, "deletionTimestamp": deleted },
        "spec": {},
    }));
    let store = &mut index.products;
    store.upsert(key(name), "1".to_owned(), |_| Ok(product), |_, _| Wake::Now);
}

#[tokio::test(start_paused = true)]
async fn dead_pods_count_for_revisions_and_for_nothing_else() {
    let start = Instant::now();
    let mut index = Index::default();
    ack(&mut index, "dead", 9, start);
    ack(&mut index, "live", 7, start + Duration::from_secs(10));
    let seen = Seen::of(&index, start + Duration::from_secs(25), &[]);
    assert_eq!(seen.pods(&key("edge")).len(), 1);
    assert_eq!(seen.acknowledged(&key("edge")), 9);
    assert_eq!(seen.pods(&key("other")).len(), 0);
    assert!(seen.stale_leases().is_empty());
    let later = Seen::of(&index, start + Duration::from_secs(621), &[]);
    assert_eq!(later.stale_leases(), [key("dead")]);
}

#[test]
fn what_is_being_deleted_is_gone() {
    let mut index = Index::default();
    product(&mut index, "here", Value::Null);
    product(&mut index, "going", json!("2031-01-01T00:00:00Z"));
    let seen = Seen::of(&index, Instant::now(), &[]);
    let names: Vec<_> = seen
        .products
        .iter()
        .map(|product| product.name_any())
        .collect();
    assert_eq!(names, ["here"]);
}

#[test]
fn without_rights_on_namespaces_their_names_are_their_labels() {
    let seen = Seen::of(&Index::default(), Instant::now(), &["shop".to_owned()]);
    let world = seen.world(&Named::default());
    assert_eq!(world.namespace_labels["shop"][NAMESPACE_NAME], "shop");
}
