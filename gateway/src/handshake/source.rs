//! Where requests come from: what holds for all requests of a connection, however old it is when they
//! come. What of it a request may still use is decided by the configuration of the request's own time.

use std::net::SocketAddr;
use std::sync::Arc;

use super::admit::{misdirected, not_found};
use crate::configuration::snapshot::{Port, Snapshot, Terms};
use crate::connections::Slot;
use crate::exchange::TlsInfo;
use crate::refusal::Refusal;

/// What all requests of a connection have in common.
#[derive(Clone)]
pub(super) struct Source {
    /// The socket's peer.
    pub(super) socket: SocketAddr,
    /// Whom its PROXY header names, believed or not.
    pub(super) named: Option<SocketAddr>,
    /// The configured port.
    pub(super) port: u16,
    /// How connections of this port began when this one did.
    pub(super) terms: Terms,
    pub(super) tls: Option<TlsInfo>,
    pub(super) slot: Arc<Slot>,
}

impl Source {
    /// Who connects: the socket's peer, or whom it speaks for if it is a proxy that is trusted now.
    pub(super) fn peer(&self, snapshot: &Snapshot) -> SocketAddr {
        let is_trusted = || {
            let socket = self.socket.ip().to_canonical();
            snapshot.trusted_proxies.contains(socket)
        };
        self.named.filter(|_| is_trusted()).unwrap_or(self.socket)
    }

    /// The port as it is now. A connection that began otherwise than connections do now may have left out
    /// TLS or the PROXY header: its client has to come again.
    pub(super) fn port<'s>(&self, snapshot: &'s Snapshot) -> Result<&'s Arc<Port>, Refusal> {
        let port = snapshot.ports.get(&self.port);
        let port = port.ok_or_else(|| not_found("no listener has this port any more"))?;
        if port.terms() != self.terms {
            return Err(misdirected(
                "the connection began before protocol or proxyProtocol of its port changed",
            ));
        }
        Ok(port)
    }
}
