//! The client of a connection.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, OnceLock};

use crate::limit::{InFlightGuard, InFlightLimit};

/// Peers with the same prefix of an IPv6 address count as one: a machine chooses the other 64 bits
/// freely (RFC 4291 §2.5.4).
const V6_PREFIX: u32 = 64;

/// The other end of one connection.
#[derive(Clone, Debug)]
pub struct Peer {
    address: SocketAddr,
    /// Held until the connection ends, when its request is a limited one.
    guard: Arc<OnceLock<InFlightGuard>>,
}

impl Peer {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self {
            address,
            guard: Arc::default(),
        }
    }

    /// True for a loopback address: the pod or the machine itself, also through `kubectl port-forward`.
    pub fn is_local(&self) -> bool {
        self.address.ip().to_canonical().is_loopback()
    }

    /// Counts this connection's request in `limit` until the connection ends. `false`: the limit is
    /// reached, in all or for this peer.
    pub fn acquire(&self, limit: &InFlightLimit) -> bool {
        let guard = limit.acquire(group(self.address.ip()));
        guard.is_some_and(|guard| self.guard.set(guard).is_ok())
    }
}

/// The address by which peers are counted.
pub(crate) fn group(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(v4),
        IpAddr::V6(v6) => {
            let mask = u128::MAX << (128 - V6_PREFIX);
            IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & mask))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_addresses_are_the_pods_own() {
        for (peer, local) in [
            ("127.0.0.1:1", true),
            ("127.8.8.8:1", true),
            ("[::1]:1", true),
            ("[::ffff:127.0.0.1]:1", true),
            ("10.0.0.1:1", false),
            ("[::ffff:10.0.0.1]:1", false),
            ("[fd00::1]:1", false),
        ] {
            let peer = Peer::new(peer.parse().unwrap());
            assert_eq!(peer.is_local(), local, "{peer:?}");
        }
    }

    #[test]
    fn ipv6_peers_are_counted_by_prefix_and_mapped_ones_as_ipv4() {
        let group = |text: &str| group(text.parse().unwrap()).to_string();
        assert_eq!(group("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(group("::ffff:10.0.0.1"), "10.0.0.1");
        assert_eq!(group("10.0.0.1"), "10.0.0.1");
    }
}
