//! Keys of subscriptions: supplied, generated, renewed.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use serde_json::{Value, json};
use tidegate_config::key_hash;
use tidegate_plan::{KeyRequest, Plan};

use crate::support::{Builder, edge, key, pair, reasons, subscription, text_map};

const PRIMARY: &str = "primary-key-0123456789";
const SECONDARY: &str = "secondary-key-0123456789";

/// A Gateway and a subscription `mine` to it, without keys.
fn mine(keys: Value) -> Builder {
    let spec = json!({"scope": {"gateway": "edge"}, "keys": keys});
    edge().subscription_without_keys("mine", spec)
}

/// A Secret as the operator makes it for the Subscription with this uid.
fn generated(uid: &str, generations: (&str, &str)) -> Secret {
    let annotations = [
        ("tidegate.dev/primary-generation", generations.0),
        ("tidegate.dev/secondary-generation", generations.1),
    ];
    let annotations = annotations.into_iter().filter(|(_, text)| !text.is_empty());
    let data = [("primaryKey", PRIMARY), ("secondaryKey", SECONDARY)];
    let data = data
        .into_iter()
        .map(|(k, v)| (k.to_owned(), ByteString(v.as_bytes().to_vec())));
    Secret {
        metadata: ObjectMeta {
            labels: Some(text_map(&[("app.kubernetes.io/managed-by", "tidegate")])),
            annotations: Some(text_map(&annotations.collect::<Vec<_>>())),
            owner_references: Some(vec![OwnerReference {
                api_version: tidegate_api::API_VERSION.to_owned(),
                kind: "Subscription".to_owned(),
                name: "mine".to_owned(),
                uid: uid.to_owned(),
                ..OwnerReference::default()
            }]),
            ..ObjectMeta::default()
        },
        data: Some(data.collect::<BTreeMap<_, _>>()),
        ..Secret::default()
    }
}

fn hashes(plan: &Plan) -> Vec<String> {
    subscription(plan, "edge", "mine")
        .map(|s| s.key_hashes.clone())
        .unwrap_or_default()
}

fn verdict_of(plan: &Plan, name: &str) -> (String, String) {
    let verdict = &plan.subscription_verdicts[&key(name)].conditions;
    reasons(&verdict.accepted, &verdict.resolved)
}

fn request(exists: bool, primary: Option<i64>, secondary: Option<i64>) -> KeyRequest {
    KeyRequest {
        subscription: key("mine"),
        secret: key("mine-keys"),
        exists,
        primary,
        secondary,
    }
}

#[test]
fn keys_that_are_not_there_are_requested() {
    let plan = mine(json!({"secondaryGeneration": 4})).plan();
    assert_eq!(plan.key_requests, [request(false, Some(1), Some(4))]);
    assert_eq!(verdict_of(&plan, "mine"), pair("Accepted", "KeysPending"));
    assert!(hashes(&plan).is_empty());
    assert!(plan.wanted_secrets.contains(&key("mine-keys")));
}

#[test]
fn nobody_generates_keys_for_what_has_ended() {
    for patch in [
        json!({"state": "Cancelled"}),
        json!({"approval": "Rejected"}),
        json!({"expiresAt": "2020-01-01T00:00:00Z"}),
    ] {
        let mut spec = json!({"scope": {"gateway": "edge"}});
        spec.as_object_mut()
            .unwrap()
            .extend(patch.as_object().unwrap().clone());
        let plan = edge().subscription_without_keys("mine", spec).plan();
        assert_eq!(plan.key_requests, [], "{patch}");
    }
}

#[test]
fn a_raised_generation_renews_its_key_alone() {
    let (primary, secondary) = (key_hash(PRIMARY), key_hash(SECONDARY));
    for (name, noted, keys, requested, valid) in [
        (
            "unchanged",
            ("1", "1"),
            json!({}),
            None,
            vec![&primary, &secondary],
        ),
        (
            "primary",
            ("1", "1"),
            json!({"primaryGeneration": 2}),
            Some(request(true, Some(2), None)),
            vec![&secondary],
        ),
        (
            "secondary",
            ("2", "2"),
            json!({"primaryGeneration": 2, "secondaryGeneration": 3}),
            Some(request(true, None, Some(3))),
            vec![&primary],
        ),
        (
            "lowered",
            ("5", "5"),
            json!({}),
            None,
            vec![&primary, &secondary],
        ),
        (
            "annotation lost",
            ("", ""),
            json!({"primaryGeneration": 2}),
            None,
            vec![&primary, &secondary],
        ),
    ] {
        let plan = mine(keys)
            .whole_secret("mine-keys", generated("uid-mine", noted))
            .plan();
        assert_eq!(
            plan.key_requests,
            Vec::from_iter(requested.clone()),
            "{name}"
        );
        assert_eq!(hashes(&plan).iter().collect::<Vec<_>>(), valid, "{name}");
        let reason = if requested.is_some() {
            "KeysPending"
        } else {
            "ResolvedRefs"
        };
        assert_eq!(verdict_of(&plan, "mine").1, reason, "{name}");
    }
}

