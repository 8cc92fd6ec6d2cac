//! A Gateway by itself: listeners, certificates, global policies.

use std::collections::BTreeMap;

use kube::ResourceExt;
use tidegate_api::{Gateway, GatewaySpec, Listener, Reason};
use tidegate_config::policy::{InboundStep, OnHandshake, ReturnResponse};
use tidegate_config::{
    GatewaySettings, ListenerConfig, ListenerTlsConfig, NamedValue, ObjectKey, Protocol,
    ResolvedValue, SecretData,
};

use crate::counters;
use crate::expressions::Expressions;
use crate::index::generation_of;
use crate::last_good::serving;
use crate::listener_tls::Tls;
use crate::policies::{Policies, PolicyScope, is_network, same_access};
use crate::problem::{Problem, conditions, summary};
use crate::references::References;
use crate::telemetry;
use crate::{GatewayVerdict, ListenerVerdict, Serving, World};

/// All Gateways, checked.
pub(crate) type Gateways = BTreeMap<ObjectKey, GatewayDraft>;

/// A Gateway, checked by itself.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct GatewayDraft {
    pub(crate) spec: GatewaySpec,
    /// Where clients reach it: the Gateway's address, once there is one, otherwise its Service's name.
    pub(crate) address: String,
    generation: i64,
    pub(crate) settings: GatewaySettings,
    /// Why no API may pass that inherits the global policies.
    pub(crate) blocked: Option<String>,
    pub(crate) listeners: Vec<ListenerDraft>,
    problems: Vec<Problem>,
}

/// A listener, checked.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ListenerDraft {
    pub(crate) name: String,
    pub(crate) port: u16,
    pub(crate) protocol: Protocol,
    proxy_protocol: bool,
    pub(crate) hostnames: Vec<String>,
    pub(crate) in_service: bool,
    problems: Vec<Problem>,
}

/// Checks one Gateway.
pub(crate) fn check(
    key: &ObjectKey,
    gateway: &Gateway,
    references: &mut References<'_>,
    expressions: &mut Expressions,
) -> GatewayDraft {
    let spec = &gateway.spec;
    let scope = PolicyScope {
        label: "gateway",
        namespace: &key.namespace,
        on_handshake: &spec.on_handshake,
        values: &spec.values,
    };
    let mut policies = scope.check(references, expressions);
    let unknown = policies.unknown_values(names(&spec.values));
    policies.problems.extend(unknown);
    let unknown = policies.unknown_audiences(&spec.deployment.token_audiences);
    policies.problems.extend(unknown);
    let mut problems = policies.problems.clone();
    let world: &World = references.world;
    let before = world.previous.get(key);
    let previous = before.map(|before| &before.settings);
    problems.extend(unknown_listeners(spec));
    let trusted_proxies = trusted_proxies(&spec.trusted_proxies, previous, &mut problems);
    let secret_data = before.map(|before| &*before.secret_data);
    let counters = counters::resolve(key, &spec.counters, secret_data, references, &mut problems);
    let (listeners, rendered) = listeners(key, gateway, secret_data, references);
    let global = global_policies(policies, generation_of(gateway), previous);
    let settings = GatewaySettings {
        key: key.clone(),
        uid: gateway.metadata.uid.clone(),
        generation: global.generation,
        listeners: rendered,
        on_handshake: global.on_handshake,
        values: global.values,
        limits: spec.limits,
        timeouts: spec.timeouts,
        drain: spec.drain,
        trusted_proxies,
        telemetry: telemetry::resolve(&spec.telemetry, previous, &mut problems),
        allow_metadata_addresses: spec.allow_metadata_addresses,
        counters,
    };
    GatewayDraft {
        spec: spec.clone(),
        address: address(gateway),
        generation: generation_of(gateway),
        settings,
        blocked: global.blocked,
        listeners,
        problems,
    }
}

