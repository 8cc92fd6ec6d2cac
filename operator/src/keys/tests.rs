use serde_json::json;
use tidegate_api::{PRIMARY_KEY, SECONDARY_KEY};
use tidegate_config::ObjectKey;

use super::*;
use crate::testing::parse;

#[test]
fn a_new_secret_has_two_keys_of_256_random_bits() {
    let subscription: Subscription = parse(json!({
        "apiVersion": "tidegate.dev/v1alpha1", "kind": "Subscription",
        "metadata": { "namespace": "shop", "name": "trader", "uid": "uid-trader" },
        "spec": { "scope": { "product": "all" } },
    }));
    let request = KeyRequest {
        subscription: ObjectKey::new("shop", "trader"),
        secret: ObjectKey::new("shop", "trader-keys"),
        exists: false,
        primary: Some(1),
        secondary: Some(1),
    };
    let secret = new_secret(&request, &subscription).unwrap();
    let data = secret.data.unwrap();
    assert_ne!(data[PRIMARY_KEY], data[SECONDARY_KEY]);
    for key in [PRIMARY_KEY, SECONDARY_KEY] {
        assert_eq!(hex::decode(&data[key].0).unwrap().len(), KEY_BYTES);
    }
}
