//! A connection of HTTP/2: any number of handshakes, each a stream of its own (RFC 8441).
//!
//! Each stream is handled like an HTTP/1.1 handshake: it has its own record, its own permits and its own
//! task. The connection's task only moves frames, so it lives until the last stream is done. If it is cut,
//! all its streams lose their client.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use h2::RecvStream;
use h2::server::{Builder, SendResponse};
use http::Request;
use tidegate_config::GatewaySettings;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::connection_info::ConnectionInfo;
use super::receive::{handshake_timeout, head_limits, refusal_of, too_slow};
use super::{Client, OpenTunnel, Server, handshake};
use crate::connections::LoadGuard;
use crate::head::from_http2;
use crate::refusal::{Origin, Reason, Refusal};
use crate::telemetry::record::Record;
use tidegate_config::error_chain;
use tidegate_tunnel::socket;
use tidegate_tunnel::transport::{Counted, Http2Stream, Rewound, Transport};

/// The client's connection preface (RFC 9113 §3.4).
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Streams at a time: the least that RFC 9113 §6.5.2 recommends. Each is a tunnel, and counts as
/// one in every limit.
const MAX_STREAMS: u32 = 100;

/// Streams per connection; then the client must open another one (GOAWAY). Opening and resetting streams is
/// cheaper for an attacker than connecting, so it must not go on for ever.
const MAX_REQUESTS: usize = 1000;

/// Flow-control window of a stream in bytes: as much as an HTTP/1.1 tunnel buffers for a slow reader. The
/// connection's window has room for all streams, so that an unread stream blocks no other.
const WINDOW: u32 = 64 * 1024;

/// Memory in bytes for unread DATA frames besides their payload; the library counts 256 bytes per frame. No
/// single stream can use it up: a client with a slow backend and short messages must not lose its other
/// tunnels.
const FRAMES: usize = 256 * WINDOW as usize;

/// Bytes for the overhead of 32 bytes per field (RFC 9113 §6.5.2), so that heads which are a little too large
/// reach us and are answered as over HTTP/1.1.
const LIST_REST: u32 = 8 * 1024;

/// How long a client may take to close after a GOAWAY.
const GOAWAY_TIMEOUT: Duration = Duration::from_secs(2);

/// A connection whose client speaks HTTP/2.
pub(super) struct Connection {
    pub(super) transport: Transport,
    /// Bytes that were read to recognize HTTP/2.
    pub(super) read_ahead: Bytes,
    pub(super) info: ConnectionInfo,
    /// Deadline of the first request.
    pub(super) deadline: Instant,
    /// Until the first request: each request has a record of its own.
    pub(super) record: Option<Record>,
}

/// Serves a connection to its end.
pub(super) async fn serve(server: Arc<Server>, connection: Connection, load_guard: LoadGuard) {
    let Connection {
        transport,
        read_ahead,
        info,
        deadline,
        record,
    } = connection;
    if let Some(socket) = transport.socket() {
        socket::limit_unsent(socket);
    }
    let settings = Arc::clone(&server.shared.snapshot.load().settings);
    let handshake = builder(&settings).handshake(Rewound::new(read_ahead, transport));
    let connection = match timeout_at(deadline, handshake).await {
        Ok(Ok(connection)) => connection,
        Ok(Err(error)) => return tell(record, &error),
        Err(_) => return give_up(record, "the HTTP/2 preface did not come"),
    };
    let handshake_timeout = handshake_timeout(&settings);
    Carrier {
        server,
        connection,
        info,
        load_guard,
        record,
        live: Arc::new(()),
        requests: 0,
        leaving: false,
        due: deadline,
        handshake_timeout,
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
        .max_concurrent_streams(MAX_STREAMS)
        .initial_window_size(WINDOW)
        .initial_connection_window_size(MAX_STREAMS * WINDOW)
        .max_send_buffer_size(WINDOW as usize)
        .data_frame_budget(FRAMES)
        .max_header_list_size(list.saturating_add(LIST_REST));
    builder
}

/// Records a protocol violation; a client that left without a request is not recorded.
fn tell(record: Option<Record>, error: &h2::Error) {
    match record {
        Some(record) if error.is_io() => record.closed_without_request(),
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
    info: ConnectionInfo,
    load_guard: LoadGuard,
    /// Until the first request: each request has a record of its own.
    record: Option<Record>,
    /// One reference per open stream, and this one.
    live: Arc<()>,
    /// Since the connection began.
    requests: usize,
    /// The client was told to open no more streams.
    leaving: bool,
    /// When to check whether the connection is still used.
    due: Instant,
    handshake_timeout: Duration,
}

impl Carrier {
    async fn run(mut self) {
        let drain = self.server.shared.drain.clone();
        let slot = Arc::clone(&self.info.slot);
        let mut before = 0;
        loop {
            tokio::select! {
                biased;
                () = drain.asked(), if !self.leaving => self.leave(),
                // No stream has a tunnel, and another connection needs the slot.
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
                    self.due = Instant::now() + if self.leaving { GOAWAY_TIMEOUT } else { self.handshake_timeout };
                    if idle {
                        self.leave();
                    }
                }
            }
        }
        if let Some(record) = self.record.take() {
            record.closed_without_request();
        }
    }

    /// Sends GOAWAY; open streams continue to their end (RFC 9113 §6.8).
    fn leave(&mut self) {
        self.leaving = true;
        self.due = Instant::now() + GOAWAY_TIMEOUT;
        self.connection.graceful_shutdown();
    }

    fn take(&mut self, request: Request<RecvStream>, respond: SendResponse<Counted>) {
        if let Some(record) = self.record.take() {
            record.closed_without_request();
        }
        self.requests += 1;
        if self.requests == MAX_REQUESTS && !self.leaving {
            self.leave();
        }
        let (server, info) = (Arc::clone(&self.server), self.info.clone());
        let drain = server.shared.drain.clone();
        let counted = (self.load_guard.clone(), Arc::clone(&self.live));
        let serving = Box::pin(begin(server, info, request, respond));
        drain.spawn(async move {
            if let Some(tunnel) = serving.await {
                tunnel.run().await;
            }
            drop(counted);
        });
    }
}

/// The handshake of one stream, decided by the current configuration.
async fn begin(
    server: Arc<Server>,
    connection: ConnectionInfo,
    request: Request<RecvStream>,
    respond: SendResponse<Counted>,
) -> Option<Box<OpenTunnel>> {
    let snapshot = server.shared.snapshot.load_full();
    let now = std::time::Instant::now();
    let mut record = Record::begin(&server.shared.recorder, connection.socket, now);
    record.client(connection.peer(&snapshot).ip().to_canonical());
    if let Some(tls) = &connection.tls {
        record.tls(tls);
    }
    let (request, body) = request.into_parts();
    let stream = Http2Stream::new(respond, body);
    let head = match from_http2(request, head_limits(&snapshot.settings)) {
        Ok(head) => head,
        Err(invalid) => {
            let refusal = refusal_of(invalid);
            record.refused(&refusal);
            let (response, body) = refusal.message();
            stream.refuse(response, body);
            return None;
        }
    };
    let client = Client {
        leg: Transport::Http2(Box::new(stream)),
        connection,
        read_ahead: BytesMut::new(),
    };
    handshake(&server, &snapshot, client, head, record).await
}
