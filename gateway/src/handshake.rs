//! One handshake from the accepted socket to the tunnel, or to the refusal.
//!
//! The order is that of `docs/architecture.md`: `receive` (PROXY header, TLS, request head), `admit`
//! (route, upgrade, limits, access), `open` (inbound policies, backend, outbound policies), the 101
//! (200 over HTTP/2). The client gets a 101 only if the backend gave one, and the backend gets the
//! client's bytes only after that. This module contains no policies: it calls the other modules in turn.

mod admit;
mod connection_info;
mod dial;
mod explain;
mod forward;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod http2;
mod open;
mod question;
mod rate;
mod receive;
mod send_refusal;
mod shared;
mod timeouts;
mod traced;
mod while_connected;

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http::HeaderValue;
use http::header::{RETRY_AFTER, SEC_WEBSOCKET_EXTENSIONS};
use prometheus::IntGauge;
use tokio::io::AsyncWriteExt;

use crate::backend::{InFlightGuard, Resolver};
use crate::configuration::snapshot::Snapshot;
use crate::connections::{Accepted, LoadGuard, Permit, SlotGuard};
use crate::counters::quota::{ByteCounts, TunnelBytes};
use crate::counters::shared_counters::Lease;
use crate::exchange::Exchange;
use crate::exchange::access;
use crate::exchange::upgrade::Key;
use crate::head::{RequestHead, put_field};
use crate::policy::count_unanswered;
use crate::refusal::{Extent, Origin, Reason, Refusal};
use crate::telemetry::metrics::{MessageLabels, Phase};
use crate::telemetry::record::{Record, TunnelRecord};
use crate::telemetry::trace::{self, TraceRequested};
use admit::{Admission, IncomingRequest, RoutedRequest};
use connection_info::ConnectionInfo;
pub(crate) use explain::Explainer;
use open::BackendAccepted;
pub use question::{InvalidQuestion, Question};
use rate::HandshakeRate;
use receive::{NotReceived, Received};
use send_refusal::BodySent;
pub(crate) use shared::Shared;
use tidegate_tunnel::close_cause::CloseCause;
use tidegate_tunnel::relay::{Meter, Relay, Tunnel, relay};
use tidegate_tunnel::session::{Reservation, Session, SessionInfo};
use tidegate_tunnel::socket;
use tidegate_tunnel::transport::Transport;

/// A draining pod already has a successor: the client can retry at once.
const RETRY_WHEN_DRAINING: HeaderValue = HeaderValue::from_static("1");

/// Long enough for the handshakes of the current second to be decided.
const RETRY_WHEN_BUSY: HeaderValue = HeaderValue::from_static("2");

/// What all connections of a gateway share.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) shared: Arc<Shared>,
    resolver: Resolver,
    rate: HandshakeRate,
}

impl Server {
    /// Create one per gateway.
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        let admin_ports = shared.services.guard.admin_ports();
        Self {
            resolver: Resolver::away_from(admin_ports),
            shared,
            rate: HandshakeRate::default(),
        }
    }
}

/// A connection in the gauge until dropped.
struct Active(IntGauge);

/// An open tunnel. Always boxed: moved by value, it would stand in the task's memory as often as it is
/// moved, for as long as the tunnel lives.
struct OpenTunnel {
    relay: Relay<Transport>,
    record: TunnelRecord,
    held: Held,
}

/// What a tunnel holds until its end.
#[expect(dead_code, reason = "held, not read")]
struct Held {
    permit: Option<Permit>,
    reservations: Vec<Reservation>,
    leases: Vec<Lease>,
    in_flight: Option<InFlightGuard>,
    /// Counts its bytes for quotas.
    tunnel_bytes: Option<TunnelBytes>,
}

impl Held {
    /// The connection carries nothing but this tunnel: an idle one need not keep its slot in memory.
    fn leave_slot(&mut self) {
        if let Some(permit) = &mut self.permit {
            permit.leave_slot();
        }
    }
}

