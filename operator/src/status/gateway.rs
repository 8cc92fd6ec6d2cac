//! Status of a Gateway. Pure.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use serde_json::Value;
use tidegate_api::{
    AddressType, Gateway, GatewayAddress, GatewayStatus, ListenerStatus, PodsStatus,
};
use tidegate_config::ObjectKey;
use tidegate_plan::{GatewayVerdict, ListenerVerdict, Serving};

use super::conditions::ConditionBuilder;
use super::programmed::{Progress, ServedOn};
use crate::objects::{CustomKind, ObjectRef, Owned};
use crate::publish::Published;
use crate::snapshot::Pods;

/// Lengths of lists at most, as in the schema.
const MAX_ADDRESSES: usize = 32;
const MAX_LAGGING: usize = 10;

/// What the status of a Gateway shows besides its verdict.
#[derive(Clone, Copy, Debug)]
pub(super) struct GatewayFacts<'a> {
    pub(super) published: Option<&'a Published>,
    pub(super) pods: &'a Pods,
    pub(super) service: Option<&'a Owned>,
    pub(super) deployment: Option<&'a Owned>,
}

pub(super) fn gateway_status(
    key: &ObjectKey,
    gateway: &Gateway,
    verdict: &GatewayVerdict,
    progress: &Progress<'_>,
    (facts, builder): (GatewayFacts<'_>, ConditionBuilder<'_>),
) -> GatewayStatus {
    let object = ObjectRef::new(CustomKind::Gateway, key);
    let served = ServedOn {
        gateway: key,
        serving: Serving::Current,
    };
    let programmed = progress.programmed(&object, [served]);
    let live = gateway.status.as_ref();
    let live_listeners = live.map_or(&[][..], |live| &live.listeners);
    GatewayStatus {
        observed_generation: Some(verdict.conditions.generation),
        addresses: facts.service.map(addresses).unwrap_or_default(),
        listeners: verdict
            .listeners
            .iter()
            .map(|verdict| listener(verdict, live_listeners, builder))
            .collect(),
        apis: Some(verdict.apis),
        pods: Some(pods(facts)),
        revision: facts.published.map(|published| published.index.revision),
        conditions: builder.with_dependencies(
            &verdict.conditions,
            &programmed,
            &progress.reachable(&object),
        ),
    }
}

fn listener(
    verdict: &ListenerVerdict,
    live: &[ListenerStatus],
    builder: ConditionBuilder<'_>,
) -> ListenerStatus {
    let live = live.iter().find(|live| live.name == verdict.name);
    let conditions: &[Condition] = live.map_or(&[], |live| &live.conditions);
    let builder = ConditionBuilder {
        live: conditions,
        ..builder
    };
    ListenerStatus {
        name: verdict.name.clone(),
        attached_apis: verdict.attached_apis,
        conditions: builder.planned_conditions(&verdict.conditions),
    }
}

fn pods(facts: GatewayFacts<'_>) -> PodsStatus {
    let total = facts.pods.len();
    let revision = facts.published.map(|published| published.index.revision);
    let lagging = facts.pods.lagging(revision.unwrap_or(u64::MAX));
    let applied = total - lagging.len();
    // Readiness is known of the pods of a Deployment; other processes count as ready while they are live.
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
        lagging: first(&lagging, MAX_LAGGING),
    }
}

/// Addresses of the Service for clients: those of the load balancer, or the name in the cluster.
fn addresses(service: &Owned) -> Vec<GatewayAddress> {
    let body = &service.body;
    let ingress = body["status"]["loadBalancer"]["ingress"].as_array();
    let balancer: Vec<_> = ingress
        .into_iter()
        .flatten()
        .filter_map(|ingress| {
            let text = |field: &str| ingress[field].as_str().map(str::to_owned);
            let named = text("hostname").map(|name| (AddressType::Hostname, name));
            text("ip").map(|ip| (AddressType::IPAddress, ip)).or(named)
        })
        .map(|(type_, value)| GatewayAddress { type_, value })
        .take(MAX_ADDRESSES)
        .collect();
    if !balancer.is_empty() || body["spec"]["type"] == "LoadBalancer" {
        return balancer;
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

/// The first `count` of a list: the schema limits its length.
pub(super) fn first(list: &[String], count: usize) -> Vec<String> {
    list.iter().take(count).cloned().collect()
}

#[cfg(test)]
mod tests;
