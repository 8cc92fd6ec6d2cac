use serde_json::json;
use tidegate_config::ObjectKey;

use super::*;
use crate::testing::parse;

fn subscription() -> Subscription {
    parse(json!({
        "apiVersion": "tidegate.dev/v1alpha1", "kind": "Subscription",
        "metadata": { "namespace": "shop", "name": "trader", "uid": "uid-trader" },
        "spec": { "scope": { "product": "all" } },
    }))
}

fn request(primary: Option<i64>, secondary: Option<i64>) -> KeyRequest {
    KeyRequest {
        subscription: ObjectKey::new("shop", "trader"),
        secret: ObjectKey::new("shop", "trader-keys"),
        exists: primary.is_none() || secondary.is_none(),
        primary,
        secondary,
    }
}

fn text(secret: &Secret, key: &str) -> String {
    String::from_utf8(secret.data.as_ref().unwrap()[key].0.clone()).unwrap()
}

#[test]
fn a_new_secret_has_two_keys_of_256_bits_and_goes_with_its_subscription() {
    let secret = new_secret(&request(Some(1), Some(3)), &subscription()).unwrap();
    let (primary, secondary) = (text(&secret, PRIMARY_KEY), text(&secret, SECONDARY_KEY));
    assert_ne!(primary, secondary);
    for key in [primary, secondary] {
        assert_eq!(URL_SAFE_NO_PAD.decode(key).unwrap().len(), 32);
    }
    assert!(is_generated(&secret, &subscription()));
    let annotations = secret.metadata.annotations.unwrap();
    assert_eq!(annotations[ANNOTATION_PRIMARY_GENERATION], "1");
    assert_eq!(annotations[ANNOTATION_SECONDARY_GENERATION], "3");
}

#[test]
fn raising_a_generation_renews_that_key_alone() {
    let mut secret = new_secret(&request(Some(1), Some(1)), &subscription()).unwrap();
    let before = secret.clone();
    fill(&mut secret, &request(None, Some(2))).unwrap();
    assert_eq!(text(&secret, PRIMARY_KEY), text(&before, PRIMARY_KEY));
    assert_ne!(text(&secret, SECONDARY_KEY), text(&before, SECONDARY_KEY));
    let annotations = secret.metadata.annotations.unwrap();
    assert_eq!(annotations[ANNOTATION_PRIMARY_GENERATION], "1");
    assert_eq!(annotations[ANNOTATION_SECONDARY_GENERATION], "2");
}

#[test]
fn a_secret_of_another_owner_does_not_count_as_generated() {
    let mut secret = new_secret(&request(Some(1), Some(1)), &subscription()).unwrap();
    secret.metadata.owner_references.as_mut().unwrap()[0].uid = "uid-earlier".to_owned();
    assert!(!is_generated(&secret, &subscription()));
    assert!(!is_generated(&Secret::default(), &subscription()));
}