impl OpenTunnel {
    /// Runs the tunnel to its end.
    async fn run(mut self: Box<Self>) {
        let outcome = (&mut self.relay).await;
        let Self {
            relay,
            record,
            held,
        } = *self;
        // When the peers see the connection end, it is already recorded and its permits are free.
        record.closed(&outcome);
        drop(held);
        drop(relay);
    }
}

/// What a connection has become after its first request, or instead of it.
enum Served {
    Tunnel(Box<OpenTunnel>),
    Http2(Arc<Server>, Box<http2::Connection>),
}

/// Serves one accepted connection to its end.
pub(crate) fn serve_connection(
    server: Arc<Server>,
    accepted: Accepted,
    load_guard: LoadGuard,
) -> impl Future<Output = ()> + Send {
    let active = Active::new(&server.shared.metrics.connections_active);
    // Boxed, because a handshake's state is large and must not live on in an idle tunnel's task.
    let beginning = Box::pin(begin(server, accepted));
    async move {
        let (slot, served) = beginning.await;
        match served {
            Some(Served::Tunnel(mut tunnel)) => {
                tunnel.held.leave_slot();
                drop(slot);
                tunnel.run().await;
            }
            Some(Served::Http2(server, connection)) => {
                Box::pin(http2::serve(server, *connection, load_guard.clone())).await;
                drop(slot);
            }
            None => drop(slot),
        }
        drop((active, load_guard));
    }
}

/// Reads the first request of a connection and decides it. `None`: there is no tunnel, and the record
/// says why.
async fn begin(server: Arc<Server>, accepted: Accepted) -> (SlotGuard, Option<Served>) {
    let Accepted {
        socket,
        peer,
        port,
        slot: guard,
        at,
    } = accepted;
    let slot = Arc::clone(guard.slot());
    let mut record = Record::begin(&server.shared.recorder, peer, at);
    let connection = ConnectionInfo::new(peer, port, Arc::clone(&slot));
    let received = tokio::select! {
        biased;
        received = receive::receive_request(&server, (socket, at), connection, &mut record) => received,
        () = slot.evicted() => Err(NotReceived::Closed),
    };
    let served = match received {
        Ok(Received::Request(request)) => {
            let (client, head) = *request;
            // The connection may be older than the configuration that decides its request.
            let snapshot = server.shared.snapshot.load_full();
            let tunnel = handshake(&server, &snapshot, client, head, record).await;
            tunnel.map(Served::Tunnel)
        }
        Ok(Received::Http2(mut connection)) => {
            connection.record = Some(record);
            Some(Served::Http2(server, connection))
        }
        Err(NotReceived::Closed) => {
            record.closed_without_request();
            None
        }
        Err(NotReceived::Lost(refusal)) => {
            record.refused(&refusal);
            None
        }
        Err(NotReceived::Refused(client, refusal)) => {
            record.refused(&refusal);
            send_refusal::send(client, &slot, &refusal).await;
            None
        }
    };
    (guard, served)
}

/// The client's leg, where it comes from, and its bytes behind the request head.
struct Client {
    leg: Transport,
    connection: ConnectionInfo,
    read_ahead: BytesMut,
}

/// Decides one request. `None`: there is no tunnel, and the record says why.
async fn handshake(
    server: &Server,
    snapshot: &Snapshot,
    mut client: Client,
    head: RequestHead,
    mut record: Record,
) -> Option<Box<OpenTunnel>> {
    let connection = &mut client.connection;
    let peer = connection.peer(snapshot);
    let address = snapshot.trusted_proxies.client(peer, &head.headers);
    record.request(&head, address.ip());
    let incoming = IncomingRequest {
        id: record.id().to_owned(),
        request: head,
        peer,
        address,
        tls: connection.tls.take(),
    };
    let routed = ready(server, snapshot)
        .and_then(|()| connection.port(snapshot))
        .and_then(|port| admit::route(snapshot, port, incoming))
        .and_then(|routed| {
            record.route(&routed.listener, &routed.api.metrics);
            // Before any policy, those of onError as well: what they send may be what leads back.
            snapshot.hop.check(&routed.exchange.request.headers)?;
            Ok(Box::new(routed))
        });
    match routed {
        Ok(mut routed) => {
            join_trace(snapshot, &mut routed.exchange, &mut record);
            decide(server, snapshot, routed, client, record).await
        }
        Err(refusal) => {
            record.refused(&refusal);
            let slot = &client.connection.slot;
            send_refusal::send(client.leg, slot, &refusal).await;
            None
        }
    }
}