#[test]
fn the_status_tells_keys_apart_without_showing_them() {
    let plan = mine(json!({"primaryGeneration": 3}))
        .whole_secret("mine-keys", generated("uid-mine", ("3", "1")))
        .plan();
    let keys = &plan.subscription_verdicts[&key("mine")].keys;
    assert_eq!(keys.secret_name, "mine-keys");
    let primary = keys.primary.as_ref().unwrap();
    assert_eq!(primary.generation, Some(3));
    assert_eq!(primary.hash_prefix, key_hash(PRIMARY)[..8]);
    assert_eq!(keys.secondary.as_ref().unwrap().generation, Some(1));
    assert!(!format!("{plan:?}").contains(PRIMARY));
}

#[test]
fn keys_of_a_subscription_that_is_gone_do_not_pass_on() {
    let plan = mine(json!({}))
        .whole_secret("mine-keys", generated("uid-of-another", ("1", "1")))
        .plan();
    assert_eq!(plan.key_requests, []);
    assert!(hashes(&plan).is_empty());
    assert_eq!(verdict_of(&plan, "mine"), pair("Accepted", "KeysPending"));
}

#[test]
fn supplied_keys_are_used_as_they_are() {
    let long = "k".repeat(600);
    let cases: [(&str, &[(&str, &str)], (&str, &str), usize); 8] = [
        (
            "both",
            &[("primaryKey", PRIMARY), ("secondaryKey", SECONDARY)],
            ("Accepted", "ResolvedRefs"),
            2,
        ),
        (
            "one",
            &[("secondaryKey", SECONDARY)],
            ("Accepted", "ResolvedRefs"),
            1,
        ),
        (
            "the same twice",
            &[("primaryKey", PRIMARY), ("secondaryKey", PRIMARY)],
            ("Accepted", "ResolvedRefs"),
            1,
        ),
        (
            "with a line end",
            &[("primaryKey", "primary-key-0123456789\n")],
            ("Accepted", "ResolvedRefs"),
            1,
        ),
        (
            "too short",
            &[("primaryKey", "short"), ("secondaryKey", SECONDARY)],
            ("KeyTooShort", "ResolvedRefs"),
            1,
        ),
        (
            "too long",
            &[("primaryKey", &long)],
            ("Invalid", "ResolvedRefs"),
            0,
        ),
        (
            "with spaces",
            &[("primaryKey", "a key with some spaces")],
            ("Invalid", "ResolvedRefs"),
            0,
        ),
        (
            "neither",
            &[("key", PRIMARY)],
            ("Accepted", "SecretNotFound"),
            0,
        ),
    ];
    for (name, data, (accepted, resolved), valid) in cases {
        let data: Vec<_> = data.iter().map(|(k, v)| (*k, v.as_bytes())).collect();
        // Generations mean nothing for keys that somebody else makes.
        let plan = mine(json!({"primaryGeneration": 7}))
            .secret("mine-keys", &data)
            .plan();
        assert_eq!(
            verdict_of(&plan, "mine"),
            pair(accepted, resolved),
            "{name}"
        );
        assert_eq!(hashes(&plan).len(), valid, "{name}");
        assert_eq!(plan.key_requests, [], "{name}");
    }
}

#[test]
fn a_named_secret_is_waited_for() {
    let named = || mine(json!({"secretName": "from-vault"}));
    let plan = named().plan();
    assert_eq!(plan.key_requests, []);
    assert_eq!(
        verdict_of(&plan, "mine"),
        pair("Accepted", "SecretNotFound")
    );
    assert!(plan.wanted_secrets.contains(&key("from-vault")));
    let plan = named()
        .secret("from-vault", &[("primaryKey", PRIMARY.as_bytes())])
        .plan();
    assert_eq!(hashes(&plan), [key_hash(PRIMARY)]);
}

#[test]
fn no_key_opens_two_subscriptions() {
    let same = [("primaryKey", PRIMARY.as_bytes())];
    let other = [
        ("primaryKey", PRIMARY.as_bytes()),
        ("secondaryKey", SECONDARY.as_bytes()),
    ];
    let spec = json!({"scope": {"gateway": "edge"}});
    let plan = edge()
        .subscription_without_keys(
            "older",
            json!({"scope": {"gateway": "edge"}, "state": "Suspended"}),
        )
        .secret("older-keys", &same)
        .subscription_without_keys("mine", spec)
        .secret("mine-keys", &other)
        .plan();
    assert_eq!(verdict_of(&plan, "older"), pair("Accepted", "ResolvedRefs"));
    assert_eq!(
        verdict_of(&plan, "mine"),
        pair("KeyNotUnique", "ResolvedRefs")
    );
    // A suspended subscription's key must not work through another one.
    assert_eq!(hashes(&plan), [key_hash(SECONDARY)]);
}
