//! Reads what a client sends first: PROXY header, TLS and request head, all within one time limit.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use rustls::server::Acceptor;
use tidegate_config::GatewaySettings;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::LazyConfigAcceptor;

use super::connection_info::ConnectionInfo;
use super::http2::{Connection, PREFACE};
use super::timeouts::or_no_limit;
use super::{Client, Server};
use crate::configuration::snapshot::{Port, Snapshot};
use crate::exchange::TlsInfo;
use crate::head::proxy_header::{self, ReadHeaderError};
use crate::head::{HeadLimits, InvalidHead, ReadHead, ReadHeadError, RequestHead, read_request};
use crate::refusal::{Origin, Reason, Refusal};
use crate::telemetry::metrics::Phase;
use crate::telemetry::record::Record;
use crate::tls::{H2, version_name};
use tidegate_config::error_chain;
use tidegate_tunnel::transport::Transport;

/// What came of a connection.
pub(super) enum Received {
    Request(Box<(Client, RequestHead)>),
    /// An HTTP/2 connection: each request is a stream.
    Http2(Box<Connection>),
}

/// Why no request can be decided.
pub(super) enum NotReceived {
    /// The client closed without sending a byte, or the connection was closed to make room for others.
    Closed,
    /// The client cannot be answered.
    Lost(Refusal),
    /// The client is told why.
    Refused(Transport, Refusal),
}

/// Reads the PROXY header where the port has them, speaks TLS where it does, and reads the request head.
/// The configuration of the accept decides how; a later one judges what was read.
///
/// # Errors
/// [`NotReceived`]: no request came, or none that can be decided.
pub(super) async fn receive_request(
    server: &Server,
    (mut socket, accepted_at): (TcpStream, std::time::Instant),
    mut connection: ConnectionInfo,
    record: &mut Record,
) -> Result<Received, NotReceived> {
    let snapshot = server.shared.snapshot.load_full();
    let port = snapshot.ports.get(&connection.port);
    let port = Arc::clone(port.ok_or(NotReceived::Closed)?);
    connection.port_protocol = Some(port.port_protocol());
    let deadline = Instant::from_std(accepted_at) + handshake_timeout(&snapshot.settings);
    if port.proxy_protocol {
        connection.named = read_proxy_header(&mut socket, deadline).await?;
        let peer = connection.peer(&snapshot);
        record.client(peer.ip().to_canonical());
        if !count(server, &snapshot, &connection, peer) {
            return Err(NotReceived::Closed);
        }
    }
    drop(snapshot);
    let (mut client, tls) = secure(socket, &port, deadline, record).await?;
    connection.tls = tls;
    let (http2, read_ahead) = recognize(&mut client, &port, deadline).await?;
    if http2 {
        return Ok(Received::Http2(Box::new(Connection {
            transport: client,
            read_ahead,
            info: connection,
            deadline,
            record: None,
        })));
    }
    let limits = || head_limits(&server.shared.snapshot.load().settings);
    let (leg, read) = read_head(client, read_ahead, limits, deadline).await?;
    record.phase(Phase::Head);
    let client = Client {
        leg,
        connection,
        read_ahead: BytesMut::from(read.read_ahead),
    };
    Ok(Received::Request(Box::new((client, read.head))))
}

/// Counts the connection for the client that a trusted PROXY header names. False: that client has too many.
fn count(
    server: &Server,
    snapshot: &Snapshot,
    connection: &ConnectionInfo,
    peer: SocketAddr,
) -> bool {
    if peer == connection.socket {
        return true;
    }
    let connections = &server.shared.connections;
    connections.name(&connection.slot, snapshot, peer.ip())
}

/// Reads the request head; `read_ahead` is its beginning.
async fn read_head(
    mut client: Transport,
    read_ahead: Bytes,
    limits: impl Fn() -> HeadLimits,
    deadline: Instant,
) -> Result<(Transport, ReadHead<RequestHead>), NotReceived> {
    let mut received = 0;
    let reading = read_request(&mut client, read_ahead, limits, &mut received);
    let refusal = match timeout_at(deadline, reading).await {
        Ok(Ok(read)) => return Ok((client, read)),
        Ok(Err(ReadHeadError::Gone { received: 0, .. })) => return Err(NotReceived::Closed),
        Ok(Err(error @ ReadHeadError::Gone { .. })) => {
            return Err(NotReceived::Lost(client_gone(&error_chain(&error))));
        }
        Ok(Err(
            ReadHeadError::Invalid(invalid) | ReadHeadError::InvalidAnswer { fault: invalid, .. },
        )) => refusal_of(invalid),
        Err(_) if received == 0 => return Err(NotReceived::Lost(too_slow("no byte came"))),
        Err(_) => too_slow("the request head did not come to its end"),
    };
    Err(NotReceived::Refused(client, refusal))
}