/// Makes the handshake part of a trace, where spans go anywhere.
fn join_trace(snapshot: &Snapshot, exchange: &mut Exchange, record: &mut Record) {
    if let Some(tracer) = &snapshot.tracer {
        let headers = &mut exchange.upstream.headers;
        record.spans(tracer.begin(&exchange.request.headers, headers));
    }
}

/// Does the gateway accept new handshakes now?
fn ready(server: &Server, snapshot: &Snapshot) -> Result<(), Refusal> {
    draining(server)?;
    let limit = snapshot.settings.limits.max_handshakes_per_second;
    if !server.rate.admit(limit, unix_seconds().unsigned_abs()) {
        let message = "Too many handshakes";
        let reason = Reason::HandshakeRateExceeded;
        return Err(Refusal::new(503, reason, Origin::Gateway, message)
            .header(RETRY_AFTER, RETRY_WHEN_BUSY));
    }
    Ok(())
}

fn draining(server: &Server) -> Result<(), Refusal> {
    if server.shared.drain.is_asked() {
        let message = "Gateway is draining";
        return Err(
            Refusal::new(503, Reason::Draining, Origin::Gateway, message)
                .header(RETRY_AFTER, RETRY_WHEN_DRAINING),
        );
    }
    Ok(())
}

/// From the route to the tunnel.
async fn decide(
    server: &Server,
    snapshot: &Snapshot,
    mut routed: Box<RoutedRequest>,
    mut client: Client,
    mut record: Record,
) -> Option<Box<OpenTunnel>> {
    let mut asked = TraceRequested::No;
    let mut admission = None;
    let opened = match admit::admit(server, snapshot, &mut routed, Some(&client.connection.slot)) {
        Err(refusal) => Err(refusal),
        Ok(admitted) => {
            admission = Some(admitted);
            record.access(&routed.exchange);
            asked = trace::begin(&mut routed.exchange);
            let opening = pin!(open::open(server, &mut routed, &mut record));
            while_connected::while_connected(&mut client.leg, &mut client.read_ahead, opening)
                .await
                .unwrap_or_else(|gone| Err(gone.into()))
        }
    };
    let opened = opened.and_then(|opened| {
        let admission = admission.as_ref();
        let key_hash = admission.and_then(|admission| admission.key_hash.clone());
        Ok((opened, enter(server, snapshot, &routed, key_hash)?))
    });
    match opened {
        Ok((mut opened, session)) => {
            traced::accepted(server, &mut routed, &mut opened, asked);
            let granted = (admission?, opened, session);
            establish(server, routed, client, granted, record).await
        }
        Err(refusal) if refusal.reason == Reason::ClientGone => {
            // The handshake counts, although the client did not wait for the answer.
            let services = &server.shared.services;
            Box::pin(count_unanswered(&mut routed.exchange, services)).await;
            record.refused(&refusal);
            None
        }
        Err(refusal) => {
            // Released before the answer is sent: sending waits for the client.
            routed.exchange.evaluation.reservations.clear();
            routed.exchange.evaluation.leases.clear();
            let mut refusal = Box::pin(refuse(server, &mut routed, refusal)).await;
            // A policy may put secrets into the client's message on purpose; the log must not have them.
            let mut logged = refusal.clone();
            logged.message = routed.exchange.masked(&logged.message);
            traced::refused(server, &mut routed, &mut refusal, asked);
            record.refused(&logged);
            refuse_client(routed, client, refusal, admission).await;
            None
        }
    }
}

