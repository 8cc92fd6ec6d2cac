//! The client's side of the beginning: PROXY header, TLS and the request head, all within one time.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use rustls::ProtocolVersion;
use rustls::server::Acceptor;
use tidegate_config::GatewaySettings;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::LazyConfigAcceptor;

use super::Server;
use super::http2::{Connection, PREFACE};
use super::source::Source;
use crate::configuration::snapshot::{Port, Snapshot};
use crate::connections::Slot;
use crate::exchange::TlsInfo;
use crate::head::proxy_header::{self, ReadHeaderError};
use crate::head::{HeadLimits, InvalidHead, ReadHead, ReadHeadError, RequestHead, read_request};
use crate::refusal::{Origin, Reason, Refusal};
use crate::telemetry::metrics::Phase;
use crate::telemetry::record::Record;
use crate::tls::H2;
use tidegate_config::error_chain;
use tidegate_tunnel::transport::Transport;

/// Where `handshake: 0s` means that nobody waits: a year.
const NO_HURRY: std::time::Duration = std::time::Duration::from_secs(365 * 24 * 3600);

/// A client that has sent its request.
pub(super) struct Arrival {
    pub(super) client: Transport,
    pub(super) source: Source,
    pub(super) request: RequestHead,
    /// What came behind the head.
    pub(super) rest: Bytes,
}

/// A client that has come this far.
pub(super) enum Arrived {
    Request(Box<Arrival>),
    /// Its requests come as streams.
    Http2(Box<Connection>),
}

/// A client that has not.
pub(super) enum Departure {
    /// It came and went without a byte, or had to make room for others.
    Unheard,
    /// It cannot be answered.
    Lost(Refusal),
    /// It is told why.
    Refused(Transport, Refusal),
}

/// A connection on its way to its first request.
pub(super) struct Coming {
    pub(super) socket: TcpStream,
    pub(super) peer: SocketAddr,
    /// The configured port.
    pub(super) port: u16,
    pub(super) at: std::time::Instant,
    pub(super) slot: Arc<Slot>,
}

/// Reads the PROXY header where the port has them, speaks TLS where it does, and reads the request
/// head. The configuration of the accept decides how; what is read is judged by a later one.
pub(super) async fn arrive(
    server: &Server,
    coming: Coming,
    record: &mut Record,
) -> Result<Arrived, Departure> {
    let snapshot = server.shared.snapshot.load_full();
    let port = snapshot.ports.get(&coming.port);
    let port = Arc::clone(port.ok_or(Departure::Unheard)?);
    let deadline = Instant::from_std(coming.at) + patience(&snapshot.settings);
    let mut socket = coming.socket;
    let mut source = Source {
        socket: coming.peer,
        named: None,
        port: coming.port,
        terms: port.terms(),
        tls: None,
        slot: coming.slot,
    };
    if port.proxy_protocol {
        source.named = announced(&mut socket, deadline).await?;
        let peer = source.peer(&snapshot);
        record.client(peer.ip().to_canonical());
        if !count(server, &snapshot, &source, peer) {
            return Err(Departure::Unheard);
        }
    }
    drop(snapshot);
    let (mut client, tls) = secure(socket, &port, deadline, record).await?;
    source.tls = tls;
    let (http2, ahead) = recognize(&mut client, &port, deadline).await?;
    if http2 {
        return Ok(Arrived::Http2(Box::new(Connection {
            transport: client,
            ahead,
            source,
            deadline,
            record: None,
        })));
    }
    let limits = || head_limits(&server.shared.snapshot.load().settings);
    let (client, read) = hear(client, ahead, limits, deadline).await?;
    record.phase(Phase::Head);
    Ok(Arrived::Request(Box::new(Arrival {
        client,
        source,
        request: read.head,
        rest: read.rest,
    })))
}

/// Counts the connection for whom its PROXY header names, if it is believed. False: there are too many of
/// that client.
fn count(server: &Server, snapshot: &Snapshot, source: &Source, peer: SocketAddr) -> bool {
    if peer == source.socket {
        return true;
    }
    let connections = &server.shared.connections;
    connections.name(&source.slot, snapshot, peer.ip())
}

/// Reads the request head of which `ahead` is here.
async fn hear(
    mut client: Transport,
    ahead: Bytes,
    limits: impl Fn() -> HeadLimits,
    deadline: Instant,
) -> Result<(Transport, ReadHead<RequestHead>), Departure> {
    let mut received = 0;
    let reading = read_request(&mut client, ahead, limits, &mut received);
    let refusal = match timeout_at(deadline, reading).await {
        Ok(Ok(read)) => return Ok((client, read)),
        Ok(Err(ReadHeadError::Gone { received: 0, .. })) => return Err(Departure::Unheard),
        Ok(Err(error @ ReadHeadError::Gone { .. })) => {
            return Err(Departure::Lost(client_gone(&error_chain(&error))));
        }
        Ok(Err(
            ReadHeadError::Invalid(invalid) | ReadHeadError::InvalidAnswer { fault: invalid, .. },
        )) => refusal_of(invalid),
        Err(_) if received == 0 => return Err(Departure::Lost(too_slow("no byte came"))),
        Err(_) => too_slow("the request head did not come to its end"),
    };
    Err(Departure::Refused(client, refusal))
}

