//! Which listeners an API is attached to: assignment, consent, scheme, host name.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::core::{Selector, SelectorExt};
use tidegate_api::{ApiNamespacesFrom, Reason, WebSocketApiSpec};
use tidegate_config::{ObjectKey, Protocol, UrlScheme};

use crate::World;
use crate::gateway::{GatewayDraft, ListenerDraft};
use crate::hostnames;
use crate::problem::Problem;

/// All Gateways while APIs are being attached.
pub(crate) type Gateways<'a> = BTreeMap<ObjectKey, GatewayDraft<'a>>;

/// An API on one Gateway.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Attachment {
    pub(crate) gateway: ObjectKey,
    /// Positions of listeners that fit.
    pub(crate) listeners: BTreeSet<usize>,
}

/// Where an API goes, and where it cannot.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Attached {
    /// One for each Gateway with a listener that fits.
    pub(crate) attachments: Vec<Attachment>,
    pub(crate) problems: Vec<Problem>,
    /// What it names and cannot have.
    pub(crate) unresolved: Vec<String>,
}

/// Follows `spec.gateways`.
pub(crate) fn attach(
    key: &ObjectKey,
    spec: &WebSocketApiSpec,
    gateways: &Gateways<'_>,
    world: &World,
) -> Attached {
    let mut attached = Attached::default();
    let mut chosen: BTreeMap<ObjectKey, BTreeSet<usize>> = BTreeMap::new();
    for (i, reference) in spec.gateways.iter().enumerate() {
        let namespace = reference.namespace.as_ref().unwrap_or(&key.namespace);
        let name = ObjectKey::new(namespace, &reference.name);
        let found = find(key, &name, gateways, world)
            .and_then(|draft| fitting(draft, &name, reference.listener.as_deref(), spec));
        match found {
            Ok(listeners) => chosen.entry(name).or_default().extend(listeners),
            Err(NotAttached {
                problem,
                unresolved,
            }) => {
                attached
                    .problems
                    .push(problem.at(&format!("spec.gateways[{i}]")));
                attached.unresolved.extend(unresolved);
            }
        }
    }
    let attachments = chosen.into_iter();
    attached.attachments = attachments
        .map(|(gateway, listeners)| Attachment { gateway, listeners })
        .collect();
    attached.unresolved.sort();
    attached.unresolved.dedup();
    attached
}

/// Why an API does not get what it names.
struct NotAttached {
    problem: Problem,
    unresolved: Option<String>,
}

impl NotAttached {
    fn of(reason: Reason, what: String, why: &str) -> Self {
        Self {
            problem: Problem::unresolved(reason, format!("{what} {why}")),
            unresolved: Some(what),
        }
    }
}

fn find<'g, 'a>(
    api: &ObjectKey,
    name: &ObjectKey,
    gateways: &'g Gateways<'a>,
    world: &World,
) -> Result<&'g GatewayDraft<'a>, NotAttached> {
    let what = format!("Gateway {name}");
    let Some(draft) = gateways.get(name) else {
        return Err(NotAttached::of(
            Reason::GatewayNotFound,
            what,
            "does not exist",
        ));
    };
    if consents(draft, api, world) {
        Ok(draft)
    } else {
        let why = format!(
            "does not accept APIs of namespace {}: change its spec.apiNamespaces",
            api.namespace
        );
        Err(NotAttached::of(Reason::NotAllowedByGateway, what, &why))
    }
}

/// Does the Gateway take APIs of this namespace?
fn consents(draft: &GatewayDraft<'_>, api: &ObjectKey, world: &World) -> bool {
    let allowed = &draft.gateway.spec.api_namespaces;
    match allowed.from {
        ApiNamespacesFrom::All => true,
        ApiNamespacesFrom::Same => api.namespace == draft.settings.key.namespace,
        ApiNamespacesFrom::Selector => {
            let labels = world.namespace_labels.get(&api.namespace);
            let none = BTreeMap::new();
            matches(allowed.selector.as_ref(), labels.unwrap_or(&none))
        }
    }
}

/// Does a label selector match? None at all, or one that makes no sense, matches nothing.
pub(crate) fn matches(selector: Option<&LabelSelector>, labels: &BTreeMap<String, String>) -> bool {
    let Some(selector) = selector else {
        return false;
    };
    Selector::try_from(selector.clone()).is_ok_and(|selector| selector.matches(labels))
}

/// Listeners of a Gateway that an API can use.
fn fitting(
    draft: &GatewayDraft<'_>,
    gateway: &ObjectKey,
    listener: Option<&str>,
    spec: &WebSocketApiSpec,
) -> Result<Vec<usize>, NotAttached> {
    let named = |(_, l): &(usize, &ListenerDraft)| listener.is_none_or(|name| l.name == name);
    let named: Vec<_> = draft.listeners.iter().enumerate().filter(named).collect();
    if let ([], Some(name)) = (named.as_slice(), listener) {
        let what = format!("listener {name} of Gateway {gateway}");
        return Err(NotAttached::of(
            Reason::GatewayNotFound,
            what,
            "does not exist",
        ));
    }
    let miss = |problem| {
        Err(NotAttached {
            problem,
            unresolved: None,
        })
    };
    let speaking: Vec<_> = named
        .into_iter()
        .filter(|(_, l)| speaks(l, &spec.protocols))
        .collect();
    if speaking.is_empty() {
        let text = format!(
            "no listener of Gateway {gateway} that is asked for has a protocol of spec.protocols"
        );
        return miss(Problem::accepted(Reason::NoListener, text));
    }
    let hosted: Vec<_> = speaking
        .into_iter()
        .filter(|(_, l)| hostnames::intersection(&l.hostnames, &spec.hostnames).is_some())
        .collect();
    if hosted.is_empty() {
        let text = format!("no listener of Gateway {gateway} serves any of spec.hostnames");
        return miss(Problem::accepted(Reason::NoMatchingHostname, text));
    }
    let serving: Vec<_> = hosted
        .into_iter()
        .filter(|(_, l)| l.in_service)
        .map(|(i, _)| i)
        .collect();
    if serving.is_empty() {
        let text = format!("the listener of Gateway {gateway} is out of service: see its status");
        return miss(Problem::unresolved(Reason::NoListener, text));
    }
    Ok(serving)
}

/// Does a listener speak one of these schemes?
pub(crate) fn speaks(listener: &ListenerDraft, schemes: &[UrlScheme]) -> bool {
    schemes.contains(&match listener.protocol {
        Protocol::Ws => UrlScheme::Ws,
        Protocol::Wss => UrlScheme::Wss,
    })
}
