//! A connection of HTTP/2: any number of handshakes, each a stream of its own (RFC 8441).
//!
//! A stream that is a handshake goes the way of every other: its own record, its own places, its
//! own task of the drain. This task only moves the connection's frames, so it lives until the last
//! stream is done. Where it is cut, every stream's client is lost.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use h2::RecvStream;
use h2::server::{Builder, SendResponse};
use http::Request;
use tidegate_config::GatewaySettings;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::arrive::{Arrival, head_limits, patience, refusal_of, too_slow};
use super::source::Source;
use super::{Established, Server, shake};
use crate::connections::Carried;
use crate::head::from_http2;
use crate::refusal::{Origin, Reason, Refusal};
use crate::telemetry::record::Record;
use tidegate_config::error_chain;
use tidegate_tunnel::socket;
use tidegate_tunnel::transport::{Counted, Http2Stream, Rewound, Transport};

/// What a client that knows of HTTP/2 begins with (RFC 9113 §3.4).
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Streams at a time: the least that RFC 9113 §6.5.2 recommends. Each is a tunnel, and counts as
/// one in every limit.
const MOST_STREAMS: u32 = 100;

/// Streams in a connection's life; then the client is sent away to another one. Opening and
/// resetting streams is cheaper for an attacker than connecting, and must not go on for ever.
const MOST_REQUESTS: usize = 1000;

/// What may be on the way to a stream, or from it, without having been read: what a tunnel over
/// HTTP/1.1 keeps for a slow reader. The connection's window has room for all streams, so that one
/// that is not read holds up no other.
const WINDOW: u32 = 64 * 1024;

/// What small DATA frames that nobody has read yet may cost in memory besides their payload; the
/// library counts 256 bytes for each. So much that no stream alone can use it up, whatever it
/// sends: a client with a slow backend and short messages must not lose its other tunnels.
const FRAMES: usize = 256 * WINDOW as usize;

/// What a list of fields counts besides names and values (RFC 9113 §6.5.2: 32 bytes each), so that
/// heads which are a little too large reach us and are answered as over HTTP/1.1.
const LIST_REST: u32 = 8 * 1024;

/// How long a client that was sent away may take to hang up.
const FAREWELL: Duration = Duration::from_secs(2);

/// A connection whose client speaks HTTP/2.
pub(super) struct Connection {
    pub(super) transport: Transport,
    /// What was read of it.
    pub(super) ahead: Bytes,
    pub(super) source: Source,
    /// When its first request must be there.
    pub(super) deadline: Instant,
    /// Until the first request, which has its own.
    pub(super) record: Option<Record>,
}

/// Carries a connection to its end.
pub(super) async fn serve(server: Arc<Server>, connection: Connection, carried: Carried) {
    let Connection {
        transport,
        ahead,
        source,
        deadline,
        record,
    } = connection;
    if let Some(socket) = transport.socket() {
        socket::limit_unsent(socket);
    }
    let settings = Arc::clone(&server.shared.snapshot.load().settings);
    let handshake = builder(&settings).handshake(Rewound::new(ahead, transport));
    let connection = match timeout_at(deadline, handshake).await {
        Ok(Ok(connection)) => connection,
        Ok(Err(error)) => return tell(record, &error),
        Err(_) => return give_up(record, "the HTTP/2 preface did not come"),
    };
    let patience = patience(&settings);
    Carrier {
        server,
        connection,
        source,
        carried,
        record,
        live: Arc::new(()),
        requests: 0,
        leaving: false,
        due: deadline,
        patience,
    }
    .run()
    .await;
}

fn builder(settings: &GatewaySettings) -> Builder {
    let limits = &settings.limits;
    let list = limits.max_header_bytes.saturating_add(limits.max_url_bytes);
    let mut builder = Builder::new();
    // Rapid resets and floods of CONTINUATION are ended by the library's own limits.
    builder
        .enable_connect_protocol()
        .max_concurrent_streams(MOST_STREAMS)
        .initial_window_size(WINDOW)
        .initial_connection_window_size(MOST_STREAMS * WINDOW)
        .max_send_buffer_size(WINDOW as usize)
        .data_frame_budget(FRAMES)
        .max_header_list_size(list.saturating_add(LIST_REST));
    builder
}