/// Sends the client its refusal. While a body still comes from the backend, the connection keeps its
/// permits; otherwise they are released first.
async fn refuse_client(
    routed: Box<RoutedRequest>,
    client: Client,
    refusal: Refusal,
    admission: Option<Admission>,
) {
    let Client {
        leg, connection, ..
    } = client;
    let slot = connection.slot;
    let RoutedRequest {
        api,
        exchange,
        body,
        ..
    } = *routed;
    let is_whole = refusal.extent() == Extent::Whole;
    let Some(body) = body.filter(|_| !is_whole) else {
        drop((admission, exchange));
        return send_refusal::send(leg, &slot, &refusal).await;
    };
    let passing = Box::pin(send_refusal::send_with_body(leg, &refusal, body));
    if let BodySent::Cut(why) = passing.await {
        tracing::warn!(
            api = %api.config.key,
            id = exchange.id,
            backend = exchange.upstream.target.authority(),
            why,
            "the body of a backend's refusal was cut"
        );
    }
    drop(admission);
}

/// Runs the onError policies and gives the client's answer.
async fn refuse(server: &Server, routed: &mut RoutedRequest, refusal: Refusal) -> Refusal {
    let services = &server.shared.services;
    let RoutedRequest {
        api,
        product,
        exchange,
        ..
    } = routed;
    let pipeline = api.pipeline_in(product.as_deref());
    pipeline.on_error(exchange, refusal, services).await
}

/// Registers the session, unless its access was revoked while policies and the backend were asked. The
/// session is registered before that check and before the 101, so no later revocation misses it. A tunnel
/// whose key is revoked later is closed by `Sessions::reconcile` (`tunnel/src/session/registry.rs`), which
/// `gateway::config_applier` calls with every new configuration.
fn enter(
    server: &Server,
    snapshot: &Snapshot,
    routed: &RoutedRequest,
    key_hash: Option<String>,
) -> Result<Session, Refusal> {
    let sessions = &server.shared.sessions;
    let session = sessions.register(&session_info(routed, key_hash));
    let current = server.shared.snapshot.load();
    if std::ptr::eq(&**current, snapshot) {
        return Ok(session);
    }
    match session.revoked_by(&**current) {
        None => Ok(session),
        Some(CloseCause::ApiRemoved) => Err(admit::not_found(
            "the API or its listener was removed during the handshake",
        )),
        Some(cause) => Err(
            access::revoked(&routed.api.config, routed.exchange.key_carrier())
                .detail(format!("{} during the handshake", cause.as_str())),
        ),
    }
}

/// Answers the client with the 101 and joins both legs.
async fn establish(
    server: &Server,
    mut routed: Box<RoutedRequest>,
    client: Client,
    (admission, accepted, session): (Admission, BackendAccepted, Session),
    mut record: Record,
) -> Option<Box<OpenTunnel>> {
    let Client {
        mut leg,
        read_ahead,
        ..
    } = client;
    let BackendAccepted {
        leg: backend,
        answer,
    } = accepted;
    record.phase(Phase::Outbound);
    let record = record.accepted(&answer)?;
    if accept(&mut leg, admission.key.as_ref(), &answer)
        .await
        .is_err()
    {
        record.lost();
        return None;
    }
    for socket in [leg.socket(), backend.transport.socket()]
        .into_iter()
        .flatten()
    {
        socket::allow_stall(socket, routed.api.rules.write_stall);
    }
    let (meter, tunnel_bytes) = meters(server, &mut routed, &session);
    let opening_messages = std::mem::take(&mut routed.exchange.evaluation.opening_messages);
    let tunnel = Tunnel {
        client: leg,
        backend: backend.transport,
        from_client: first_bytes(opening_messages, read_ahead),
        from_backend: backend.read_ahead,
        extensions: answer.contains_key(SEC_WEBSOCKET_EXTENSIONS),
        rules: Arc::clone(&routed.api.rules),
        session,
        meter: Some(meter),
    };
    let held = held(&mut routed, admission, (backend.in_flight, tunnel_bytes));
    Some(Box::new(OpenTunnel {
        relay: relay(tunnel),
        record,
        held,
    }))
}

