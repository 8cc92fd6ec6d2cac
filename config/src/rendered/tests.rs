use super::*;
use crate::parts::tests::{config, secret_data, subscription};
use crate::{ConfigParts, InactiveState, InactiveSubscription, split_config};

fn inactive(i: usize) -> InactiveSubscription {
    InactiveSubscription {
        key: ObjectKey::new("shop", format!("old-{i}")),
        state: InactiveState::Suspended,
        key_hashes: vec!["x".to_owned()],
    }
}

fn is_as_split(rendered: &Rendered, config: &GatewayConfig) {
    let ConfigParts {
        index,
        shards,
        secrets,
    } = split_config(config, &secret_data(), 7).unwrap();
    assert_eq!(rendered.index(7).unwrap(), index);
    for (name, text) in shards {
        assert_eq!(rendered.shard(&name), Some(text), "{name}");
    }
    for (name, text) in secrets {
        assert_eq!(rendered.secret(&name), Some(text.as_str()), "{name}");
    }
}

#[test]
fn what_is_kept_up_to_date_is_what_is_split_anew() {
    let mut now = config(400);
    let mut rendered = Rendered::new(&now, &secret_data());
    is_as_split(&rendered, &now);
    // Grows over several numbers of slots, and shrinks again.
    for (step, size) in [400, 401, 399, 900, 1_700, 1_701, 800, 3, 0, 2]
        .into_iter()
        .enumerate()
    {
        let mut next = config(size);
        if let Some(first) = next.subscriptions.first_mut() {
            Arc::make_mut(first).display_name = format!("step {step}");
        }
        let mut changed = ChangedConfig {
            inactive: true,
            ..ChangedConfig::default()
        };
        next.inactive = (0..step).map(inactive).collect();
        let all = now.subscriptions.iter().chain(&next.subscriptions);
        changed.subscriptions.extend(all.map(|it| it.key.clone()));
        rendered.update(&next, &secret_data(), &changed);
        is_as_split(&rendered, &next);
        now = next;
    }
}

#[test]
fn one_changed_object_renders_one_slot() {
    let mut now = config(3_000);
    let mut rendered = Rendered::new(&now, &secret_data());
    let before = rendered.index(1).unwrap();
    Arc::make_mut(&mut now.subscriptions[1_234]).owner = Some("another".to_owned());
    let mut changed = ChangedConfig::default();
    changed.subscriptions.insert(subscription(1_234).key);
    rendered.update(&now, &secret_data(), &changed);
    let after = rendered.index(2).unwrap();
    let moved = after
        .shards
        .iter()
        .filter(|part| !before.shards.contains(part));
    assert_eq!(moved.count(), 1);
    is_as_split(&rendered, &now);
}

#[test]
fn an_object_too_large_for_any_part_is_named_until_it_is_smaller() {
    let mut now = config(2);
    let mut rendered = Rendered::new(&now, &secret_data());
    let mut changed = ChangedConfig::default();
    changed.subscriptions.insert(subscription(1).key);
    for (length, fits) in [(HARD_LIMIT_BYTES, false), (1, true)] {
        Arc::make_mut(&mut now.subscriptions[1]).display_name = "x".repeat(length);
        rendered.update(&now, &secret_data(), &changed);
        assert_eq!(rendered.index(1).is_ok(), fits);
        if !fits {
            assert_eq!(rendered.index(1), Err(subscription(1).key));
        }
    }
}
