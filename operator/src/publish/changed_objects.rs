//! Which objects differ between two configurations. Pure.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::sync::Arc;

use tidegate_config::{ChangedConfig, GatewayConfig, ObjectKey, SecretData};

use crate::objects::{CustomKind, ObjectRef};

/// Objects that were added, changed or removed. Changed secret data counts as a change of the Gateway, because
/// it is not recorded which objects use it.
pub(crate) fn changed_objects(
    (old, old_secret_data): (&GatewayConfig, &SecretData),
    (new, new_secret_data): (&GatewayConfig, &SecretData),
) -> HashSet<ObjectRef> {
    let mut changed = HashSet::new();
    if old.settings != new.settings || old_secret_data != new_secret_data {
        changed.insert(ObjectRef::new(CustomKind::Gateway, &new.settings.key));
    }
    compare(
        CustomKind::WebSocketApi,
        (&old.apis, &new.apis),
        |api| &api.key,
        &mut changed,
    );
    compare(
        CustomKind::Product,
        (&old.products, &new.products),
        |product| &product.key,
        &mut changed,
    );
    compare(
        CustomKind::Subscription,
        (&old.subscriptions, &new.subscriptions),
        |subscription| &subscription.key,
        &mut changed,
    );
    changed
}

/// The objects that are named as changed.
pub(crate) fn named_objects(gateway: &ObjectKey, changed: &ChangedConfig) -> HashSet<ObjectRef> {
    let own = changed.settings || changed.secret_data;
    let own = own.then(|| ObjectRef::new(CustomKind::Gateway, gateway));
    let of = |kind| move |key: &ObjectKey| ObjectRef::new(kind, key);
    let apis = changed.apis.iter().map(of(CustomKind::WebSocketApi));
    let products = changed.products.iter().map(of(CustomKind::Product));
    let subscriptions = changed.subscriptions.iter();
    let subscriptions = subscriptions.map(of(CustomKind::Subscription));
    own.into_iter()
        .chain(apis)
        .chain(products)
        .chain(subscriptions)
        .collect()
}

/// All objects of a configuration.
pub(crate) fn all_objects(config: &GatewayConfig) -> HashSet<ObjectRef> {
    let gateway = std::iter::once(ObjectRef::new(CustomKind::Gateway, &config.settings.key));
    let apis = config
        .apis
        .iter()
        .map(|api| ObjectRef::new(CustomKind::WebSocketApi, &api.key));
    let products = config.products.iter();
    let products = products.map(|product| ObjectRef::new(CustomKind::Product, &product.key));
    let subscriptions = config.subscriptions.iter();
    let subscriptions = subscriptions.map(|s| ObjectRef::new(CustomKind::Subscription, &s.key));
    gateway
        .chain(apis)
        .chain(products)
        .chain(subscriptions)
        .collect()
}

/// Compares two lists that are sorted by key.
fn compare<T: PartialEq>(
    kind: CustomKind,
    (old, new): (&[Arc<T>], &[Arc<T>]),
    key: impl Fn(&T) -> &ObjectKey,
    changed: &mut HashSet<ObjectRef>,
) {
    let (mut old, mut new) = (old.iter().peekable(), new.iter().peekable());
    loop {
        let order = match (old.peek(), new.peek()) {
            (None, None) => return,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(old), Some(new)) => key(old).cmp(key(new)),
        };
        let before = if order.is_le() { old.next() } else { None };
        let after = if order.is_ge() { new.next() } else { None };
        if !is_same(before, after)
            && let Some(object) = after.or(before)
        {
            changed.insert(ObjectRef::new(kind, key(object)));
        }
    }
}

fn is_same<T: PartialEq>(before: Option<&Arc<T>>, after: Option<&Arc<T>>) -> bool {
    match (before, after) {
        (Some(before), Some(after)) => Arc::ptr_eq(before, after) || before == after,
        (before, after) => before.is_none() && after.is_none(),
    }
}

#[cfg(test)]
mod tests;