/// Reads the PROXY header, which must be there whether its sender is trusted or not; gives the address that
/// it names.
async fn read_proxy_header(
    socket: &mut TcpStream,
    deadline: Instant,
) -> Result<Option<SocketAddr>, NotReceived> {
    match timeout_at(deadline, Box::pin(proxy_header::read(socket))).await {
        Ok(Ok(source)) => Ok(source),
        // Health checks of load balancers connect and close.
        Ok(Err(ReadHeaderError::Gone { received: 0, .. })) => Err(NotReceived::Closed),
        Ok(Err(error @ ReadHeaderError::Gone { .. })) => {
            Err(NotReceived::Lost(client_gone(&error_chain(&error))))
        }
        Ok(Err(error @ ReadHeaderError::Invalid(_))) => {
            let message = "Invalid PROXY header";
            let reason = Reason::ProxyHeaderInvalid;
            let refusal = Refusal::new(400, reason, Origin::Client, message);
            Err(NotReceived::Lost(refusal.detail(error_chain(&error))))
        }
        Err(_) => Err(NotReceived::Lost(too_slow("the PROXY header did not come"))),
    }
}

/// Does the client speak HTTP/2? With TLS, ALPN tells; without, the first bytes do (RFC 9113 §3.3). These are
/// returned.
async fn recognize(
    client: &mut Transport,
    port: &Port,
    deadline: Instant,
) -> Result<(bool, Bytes), NotReceived> {
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
            // The next read reports the end or the error.
            if !matches!(client.read_buf(&mut first).await, Ok(1..)) {
                break;
            }
        }
    };
    let read = timeout_at(deadline, reading).await;
    let late = |_| NotReceived::Lost(too_slow("the first line did not come"));
    read.map_err(late)?;
    Ok((first.starts_with(PREFACE), first.freeze()))
}

async fn secure(
    socket: TcpStream,
    port: &Port,
    deadline: Instant,
    record: &mut Record,
) -> Result<(Transport, Option<TlsInfo>), NotReceived> {
    if port.listeners.iter().all(|listener| listener.tls.is_none()) {
        return Ok((Transport::Plain(socket), None));
    }
    match timeout_at(deadline, Box::pin(accept_tls(socket, port))).await {
        Ok(Ok((client, info))) => {
            record.tls(&info);
            record.phase(Phase::Tls);
            Ok((client, Some(info)))
        }
        // Health checks of load balancers connect and close without a ClientHello.
        Ok(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => Err(NotReceived::Closed),
        Ok(Err(error)) => {
            let refusal = Refusal::new(400, Reason::TlsFailed, Origin::Client, "TLS failed");
            Err(NotReceived::Lost(refusal.detail(error_chain(&error))))
        }
        Err(_) => Err(NotReceived::Lost(too_slow("TLS was not agreed on"))),
    }
}

/// The server name that the client sends selects the listener, and with it the certificate.
async fn accept_tls(socket: TcpStream, port: &Port) -> io::Result<(Transport, TlsInfo)> {
    let start = LazyConfigAcceptor::new(Acceptor::default(), socket).await?;
    let sni = start.client_hello().server_name().map(str::to_owned);
    let tls = port
        .tls(sni.as_deref())
        .ok_or_else(|| io::Error::other("no listener has a certificate"))?;
    let stream = start.into_stream(Arc::clone(&tls.config)).await;
    // There was a ClientHello, so this is not a health check that only connects.
    let stream = stream.map_err(io::Error::other)?;
    let session = stream.get_ref().1;
    let auth = tls.client_auth.as_ref();
    let certificate = auth.map(|auth| auth.judge(session.peer_certificates()));
    let info = TlsInfo {
        version: version_name(session.protocol_version()),
        sni,
        demand: auth.map(|auth| auth.demand),
        certificate: certificate.transpose().map_err(io::Error::other)?.flatten(),
    };
    Ok((Transport::TlsServer(Box::new(stream)), info))
}

/// Time limit for the first request, from the accept.
pub(super) fn handshake_timeout(settings: &GatewaySettings) -> std::time::Duration {
    or_no_limit(settings.timeouts.handshake.enabled())
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

/// 499 is not a standard status, but logs use it for a client that did not wait.
pub(super) fn client_gone(detail: &str) -> Refusal {
    Refusal::new(499, Reason::ClientGone, Origin::Client, "Client is gone").detail(detail)
}
