use std::convert::Infallible;

use serde_json::json;

use super::*;

fn subscription(uid: &str) -> Subscription {
    let subscription = json!({
        "apiVersion": "tidegate.dev/v1alpha1", "kind": "Subscription",
        "metadata": { "namespace": "shop", "name": "trader", "uid": uid },
        "spec": { "scope": { "product": "all" } },
    });
    serde_json::from_value(subscription).unwrap()
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

/// Other bytes with every call.
fn counting(mut count: u8) -> impl FnMut() -> Result<[u8; KEY_BYTES], Infallible> {
    move || {
        count += 1;
        Ok([count; KEY_BYTES])
    }
}

fn text(secret: &Secret, key: &str) -> String {
    String::from_utf8(secret.data.as_ref().unwrap()[key].0.clone()).unwrap()
}

#[test]
fn a_new_secret_has_both_keys_and_belongs_to_its_subscription() {
    let trader = subscription("uid-1");
    let secret = new_secret(&request(Some(1), Some(3)), &trader, counting(0)).unwrap();
    assert_eq!(text(&secret, PRIMARY_KEY), "01".repeat(KEY_BYTES));
    assert_eq!(text(&secret, SECONDARY_KEY), "02".repeat(KEY_BYTES));
    assert_eq!(origin(&secret, &trader), KeyOrigin::Generated);
    let key = ObjectKey::new("shop", "trader");
    assert_eq!(owner(&secret), Some((key, "uid-1")));
    assert_eq!(noted(&secret, PRIMARY), Some(1));
    assert_eq!(noted(&secret, SECONDARY), Some(3));
}

#[test]
fn a_request_renews_the_key_that_it_names_alone() {
    let trader = subscription("uid-1");
    let before = new_secret(&request(Some(1), Some(1)), &trader, counting(0)).unwrap();
    let mut after = before.clone();
    fill(&mut after, &request(None, Some(2)), counting(9)).unwrap();
    assert_eq!(text(&after, PRIMARY_KEY), text(&before, PRIMARY_KEY));
    assert_ne!(text(&after, SECONDARY_KEY), text(&before, SECONDARY_KEY));
    assert_eq!(noted(&after, PRIMARY), Some(1));
    assert_eq!(noted(&after, SECONDARY), Some(2));
}

#[test]
fn keys_belong_to_one_subscription_and_not_to_its_name() {
    let trader = subscription("uid-1");
    let generated = new_secret(&request(Some(1), Some(1)), &trader, counting(0)).unwrap();
    let without_owner = Secret {
        metadata: kube::api::ObjectMeta {
            owner_references: None,
            ..generated.metadata.clone()
        },
        ..generated.clone()
    };
    for (name, secret, uid, wanted) in [
        ("its own", &generated, "uid-1", KeyOrigin::Generated),
        ("of an earlier one", &generated, "uid-2", KeyOrigin::Stale),
        ("nobody's", &without_owner, "uid-1", KeyOrigin::Supplied),
        ("a user's", &Secret::default(), "uid-1", KeyOrigin::Supplied),
    ] {
        assert_eq!(origin(secret, &subscription(uid)), wanted, "{name}");
    }
}
