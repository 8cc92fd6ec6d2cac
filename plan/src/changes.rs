//! What differs between two worlds.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tidegate_api::WebSocketApi;
use tidegate_config::ObjectKey;

use crate::World;
use crate::world::Previous;

/// Keys of objects.
pub(crate) type Keys = BTreeSet<ObjectKey>;

/// What was added, changed or removed since the last plan.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    pub(crate) gateways: Keys,
    /// With the object that was there before.
    pub(crate) apis: BTreeMap<ObjectKey, Option<Arc<WebSocketApi>>>,
    pub(crate) fragments: Keys,
    pub(crate) products: Keys,
    pub(crate) subscriptions: Keys,
    pub(crate) secrets: Keys,
    pub(crate) config_maps: Keys,
    pub(crate) namespaces: BTreeSet<String>,
    /// By Gateway, with what it served before.
    pub(crate) previous: BTreeMap<ObjectKey, Option<Arc<Previous>>>,
    /// The time before.
    pub(crate) before: i64,
}

impl Changes {
    /// Objects count as the same when they are shared: a changed object is another one.
    pub(crate) fn between(old: &World, new: &World) -> Self {
        let apis = differing(&old.apis, &new.apis, Arc::ptr_eq).into_iter();
        let previous = differing(&old.previous, &new.previous, Arc::ptr_eq).into_iter();
        Self {
            gateways: differing(&old.gateways, &new.gateways, Arc::ptr_eq),
            apis: apis
                .map(|key| (key.clone(), old.apis.get(&key).cloned()))
                .collect(),
            fragments: differing(&old.fragments, &new.fragments, Arc::ptr_eq),
            products: differing(&old.products, &new.products, Arc::ptr_eq),
            subscriptions: differing(&old.subscriptions, &new.subscriptions, Arc::ptr_eq),
            secrets: differing(&old.secrets, &new.secrets, Arc::ptr_eq),
            config_maps: differing(&old.config_maps, &new.config_maps, Arc::ptr_eq),
            namespaces: differing(&old.namespace_labels, &new.namespace_labels, |a, b| a == b),
            previous: previous
                .map(|key| (key.clone(), old.previous.get(&key).cloned()))
                .collect(),
            before: old.now,
        }
    }
}

/// Keys of which the values differ, or that only one map has.
fn differing<K: Ord + Clone, V>(
    old: &BTreeMap<K, V>,
    new: &BTreeMap<K, V>,
    same: impl Fn(&V, &V) -> bool,
) -> BTreeSet<K> {
    let (mut before, mut after) = (old.iter().peekable(), new.iter().peekable());
    let mut found = BTreeSet::new();
    loop {
        let order = match (before.peek(), after.peek()) {
            (None, None) => return found,
            (Some(_), None) => std::cmp::Ordering::Less,
            (None, Some(_)) => std::cmp::Ordering::Greater,
            (Some((old, _)), Some((new, _))) => old.cmp(new),
        };
        let was = if order.is_le() { before.next() } else { None };
        let is = if order.is_ge() { after.next() } else { None };
        let unchanged = matches!((was, is), (Some((_, was)), Some((_, is))) if same(was, is));
        if let Some((key, _)) = was.or(is).filter(|_| !unchanged) {
            found.insert(key.clone());
        }
    }
}
