//! Decides whether a request may go on: route, upgrade, limits, access. Nothing here waits.

use std::net::SocketAddr;
use std::sync::Arc;

use http::HeaderValue;
use http::header::RETRY_AFTER;
use jiff::Timestamp;
use tidegate_config::{TlsVersion, UrlScheme};

use super::{Server, forward, unix_seconds};
use crate::backend::BodyRest;
use crate::configuration::route::NotFound;
use crate::configuration::snapshot::{Api, Listener, Port, Product, Snapshot};
use crate::connections::{NoRoom, Permit, Slot};
use crate::exchange::key_subprotocol::take_key;
use crate::exchange::upgrade::{self, Key};
use crate::exchange::{AnswerHeaders, ClientInfo, Evaluation, Exchange, TlsInfo, Upstream};
use crate::head::{RequestHead, Version};
use crate::policy::HostHeader;
use crate::refusal::{Origin, Reason, Refusal};
use tidegate_tunnel::session::{LimitKey, LimitReached, Reservation};
use tidegate_tunnel::transport::Transport;

/// Tunnels live long: a permit is not released within a second.
const RETRY_WHEN_FULL: HeaderValue = HeaderValue::from_static("5");

/// A request with what is known of its client.
#[derive(Clone)]
pub(super) struct IncomingRequest {
    pub(super) id: String,
    pub(super) request: RequestHead,
    pub(super) peer: SocketAddr,
    /// Address of the client; of the last proxy that is not trusted, if there are proxies.
    pub(super) address: SocketAddr,
    pub(super) tls: Option<TlsInfo>,
}

/// A request that has found its API.
pub(super) struct RoutedRequest {
    pub(super) listener: String,
    pub(super) api: Arc<Api>,
    pub(super) product: Option<Arc<Product>>,
    pub(super) exchange: Exchange,
    /// The part of the backend's refusal body that has not been read.
    pub(super) body: Option<Box<BodyRest<Transport>>>,
}

/// A request that may go on.
pub(super) struct Admission {
    pub(super) key: Option<Key>,
    /// Of the subscription key that was used.
    pub(super) key_hash: Option<String>,
    /// `None` in a dry run.
    pub(super) permit: Option<Permit>,
    pub(super) reservations: Vec<Reservation>,
}

/// Finds the API.
///
/// # Errors
/// The refusal: no listener or route matches, or TLS or protocol were agreed on with another listener.
pub(super) fn route(
    snapshot: &Snapshot,
    port: &Port,
    mut incoming: IncomingRequest,
) -> Result<RoutedRequest, Refusal> {
    let listener = port.listener(&incoming.request.host);
    let listener = listener.ok_or_else(|| not_found("no listener has this host"))?;
    if matches!(incoming.request.version, Version::Http2 { .. }) && !listener.config.http2 {
        return Err(misdirected("HTTP/2 was agreed on with another listener"));
    }
    check_tls(listener, incoming.tls.as_mut())?;
    let (host, path) = (&incoming.request.host, &incoming.request.path);
    let found = listener.router.find(host, path);
    let found = found.map_err(|why| no_route(&why, listener, &incoming.request))?;
    let api = Arc::clone(found.target);
    let scheme = port.scheme();
    if !api.config.protocols.contains(&scheme) {
        let message = "Resource not found";
        return Err(Refusal::new(
            404,
            Reason::SchemeNotAllowed,
            Origin::Client,
            message,
        ));
    }
    let reserve = RouteMatch {
        scheme,
        respelled: found.respelled,
        params: found.params,
        remainder: found.remainder,
    };
    Ok(RoutedRequest {
        listener: listener.config.name.clone(),
        product: None,
        exchange: exchange(snapshot, &api, incoming, reserve),
        body: None,
        api,
    })
}

/// The route that was found.
struct RouteMatch {
    scheme: UrlScheme,
    /// The path as the route knows it, if the client wrote it differently.
    respelled: Option<String>,
    params: Vec<(String, String)>,
    /// Of the path, behind a prefix.
    remainder: String,
}

