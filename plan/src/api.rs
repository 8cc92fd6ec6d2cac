//! A WebSocketApi: checked by itself, then placed on its Gateways.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kube::ResourceExt;
use tidegate_api::{ApiKeyNames, GatewayKeyNames, Reason, WebSocketApi, WebSocketApiSpec};
use tidegate_config::path::has_dot_segment;
use tidegate_config::policy::OnHandshake;
use tidegate_config::{ApiConfig, KeyNames, ObjectKey, PathMatch};

use crate::attach::{Attached, Attachment, attach};
use crate::backend;
use crate::backend_url::check_backend_url;
use crate::expressions::Expressions;
use crate::gateway::{GatewayDraft, Gateways, names};
use crate::index::generation_of;
use crate::last_good::{has_same_access, serving};
use crate::policies::{Policies, PolicyScope};
use crate::problem::{Problem, conditions, consequence, summary, without_repeats};
use crate::references::References;
use crate::routes::RouteConflict;
use crate::{ApiVerdict, OnGateway, Serving, World};

/// Headers that cannot carry a subscription key: the handshake needs them.
const KEY_HEADERS_REFUSED: [&str; 2] = ["origin", "sec-websocket-protocol"];

/// What APIs are prepared by.
pub(crate) struct ApiContext<'c> {
    pub(crate) world: &'c World,
    pub(crate) gateways: &'c Gateways,
    /// Names of the products that hold the API.
    pub(crate) products: &'c BTreeSet<String>,
}

/// An API as it may be placed on its Gateways.
#[derive(Debug)]
pub(crate) struct Prepared {
    /// Everything that is wrong with it but conflicts.
    problems: Vec<Problem>,
    unresolved: Vec<String>,
    /// One for each Gateway with a listener that fits.
    pub(crate) wishes: Vec<Wish>,
    /// Would another version served before change the outcome?
    pub(crate) uses_previous: bool,
}

/// What an API wants on one Gateway.
#[derive(Debug)]
pub(crate) struct Wish {
    pub(crate) gateway: ObjectKey,
    /// Positions of listeners that fit.
    pub(crate) listeners: BTreeSet<usize>,
    /// What may be served, the best first: when its route is taken, the next one is tried.
    pub(crate) candidates: Vec<Candidate>,
}

/// A version that may be served.
#[derive(Clone, Debug)]
pub(crate) struct Candidate {
    pub(crate) serving: Serving,
    pub(crate) config: Arc<ApiConfig>,
}

/// Which candidate an API serves on one Gateway.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    /// Position of the candidate; `None`: none has a route.
    pub(crate) candidate: Option<usize>,
    pub(crate) listeners: Vec<String>,
    pub(crate) urls: Vec<String>,
    pub(crate) conflicts: Vec<RouteConflict>,
}

/// Checks an API and finds out what it may serve on its Gateways.
pub(crate) fn prepare(
    key: &ObjectKey,
    api: &WebSocketApi,
    context: &ApiContext<'_>,
    references: &mut References<'_>,
    expressions: &mut Expressions,
) -> Prepared {
    let mut draft = ApiDraft::check(key, api, references, expressions);
    let Attached {
        attachments,
        problems,
        unresolved,
    } = attach(key, &api.spec, context.gateways, context.world);
    let unknown = unknown_values(&draft, &attachments, context);
    draft.problems.extend(unknown);
    let unknown = unknown_audiences(&draft, &attachments, context);
    draft.problems.extend(unknown);
    let mut uses_previous = !draft.problems.is_empty();
    let mut wishes = Vec::with_capacity(attachments.len());
    for Attachment { gateway, listeners } in attachments {
        let Some(on) = context.gateways.get(&gateway) else {
            continue;
        };
        let previous = context.world.previous.get(&gateway);
        let previous = previous.and_then(|previous| previous.api(key));
        let latest = draft.config(on, &listeners);
        uses_previous |= previous.is_some_and(|previous| !has_same_routes(previous, &latest));
        let candidates = draft.candidates(latest, previous);
        wishes.push(Wish {
            gateway,
            listeners,
            candidates,
        });
    }
    Prepared {
        problems: draft.problems.into_iter().chain(problems).collect(),
        unresolved,
        wishes,
        uses_previous,
    }
}

