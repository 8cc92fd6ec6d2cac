//! A status that an object should have, when it differs from the one that it has. Pure.

use std::fmt::Debug;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::Resource;
use serde::Serialize;
use tidegate_api::{
    Gateway, GatewayStatus, PolicyFragment, PolicyFragmentStatus, Product, ProductStatus,
    Subscription, SubscriptionRequest, SubscriptionRequestStatus, SubscriptionStatus, WebSocketApi,
    WebSocketApiStatus,
};

use super::events::{ConditionEvent, events};

/// A kind with a status that the operator writes.
pub(super) trait HasStatus: Resource<DynamicType = ()> {
    /// Its status.
    type Status: Clone + PartialEq + Into<Status>;

    /// The status that it has.
    fn live(&self) -> Option<&Self::Status>;
    /// Conditions of a status.
    fn conditions(status: &Self::Status) -> &[Condition];
    /// Conditions of a status.
    fn conditions_mut(status: &mut Self::Status) -> &mut Vec<Condition>;
}

/// The status of an object of any kind.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub(crate) enum Status {
    Gateway(GatewayStatus),
    WebSocketApi(WebSocketApiStatus),
    Product(ProductStatus),
    PolicyFragment(PolicyFragmentStatus),
    Subscription(SubscriptionStatus),
    SubscriptionRequest(SubscriptionRequestStatus),
}

macro_rules! has_status {
    ($($kind:ident: $status:ident),*) => {
        $(impl HasStatus for $kind {
            type Status = $status;

            fn live(&self) -> Option<&$status> {
                self.status.as_ref()
            }

            fn conditions(status: &$status) -> &[Condition] {
                &status.conditions
            }

            fn conditions_mut(status: &mut $status) -> &mut Vec<Condition> {
                &mut status.conditions
            }
        }

        impl From<$status> for Status {
            fn from(status: $status) -> Self {
                Self::$kind(status)
            }
        })*
    };
}

has_status!(
    Gateway: GatewayStatus,
    WebSocketApi: WebSocketApiStatus,
    Product: ProductStatus,
    PolicyFragment: PolicyFragmentStatus,
    Subscription: SubscriptionStatus,
    SubscriptionRequest: SubscriptionRequestStatus
);

/// A status to write.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct StatusUpdate {
    pub(crate) uid: String,
    pub(crate) status: Status,
    /// Events to publish once it is written.
    pub(crate) events: Vec<ConditionEvent>,
}

impl StatusUpdate {
    /// What has to be written so that `object` has the status `wanted`; `None` when it has.
    pub(super) fn of<K: HasStatus>(object: &K, wanted: K::Status) -> Option<Self> {
        let live = object.live();
        if live.is_some_and(|live| is_same::<K>(live, &wanted)) {
            return None;
        }
        let before = live.map_or(&[][..], K::conditions);
        Some(Self {
            uid: object.meta().uid.clone().unwrap_or_default(),
            events: events(before, K::conditions(&wanted)),
            status: wanted.into(),
        })
    }
}

/// Compares without the order of conditions, and without conditions that others added.
fn is_same<K: HasStatus>(live: &K::Status, wanted: &K::Status) -> bool {
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
