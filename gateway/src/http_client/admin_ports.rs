//! Keeps requests of policies and connections to backends away from the admin server.
//!
//! The admin server trusts connections from its own machine more than others, and a policy's request would be
//! one. A destination is checked by the address that the connection uses, not by how it is written.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV6, UdpSocket};
use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::http_client::embedded_v4;

/// Something would have been connected to the gateway's own admin server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0} is the gateway's own admin server, where requests of policies and backends may not go"
)]
pub(crate) struct OwnAdminServer(SocketAddr);

impl OwnAdminServer {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self(address)
    }
}

/// The ports of all admin servers of this process: several gateways may run in it. Clones are one
/// and the same.
#[derive(Clone, Debug, Default)]
pub struct AdminPorts(Arc<ArcSwap<Vec<u16>>>);

/// A port in use; not any more on drop.
#[derive(Debug)]
pub(crate) struct AdminPort {
    port: u16,
    ports: AdminPorts,
}

impl AdminPorts {
    /// An admin server listens there from now on.
    pub(crate) fn add(&self, port: u16) -> AdminPort {
        self.change(|ports| ports.push(port));
        AdminPort {
            port,
            ports: self.clone(),
        }
    }

    /// Does an admin server have this port, whatever the address?
    pub(crate) fn has(&self, port: u16) -> bool {
        self.0.load().contains(&port)
    }

    /// Refuses an address where an admin server of this process could answer.
    ///
    /// # Errors
    /// [`OwnAdminServer`]: an admin server of this process listens there.
    pub(crate) fn check(&self, address: SocketAddr) -> Result<(), OwnAdminServer> {
        if self.has(address.port()) && is_own(address) {
            return Err(OwnAdminServer(address));
        }
        Ok(())
    }

    fn change(&self, change: impl Fn(&mut Vec<u16>)) {
        self.0.rcu(|ports| {
            let mut ports = Vec::clone(ports);
            change(&mut ports);
            ports
        });
    }
}

impl Drop for AdminPort {
    fn drop(&mut self) {
        self.ports.change(|ports| {
            // One of them: on different addresses two servers may have the same port.
            if let Some(index) = ports.iter().position(|port| *port == self.port) {
                ports.swap_remove(index);
            }
        });
    }
}

/// Do packets to this address come back to this machine? In doubt they do.
pub(crate) fn is_own(address: SocketAddr) -> bool {
    let ip = address.ip().to_canonical();
    // Connections to "any" address go to the loopback (ip(7)).
    if ip.is_loopback() || ip.is_unspecified() {
        return true;
    }
    match address {
        SocketAddr::V6(v6) if ip.is_ipv6() => {
            // With its scope: a link-local address is one only on its link.
            let here = SocketAddrV6::new(*v6.ip(), 0, 0, v6.scope_id());
            can_be_bound(here.into()) || embedded_v4(*v6.ip()).any(is_own_v4)
        }
        _ => can_be_bound(SocketAddr::new(ip, 0)),
    }
}

fn is_own_v4(address: Ipv4Addr) -> bool {
    let can_be_bound = || can_be_bound(SocketAddr::new(address.into(), 0));
    !address.is_unspecified() && (address.is_loopback() || can_be_bound())
}

/// What can be bound is ours: addresses of all interfaces, and what else the kernel takes in.
fn can_be_bound(address: SocketAddr) -> bool {
    let bound = UdpSocket::bind(address);
    !bound.is_err_and(|error| error.kind() == io::ErrorKind::AddrNotAvailable)
}
