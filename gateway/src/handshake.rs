//! One handshake from the accepted socket to the tunnel, or to the refusal.
//!
//! The order is that of `docs/architecture.md`: `arrive` (PROXY header, TLS, request head), `admit`
//! (route, upgrade, limits, access), `open` (inbound policies, backend, outbound policies), the 101
//! (200 over HTTP/2). The client gets none that the backend did not give, and the backend no byte of
//! the client's before that. This module holds no policy of its own: it asks the others in turn.

mod admit;
mod arrive;
mod explain;
mod farewell;
mod forward;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod http2;
mod open;
mod question;
mod rate;
mod reach;
mod shared;
mod source;
mod stay;
mod traced;

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

use crate::backend::{Resolver, Seat};
use crate::configuration::snapshot::Snapshot;
use crate::connections::{Accepted, Carried, Permit, Slot};
use crate::counters::quota::{Book, Metering};
use crate::counters::shared_counters::Lease;
use crate::exchange::Exchange;
use crate::exchange::access;
use crate::exchange::upgrade::Key;
use crate::head::put_field;
use crate::policy::count_unanswered;
use crate::refusal::{Extent, Origin, Reason, Refusal};
use crate::telemetry::metrics::{Phase, Whose};
use crate::telemetry::record::{Record, TunnelRecord};
use crate::telemetry::trace::{self, Asked};
use admit::{Admission, Visit};
use arrive::{Arrival, Arrived, Coming, Departure};
pub(crate) use explain::Explainer;
use farewell::Passed;
use open::Opened;
pub use question::{InvalidQuestion, Question};
use rate::HandshakeRate;
pub(crate) use shared::Shared;
use tidegate_tunnel::close_cause::CloseCause;
use tidegate_tunnel::relay::{Meter, Relay, Tunnel, relay};
use tidegate_tunnel::session::{Reservation, Session, SessionInfo};
use tidegate_tunnel::socket;
use tidegate_tunnel::transport::Transport;

/// A pod that drains has a successor already: come back at once.
const RETRY_WHEN_DRAINING: HeaderValue = HeaderValue::from_static("1");

/// Long enough for the current second's handshakes to be through.
const RETRY_WHEN_BUSY: HeaderValue = HeaderValue::from_static("2");

/// What all connections of a gateway share.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) shared: Arc<Shared>,
    resolver: Resolver,
    rate: HandshakeRate,
}

