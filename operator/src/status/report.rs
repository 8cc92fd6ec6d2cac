//! A status that an object should have, and whether it differs from what it has. Pure.

use std::fmt::Debug;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::Resource;
use serde::Serialize;
use tidegate_api::{
    Gateway, GatewayStatus, PolicyFragment, PolicyFragmentStatus, Product, ProductStatus,
    Subscription, SubscriptionStatus, WebSocketApi, WebSocketApiStatus,
};

use super::{Transition, transitions};
use crate::objects::Kind;

/// A kind whose status the operator writes.
pub(crate) trait Reported: Resource<DynamicType = ()> {
    /// Its status.
    type Status: Clone + Debug + PartialEq + Serialize + Send + Sync;
    /// Which kind it is.
    const KIND: Kind;

    /// The status it has.
    fn live(&self) -> Option<&Self::Status>;
    /// Conditions of a status.
    fn conditions(status: &Self::Status) -> &[Condition];
    /// Conditions of a status.
    fn conditions_mut(status: &mut Self::Status) -> &mut Vec<Condition>;
}

macro_rules! reported {
    ($($kind:ident: $status:ident),*) => {
        $(impl Reported for $kind {
            type Status = $status;
            const KIND: Kind = Kind::$kind;

            fn live(&self) -> Option<&$status> {
                self.status.as_ref()
            }

            fn conditions(status: &$status) -> &[Condition] {
                &status.conditions
            }

            fn conditions_mut(status: &mut $status) -> &mut Vec<Condition> {
                &mut status.conditions
            }
        })*
    };
}

reported!(
    Gateway: GatewayStatus,
    WebSocketApi: WebSocketApiStatus,
    Product: ProductStatus,
    PolicyFragment: PolicyFragmentStatus,
    Subscription: SubscriptionStatus
);

/// A status to write.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Report<S> {
    pub(crate) uid: String,
    pub(crate) status: S,
    /// What is worth an Event.
    pub(crate) transitions: Vec<Transition>,
}

impl<S> Report<S> {
    /// What has to be written so that `object` has the status `wanted`; nothing when it has.
    pub(crate) fn of<K: Reported<Status = S>>(object: &K, wanted: S) -> Option<Self> {
        let live = object.live();
        if live.is_some_and(|live| is_same::<K>(live, &wanted)) {
            return None;
        }
        let before = live.map_or(&[][..], K::conditions);
        Some(Self {
            uid: object.meta().uid.clone().unwrap_or_default(),
            transitions: transitions(before, K::conditions(&wanted)),
            status: wanted,
        })
    }
}

/// Compares without conditions that somebody else added and without their order.
fn is_same<K: Reported>(live: &K::Status, wanted: &K::Status) -> bool {
    if live == wanted {
        return true;
    }
    let mut live = live.clone();
    let ours = K::conditions(wanted);
    let conditions = K::conditions_mut(&mut live);
    conditions.retain(|live| ours.iter().any(|our| our.type_ == live.type_));
    conditions.sort_by_key(|live| ours.iter().position(|our| our.type_ == live.type_));
    live == *wanted
}

#[cfg(test)]
mod tests;