/// Whom the PROXY header names; it must be there, whether it is believed or not.
async fn announced(
    socket: &mut TcpStream,
    deadline: Instant,
) -> Result<Option<SocketAddr>, Departure> {
    match timeout_at(deadline, Box::pin(proxy_header::read(socket))).await {
        Ok(Ok(source)) => Ok(source),
        // What a health check of a load balancer looks like.
        Ok(Err(ReadHeaderError::Gone { received: 0, .. })) => Err(Departure::Unheard),
        Ok(Err(error @ ReadHeaderError::Gone { .. })) => {
            Err(Departure::Lost(client_gone(&error_chain(&error))))
        }
        Ok(Err(error @ ReadHeaderError::Invalid(_))) => {
            let message = "Invalid PROXY header";
            let reason = Reason::ProxyHeaderInvalid;
            let refusal = Refusal::new(400, reason, Origin::Client, message);
            Err(Departure::Lost(refusal.detail(error_chain(&error))))
        }
        Err(_) => Err(Departure::Lost(too_slow("the PROXY header did not come"))),
    }
}

/// Does the client speak HTTP/2? TLS has agreed on it; without TLS the first bytes tell
/// (RFC 9113 §3.3). They are given back.
async fn recognize(
    client: &mut Transport,
    port: &Port,
    deadline: Instant,
) -> Result<(bool, Bytes), Departure> {
    if let Transport::TlsServer(stream) = client {
        let agreed = stream.get_ref().1.alpn_protocol() == Some(H2);
        return Ok((agreed, Bytes::new()));
    }
    if !port.http2() {
        return Ok((false, Bytes::new()));
    }
    let mut first = BytesMut::new();
    let reading = async {
        while first.len() < PREFACE.len() && PREFACE.starts_with(&first) {
            // Whoever reads on gets to know of an end or an error.
            if !matches!(client.read_buf(&mut first).await, Ok(1..)) {
                break;
            }
        }
    };
    let read = timeout_at(deadline, reading).await;
    let late = |_| Departure::Lost(too_slow("the first line did not come"));
    read.map_err(late)?;
    Ok((first.starts_with(PREFACE), first.freeze()))
}

async fn secure(
    socket: TcpStream,
    port: &Port,
    deadline: Instant,
    record: &mut Record,
) -> Result<(Transport, Option<TlsInfo>), Departure> {
    if port.listeners.iter().all(|listener| listener.tls.is_none()) {
        return Ok((Transport::Plain(socket), None));
    }
    match timeout_at(deadline, Box::pin(accept_tls(socket, port))).await {
        Ok(Ok((client, info))) => {
            record.tls(&info);
            record.phase(Phase::Tls);
            Ok((client, Some(info)))
        }
        // What a health check of a load balancer looks like: no hello at all.
        Ok(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => Err(Departure::Unheard),
        Ok(Err(error)) => {
            let refusal = Refusal::new(400, Reason::TlsFailed, Origin::Client, "TLS failed");
            Err(Departure::Lost(refusal.detail(error_chain(&error))))
        }
        Err(_) => Err(Departure::Lost(too_slow("TLS was not agreed on"))),
    }
}

/// The listener that the client asks for by name decides what it is shown.
async fn accept_tls(socket: TcpStream, port: &Port) -> io::Result<(Transport, TlsInfo)> {
    let start = LazyConfigAcceptor::new(Acceptor::default(), socket).await?;
    let sni = start.client_hello().server_name().map(str::to_owned);
    let tls = port
        .tls(sni.as_deref())
        .ok_or_else(|| io::Error::other("no listener has a certificate"))?;
    let stream = start.into_stream(Arc::clone(&tls.config)).await;
    // There was a hello, so this is not the end of somebody who said nothing.
    let stream = stream.map_err(io::Error::other)?;
    let session = stream.get_ref().1;
    let version = match session.protocol_version() {
        Some(ProtocolVersion::TLSv1_2) => "1.2",
        _ => "1.3",
    };
    let auth = tls.client_auth.as_ref();
    let certificate = auth.map(|auth| auth.judge(session.peer_certificates()));
    let info = TlsInfo {
        version,
        sni,
        demand: auth.map(|auth| auth.demand),
        certificate: certificate.transpose().map_err(io::Error::other)?.flatten(),
    };
    Ok((Transport::TlsServer(Box::new(stream)), info))
}

/// How long a client may take until its request is there.
pub(super) fn patience(settings: &GatewaySettings) -> std::time::Duration {
    settings.timeouts.handshake.enabled().unwrap_or(NO_HURRY)
}

pub(super) fn head_limits(settings: &GatewaySettings) -> HeadLimits {
    HeadLimits {
        header_bytes: settings.limits.max_header_bytes as usize,
        url_bytes: settings.limits.max_url_bytes as usize,
    }
}

pub(super) fn refusal_of(invalid: InvalidHead) -> Refusal {
    let (status, reason, message) = match invalid {
        InvalidHead::Malformed(_) => (400, Reason::InvalidRequest, "Invalid request"),
        InvalidHead::TooLarge | InvalidHead::TooManyFields | InvalidHead::AnswerTooLarge(_) => {
            (431, Reason::HeadTooLarge, "Request header fields too large")
        }
        InvalidHead::UrlTooLong => (414, Reason::UrlTooLong, "Request URL too long"),
    };
    Refusal::new(status, reason, Origin::Client, message).detail(invalid.to_string())
}

pub(super) fn too_slow(detail: &str) -> Refusal {
    let message = "Handshake took too long";
    Refusal::new(408, Reason::HandshakeTimeout, Origin::Client, message).detail(detail)
}

/// 499 is nobody's standard, but what logs use for a client that did not wait.
pub(super) fn client_gone(detail: &str) -> Refusal {
    Refusal::new(499, Reason::ClientGone, Origin::Client, "Client is gone").detail(detail)
}