/// Names of named values.
pub(crate) fn names(values: &[NamedValue]) -> impl Iterator<Item = &str> {
    values.iter().map(|value| value.name.as_str())
}

impl GatewayDraft {
    /// What to say about it. `attached`: how many APIs each listener serves.
    pub(crate) fn verdict(&self, apis: usize, attached: &BTreeMap<String, u32>) -> GatewayVerdict {
        let generation = self.generation;
        let mut problems = self.problems.clone();
        for (i, listener) in self.listeners.iter().enumerate() {
            let field = format!("spec.listeners[{i}]");
            problems.extend(listener.problems.iter().cloned().map(|p| p.at(&field)));
        }
        if !self.listeners.iter().any(|listener| listener.in_service) {
            problems.push(Problem::accepted(
                Reason::NoListener,
                "no listener is in service",
            ));
        }
        let listener = |listener: &ListenerDraft| ListenerVerdict {
            name: listener.name.clone(),
            attached_apis: attached.get(&listener.name).copied().unwrap_or_default(),
            conditions: conditions(generation, &listener.problems),
        };
        GatewayVerdict {
            conditions: conditions(generation, &problems),
            listeners: self.listeners.iter().map(listener).collect(),
            apis: u32::try_from(apis).unwrap_or(u32::MAX),
        }
    }
}

fn address(gateway: &Gateway) -> String {
    let addresses = gateway.status.iter().flat_map(|status| &status.addresses);
    match addresses.into_iter().next() {
        Some(address) => address.value.clone(),
        None => match gateway.namespace() {
            Some(namespace) => format!("{}.{namespace}.svc", gateway.name_any()),
            None => "localhost".to_owned(),
        },
    }
}

/// The global scope as it is rendered.
struct Global {
    generation: i64,
    on_handshake: OnHandshake,
    values: BTreeMap<String, ResolvedValue>,
    blocked: Option<String>,
}

fn global_policies(
    policies: Policies,
    generation: i64,
    previous: Option<&GatewaySettings>,
) -> Global {
    let same = previous.map(|p| same_access(&p.on_handshake, &policies.on_handshake));
    match (serving(&policies.problems, same), previous) {
        (Serving::Current, _) => Global {
            generation,
            on_handshake: policies.on_handshake,
            values: policies.values,
            blocked: None,
        },
        (Serving::LastGood, Some(previous)) => Global {
            generation: previous.generation,
            on_handshake: previous.on_handshake.clone(),
            values: previous.values.clone(),
            blocked: None,
        },
        (Serving::LastGood | Serving::Blocked, _) => {
            Global::blocked(generation, &policies.problems)
        }
    }
}

impl Global {
    fn blocked(generation: i64, problems: &[Problem]) -> Self {
        Self {
            generation,
            on_handshake: refuse_all(),
            values: BTreeMap::new(),
            blocked: Some(summary(&problems.iter().collect::<Vec<_>>())),
        }
    }
}

/// Stands for global policies that are broken. The APIs that inherit them are blocked anyway; this
/// makes sure of it, and tells the next plan that these are no policies that ever worked.
fn refuse_all() -> OnHandshake {
    let refuse = InboundStep {
        id: Some("blocked".to_owned()),
        return_response: Some(ReturnResponse {
            status: 500,
            headers: Vec::new(),
            body: None,
            message: None,
        }),
        ..InboundStep::default()
    };
    OnHandshake {
        inbound: vec![refuse],
        ..OnHandshake::default()
    }
}

/// Ports of nodes that are for no listener.
fn unknown_listeners(spec: &GatewaySpec) -> Vec<Problem> {
    let names = spec.deployment.service.node_ports.keys();
    let is_listener = |name: &String| spec.listeners.iter().any(|l| l.name == *name);
    let unknown = names.filter(|name| !is_listener(name));
    let problem = |name: &String| {
        let text = format!("there is no listener \"{name}\"");
        Problem::invalid(text).at("spec.deployment.service.nodePorts")
    };
    unknown.map(problem).collect()
}