/// Named values that the API's steps need and that nobody gives them: neither the API, nor any product
/// that holds it, nor one of its Gateways.
fn unknown_values(
    draft: &ApiDraft<'_>,
    attachments: &[Attachment],
    context: &ApiContext<'_>,
) -> Vec<Problem> {
    let product = |name| ObjectKey::new(&draft.key.namespace, name);
    let products = context.products.iter().map(product);
    let products = products.filter_map(|key| context.world.products.get(&key));
    let products = products.flat_map(|product| names(&product.spec.values));
    let own: Vec<_> = names(&draft.api.spec.values).chain(products).collect();
    let unknown = |attachment: &Attachment| {
        let gateway = context.gateways.get(&attachment.gateway);
        let global = gateway.map(|draft| draft.spec.values.as_slice());
        let there = own.iter().copied().chain(names(global.unwrap_or_default()));
        draft.policies.unknown_values(there)
    };
    without_repeats(attachments.iter().flat_map(unknown))
}

/// Tokens that the API's steps send, and that one of its Gateways does not have.
fn unknown_audiences(
    draft: &ApiDraft<'_>,
    attachments: &[Attachment],
    context: &ApiContext<'_>,
) -> Vec<Problem> {
    let unknown = |attachment: &Attachment| {
        let gateway = context.gateways.get(&attachment.gateway);
        let there = gateway.map(|draft| draft.spec.deployment.token_audiences.as_slice());
        draft.policies.unknown_audiences(there.unwrap_or_default())
    };
    without_repeats(attachments.iter().flat_map(unknown))
}

impl Wish {
    /// What is served in a place; `None` when nothing is.
    pub(crate) fn settle(&self, place: &Place, gateway: &GatewayDraft) -> Option<Candidate> {
        let chosen = self.candidates.get(place.candidate?)?;
        let mut settled = chosen.clone();
        if chosen.config.listeners != place.listeners {
            let config = Arc::make_mut(&mut settled.config);
            config.listeners.clone_from(&place.listeners);
        }
        let config = &settled.config;
        if let Some(why) = &gateway.blocked
            && config.blocked.is_none()
            && config.on_handshake.inherit
        {
            // Nobody passes an API that inherits policies that are broken.
            let key = &self.gateway;
            let text = format!("the policies of Gateway {key} are broken: {why}");
            Arc::make_mut(&mut settled.config).blocked = Some(text);
            settled.serving = Serving::Blocked;
        }
        Some(settled)
    }
}

/// What is to be said about an API that is in these places, and serves this.
pub(crate) fn verdict(
    api: &WebSocketApi,
    prepared: &Prepared,
    places: &[&Place],
    gateways: Vec<OnGateway>,
) -> ApiVerdict {
    let mut problems = prepared.problems.clone();
    for taken in places.iter().flat_map(|place| &place.conflicts) {
        let problem = conflict(taken, &api.spec.path);
        if !problems.contains(&problem) {
            problems.push(problem);
        }
    }
    let mut conditions = conditions(generation_of(api), &problems);
    consequence(&mut conditions, gateways.iter().map(|on| on.serving).max());
    let urls: BTreeSet<_> = places.iter().flat_map(|place| &place.urls).collect();
    ApiVerdict {
        conditions,
        warnings: Vec::new(),
        urls: urls.into_iter().cloned().collect(),
        products: Vec::new(),
        unresolved: prepared.unresolved.clone(),
        gateways,
    }
}

/// An API, checked by itself.
struct ApiDraft<'a> {
    key: &'a ObjectKey,
    api: &'a WebSocketApi,
    policies: Policies,
    /// Everything that is wrong with it, whatever the Gateway.
    problems: Vec<Problem>,
    /// Can nobody say which requests it is for?
    unroutable: bool,
}