impl Server {
    /// To be made once per gateway.
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

/// An accepted handshake. Always boxed: moved by value, it would stand in the task's memory as often
/// as it is moved, for as long as the tunnel lives.
struct Established {
    relay: Relay<Transport>,
    record: TunnelRecord,
    /// Held until the tunnel ends.
    permit: Option<Permit>,
    places: Vec<Reservation>,
    leases: Vec<Lease>,
    seat: Option<Seat>,
    /// Books its bytes until it ends.
    metering: Option<Metering>,
}

impl Established {
    /// Carries the tunnel to its end.
    async fn run(mut self: Box<Self>) {
        let outcome = (&mut self.relay).await;
        let Self {
            relay,
            record,
            permit,
            places,
            leases,
            seat,
            metering,
        } = *self;
        // Whoever sees the end of the connection finds everything told and free.
        record.closed(&outcome);
        drop((permit, places, leases, seat, metering));
        drop(relay);
    }
}

/// What a connection has become.
enum Guest {
    Tunnel(Box<Established>),
    Http2(Arc<Server>, Box<http2::Connection>),
}

/// Carries one connection to its end.
pub(crate) fn serve(
    server: Arc<Server>,
    accepted: Accepted,
    carried: Carried,
) -> impl Future<Output = ()> + Send {
    let active = Active::new(&server.shared.metrics.connections_active);
    let Accepted {
        socket,
        peer,
        port,
        slot: guard,
        at,
    } = accepted;
    let coming = Coming {
        socket,
        peer,
        port,
        at,
        slot: Arc::clone(guard.slot()),
    };
    // Boxed, because a handshake's state is large and must not live on in an idle tunnel's task.
    let greeting = Box::pin(greet(server, coming));
    async move {
        match greeting.await {
            Some(Guest::Tunnel(established)) => {
                drop(guard);
                established.run().await;
            }
            Some(Guest::Http2(server, connection)) => {
                Box::pin(http2::serve(server, *connection, carried.clone())).await;
                drop(guard);
            }
            None => drop(guard),
        }
        drop((active, carried));
    }
}

/// The beginning of a connection: `None` when nothing comes of it, which the record has told then.
async fn greet(server: Arc<Server>, coming: Coming) -> Option<Guest> {
    let mut record = Record::begin(&server.shared.recorder, coming.peer, coming.at);
    let slot = Arc::clone(&coming.slot);
    let arrived = tokio::select! {
        biased;
        arrived = arrive::arrive(&server, coming, &mut record) => arrived,
        () = slot.evicted() => Err(Departure::Unheard),
    };
    let refused = match arrived {
        Ok(Arrived::Request(arrival)) => {
            // Whoever was accepted under an older configuration has no right to it.
            let snapshot = server.shared.snapshot.load_full();
            let established = shake(&server, &snapshot, *arrival, record).await;
            return established.map(Guest::Tunnel);
        }
        Ok(Arrived::Http2(mut connection)) => {
            connection.record = Some(record);
            return Some(Guest::Http2(server, connection));
        }
        Err(refused) => refused,
    };
    match refused {
        Departure::Unheard => record.unheard(),
        Departure::Lost(refusal) => record.refused(&refusal),
        Departure::Refused(client, refusal) => {
            record.refused(&refusal);
            farewell::answer(client, &slot, &refusal).await;
        }
    }
    None
}

/// The handshake: `None` when there is no tunnel, which the record has told then.
async fn shake(
    server: &Server,
    snapshot: &Snapshot,
    arrival: Arrival,
    mut record: Record,
) -> Option<Box<Established>> {
    let Arrival {
        client,
        source,
        request,
        rest,
    } = arrival;
    let peer = source.peer(snapshot);
    let address = snapshot.trusted_proxies.client(peer, &request.headers);
    record.request(&request, address.ip());
    let slot = Arc::clone(&source.slot);
    let routed = ready(server, snapshot).and_then(|()| {
        let port = source.port(snapshot)?;
        let visitor = admit::Visitor {
            id: record.id().to_owned(),
            request,
            peer,
            address,
            tls: source.tls,
        };
        admit::route(snapshot, port, visitor)
    });
    let visit = routed.and_then(|visit| {
        record.route(&visit.listener, &visit.api.metrics);
        // Before any policy, those of onError as well: what they send may be what leads back.
        snapshot.hop.check(&visit.exchange.request.headers)?;
        Ok(Box::new(visit))
    });
    let mut visit = match visit {
        Ok(visit) => visit,
        Err(refusal) => {
            record.refused(&refusal);
            farewell::answer(client, &slot, &refusal).await;
            return None;
        }
    };
    join_trace(snapshot, &mut visit.exchange, &mut record);
    let client = Client {
        leg: client,
        early: BytesMut::from(rest),
        slot,
    };
    decide(server, snapshot, visit, client, record).await
}

/// Makes the handshake part of a trace, where spans go anywhere.
fn join_trace(snapshot: &Snapshot, exchange: &mut Exchange, record: &mut Record) {
    if let Some(tracer) = &snapshot.tracer {
        let headers = &mut exchange.upstream.headers;
        record.spans(tracer.begin(&exchange.request.headers, headers));
    }
}

/// Does the gateway take on handshakes at all right now?
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

/// The client's leg, and what came over it ahead of time.
struct Client {
    leg: Transport,
    early: BytesMut,
    slot: Arc<Slot>,
}

/// From the route to the tunnel.
async fn decide(
    server: &Server,
    snapshot: &Snapshot,
    mut visit: Box<Visit>,
    mut client: Client,
    mut record: Record,
) -> Option<Box<Established>> {
    let mut asked = Asked::No;
    let mut admission = None;
    let opened = match admit::admit(server, snapshot, &mut visit, Some(&client.slot)) {
        Err(refusal) => Err(refusal),
        Ok(admitted) => {
            admission = Some(admitted);
            record.access(&visit.exchange);
            asked = trace::begin(&mut visit.exchange);
            let opening = pin!(open::open(server, &mut visit, &mut record));
            stay::while_connected(&mut client.leg, &mut client.early, opening)
                .await
                .unwrap_or_else(|gone| Err(gone.into()))
        }
    };
    let opened = opened.and_then(|opened| {
        let admission = admission.as_ref();
        let key_hash = admission.and_then(|admission| admission.key_hash.clone());
        Ok((opened, enter(server, snapshot, &visit, key_hash)?))
    });
    match opened {
        Ok((mut opened, session)) => {
            traced::accepted(server, &mut visit, &mut opened, asked);
            let granted = (admission?, opened, session);
            establish(server, visit, client, granted, record).await
        }
        Err(refusal) if refusal.reason == Reason::ClientGone => {
            // Who does not wait for the answer has asked all the same.
            let services = &server.shared.services;
            Box::pin(count_unanswered(&mut visit.exchange, services)).await;
            record.refused(&refusal);
            None
        }
        Err(refusal) => {
            // Free before the farewell, which waits for the client.
            visit.exchange.evaluation.places.clear();
            visit.exchange.evaluation.leases.clear();
            let mut refusal = Box::pin(refuse(server, &mut visit, refusal)).await;
            // What a policy tells the client on purpose need not stand in the log.
            let mut logged = refusal.clone();
            logged.message = visit.exchange.masked(&logged.message);
            traced::refused(server, &mut visit, &mut refusal, asked);
            record.refused(&logged);
            farewell(visit, client, refusal, admission).await;
            None
        }
    }
}

/// Gives the client its refusal. A body that still comes from the backend is a connection like
/// others, and keeps its places; anybody else's are free at once.
async fn farewell(
    visit: Box<Visit>,
    client: Client,
    refusal: Refusal,
    admission: Option<Admission>,
) {
    let Client { leg, slot, .. } = client;
    let Visit {
        api,
        exchange,
        body,
        ..
    } = *visit;
    let is_whole = refusal.extent() == Extent::Whole;
    let Some(body) = body.filter(|_| !is_whole) else {
        drop((admission, exchange));
        return farewell::answer(leg, &slot, &refusal).await;
    };
    let passing = Box::pin(farewell::answer_with(leg, &refusal, body));
    if let Passed::Cut(why) = passing.await {
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

/// What the client is answered, with what onError makes of it.
async fn refuse(server: &Server, visit: &mut Visit, refusal: Refusal) -> Refusal {
    let services = &server.shared.services;
    let Visit {
        api,
        product,
        exchange,
        ..
    } = visit;
    let pipeline = api.pipeline_in(product.as_deref());
    pipeline.on_error(exchange, refusal, services).await
}

/// Enters the tunnel, unless its access was revoked while policies and the backend were asked. Entered
/// before that is looked at, and before the answer: whatever is said to tunnels from now on reaches it.
fn enter(
    server: &Server,
    snapshot: &Snapshot,
    visit: &Visit,
    key_hash: Option<String>,
) -> Result<Session, Refusal> {
    let sessions = &server.shared.sessions;
    let session = sessions.register(&session_info(visit, key_hash));
    let current = server.shared.snapshot.load();
    if std::ptr::eq(&**current, snapshot) {
        return Ok(session);
    }
    match session.revoked_by(&**current) {
        None => Ok(session),
        Some(CloseCause::ApiRemoved) => Err(admit::not_found(
            "the API or its listener was removed during the handshake",
        )),
        Some(cause) => Err(access::revoked(&visit.api.config, &visit.exchange.request)
            .detail(format!("{} during the handshake", cause.as_str()))),
    }
}

/// Answers the client.
async fn establish(
    server: &Server,
    mut visit: Box<Visit>,
    client: Client,
    (admission, opened, session): (Admission, Opened, Session),
    mut record: Record,
) -> Option<Box<Established>> {
    let Client { mut leg, early, .. } = client;
    let Opened {
        backend,
        rest,
        answer,
        seat,
    } = opened;
    let Admission {
        key,
        permit,
        mut places,
        ..
    } = admission;
    places.append(&mut visit.exchange.evaluation.places);
    record.phase(Phase::Outbound);
    let record = record.accepted(&answer)?;
    if accept(&mut leg, key.as_ref(), &answer).await.is_err() {
        record.lost();
        return None;
    }
    for socket in [leg.socket(), backend.socket()].into_iter().flatten() {
        socket::allow_stall(socket, visit.api.rules.write_stall);
    }
    let (meter, metering) = meters(server, &mut visit, &session);
    let tunnel = Tunnel {
        client: leg,
        backend,
        from_client: behind(
            std::mem::take(&mut visit.exchange.evaluation.greeting),
            early,
        ),
        from_backend: rest,
        extensions: answer.contains_key(SEC_WEBSOCKET_EXTENSIONS),
        rules: Arc::clone(&visit.api.rules),
        session,
        meter: Some(meter),
    };
    Some(Box::new(Established {
        relay: relay(tunnel),
        record,
        permit,
        places,
        leases: std::mem::take(&mut visit.exchange.evaluation.leases),
        seat,
        metering,
    }))
}

/// Where the tunnel counts: for metrics always, for quotas where there are any.
fn meters(
    server: &Server,
    visit: &mut Visit,
    session: &Session,
) -> (Arc<dyn Meter>, Option<Metering>) {
    let Shared {
        metrics, services, ..
    } = &*server.shared;
    let meter = metrics.meter(&visit.api.metrics, || whose(visit));
    let metered = std::mem::take(&mut visit.exchange.evaluation.metered);
    if metered.is_empty() {
        return (meter, None);
    }
    let book: Arc<dyn Book> = Arc::clone(services) as _;
    let ledger = &services.ledger;
    let (entry, meter) = ledger.open(book, metered, meter, session.closer());
    (meter, Some(entry))
}

/// What comes to the backend as the client's: our own words first.
fn behind(greeting: Vec<u8>, early: BytesMut) -> Bytes {
    if greeting.is_empty() {
        return early.freeze();
    }
    let mut all = greeting;
    all.extend_from_slice(&early);
    all.into()
}

fn whose(visit: &Visit) -> Whose {
    let Visit { api, exchange, .. } = visit;
    let subscription = exchange.subscription.as_ref();
    Whose {
        api: api.config.key.clone(),
        product: exchange.product.as_ref().map(|product| product.key.clone()),
        subscription: subscription.map(|subscription| subscription.key.clone()),
    }
}

fn session_info(visit: &Visit, key_hash: Option<String>) -> SessionInfo {
    let Visit {
        listener,
        api,
        exchange,
        ..
    } = visit;
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
