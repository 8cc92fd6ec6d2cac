//! Who asks.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, OnceLock};

use crate::places::{Place, Places};

/// Bits of an IPv6 address that one machine or one customer has to itself: the rest it can vary as
/// it likes (RFC 4291 §2.5.4).
const V6_PREFIX: u32 = 64;

/// The other end of one connection.
#[derive(Clone, Debug)]
pub struct Peer {
    address: SocketAddr,
    /// What it asked for may need a place, until the connection ends.
    place: Arc<OnceLock<Place>>,
}

impl Peer {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self {
            address,
            place: Arc::default(),
        }
    }

    /// Is it the pod or the machine itself, as `kubectl port-forward` is?
    pub fn is_local(&self) -> bool {
        self.address.ip().to_canonical().is_loopback()
    }

    /// Takes one of these places until the connection ends; `false`: there is none left for this peer.
    pub fn take(&self, places: &Places) -> bool {
        let place = places.take(group(self.address.ip()));
        place.is_some_and(|place| self.place.set(place).is_ok())
    }
}

/// What counts as one peer.
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