/// With an entry that cannot be read the list stays what it was: with a shorter one, the client's
/// address would suddenly be the proxy's, for ipFilter too.
fn trusted_proxies(
    entries: &[String],
    previous: Option<&GatewaySettings>,
    problems: &mut Vec<Problem>,
) -> Vec<String> {
    let mut good = Vec::with_capacity(entries.len());
    for (i, entry) in entries.iter().enumerate() {
        if is_network(entry) {
            good.push(entry.clone());
            continue;
        }
        let text = format!("\"{entry}\" is not an address or CIDR");
        problems.push(Problem::invalid(text).at(&format!("spec.trustedProxies[{i}]")));
    }
    match previous {
        Some(previous) if good.len() < entries.len() => previous.trusted_proxies.clone(),
        _ => good,
    }
}

fn listeners(
    key: &ObjectKey,
    gateway: &Gateway,
    secret_data: Option<&SecretData>,
    references: &mut References<'_>,
) -> (Vec<ListenerDraft>, Vec<ListenerConfig>) {
    let context = Tls {
        namespace: &key.namespace,
        secret_data,
    };
    let mut drafts: Vec<ListenerDraft> = Vec::new();
    let mut rendered = Vec::new();
    for listener in &gateway.spec.listeners {
        let mut problems: Vec<_> = conflict(listener, &drafts).into_iter().collect();
        let usable = problems.is_empty();
        let tls = context.check(listener, references, &mut problems);
        let in_service = usable && (listener.protocol == Protocol::Ws || tls.is_some());
        drafts.push(ListenerDraft::new(listener, in_service, problems));
        if in_service {
            rendered.push(render(listener, tls));
        }
    }
    (drafts, rendered)
}

impl ListenerDraft {
    fn new(listener: &Listener, in_service: bool, problems: Vec<Problem>) -> Self {
        Self {
            name: listener.name.clone(),
            port: listener.port,
            protocol: listener.protocol,
            proxy_protocol: listener.proxy_protocol,
            hostnames: listener.hostnames.clone(),
            in_service,
            problems,
        }
    }
}

fn render(listener: &Listener, tls: Option<ListenerTlsConfig>) -> ListenerConfig {
    ListenerConfig {
        name: listener.name.clone(),
        port: listener.port,
        protocol: listener.protocol,
        hostnames: listener.hostnames.clone(),
        tls,
        proxy_protocol: listener.proxy_protocol,
        http2: listener.http2,
    }
}

/// Listeners may share a port when they speak the same and answer for different hosts. The earlier
/// one in the list wins.
fn conflict(listener: &Listener, earlier: &[ListenerDraft]) -> Option<Problem> {
    let mut earlier = earlier.iter();
    let text = earlier.find_map(|other| conflict_with(listener, other))?;
    Some(Problem::accepted(Reason::Conflict, text))
}

fn conflict_with(listener: &Listener, other: &ListenerDraft) -> Option<String> {
    let (name, port) = (&other.name, other.port);
    if other.name == listener.name {
        return Some(format!("there is already a listener \"{name}\""));
    }
    let what = if other.port != listener.port {
        return None;
    } else if other.protocol != listener.protocol {
        format!("speaks another protocol on port {port}")
    } else if other.proxy_protocol != listener.proxy_protocol {
        match other.proxy_protocol {
            true => format!("expects PROXY headers on port {port}"),
            false => format!("does not expect PROXY headers on port {port}"),
        }
    } else if share_host(&listener.hostnames, &other.hostnames) {
        format!("already has port {port} and the same host")
    } else {
        return None;
    };
    Some(format!("listener \"{name}\" {what}"))
}

/// Do they name the same host, or both none, which is every host?
fn share_host(a: &[String], b: &[String]) -> bool {
    (a.is_empty() && b.is_empty()) || a.iter().any(|host| b.contains(host))
}
