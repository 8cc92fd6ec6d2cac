//! What all requests of a connection have in common. A connection can be older than the configuration that
//! decides its request, so the trusted proxies and the port are looked up again for each request.

use std::net::SocketAddr;
use std::sync::Arc;

use super::admit::{misdirected, not_found};
use crate::configuration::snapshot::{Port, PortProtocol, Snapshot};
use crate::connections::Slot;
use crate::exchange::TlsInfo;
use crate::refusal::Refusal;

/// What all requests of a connection have in common.
#[derive(Clone)]
pub(super) struct ConnectionInfo {
    /// The socket's peer.
    pub(super) socket: SocketAddr,
    /// The address in its PROXY header, whether the peer is trusted or not.
    pub(super) named: Option<SocketAddr>,
    /// The configured port.
    pub(super) port: u16,
    /// Protocol and PROXY setting of the port when the connection was accepted.
    /// `None` until the port is looked up.
    pub(super) port_protocol: Option<PortProtocol>,
    pub(super) tls: Option<TlsInfo>,
    pub(super) slot: Arc<Slot>,
}

impl ConnectionInfo {
    /// A connection that `socket` opened to a configured port.
    pub(super) fn new(socket: SocketAddr, port: u16, slot: Arc<Slot>) -> Self {
        Self {
            socket,
            named: None,
            port,
            port_protocol: None,
            tls: None,
            slot,
        }
    }

    /// The client: the socket's peer or, if that is a proxy that is trusted now, the address in its PROXY header.
    pub(super) fn peer(&self, snapshot: &Snapshot) -> SocketAddr {
        let is_trusted = || {
            let socket = self.socket.ip().to_canonical();
            snapshot.trusted_proxies.contains(socket)
        };
        self.named.filter(|_| is_trusted()).unwrap_or(self.socket)
    }

    /// The port as it is now.
    ///
    /// # Errors
    /// The refusal, if the port is gone or its protocol or PROXY setting has changed: the connection may lack
    /// TLS or a PROXY header, so the client has to reconnect.
    pub(super) fn port<'s>(&self, snapshot: &'s Snapshot) -> Result<&'s Arc<Port>, Refusal> {
        let port = snapshot.ports.get(&self.port);
        let port = port.ok_or_else(|| not_found("no listener has this port any more"))?;
        if Some(port.port_protocol()) != self.port_protocol {
            return Err(misdirected(
                "the connection began before protocol or proxyProtocol of its port changed",
            ));
        }
        Ok(port)
    }
}
