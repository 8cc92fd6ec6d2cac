//! The last step of a handshake: answers the client and makes the tunnel, with all that it holds until its end.

use std::io;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http::header::SEC_WEBSOCKET_EXTENSIONS;
use tidegate_tunnel::relay::{Meter, Relay, Tunnel, relay};
use tidegate_tunnel::session::{Reservation, Session};
use tidegate_tunnel::socket;
use tidegate_tunnel::transport::Transport;
use tokio::io::AsyncWriteExt as _;

use super::admit::{Admission, RoutedRequest};
use super::open::BackendAccepted;
use super::{Client, Server, Shared};
use crate::backend::InFlightGuard;
use crate::connections::Permit;
use crate::counters::quota::{ByteCounts, TunnelBytes};
use crate::counters::shared_counters::Lease;
use crate::exchange::upgrade::Key;
use crate::head::put_field;
use crate::telemetry::metrics::{MessageLabels, Phase};
use crate::telemetry::record::{Record, TunnelRecord};

/// An open tunnel. Always boxed: moved by value, it would stand in the task's memory as often as it is
/// moved, for as long as the tunnel lives.
pub(super) struct OpenTunnel {
    relay: Relay<Transport>,
    record: TunnelRecord,
    pub(super) held: Held,
}

/// What a tunnel holds until its end.
#[expect(dead_code, reason = "held, not read")]
pub(super) struct Held {
    permit: Option<Permit>,
    reservations: Vec<Reservation>,
    leases: Vec<Lease>,
    in_flight: Option<InFlightGuard>,
    /// Counts its bytes for quotas.
    tunnel_bytes: Option<TunnelBytes>,
}

impl Held {
    /// The connection carries nothing but this tunnel: an idle one need not keep its slot in memory.
    pub(super) fn leave_slot(&mut self) {
        if let Some(permit) = &mut self.permit {
            permit.leave_slot();
        }
    }
}

impl OpenTunnel {
    /// Runs the tunnel to its end.
    pub(super) async fn run(mut self: Box<Self>) {
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

/// Answers the client with the 101 and joins both legs.
pub(super) async fn establish(
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