fn exchange(
    snapshot: &Snapshot,
    api: &Api,
    incoming: IncomingRequest,
    reserve: RouteMatch,
) -> Exchange {
    let IncomingRequest {
        id,
        mut request,
        peer,
        address,
        tls,
    } = incoming;
    let peer = peer.ip().to_canonical();
    let sender = forward::Sender {
        peer,
        trusted: snapshot.trusted_proxies.contains(peer),
        scheme: reserve.scheme,
    };
    let names = &api.config.subscription_key;
    let prefix = names.subprotocol.as_deref().filter(|it| !it.is_empty());
    let key_subprotocol = prefix.and_then(|prefix| take_key(&mut request.headers, prefix));
    let mut headers = forward::headers(&request, sender, names);
    snapshot.hop.mark(&mut headers);
    let query = forward::query(request.raw_query.as_deref(), names);
    let mut upstream = Upstream::new(&api.backend, query.as_deref(), &reserve.remainder, headers);
    // A template is rendered when the policies are through.
    let literal = api.host_header.as_ref().and_then(HostHeader::literal);
    upstream.host_header = literal.map(str::to_owned);
    Exchange {
        id,
        host: request.host.clone(),
        request,
        key_subprotocol,
        client: ClientInfo {
            ip: address.ip(),
            port: address.port(),
            tls,
        },
        scheme: reserve.scheme,
        respelled: reserve.respelled,
        params: reserve.params,
        gateway: snapshot.settings.key.clone(),
        api: Arc::clone(&api.config),
        product: None,
        subscription: None,
        upstream,
        answer: AnswerHeaders::default(),
        token_expiry: None,
        evaluation: Evaluation::default(),
    }
}

/// The client may have asked for another name in TLS. Then TLS may be weaker than this listener requires,
/// and the client's certificate was checked for another listener (RFC 9110 §7.4).
fn check_tls(listener: &Listener, tls: Option<&mut TlsInfo>) -> Result<(), Refusal> {
    let Some(wanted) = &listener.tls else {
        return Ok(());
    };
    let older = |tls: &TlsInfo| wanted.min_version == TlsVersion::V1_3 && tls.version != "1.3";
    if tls.as_deref().is_none_or(older) {
        return Err(misdirected(
            "TLS was agreed on with a listener that accepts an older version",
        ));
    }
    let demand = wanted.client_auth.as_ref().map(|auth| auth.demand);
    let agreed = tls.as_deref().and_then(|tls| tls.demand);
    if demand.is_some() && demand != agreed {
        return Err(misdirected(
            "TLS was agreed on with a listener that asks for other client certificates",
        ));
    }
    let shown = tls.as_deref().and_then(|tls| tls.certificate.as_deref());
    // An HTTP/2 connection can outlive the certificate that was checked when it began.
    if demand.is_some()
        && shown.is_some_and(|shown| shown.is_trusted() && Timestamp::now() > shown.not_after())
    {
        return Err(misdirected(
            "the client's certificate has expired since TLS was agreed on",
        ));
    }
    if let (None, Some(tls)) = (demand, tls) {
        // This listener has no authorities, so no certificate counts as trusted.
        tls.certificate = None;
    }
    Ok(())
}

pub(super) fn misdirected(detail: &str) -> Refusal {
    let message = "Misdirected request";
    Refusal::new(421, Reason::Misdirected, Origin::Client, message).detail(detail)
}

