//! The kinds of which a plan has all objects, and when one is the same as before.

use std::collections::BTreeMap;
use std::sync::Arc;

use kube::ResourceExt;
use tidegate_api::{
    Gateway, PolicyFragment, Product, Subscription, SubscriptionRequest, WebSocketApi,
};
use tidegate_config::ObjectKey;

use crate::World;
use crate::changes::Changes;
use crate::index::key_of;

/// A kind of which a [`World`] has all objects.
pub trait Kind: ResourceExt + Sized {
    /// All objects of this kind.
    fn all(world: &World) -> &BTreeMap<ObjectKey, Arc<Self>>;
    /// The same, to be changed.
    fn all_mut(world: &mut World) -> &mut BTreeMap<ObjectKey, Arc<Self>>;
    /// Is another version the same to a plan?
    fn is_same(&self, other: &Self) -> bool;
    /// Notes that an object is not as it was.
    fn note(changes: &mut Changes, key: &ObjectKey, before: Option<Arc<Self>>);
}

macro_rules! kind {
    ($($kind:ty: $all:ident, $same:expr, $note:expr;)*) => {
        $(impl Kind for $kind {
            fn all(world: &World) -> &BTreeMap<ObjectKey, Arc<Self>> {
                &world.$all
            }

            fn all_mut(world: &mut World) -> &mut BTreeMap<ObjectKey, Arc<Self>> {
                &mut world.$all
            }

            fn is_same(&self, other: &Self) -> bool {
                let same: fn(&Self, &Self) -> bool = $same;
                has_same_metadata(self, other) && self.spec == other.spec && same(self, other)
            }

            fn note(changes: &mut Changes, key: &ObjectKey, before: Option<Arc<Self>>) {
                let note: fn(&mut Changes, ObjectKey, Option<Arc<Self>>) = $note;
                note(changes, key.clone(), before);
            }
        })*
    };
}

kind!(
    Gateway: gateways, |a, b| address(a) == address(b), |changes, key, _| {
        changes.gateways.insert(key);
    };
    WebSocketApi: apis, |_, _| true, |changes, key, before| {
        changes.apis.entry(key).or_insert(before);
    };
    PolicyFragment: fragments, |_, _| true, |changes, key, _| {
        changes.fragments.insert(key);
    };
    Product: products, |_, _| true, |changes, key, _| {
        changes.products.insert(key);
    };
    Subscription: subscriptions, |a, b| approved(a) == approved(b), |changes, key, _| {
        changes.subscriptions.insert(key);
    };
    SubscriptionRequest: requests, |_, _| true, |changes, key, before| {
        changes.requests.entry(key).or_insert(before);
    };
);

fn has_same_metadata<K: ResourceExt>(a: &K, b: &K) -> bool {
    let (a, b) = (a.meta(), b.meta());
    a.uid == b.uid
        && a.generation == b.generation
        && a.labels == b.labels
        && a.creation_timestamp == b.creation_timestamp
}

/// The part of a Gateway's status that URLs show.
fn address(gateway: &Gateway) -> Option<&str> {
    let addresses = &gateway.status.as_ref()?.addresses;
    addresses.first().map(|address| address.value.as_str())
}

/// The part of a Subscription's status that approvals are compared with.
fn approved(subscription: &Subscription) -> Option<&tidegate_api::ApprovedTerms> {
    subscription.status.as_ref()?.approved.as_ref()
}

impl World {
    /// Adds an object, or replaces the one of the same name.
    pub fn add<K: Kind>(&mut self, object: Arc<K>) {
        K::all_mut(self).insert(key_of(&*object), object);
    }
}
