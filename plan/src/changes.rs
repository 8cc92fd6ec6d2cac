//! What changed in a world.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tidegate_api::{SubscriptionRequest, WebSocketApi};
use tidegate_config::ObjectKey;

use crate::world::Previous;

/// Keys of objects.
pub(crate) type Keys = BTreeSet<ObjectKey>;

/// What was added, changed or removed since the last plan.
#[derive(Debug, Default)]
pub struct Changes {
    pub(crate) gateways: Keys,
    /// With the object that was there before.
    pub(crate) apis: BTreeMap<ObjectKey, Option<Arc<WebSocketApi>>>,
    pub(crate) fragments: Keys,
    pub(crate) products: Keys,
    pub(crate) subscriptions: Keys,
    /// With the object that was there before.
    pub(crate) requests: BTreeMap<ObjectKey, Option<Arc<SubscriptionRequest>>>,
    pub(crate) secrets: Keys,
    pub(crate) config_maps: Keys,
    pub(crate) namespaces: BTreeSet<String>,
    /// By Gateway, with what it served before.
    pub(crate) previous: BTreeMap<ObjectKey, Option<Arc<Previous>>>,
    /// The clock was put back.
    pub(crate) clock_went_back: bool,
}

impl Changes {
    pub(crate) fn is_empty(&self) -> bool {
        let Self {
            gateways,
            apis,
            fragments,
            products,
            subscriptions,
            requests,
            secrets,
            config_maps,
            namespaces,
            previous,
            clock_went_back,
        } = self;
        let keys = [
            gateways,
            fragments,
            products,
            subscriptions,
            secrets,
            config_maps,
        ];
        keys.into_iter().all(BTreeSet::is_empty)
            && apis.is_empty()
            && requests.is_empty()
            && namespaces.is_empty()
            && previous.is_empty()
            && !clock_went_back
    }
}

/// Keys of which the values differ, or that only one map has.
pub(crate) fn differing<K: Ord + Clone, V>(
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