/// Checks the request against everything except policies, and reserves its permits.
///
/// # Errors
/// The refusal: the upgrade is not valid, the API is blocked, a limit is reached or access is denied.
pub(super) fn admit(
    server: &Server,
    snapshot: &Snapshot,
    routed: &mut RoutedRequest,
    slot: Option<&Arc<Slot>>,
) -> Result<Admission, Refusal> {
    let RoutedRequest { api, exchange, .. } = routed;
    let key = upgrade::validate(&exchange.request)?;
    if let Some(why) = snapshot.blocked.as_ref().or(api.blocked.as_ref()) {
        return Err(blocked(why));
    }
    if let Some(allowed) = &api.config.allowed_origins {
        upgrade::check_origin(&exchange.request.headers, allowed)?;
    }
    let limits = &snapshot.settings.limits;
    let connections = &server.shared.connections;
    let client = exchange.client.ip;
    let permit = if exchange.evaluation.is_dry_run() {
        connections.has_room(limits, client).map(|()| None)
    } else {
        connections.permit(slot, limits, client).map(Some)
    };
    let permit = permit.map_err(no_room)?;
    let by_api = LimitKey::Api(api.config.key.clone());
    let of_api = reserve(server, exchange, by_api, api.config.limits.max_connections);
    let mut reservations = Vec::with_capacity(2);
    reservations.extend(of_api.map_err(|_| too_many(503, "API"))?);
    let granted = snapshot
        .access
        .decide(&api.config, exchange.key_carrier(), unix_seconds())?;
    let product = granted
        .product
        .as_ref()
        .and_then(|key| snapshot.find_product(key));
    exchange.product = product.map(|product| Arc::clone(&product.config));
    routed.product = product.cloned();
    if let Some(subscription) = &granted.subscription {
        let key = LimitKey::Subscription {
            api: api.config.key.clone(),
            subscription: subscription.key.clone(),
        };
        let max = api.config.limits.max_connections_per_subscription;
        let reserve = reserve(server, exchange, key, max);
        reservations.extend(reserve.map_err(|_| too_many(429, "subscription"))?);
    }
    exchange.subscription = granted.subscription;
    if let Some(why) = product.and_then(|product| product.blocked.as_ref()) {
        return Err(blocked(why));
    }
    Ok(Admission {
        key,
        key_hash: granted.key_hash,
        permit,
        reservations,
    })
}

fn no_room(no_room: NoRoom) -> Refusal {
    match no_room {
        NoRoom::Gateway { max } => {
            Refusal::new(503, Reason::GatewayFull, Origin::Gateway, "Gateway is full")
                .header(RETRY_AFTER, RETRY_WHEN_FULL)
                .detail(LimitReached { max }.to_string())
        }
        NoRoom::Address => too_many(429, "address"),
    }
}

/// Reserves a permit until the tunnel ends. A dry run reserves nothing and gets the same answer.
fn reserve(
    server: &Server,
    exchange: &Exchange,
    key: LimitKey,
    max: Option<u32>,
) -> Result<Option<Reservation>, LimitReached> {
    let sessions = &server.shared.sessions;
    if !exchange.evaluation.is_dry_run() {
        return sessions.reserve(key, max).map(Some);
    }
    match max.filter(|max| *max > 0 && sessions.count(&key) >= *max) {
        Some(max) => Err(LimitReached { max }),
        None => Ok(None),
    }
}

fn too_many(status: u16, of: &str) -> Refusal {
    let message = format!("Too many connections for this {of}");
    Refusal::new(status, Reason::ConnectionLimit, Origin::Gateway, message)
        .header(RETRY_AFTER, RETRY_WHEN_FULL)
}

/// The log names a similar route; the client does not learn which APIs exist.
fn no_route(why: &NotFound<'_, Arc<Api>>, listener: &Listener, request: &RequestHead) -> Refusal {
    let detail = match why {
        NotFound::DotSegment => "the path has a segment . or .., perhaps encoded".to_owned(),
        NotFound::Ambiguous(other) => format!(
            "the path can be read as one of WebSocketApi {}, and is not the one of it as written: //, \
             an encoded slash, ;parameters or the like",
            other.config.key
        ),
        NotFound::NoRoute => {
            let near = listener.router.near(&request.host, &request.path);
            near.map_or_else(
                || "no API has this host and path".to_owned(),
                |near| {
                    let (api, by) = (&near.target.config, near.difference.as_str());
                    format!(
                        "no API has this host and path; that of WebSocketApi {}, {}, differs {by}",
                        api.key, api.path
                    )
                },
            )
        }
    };
    not_found(&detail)
}

/// Azure API Management's text.
pub(super) fn not_found(detail: &str) -> Refusal {
    Refusal::new(
        404,
        Reason::RouteNotFound,
        Origin::Client,
        "Resource not found",
    )
    .detail(detail)
}

/// The cause is only logged: it may reveal how access is controlled.
fn blocked(why: &str) -> Refusal {
    let message = "API is not available";
    Refusal::new(503, Reason::Blocked, Origin::Gateway, message).detail(why)
}
