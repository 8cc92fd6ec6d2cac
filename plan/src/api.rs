//! A WebSocketApi: checked by itself, then placed on its Gateways.

use std::collections::{BTreeMap, BTreeSet};

use kube::ResourceExt;
use tidegate_api::{ApiKeyNames, GatewayKeyNames, Reason, WebSocketApi, WebSocketApiSpec};
use tidegate_config::path::has_dot_segment;
use tidegate_config::policy::OnHandshake;
use tidegate_config::{ApiConfig, KeyNames, ObjectKey, PathMatch};

use crate::attach::{Attached, Attachment, Gateways, attach, speaks};
use crate::backend;
use crate::backend_url::check_backend_url;
use crate::expressions::Expressions;
use crate::gateway::{GatewayDraft, names};
use crate::index::generation_of;
use crate::last_good::{has_same_access, serving};
use crate::nested::WarningsByApi;
use crate::policies::{Policies, PolicyScope};
use crate::problem::{Problem, conditions, consequence, summary, without_repeats};
use crate::references::References;
use crate::routes::{RouteConflict, Routes};
use crate::urls;
use crate::{ApiVerdict, OnGateway, Serving, World};

/// Headers that cannot carry a subscription key: the handshake needs them.
const KEY_HEADERS_REFUSED: [&str; 2] = ["origin", "sec-websocket-protocol"];

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

/// Places one API on its Gateways and says what is to be said about it. APIs come oldest first:
/// who comes first gets the route.
pub(crate) fn place(
    key: &ObjectKey,
    api: &WebSocketApi,
    placement: &mut Placement<'_, '_>,
) -> ApiVerdict {
    let mut draft = ApiDraft::check(key, api, placement);
    let Attached {
        attachments,
        problems,
        unresolved,
    } = attach(key, &api.spec, &placement.gateways, placement.world);
    let unknown = unknown_values(&draft, &attachments, placement);
    draft.problems.extend(unknown);
    let unknown = unknown_audiences(&draft, &attachments, placement);
    draft.problems.extend(unknown);
    let mut found = Placed {
        problems: draft.problems.iter().cloned().chain(problems).collect(),
        ..Placed::default()
    };
    for attachment in &attachments {
        draft.place(attachment, placement, &mut found);
    }
    let mut conditions = conditions(generation_of(api), &found.problems);
    let worst = found.gateways.iter().map(|on| on.serving).max();
    consequence(&mut conditions, worst);
    ApiVerdict {
        conditions,
        warnings: Vec::new(),
        urls: found.urls.into_iter().collect(),
        products: placement.products_of.get(key).cloned().unwrap_or_default(),
        unresolved,
        gateways: found.gateways,
    }
}

/// Named values that the API's steps need and that nobody gives them: neither the API, nor any product
/// that holds it, nor one of its Gateways.
fn unknown_values(
    draft: &ApiDraft<'_>,
    attachments: &[Attachment],
    placement: &Placement<'_, '_>,
) -> Vec<Problem> {
    let products = placement.product_values.get(draft.key);
    let products = products.into_iter().flatten().map(String::as_str);
    let own: Vec<_> = names(&draft.api.spec.values).chain(products).collect();
    let unknown = |attachment: &Attachment| {
        let gateway = placement.gateways.get(&attachment.gateway);
        let global = gateway.map(|draft| draft.gateway.spec.values.as_slice());
        let there = own.iter().copied().chain(names(global.unwrap_or_default()));
        draft.policies.unknown_values(there)
    };
    without_repeats(attachments.iter().flat_map(unknown))
}

/// Tokens that the API's steps send, and that one of its Gateways does not have.
fn unknown_audiences(
    draft: &ApiDraft<'_>,
    attachments: &[Attachment],
    placement: &Placement<'_, '_>,
) -> Vec<Problem> {
    let unknown = |attachment: &Attachment| {
        let gateway = placement.gateways.get(&attachment.gateway);
        let there = gateway.map(|draft| draft.gateway.spec.deployment.token_audiences.as_slice());
        draft.policies.unknown_audiences(there.unwrap_or_default())
    };
    without_repeats(attachments.iter().flat_map(unknown))
}

/// Everything that placing APIs reads and changes.
pub(crate) struct Placement<'w, 'e> {
    pub(crate) world: &'w World,
    pub(crate) gateways: Gateways<'w>,
    pub(crate) references: References<'w>,
    pub(crate) expressions: &'e mut Expressions,
    pub(crate) routes: Routes,
    /// What the APIs placed so far are to be warned of.
    pub(crate) warnings: WarningsByApi,
    /// What was served before, by Gateway and API.
    pub(crate) previous: BTreeMap<ObjectKey, BTreeMap<ObjectKey, &'w ApiConfig>>,
    /// Names of the products that hold an API.
    pub(crate) products_of: BTreeMap<ObjectKey, Vec<String>>,
    /// Names of the values of the products that hold an API.
    pub(crate) product_values: BTreeMap<ObjectKey, BTreeSet<String>>,
}

/// What placing an API found out.
#[derive(Default)]
struct Placed {
    problems: Vec<Problem>,
    urls: BTreeSet<String>,
    gateways: Vec<OnGateway>,
}