impl<'a> ApiDraft<'a> {
    fn check(
        key: &'a ObjectKey,
        api: &'a WebSocketApi,
        references: &mut References<'_>,
        expressions: &mut Expressions,
    ) -> Self {
        let spec = &api.spec;
        let scope = PolicyScope {
            label: "api",
            namespace: &key.namespace,
            on_handshake: &spec.on_handshake,
            values: &spec.values,
        };
        let mut policies = scope.check(references, expressions);
        let mut problems = policies.problems.clone();
        if let Some(text) = &spec.backend.host_header {
            let path = "spec.backend.hostHeader";
            problems.extend(policies.add_template(text, path, expressions));
        }
        let path = path(&spec.path, spec.path_match);
        let unroutable = path.is_some();
        problems.extend(path);
        problems.extend(key_header(spec.subscription_key.header.as_deref()));
        problems.extend(key_subprotocol(spec));
        problems.extend(backend::check_refs(&policies, &spec.backend));
        problems.extend(backend::check(&key.namespace, &spec.backend, references));
        Self {
            key,
            api,
            policies,
            problems,
            unroutable,
        }
    }

    /// What may be served, the best first.
    fn candidates(&self, latest: ApiConfig, previous: Option<&Arc<ApiConfig>>) -> Vec<Candidate> {
        let worked = previous.filter(|previous| previous.blocked.is_none());
        let same = worked.map(|worked| has_same_access(worked, &latest));
        let last_good = worked.filter(|_| same == Some(true)).cloned();
        let candidate = |serving, config| Candidate { serving, config };
        let last_good = last_good.map(|config| candidate(Serving::LastGood, config));
        match serving(&self.problems, same) {
            Serving::Current => {
                // With the same routes it would get no more of them.
                let last_good = last_good.filter(|it| !has_same_routes(&it.config, &latest));
                let latest = candidate(Serving::Current, Arc::new(latest));
                std::iter::once(latest).chain(last_good).collect()
            }
            Serving::LastGood => last_good.into_iter().collect(),
            Serving::Blocked if self.unroutable && previous.is_none() => Vec::new(),
            Serving::Blocked => {
                let blocked = self.blocked(latest, previous.map(AsRef::as_ref));
                vec![candidate(Serving::Blocked, Arc::new(blocked))]
            }
        }
    }

    /// The latest version.
    fn config(&self, gateway: &GatewayDraft, listeners: &BTreeSet<usize>) -> ApiConfig {
        let spec = &self.api.spec;
        let defaults = &gateway.spec;
        let fitting = listeners.iter().map(|at| &gateway.listeners[*at]);
        let display_name = spec.display_name.clone();
        ApiConfig {
            key: self.key.clone(),
            generation: generation_of(self.api),
            display_name: display_name.unwrap_or_else(|| self.api.name_any()),
            listeners: fitting.map(|listener| listener.name.clone()).collect(),
            hostnames: spec.hostnames.clone(),
            path: spec.path.clone(),
            path_match: spec.path_match,
            protocols: spec.protocols.clone(),
            backend_url: backend::first_url(&spec.backend).to_owned(),
            backend_pool: spec.backend.pool.clone().unwrap_or_default(),
            circuit_breaker: spec.backend.circuit_breaker.clone(),
            failover: spec.backend.failover.clone(),
            health_check: spec.backend.health_check.clone(),
            backend_proxy: spec.backend.proxy.clone(),
            host_header: spec.backend.host_header.clone(),
            backend_tls: spec.backend.tls.clone().unwrap_or_default(),
            subscription_required: spec.subscription_required,
            subscription_key: key_names(&spec.subscription_key, &defaults.subscription_key),
            on_handshake: self.policies.on_handshake.clone(),
            allowed_origins: spec.allowed_origins.clone(),
            subprotocols: spec.subprotocols.clone(),
            limits: spec.limits.or(defaults.limits.api_defaults()),
            timeouts: spec.timeouts.or(defaults.timeouts.api_defaults()),
            live_access: spec.live_access,
            on_change: spec.on_change,
            values: self.policies.values.clone(),
            blocked: None,
        }
    }