/// What the tunnel holds from now on, of all that the handshake reserved.
fn held(
    routed: &mut RoutedRequest,
    admission: Admission,
    (in_flight, tunnel_bytes): (Option<InFlightGuard>, Option<TunnelBytes>),
) -> Held {
    let evaluation = &mut routed.exchange.evaluation;
    let mut reservations = admission.reservations;
    reservations.append(&mut evaluation.reservations);
    Held {
        permit: admission.permit,
        reservations,
        leases: std::mem::take(&mut evaluation.leases),
        in_flight,
        tunnel_bytes,
    }
}

/// Counts the tunnel's messages and bytes: for metrics always, for quotas if the handshake passed any.
fn meters(
    server: &Server,
    routed: &mut RoutedRequest,
    session: &Session,
) -> (Arc<dyn Meter>, Option<TunnelBytes>) {
    let Shared {
        metrics, services, ..
    } = &*server.shared;
    let meter = metrics.meter(&routed.api.metrics, || message_labels(routed));
    let byte_quotas = std::mem::take(&mut routed.exchange.evaluation.byte_quotas);
    if byte_quotas.is_empty() {
        return (meter, None);
    }
    let byte_counts: Arc<dyn ByteCounts> = Arc::clone(services) as _;
    let byte_accounting = &services.byte_accounting;
    let (entry, meter) = byte_accounting.open(byte_counts, byte_quotas, meter, session.closer());
    (meter, Some(entry))
}

/// The first bytes for the backend: the frames of onOpen, then what was read ahead of the client.
fn first_bytes(opening_messages: Vec<u8>, read_ahead: BytesMut) -> Bytes {
    if opening_messages.is_empty() {
        return read_ahead.freeze();
    }
    let mut all = opening_messages;
    all.extend_from_slice(&read_ahead);
    all.into()
}

fn message_labels(routed: &RoutedRequest) -> MessageLabels {
    let RoutedRequest { api, exchange, .. } = routed;
    let subscription = exchange.subscription.as_ref();
    MessageLabels {
        api: api.config.key.clone(),
        product: exchange.product.as_ref().map(|product| product.key.clone()),
        subscription: subscription.map(|subscription| subscription.key.clone()),
    }
}

fn session_info(routed: &RoutedRequest, key_hash: Option<String>) -> SessionInfo {
    let RoutedRequest {
        listener,
        api,
        exchange,
        ..
    } = routed;
    let subscription = exchange.subscription.as_ref();
    SessionInfo {
        api: api.config.key.clone(),
        api_generation: api.config.generation,
        listener: listener.clone(),
        product: exchange.product.as_ref().map(|product| product.key.clone()),
        subscription: subscription.map(|subscription| subscription.key.clone()),
        key_hash,
        subscription_expires_at: subscription.and_then(|subscription| subscription.expires_at),
        token_expires_at: exchange.token_expiry,
        live_access: api.config.live_access,
    }
}

/// Opens the tunnel towards the client.
async fn accept(leg: &mut Transport, key: Option<&Key>, answer: &HeaderMap) -> io::Result<()> {
    match (leg, key) {
        (Transport::Http2(stream), _) => stream.open(answer),
        (leg, Some(key)) => {
            leg.write_all(&switching_protocols(key, answer)).await?;
            leg.flush().await
        }
        (_, None) => Err(io::Error::other("a handshake without a key")),
    }
}

/// The answer that opens the tunnel (RFC 6455 §4.2.2).
fn switching_protocols(key: &Key, fields: &HeaderMap) -> Vec<u8> {
    let mut out = Vec::with_capacity(512);
    out.extend_from_slice(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Accept: ",
    );
    out.extend_from_slice(key.accept().as_bytes());
    out.extend_from_slice(b"\r\n");
    for (name, value) in fields {
        put_field(&mut out, name, value);
    }
    out.extend_from_slice(b"\r\n");
    out
}

fn unix_seconds() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

impl Active {
    fn new(gauge: &IntGauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests;
