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
fn an_unreadable_object_keeps_its_name_and_says_why() {
    let WatchEvent::Added(good) = event(json!({ "displayName": "All" })) else {
        panic!("not an addition");
    };
    assert_eq!(good.read().unwrap().spec.display_name.unwrap(), "All");
    let WatchEvent::Added(bad) = event(json!({ "state": "Halfway" })) else {
        panic!("not an addition");
    };
    assert_eq!(bad.meta().name.as_deref(), Some("all"));
    let broken = bad.read().unwrap_err();
    assert_eq!((broken.uid.as_str(), broken.generation), ("u", 3));
    assert!(broken.message.contains("Halfway"), "{}", broken.message);
}