impl<'a> ApiDraft<'a> {
    fn check(key: &'a ObjectKey, api: &'a WebSocketApi, placement: &mut Placement<'_, '_>) -> Self {
        let spec = &api.spec;
        let scope = PolicyScope {
            label: "api",
            namespace: &key.namespace,
            on_handshake: &spec.on_handshake,
            values: &spec.values,
        };
        let mut policies = scope.check(&mut placement.references, placement.expressions);
        let mut problems = policies.problems.clone();
        if let Some(text) = &spec.backend.host_header {
            let path = "spec.backend.hostHeader";
            problems.extend(policies.add_template(text, path, placement.expressions));
        }
        let path = path(&spec.path, spec.path_match);
        let unroutable = path.is_some();
        problems.extend(path);
        problems.extend(key_header(spec.subscription_key.header.as_deref()));
        problems.extend(key_subprotocol(spec));
        problems.extend(backend::check_refs(&policies, &spec.backend));
        let references = &mut placement.references;
        problems.extend(backend::check(&key.namespace, &spec.backend, references));
        Self {
            key,
            api,
            policies,
            problems,
            unroutable,
        }
    }

    /// Places the API on one Gateway: its latest version, or the last one that worked, or a block.
    fn place(
        &self,
        attachment: &Attachment,
        placement: &mut Placement<'_, '_>,
        found: &mut Placed,
    ) {
        let Some(gateway) = placement.gateways.get_mut(&attachment.gateway) else {
            return;
        };
        let previous = placement.previous.get(&attachment.gateway);
        let previous = previous.and_then(|apis| apis.get(self.key)).copied();
        let candidates = self.candidates(gateway, previous);
        let mut conflicts = Vec::new();
        for (serving, mut config) in candidates {
            let stays = previous.is_some_and(|previous| has_same_routes(previous, &config));
            let place = (&*gateway, attachment, stays);
            let taken = take(&mut config, place, &mut placement.routes, found);
            conflicts.extend(taken);
            if config.listeners.is_empty() {
                continue;
            }
            let serving = block_with_gateway(&mut config, gateway, serving);
            for listener in &mut gateway.listeners {
                listener.attached += u32::from(config.listeners.contains(&listener.name));
            }
            gateway.apis.insert(self.key.clone(), config);
            let gateway = attachment.gateway.clone();
            found.gateways.push(OnGateway { gateway, serving });
            break;
        }
        for taken in &conflicts {
            self.tell_holder(taken, &mut placement.warnings);
            let problem = conflict(taken, &self.api.spec.path);
            if !found.problems.contains(&problem) {
                found.problems.push(problem);
            }
        }
    }

    /// Whoever has a route learns that another namespace wants it.
    fn tell_holder(&self, taken: &RouteConflict, warnings: &mut WarningsByApi) {
        if taken.by.namespace != self.key.namespace {
            let text = format!(
                "WebSocketApi {} asks for {} on listener {}, which overlaps the route of this API, and is refused",
                self.key, self.api.spec.path, taken.listener
            );
            warnings.entry(taken.by.clone()).or_default().add(text);
        }
    }

    /// What may be served, the best first: when its route is taken, the next one is tried.
    fn candidates(
        &self,
        gateway: &GatewayDraft<'_>,
        previous: Option<&ApiConfig>,
    ) -> Vec<(Serving, ApiConfig)> {
        let latest = self.config(gateway);
        let worked = previous.filter(|previous| previous.blocked.is_none());
        let same = worked.map(|worked| has_same_access(worked, &latest));
        let last_good = worked
            .filter(|_| same == Some(true))
            .map(|worked| (Serving::LastGood, worked.clone()));
        match serving(&self.problems, same) {
            Serving::Current => std::iter::once((Serving::Current, latest))
                .chain(last_good)
                .collect(),
            Serving::LastGood => last_good.into_iter().collect(),
            Serving::Blocked if self.unroutable && previous.is_none() => Vec::new(),
            Serving::Blocked => vec![(Serving::Blocked, self.blocked(latest, previous))],
        }
    }

    /// The latest version.
    fn config(&self, gateway: &GatewayDraft<'_>) -> ApiConfig {
        let spec = &self.api.spec;
        let defaults = &gateway.gateway.spec;
        let display_name = spec.display_name.clone();
        ApiConfig {
            key: self.key.clone(),
            generation: generation_of(self.api),
            display_name: display_name.unwrap_or_else(|| self.api.name_any()),
            listeners: Vec::new(),
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
fn has_same_routes(a: &ApiConfig, b: &ApiConfig) -> bool {
    a.hostnames == b.hostnames && a.path == b.path && a.path_match == b.path_match
}

/// Takes the routes of a version on every listener that it may use, and notes its URLs. `stays`: the
/// version served before had the same.
fn take(
    config: &mut ApiConfig,
    (gateway, attachment, stays): (&GatewayDraft<'_>, &Attachment, bool),
    routes: &mut Routes,
    found: &mut Placed,
) -> Vec<RouteConflict> {
    config.listeners.clear();
    let mut conflicts = Vec::new();
    for position in &attachment.listeners {
        let listener = &gateway.listeners[*position];
        if !speaks(listener, &config.protocols) {
            continue;
        }
        match routes.take(gateway, listener, config, stays) {
            Ok(None) => {}
            Ok(Some(hosts)) => {
                config.listeners.push(listener.name.clone());
                let url = |host: &String| urls::url(gateway.gateway, listener, host, &config.path);
                found.urls.extend(hosts.iter().map(url));
            }
            Err(taken) => conflicts.push(taken),
        }
    }
    conflicts
}

/// Nobody passes an API that inherits policies that are broken.
fn block_with_gateway(
    config: &mut ApiConfig,
    gateway: &GatewayDraft<'_>,
    serving: Serving,
) -> Serving {
    match &gateway.blocked {
        Some(why) if config.blocked.is_none() && config.on_handshake.inherit => {
            let key = &gateway.settings.key;
            config.blocked = Some(format!("the policies of Gateway {key} are broken: {why}"));
            Serving::Blocked
        }
        _ => serving,
    }
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