    /// Keeps the route and refuses everybody there. What cannot be read is not passed on; live
    /// tunnels are as before.
    fn blocked(&self, latest: ApiConfig, previous: Option<&ApiConfig>) -> ApiConfig {
        let mut config = ApiConfig {
            on_handshake: OnHandshake::default(),
            values: BTreeMap::new(),
            backend_tls: tidegate_config::BackendTls::default(),
            // Nobody is let through to it, and it may be what is wrong.
            backend_pool: Vec::new(),
            failover: None,
            health_check: None,
            backend_proxy: None,
            host_header: None,
            blocked: Some(summary(&self.problems.iter().collect::<Vec<_>>())),
            ..latest
        };
        if let (true, Some(previous)) = (self.unroutable, previous) {
            config.path.clone_from(&previous.path);
            config.path_match = previous.path_match;
        }
        if check_backend_url(&config.backend_url).is_err() {
            // Nobody is let through to it; it must merely be a URL.
            "ws://blocked.invalid/".clone_into(&mut config.backend_url);
        }
        config
    }
}

/// Where clients put their key: as the API says, or as its Gateway does.
fn key_names(own: &ApiKeyNames, defaults: &GatewayKeyNames) -> KeyNames {
    let header = own.header.as_ref().unwrap_or(&defaults.header);
    let query = own.query.as_ref().unwrap_or(&defaults.query);
    let subprotocol = own.subprotocol.as_ref().or(defaults.subprotocol.as_ref());
    KeyNames {
        header: header.clone(),
        query: query.clone(),
        subprotocol: subprotocol.cloned(),
        keep: own.keep,
    }
}

/// Does a version match the requests that another one does?
pub(crate) fn has_same_routes(a: &ApiConfig, b: &ApiConfig) -> bool {
    a.hostnames == b.hostnames && a.path == b.path && a.path_match == b.path_match
}

fn conflict(taken: &RouteConflict, path: &str) -> Problem {
    let RouteConflict {
        by,
        listener,
        host,
        overlaps,
    } = taken;
    let is_any = host == crate::hostnames::ANY;
    let host = if is_any { "every host" } else { host };
    let text = match overlaps {
        false => format!(
            "WebSocketApi {by} was first and has the route of {path} for {host} on listener {listener}: \
             use another path or host"
        ),
        true => format!(
            "WebSocketApi {by} of another namespace was first, and {path} for {host} on listener \
             {listener} overlaps its route: use another path or host, or let the Gateway allow it \
             (spec.apiNamespaces.overlappingRoutes)"
        ),
    };
    Problem::accepted(Reason::Conflict, text).at("spec.path")
}

/// Names in a template must differ.
fn path(path: &str, path_match: PathMatch) -> Option<Problem> {
    if !path.starts_with('/') {
        return Some(Problem::invalid("must begin with a slash").at("spec.path"));
    }
    if has_dot_segment(path) {
        let text = "has a segment . or .. (perhaps encoded), which no request can reach";
        return Some(Problem::invalid(text).at("spec.path"));
    }
    let mut names = BTreeSet::new();
    let parameters = path.split('/').filter(|segment| segment.starts_with('{'));
    let twice = parameters.into_iter().find(|name| !names.insert(*name))?;
    let text = format!("{twice} occurs twice");
    (path_match == PathMatch::Template).then(|| Problem::invalid(text).at("spec.path"))
}

fn key_header(name: Option<&str>) -> Option<Problem> {
    let name = name?;
    let refused = KEY_HEADERS_REFUSED
        .iter()
        .any(|refused| refused.eq_ignore_ascii_case(name));
    if !refused && !tidegate_config::policy::is_restricted_header(name) {
        return None;
    }
    let text = format!("{name} belongs to the handshake and cannot carry a key");
    let problem = Problem::invalid(text).at("spec.subscriptionKey.header");
    Some(problem.concerning_access(true))
}

/// A subprotocol that carries a key cannot be one that the backend knows.
fn key_subprotocol(spec: &WebSocketApiSpec) -> Option<Problem> {
    let prefix = spec.subscription_key.subprotocol.as_deref()?;
    let allowed = spec.subprotocols.iter().flatten();
    let taken = allowed.into_iter().find(|name| name.starts_with(prefix))?;
    let text = format!(
        "the subprotocol {taken} of spec.subprotocols begins with {prefix} and would be taken for a key"
    );
    let problem = Problem::invalid(text).at("spec.subscriptionKey.subprotocol");
    Some(problem.concerning_access(true))
}
