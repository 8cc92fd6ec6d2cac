use super::*;
use crate::{
    Drain, GatewayLimits, GatewayTimeouts, InactiveState, ListenerConfig, Protocol,
    SubscriptionScope, key_hash, policy::OnHandshake,
};

pub(crate) fn config(subscriptions: usize) -> GatewayConfig {
    GatewayConfig {
        settings: GatewaySettings {
            key: ObjectKey::new("shop", "edge"),
            uid: None,
            generation: 3,
            listeners: vec![ListenerConfig {
                name: "plain".to_owned(),
                port: 8080,
                protocol: Protocol::Ws,
                hostnames: Vec::new(),
                tls: None,
                proxy_protocol: false,
                http2: false,
            }],
            on_handshake: OnHandshake::default(),
            values: BTreeMap::new(),
            limits: GatewayLimits::default(),
            timeouts: GatewayTimeouts::default(),
            drain: Drain::default(),
            trusted_proxies: Vec::new(),
            telemetry: crate::Telemetry::default(),
            allow_metadata_addresses: true,
            counters: None,
        },
        apis: Vec::new(),
        products: Vec::new(),
        subscriptions: (0..subscriptions)
            .map(|i| Arc::new(subscription(i)))
            .collect(),
        inactive: Vec::new(),
    }
}

pub(crate) fn subscription(i: usize) -> SubscriptionConfig {
    SubscriptionConfig {
        key: ObjectKey::new("shop", format!("sub-{i:05}")),
        generation: 1,
        display_name: format!("Subscriber {i}"),
        owner: None,
        scope: SubscriptionScope::Gateway,
        key_hashes: vec![key_hash(&i.to_string())],
        expires_at: None,
        allow_tracing: false,
    }
}

pub(crate) fn secret_data() -> SecretData {
    let mut secret_data = SecretData::default();
    secret_data.insert(SecretDataId::secret("shop", "jwt", "key"), vec![0, 255, 7]);
    secret_data
}

fn reassemble(rendered: &ConfigParts) -> Result<(GatewayConfig, SecretData), AssembleError> {
    assemble(
        &rendered.index,
        |name| rendered.shards.get(name).map(String::as_str),
        |name| rendered.secrets.get(name).map(String::as_str),
    )
}

#[test]
fn what_is_rendered_can_be_put_together_again() {
    for subscriptions in [0, 1, 3_000] {
        let config = config(subscriptions);
        let rendered = split_config(&config, &secret_data(), 7).unwrap();
        assert_eq!(
            reassemble(&rendered).unwrap(),
            (config, secret_data()),
            "{subscriptions}"
        );
    }
}

#[test]
fn one_changed_object_moves_one_shard() {
    let mut config = config(3_000);
    let before = split_config(&config, &secret_data(), 7).unwrap();
    assert!(before.shards.len() > 4, "{} shards", before.shards.len());
    assert!(before.shards.values().all(|text| text.len() < 192 * 1024));
    Arc::make_mut(&mut config.subscriptions[1_234])
        .key_hashes
        .push(key_hash("another"));
    let after = split_config(&config, &secret_data(), 8).unwrap();
    let moved = after
        .shards
        .keys()
        .filter(|name| !before.shards.contains_key(*name));
    assert_eq!(moved.count(), 1);
    assert_eq!(before.secrets, after.secrets);
}

#[test]
fn a_torn_configuration_is_refused_whole() {
    let rendered = split_config(&config(10), &secret_data(), 7).unwrap();
    let victim = rendered.index.shards[0].name.clone();

    let mut torn = rendered.clone();
    torn.shards.remove(&victim);
    assert!(matches!(reassemble(&torn), Err(AssembleError::Missing(name)) if name == victim));

    let mut corrupt = rendered.clone();
    corrupt.shards.insert(victim.clone(), "{}".to_owned());
    assert!(matches!(reassemble(&corrupt), Err(AssembleError::Hash(name)) if name == victim));

    let mut newer = rendered;
    newer.index.format = 2;
    assert!(matches!(reassemble(&newer), Err(AssembleError::Format(2))));
}

#[test]
fn secret_data_is_not_printed() {
    assert_eq!(
        format!("{:?}", secret_data()),
        "{SecretDataId(\"secret/shop/jwt/key\")}"
    );
}

#[test]
fn an_object_too_large_for_any_part_is_named() {
    let mut config = config(1);
    Arc::make_mut(&mut config.subscriptions[0]).display_name = "x".repeat(HARD_LIMIT_BYTES);
    assert_eq!(
        split_config(&config, &secret_data(), 1),
        Err(ObjectKey::new("shop", "sub-00000"))
    );
}

#[test]
fn inactive_subscriptions_are_nothing_to_a_gateway_that_does_not_know_them() {
    let inactive = |i: usize, state| InactiveSubscription {
        key: ObjectKey::new("shop", format!("old-{i}")),
        state,
        key_hashes: vec![key_hash(&i.to_string())],
    };
    let mut whole = config(3);
    whole.inactive = vec![
        inactive(1, InactiveState::Suspended),
        inactive(2, InactiveState::Cancelled),
    ];
    let rendered = split_config(&whole, &secret_data(), 1).unwrap();
    assert_eq!(reassemble(&rendered).unwrap(), (whole, secret_data()));
    // What such a gateway reads: the same shards, and data that nothing refers to.
    let without = split_config(&config(3), &secret_data(), 1).unwrap();
    assert_eq!(rendered.shards, without.shards);
    let read = rendered.secrets.values().map(|text| {
        let data: SecretData = serde_json::from_str(text).unwrap();
        data.iter()
            .map(|(id, _)| id.to_string())
            .collect::<Vec<_>>()
    });
    let ids: Vec<_> = read.flatten().collect();
    assert_eq!(ids.len(), 3, "{ids:?}");
    assert!(ids.contains(&"secret/shop/jwt/key".to_owned()), "{ids:?}");
    assert!(ids.contains(&"inactive/shop/old-1".to_owned()), "{ids:?}");
}

#[test]
fn an_inactive_subscription_of_a_later_release_is_left_out() {
    let piece = |name: &str, text: &str| {
        let id = SecretDataId::inactive(&ObjectKey::new("shop", name));
        (id, text.as_bytes().to_vec())
    };
    let mut data = secret_data();
    for (id, bytes) in [
        piece(
            "a",
            r#"{"key":{"namespace":"shop","name":"a"},"state":"paused","keyHashes":[]}"#,
        ),
        piece(
            "b",
            r#"{"key":{"namespace":"shop","name":"b"},"state":"suspended","keyHashes":[],"since":1}"#,
        ),
    ] {
        data.insert(id, bytes);
    }
    let read = take_inactive(&mut data);
    let names: Vec<_> = read.iter().map(|found| &*found.key.name).collect();
    assert_eq!((names, data), (vec!["b"], secret_data()));
}
