use serde_json::{Value, json};

use super::*;
use crate::testing::parse;
use crate::watch::Urgency;

fn product(cache: &mut Cache, version: &str, metadata: Value, status: Value) {
    let mut object = json!({
        "apiVersion": "tidegate.dev/v1alpha1", "kind": "Product",
        "metadata": { "namespace": "shop", "name": "gold", "generation": 1 },
        "spec": {}, "status": status,
    });
    for (name, value) in metadata.as_object().unwrap() {
        object["metadata"][name] = value.clone();
    }
    let product: Product = parse(object);
    let key = ObjectKey::new("shop", "gold");
    let keep = |_: Option<&Product>| Ok(product);
    cache
        .products
        .upsert(key, version.to_owned(), keep, |_, _| Urgency::Now);
}

#[test]
fn a_status_concerns_statuses_only() {
    let (mut cache, mut planner) = (Cache::default(), Planner::default());
    product(&mut cache, "1", json!({}), Value::Null);
    assert_eq!(feed(&mut cache, &mut planner, &[]).objects.len(), 1);
    planner.replan();
    product(&mut cache, "2", json!({}), json!({ "subscriptions": 3 }));
    assert_eq!(feed(&mut cache, &mut planner, &[]).objects.len(), 1);
    assert!(planner.is_idle());
    assert!(feed(&mut cache, &mut planner, &[]).objects.is_empty());
}

#[test]
fn an_object_that_is_being_deleted_counts_as_gone() {
    let (mut cache, mut planner) = (Cache::default(), Planner::default());
    product(&mut cache, "1", json!({}), Value::Null);
    feed(&mut cache, &mut planner, &[]);
    assert_eq!(planner.world().products.len(), 1);
    let going = json!({ "deletionTimestamp": "2031-01-01T00:00:00Z" });
    product(&mut cache, "2", going, Value::Null);
    feed(&mut cache, &mut planner, &[]);
    assert!(planner.world().products.is_empty());
}

#[test]
fn without_rights_on_namespaces_the_name_is_the_only_label() {
    let (mut cache, mut planner) = (Cache::default(), Planner::default());
    feed(&mut cache, &mut planner, &["shop".to_owned()]);
    assert_eq!(
        planner.world().namespace_labels["shop"][NAMESPACE_NAME],
        "shop"
    );
}
