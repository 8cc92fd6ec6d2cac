//! Status of a Gateway. Pure.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use serde_json::Value;
use tidegate_api::{
    AddressType, Gateway, GatewayAddress, GatewayStatus, ListenerStatus, PodsStatus,
};
use tidegate_config::ObjectKey;
use tidegate_plan::{GatewayVerdict, ListenerVerdict, Serving};

use super::{Progress, Serves, Stamp};
use crate::objects::{Kind, ObjectRef};
use crate::owned::Owned;
use crate::published::{Pods, Published};

/// Lengths of lists in the schema.
const ADDRESSES: usize = 32;
const LAGGING: usize = 10;

/// What the status of a Gateway says besides its verdict.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GatewayFacts<'a> {
    pub(crate) published: Option<&'a Published>,
    pub(crate) pods: &'a Pods,
    pub(crate) service: Option<&'a Owned>,
    pub(crate) deployment: Option<&'a Owned>,
}

pub(crate) fn of_gateway(
    key: &ObjectKey,
    gateway: &Gateway,
    verdict: &GatewayVerdict,
    progress: &Progress<'_>,
    (facts, stamp): (GatewayFacts<'_>, Stamp<'_>),
) -> GatewayStatus {
    let object = ObjectRef::new(Kind::Gateway, key);
    let serves = Serves {
        gateway: key,
        serving: Serving::Current,
    };
    let programmed = progress.judge(&object, [serves]);
    let live = gateway.status.as_ref();
    let live_listeners = live.map_or(&[][..], |live| &live.listeners);
    GatewayStatus {
        observed_generation: Some(verdict.verdict.generation),
        addresses: facts.service.map(addresses).unwrap_or_default(),
        listeners: verdict
            .listeners
            .iter()
            .map(|verdict| listener(verdict, live_listeners, stamp))
            .collect(),
        apis: Some(verdict.apis),
        pods: Some(pods(facts)),
        revision: facts.published.map(|published| published.index.revision),
        conditions: stamp.all_and(&verdict.verdict, &programmed, &progress.reachable(&object)),
    }
}

fn listener(
    verdict: &ListenerVerdict,
    live: &[ListenerStatus],
    stamp: Stamp<'_>,
) -> ListenerStatus {
    let live = live.iter().find(|live| live.name == verdict.name);
    let conditions: &[Condition] = live.map_or(&[], |live| &live.conditions);
    let stamp = Stamp {
        live: conditions,
        ..stamp
    };
    ListenerStatus {
        name: verdict.name.clone(),
        attached_apis: verdict.attached_apis,
        conditions: stamp.judged(&verdict.verdict),
    }
}

fn pods(facts: GatewayFacts<'_>) -> PodsStatus {
    let total = facts.pods.len();
    let behind = match facts.published {
        Some(published) => facts.pods.behind(published.index.revision),
        None => facts.pods.behind(u64::MAX),
    };
    let applied = total - behind.len();
    // Readiness is known of pods that a Deployment runs; others count as ready while they live.
    let ready = match facts.deployment {
        Some(deployment) => deployment.body["status"]["readyReplicas"]
            .as_u64()
            .unwrap_or_default(),
        None => total as u64,
    };
    PodsStatus {
        summary: format!("{applied}/{total}"),
        ready: u32::try_from(ready).unwrap_or(u32::MAX),
        applied: u32::try_from(applied).unwrap_or(u32::MAX),
        total: u32::try_from(total).unwrap_or(u32::MAX),
        lagging: first(&behind, LAGGING),
    }
}

/// Where clients reach the Service: the load balancer's addresses, or its name in the cluster.
fn addresses(service: &Owned) -> Vec<GatewayAddress> {
    let body = &service.body;
    let ingress = body["status"]["loadBalancer"]["ingress"].as_array();
    let balanced: Vec<_> = ingress
        .into_iter()
        .flatten()
        .filter_map(|ingress| {
            let text = |field: &str| ingress[field].as_str().map(str::to_owned);
            let named = text("hostname").map(|name| (AddressType::Hostname, name));
            text("ip").map(|ip| (AddressType::IPAddress, ip)).or(named)
        })
        .map(|(type_, value)| GatewayAddress { type_, value })
        .take(ADDRESSES)
        .collect();
    if !balanced.is_empty() || body["spec"]["type"] == "LoadBalancer" {
        return balanced;
    }
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (name, namespace) = (
        text(&body["metadata"]["name"]),
        text(&body["metadata"]["namespace"]),
    );
    vec![GatewayAddress {
        type_: AddressType::Hostname,
        value: format!("{name}.{namespace}.svc"),
    }]
}

/// The first `count` of a list: schemas bound their length.
pub(super) fn first(list: &[String], count: usize) -> Vec<String> {
    list.iter().take(count).cloned().collect()
}

#[cfg(test)]
mod tests;
