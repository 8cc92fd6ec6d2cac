//! Reads from a cluster what the status shows.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use tidegate_api::{
    Gateway, PolicyFragment, Product, ProductState, Subscription, SubscriptionPhase, WebSocketApi,
};
use tidegate_config::{LABEL_PART, ObjectKey, PART_ACK};

use super::view::{self, ObjectState, View};
use crate::cluster::{Changes, Cluster, Followed, Trouble};

/// All objects that the status is made of.
pub(super) struct Kinds {
    gateways: Followed<Gateway>,
    apis: Followed<WebSocketApi>,
    products: Followed<Product>,
    fragments: Followed<PolicyFragment>,
    subscriptions: Followed<Subscription>,
    /// `None`: the user may not read them.
    leases: Option<Followed<Lease>>,
}

impl Kinds {
    /// Lists everything; with `changes` keeps it up to date.
    pub(super) async fn follow(
        cluster: &Cluster,
        changes: Option<&Changes>,
    ) -> Result<Self, Trouble> {
        let acks = format!("{LABEL_PART}={PART_ACK}");
        let leases = match cluster.follow(&acks, changes).await {
            Ok(leases) => Some(leases),
            Err(trouble @ Trouble::Forbidden { .. }) => {
                eprintln!("pods are not shown: {trouble}");
                None
            }
            Err(trouble) => return Err(trouble),
        };
        Ok(Self {
            gateways: cluster.follow("", changes).await?,
            apis: cluster.follow("", changes).await?,
            products: cluster.follow("", changes).await?,
            fragments: cluster.follow("", changes).await?,
            subscriptions: cluster.follow("", changes).await?,
            leases,
        })
    }

    pub(super) fn view(&self) -> View {
        let mut view = View::default();
        let mut latest = BTreeMap::new();
        for gateway in self.gateways.objects() {
            let state = gateway_state(&gateway);
            let status = gateway.status.as_ref();
            if let Some(revision) = status.and_then(|status| status.revision) {
                latest.insert(state.key.clone(), revision);
            }
            view.gateways.push(view::gateway(&gateway, &state));
            view.objects.extend(view::flaw(&state));
        }
        let leases = self
            .leases
            .as_ref()
            .map(Followed::objects)
            .unwrap_or_default();
        let now = Timestamp::now();
        view.pods = leases
            .iter()
            .filter_map(|lease| view::pod(lease, &latest, now))
            .collect();
        view.objects
            .extend(self.others().iter().filter_map(view::flaw));
        view.sort();
        view
    }

    fn others(&self) -> Vec<ObjectState> {
        let apis = self.apis.objects().into_iter().map(api_state);
        let products = self.products.objects().into_iter().map(product_state);
        let fragments = self.fragments.objects().into_iter().map(fragment_state);
        let subscriptions = self
            .subscriptions
            .objects()
            .into_iter()
            .map(subscription_state);
        apis.chain(products)
            .chain(fragments)
            .chain(subscriptions)
            .collect()
    }
}

fn state(
    kind: &'static str,
    object: &impl ResourceExt,
    status: Option<(Option<i64>, &[Condition])>,
) -> ObjectState {
    let (observed, conditions) = status.unwrap_or_default();
    ObjectState {
        kind,
        key: ObjectKey::new(object.namespace().unwrap_or_default(), object.name_any()),
        generation: object.meta().generation,
        observed,
        conditions: conditions.to_vec(),
        is_off: false,
    }
}

fn gateway_state(object: &Gateway) -> ObjectState {
    let status = object.status.as_ref();
    state(
        "Gateway",
        object,
        status.map(|of| (of.observed_generation, &*of.conditions)),
    )
}

fn api_state(object: Arc<WebSocketApi>) -> ObjectState {
    let status = object.status.as_ref();
    state(
        "WebSocketApi",
        &*object,
        status.map(|of| (of.observed_generation, &*of.conditions)),
    )
}

fn fragment_state(object: Arc<PolicyFragment>) -> ObjectState {
    let status = object.status.as_ref();
    state(
        "PolicyFragment",
        &*object,
        status.map(|of| (of.observed_generation, &*of.conditions)),
    )
}

fn product_state(object: Arc<Product>) -> ObjectState {
    let status = object.status.as_ref();
    ObjectState {
        is_off: object.spec.state == ProductState::NotPublished,
        ..state(
            "Product",
            &*object,
            status.map(|of| (of.observed_generation, &*of.conditions)),
        )
    }
}

fn subscription_state(object: Arc<Subscription>) -> ObjectState {
    let status = object.status.as_ref();
    let phase = status.and_then(|status| status.state);
    ObjectState {
        is_off: phase.is_some_and(|phase| phase != SubscriptionPhase::Active),
        ..state(
            "Subscription",
            &*object,
            status.map(|of| (of.observed_generation, &*of.conditions)),
        )
    }
}
