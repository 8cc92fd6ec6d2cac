//! Client connections from their accept on. What somebody has who says nothing is counted as well:
//!
//! - By address, from the accept: `maxConnectionsPerIp`. Behind a trusted proxy the client is known later,
//!   with the PROXY header or the request; then it is counted then.
//! - All together, as long as they have asked for nothing that was granted (`pending`).
//! - As tunnels, from the request on: `maxConnections`, and never more than there are descriptors for, the
//!   backends' included (`capacity`).

mod accepted;
mod capacity;
mod pending;
mod slot;

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use tidegate_config::GatewayLimits;

use crate::configuration::snapshot::Snapshot;
use crate::telemetry::metrics::{Metrics, Rejection};
pub(crate) use accepted::{Accepted, Carried};
use capacity::Capacity;
use pending::Pool;
use slot::Place;
pub(crate) use slot::{Permit, Slot, SlotGuard};
use tidegate_tunnel::session::{LimitKey, LimitReached, Sessions};

/// Connections of one address above its limit that are not closed at once: their requests are answered
/// with 429, so that an honest client learns what is wrong. More of them would be what the limit is
/// against.
const ANSWERED_ABOVE_LIMIT: u32 = 8;

/// All connections of a gateway.
pub(crate) struct Connections {
    pool: Arc<Pool>,
    /// Tunnels that there are descriptors for.
    capacity: Option<u32>,
    sessions: Arc<Sessions>,
    metrics: Arc<Metrics>,
}

/// Why a request gets no tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoRoom {
    /// The pod has as many as it may.
    Gateway { max: u32 },
    /// The client's address has.
    Address,
}

impl fmt::Debug for Connections {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Connections")
            .finish_non_exhaustive()
    }
}

impl Connections {
    /// None yet; they will be carried by so many threads.
    pub(crate) fn new(sessions: Arc<Sessions>, metrics: Arc<Metrics>, workers: usize) -> Self {
        let Capacity { tunnels, pending } = Capacity::of_process(workers);
        Self {
            pool: Arc::new(Pool::new(pending)),
            capacity: tunnels,
            sessions,
            metrics,
        }
    }

    /// Takes a connection on that was accepted from `peer`; `None`: its address has too many.
    pub(crate) fn accept(&self, snapshot: &Snapshot, peer: SocketAddr) -> Option<SlotGuard> {
        let peer = peer.ip().to_canonical();
        let limits = &snapshot.settings.limits;
        let source = source_of(peer, limits.ipv6_prefix_length);
        let place = if snapshot.trusted_proxies.contains(peer) {
            None
        } else {
            Some(self.place(source, limits)?)
        };
        let slot = Arc::new(Slot::new(Arc::clone(&self.pool), source, place));
        if self.pool.enter(&slot, source) {
            self.metrics.connection_rejected(Rejection::MadeRoom);
        }
        Some(SlotGuard::new(slot))
    }

    /// A trusted proxy has said who connects. False: that address has too many connections.
    pub(crate) fn name(&self, slot: &Arc<Slot>, snapshot: &Snapshot, client: IpAddr) -> bool {
        let client = client.to_canonical();
        if snapshot.trusted_proxies.contains(client) {
            // Another proxy: its request will tell.
            return true;
        }
        let limits = &snapshot.settings.limits;
        let source = source_of(client, limits.ipv6_prefix_length);
        let Some(place) = self.place(source, limits) else {
            return false;
        };
        slot.rename(source, place);
        true
    }

    fn place(&self, source: IpAddr, limits: &GatewayLimits) -> Option<Place> {
        let max = limits.max_connections_per_ip;
        if let Ok(within) = self.sessions.reserve(LimitKey::Ip(source), Some(max)) {
            return Some(Place::Within(within));
        }
        let key = LimitKey::AboveIp(source);
        let above = self.sessions.reserve(key, Some(ANSWERED_ABOVE_LIMIT));
        if above.is_err() {
            self.metrics.connection_rejected(Rejection::AddressLimit);
        }
        above.ok().map(Place::Above)
    }

    /// Lets a request of `client` go on to a tunnel. It came over the connection of `slot`; without one it
    /// is counted by itself.
    pub(crate) fn permit(
        &self,
        slot: Option<&Arc<Slot>>,
        limits: &GatewayLimits,
        client: IpAddr,
    ) -> Result<Permit, NoRoom> {
        let total = self.sessions.reserve(LimitKey::Total, self.max(limits));
        let total = total.map_err(|LimitReached { max }| NoRoom::Gateway { max })?;
        let key = LimitKey::Ip(source_of(client, limits.ipv6_prefix_length));
        let own = slot.and_then(|slot| slot.take_place(&key));
        let address = match own {
            Some(place) => place,
            None => {
                let max = Some(limits.max_connections_per_ip);
                let place = self.sessions.reserve(key, max);
                place.map_err(|_| NoRoom::Address)?
            }
        };
        if let Some(slot) = slot {
            slot.admit();
        }
        Ok(Permit::new(total, address, slot.cloned()))
    }

    /// Would a request of `client` get a permit now?
    pub(crate) fn has_room(&self, limits: &GatewayLimits, client: IpAddr) -> Result<(), NoRoom> {
        let is_full = |key: &LimitKey, max: u32| max > 0 && self.sessions.count(key) >= max;
        let max = self.max(limits).unwrap_or_default();
        if is_full(&LimitKey::Total, max) {
            return Err(NoRoom::Gateway { max });
        }
        let key = LimitKey::Ip(source_of(client, limits.ipv6_prefix_length));
        if is_full(&key, limits.max_connections_per_ip) {
            return Err(NoRoom::Address);
        }
        Ok(())
    }

    /// Tunnels at a time.
    fn max(&self, limits: &GatewayLimits) -> Option<u32> {
        let configured = Some(limits.max_connections).filter(|max| *max > 0);
        configured.into_iter().chain(self.capacity).min()
    }

    /// Somebody else has taken the last descriptor: one of those that wait has to go.
    pub(crate) fn make_room(&self) {
        if self.pool.make_room() {
            self.metrics.connection_rejected(Rejection::MadeRoom);
        }
    }
}

/// What counts as one client: an IPv4 address, or as many leading bits of an IPv6 address.
fn source_of(address: IpAddr, ipv6_prefix_length: u8) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => {
            let behind = 128_u32.saturating_sub(ipv6_prefix_length.into());
            let mask = u128::MAX.checked_shl(behind).unwrap_or_default();
            Ipv6Addr::from_bits(v6.to_bits() & mask).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_prefix_is_one_client_and_an_ipv4_address_is() {
        for (address, length, source) in [
            ("192.0.2.7", 64, "192.0.2.7"),
            ("192.0.2.7", 1, "192.0.2.7"),
            ("2001:db8:1:2:3:4:5:6", 64, "2001:db8:1:2::"),
            ("2001:db8:1:2:ffff::1", 64, "2001:db8:1:2::"),
            ("2001:db8:1:3::1", 64, "2001:db8:1:3::"),
            ("2001:db8:1:2:3:4:5:6", 56, "2001:db8:1::"),
            ("2001:db8::1", 128, "2001:db8::1"),
            ("2001:db8::1", 0, "::"),
        ] {
            let parsed = address.parse().unwrap();
            let expected: IpAddr = source.parse().unwrap();
            assert_eq!(source_of(parsed, length), expected, "{address}/{length}");
        }
    }
}
