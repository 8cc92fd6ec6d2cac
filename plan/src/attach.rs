//! Which listeners an API is attached to: assignment, consent, scheme, host name.

use std::collections::{BTreeMap, BTreeSet};

use tidegate_api::{Reason, WebSocketApiSpec};
use tidegate_config::{ObjectKey, Protocol, UrlScheme};

use crate::World;
use crate::gateway::{GatewayDraft, Gateways, ListenerDraft};
use crate::hostnames;
use crate::namespaces::Admitted;
use crate::problem::Problem;

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
    gateways: &Gateways,
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
            Err(missed) => {
                let problem = missed.problem.at(&format!("spec.gateways[{i}]"));
                attached.problems.push(problem);
                attached.unresolved.extend(missed.unresolved);
            }
        }
    }
    let attachment = |(gateway, listeners)| Attachment { gateway, listeners };
    attached.attachments = chosen.into_iter().map(attachment).collect();
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
    fn missing(what: String) -> Self {
        Self::of(Reason::GatewayNotFound, what, "does not exist")
    }

    /// What it names is there, but none of it fits.
    fn none_fits(problem: Problem) -> Self {
        Self {
            problem,
            unresolved: None,
        }
    }

    fn of(reason: Reason, what: String, why: &str) -> Self {
        Self {
            problem: Problem::unresolved(reason, format!("{what} {why}")),
            unresolved: Some(what),
        }
    }
}

fn find<'g>(
    api: &ObjectKey,
    name: &ObjectKey,
    gateways: &'g Gateways,
    world: &World,
) -> Result<&'g GatewayDraft, NotAttached> {
    let what = format!("Gateway {name}");
    let Some(draft) = gateways.get(name) else {
        let problem = Problem::missing(Reason::GatewayNotFound, "Gateway", name.clone());
        let unresolved = Some(what);
        return Err(NotAttached {
            problem,
            unresolved,
        });
    };
    if admitted(draft).contain(&api.namespace, world) {
        Ok(draft)
    } else {
        let why = format!(
            "does not accept APIs of namespace {}: change its spec.apiNamespaces",
            api.namespace
        );
        let mut refused = NotAttached::of(Reason::NotAllowedByGateway, what, &why);
        refused.problem.missing = admitted(draft).unknown(&api.namespace, world);
        Err(refused)
    }
}

/// The namespaces whose APIs the Gateway takes.
fn admitted(draft: &GatewayDraft) -> Admitted<'_> {
    let allowed = &draft.spec.api_namespaces;
    Admitted {
        own: &draft.settings.key.namespace,
        from: allowed.from,
        selector: allowed.selector.as_ref(),
    }
}

/// A listener and its position in its Gateway.
type Numbered<'g> = (usize, &'g ListenerDraft);

/// Listeners of a Gateway that an API can use. The first condition that none of them meets
/// is reported.
fn fitting(
    draft: &GatewayDraft,
    gateway: &ObjectKey,
    listener: Option<&str>,
    spec: &WebSocketApiSpec,
) -> Result<Vec<usize>, NotAttached> {
    let named = |(_, l): &Numbered<'_>| listener.is_none_or(|name| l.name == name);
    let mut left: Vec<Numbered<'_>> = draft.listeners.iter().enumerate().filter(named).collect();
    if let ([], Some(name)) = (left.as_slice(), listener) {
        let what = format!("listener {name} of Gateway {gateway}");
        return Err(NotAttached::missing(what));
    }
    left.retain(|(_, l)| speaks(l, &spec.protocols));
    if left.is_empty() {
        let text = format!(
            "no listener of Gateway {gateway} that is asked for has a protocol of spec.protocols"
        );
        let problem = Problem::accepted(Reason::NoListener, text);
        return Err(NotAttached::none_fits(problem));
    }
    serving(left, gateway, spec).map_err(NotAttached::none_fits)
}

/// Those that serve one of the API's hosts and are in service.
fn serving(
    mut left: Vec<Numbered<'_>>,
    gateway: &ObjectKey,
    spec: &WebSocketApiSpec,
) -> Result<Vec<usize>, Problem> {
    left.retain(|(_, l)| hostnames::intersection(&l.hostnames, &spec.hostnames).is_some());
    if left.is_empty() {
        let text = format!("no listener of Gateway {gateway} serves any of spec.hostnames");
        return Err(Problem::accepted(Reason::NoMatchingHostname, text));
    }
    left.retain(|(_, l)| l.in_service);
    if left.is_empty() {
        let text = format!("the listener of Gateway {gateway} is out of service: see its status");
        return Err(Problem::unresolved(Reason::NoListener, text));
    }
    Ok(left.into_iter().map(|(position, _)| position).collect())
}

/// Does a listener speak one of these schemes?
pub(crate) fn speaks(listener: &ListenerDraft, schemes: &[UrlScheme]) -> bool {
    schemes.contains(&match listener.protocol {
        Protocol::Ws => UrlScheme::Ws,
        Protocol::Wss => UrlScheme::Wss,
    })
}
