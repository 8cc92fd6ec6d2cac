//! Service in front of a Gateway's pods.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use tidegate_api::{ServiceTrafficPolicy, ServiceType};
use tidegate_config::{ListenerConfig, Protocol};

use super::Target;
use crate::objects::{Manifest, OwnedKind, names};

/// `None` while no listener works: a Service without ports is not valid.
pub(super) fn service(target: &Target<'_>, listeners: &[ListenerConfig]) -> Option<Manifest> {
    if listeners.is_empty() {
        return None;
    }
    let wanted = &target.gateway.spec.deployment.service;
    let type_ = match wanted.type_ {
        ServiceType::ClusterIP => "ClusterIP",
        ServiceType::NodePort => "NodePort",
        ServiceType::LoadBalancer => "LoadBalancer",
    };
    let policy = wanted.external_traffic_policy.map(|policy| match policy {
        ServiceTrafficPolicy::Cluster => "Cluster".to_owned(),
        ServiceTrafficPolicy::Local => "Local".to_owned(),
    });
    let service = Service {
        metadata: target.metadata_with(&wanted.labels, &wanted.annotations),
        spec: Some(ServiceSpec {
            type_: Some(type_.to_owned()),
            external_traffic_policy: policy,
            selector: Some(names::selector(&target.key.name)),
            ports: Some(
                listeners
                    .iter()
                    .map(|l| port(l, &wanted.node_ports))
                    .collect(),
            ),
            load_balancer_class: wanted.load_balancer_class.clone(),
            load_balancer_source_ranges: source_ranges(wanted),
            ..ServiceSpec::default()
        }),
        ..Service::default()
    };
    Some(target.manifest(OwnedKind::Service, &service))
}

/// `None` where the author says nothing: the field then is anybody's.
fn source_ranges(wanted: &tidegate_api::Service) -> Option<Vec<String>> {
    let ranges = &wanted.load_balancer_source_ranges;
    (!ranges.is_empty()).then(|| ranges.clone())
}

fn port(listener: &ListenerConfig, node_ports: &BTreeMap<String, u16>) -> ServicePort {
    let scheme = match listener.protocol {
        Protocol::Ws => "kubernetes.io/ws",
        Protocol::Wss => "kubernetes.io/wss",
    };
    ServicePort {
        name: Some(listener.name.clone()),
        port: i32::from(listener.port),
        // By number: a named port would have to be in the pod template, and a new listener would then replace
        // all pods, and end all tunnels.
        target_port: Some(IntOrString::Int(i32::from(listener.port))),
        protocol: Some("TCP".to_owned()),
        node_port: node_ports.get(&listener.name).copied().map(i32::from),
        app_protocol: Some(scheme.to_owned()),
    }
}