/// A client that broke the protocol is recorded; one that left without a request is not.
fn tell(record: Option<Record>, error: &h2::Error) {
    match record {
        Some(record) if error.is_io() => record.unheard(),
        Some(record) => {
            let reason = Reason::InvalidRequest;
            let refusal = Refusal::new(400, reason, Origin::Client, "Invalid request");
            record.refused(&refusal.detail(error_chain(error)));
        }
        None => tracing::debug!(%error, "an HTTP/2 connection broke"),
    }
}

fn give_up(record: Option<Record>, detail: &str) {
    if let Some(record) = record {
        record.refused(&too_slow(detail));
    }
}

struct Carrier {
    server: Arc<Server>,
    connection: h2::server::Connection<Rewound, Counted>,
    source: Source,
    carried: Carried,
    /// Until the first request, which has its own.
    record: Option<Record>,
    /// Every stream has one more.
    live: Arc<()>,
    /// Since the connection began.
    requests: usize,
    /// The client was told to open no more streams.
    leaving: bool,
    /// When to look whether anybody still needs this connection.
    due: Instant,
    patience: Duration,
}

impl Carrier {
    async fn run(mut self) {
        let drain = self.server.shared.drain.clone();
        let slot = Arc::clone(&self.source.slot);
        let mut before = 0;
        loop {
            tokio::select! {
                biased;
                () = drain.asked(), if !self.leaving => self.leave(),
                // No stream has a tunnel, and others need the place.
                () = slot.evicted() => break,
                accepted = self.connection.accept() => match accepted {
                    Some(Ok((request, respond))) => self.take(request, respond),
                    Some(Err(error)) => return tell(self.record, &error),
                    None => break,
                },
                () = sleep_until(self.due) => {
                    let idle = Arc::strong_count(&self.live) == 1 && self.requests == before;
                    if idle && self.leaving {
                        break;
                    }
                    give_up(self.record.take(), "no request came");
                    before = self.requests;
                    self.due = Instant::now() + if self.leaving { FAREWELL } else { self.patience };
                    if idle {
                        self.leave();
                    }
                }
            }
        }
        if let Some(record) = self.record.take() {
            record.unheard();
        }
    }

    /// GOAWAY: streams that are open go on to their own ends (RFC 9113 §6.8).
    fn leave(&mut self) {
        self.leaving = true;
        self.due = Instant::now() + FAREWELL;
        self.connection.graceful_shutdown();
    }

    fn take(&mut self, request: Request<RecvStream>, respond: SendResponse<Counted>) {
        if let Some(record) = self.record.take() {
            record.unheard();
        }
        self.requests += 1;
        if self.requests == MOST_REQUESTS && !self.leaving {
            self.leave();
        }
        let (server, source) = (Arc::clone(&self.server), self.source.clone());
        let drain = server.shared.drain.clone();
        let counted = (self.carried.clone(), Arc::clone(&self.live));
        let greeting = Box::pin(begin(server, source, request, respond));
        drain.spawn(async move {
            if let Some(established) = greeting.await {
                established.run().await;
            }
            drop(counted);
        });
    }
}

/// The handshake of one stream, under the configuration of now.
async fn begin(
    server: Arc<Server>,
    source: Source,
    request: Request<RecvStream>,
    respond: SendResponse<Counted>,
) -> Option<Box<Established>> {
    let snapshot = server.shared.snapshot.load_full();
    let now = std::time::Instant::now();
    let mut record = Record::begin(&server.shared.recorder, source.socket, now);
    record.client(source.peer(&snapshot).ip().to_canonical());
    if let Some(tls) = &source.tls {
        record.tls(tls);
    }
    let (request, body) = request.into_parts();
    let stream = Http2Stream::new(respond, body);
    let request = match from_http2(request, head_limits(&snapshot.settings)) {
        Ok(request) => request,
        Err(invalid) => {
            let refusal = refusal_of(invalid);
            record.refused(&refusal);
            let (response, body) = refusal.message();
            stream.refuse(response, body);
            return None;
        }
    };
    let arrival = Arrival {
        client: Transport::Http2(Box::new(stream)),
        source,
        request,
        rest: Bytes::new(),
    };
    shake(&server, &snapshot, arrival, record).await
}
