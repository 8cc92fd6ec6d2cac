use kube::core::WatchEvent;
use serde_json::json;
use tidegate_api::Product;

use super::*;
use crate::testing::parse;

fn event(spec: Value) -> WatchEvent<Guarded<Product>> {
    parse(json!({
        "type": "ADDED",
        "object": {
            "apiVersion": "tidegate.dev/v1alpha1", "kind": "Product",
            "metadata": { "namespace": "shop", "name": "all", "uid": "u", "generation": 3 },
            "spec": spec,
        },
    }))
}

#[test]
fn an_unreadable_object_keeps_its_metadata_and_the_error() {
    let WatchEvent::Added(good) = event(json!({ "displayName": "All" })) else {
        panic!("not an addition");
    };
    assert_eq!(good.read().unwrap().spec.display_name.unwrap(), "All");
    let WatchEvent::Added(bad) = event(json!({ "state": "Halfway" })) else {
        panic!("not an addition");
    };
    assert_eq!(bad.meta().name.as_deref(), Some("all"));
    let unreadable = bad.read().unwrap_err();
    assert_eq!((unreadable.uid.as_str(), unreadable.generation), ("u", 3));
    assert!(unreadable.error.contains("Halfway"), "{}", unreadable.error);
}
