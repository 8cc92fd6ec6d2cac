//! Limits on client connections, from the accept on: a silent connection is counted too.
//!
//! - By address, from the accept: `maxConnectionsPerIp`. Behind a trusted proxy the address is known, and
//!   counted, with the PROXY header or the request.
//! - All together, until a request is admitted (`pending`).
//! - As tunnels, from the request on: `maxConnections`, and never more than the file descriptors suffice for,
//!   including the backends' (`capacity`).

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
pub(crate) use accepted::{Accepted, LoadGuard};
use capacity::Capacity;
use pending::PendingConnections;
use slot::AddressPermit;
pub(crate) use slot::{Permit, Slot, SlotGuard};
use tidegate_tunnel::session::{LimitKey, LimitReached, Sessions};

/// Connections of one address above its limit that are not closed at once: their requests get 429, so that an
/// honest client learns what is wrong. Further ones are closed, or the limit would not limit anything.
const ANSWERED_ABOVE_LIMIT: u32 = 8;

/// All connections of a gateway.
pub(crate) struct Connections {
    pool: Arc<PendingConnections>,
    /// Tunnels that the file descriptors suffice for; `None`: no limit is known.
    capacity: Option<u32>,
    sessions: Arc<Sessions>,
    metrics: Arc<Metrics>,
}

/// Why a request gets no tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoRoom {
    /// The pod has reached its limit.
    Gateway { max: u32 },
    /// The client's address has reached its limit.
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
    /// No connections yet; `workers` threads will serve them.
    pub(crate) fn new(sessions: Arc<Sessions>, metrics: Arc<Metrics>, workers: usize) -> Self {
        let Capacity { tunnels, pending } = Capacity::of_process(workers);
        Self {
            pool: Arc::new(PendingConnections::new(pending)),
            capacity: tunnels,
            sessions,
            metrics,
        }
    }

    /// Counts a connection that was accepted from `peer`; `None`: its address has too many.
    pub(crate) fn accept(&self, snapshot: &Snapshot, peer: SocketAddr) -> Option<SlotGuard> {
        let peer = peer.ip().to_canonical();
        let limits = &snapshot.settings.limits;
        let source = source_of(peer, limits.ipv6_prefix_length);
        let address_permit = if snapshot.trusted_proxies.contains(peer) {
            None
        } else {
            Some(self.address_permit(source, limits)?)
        };
        let slot = Arc::new(Slot::new(Arc::clone(&self.pool), source, address_permit));
        if self.pool.enter(&slot, source) {
            self.metrics.connection_rejected(Rejection::MadeRoom);
        }
        Some(SlotGuard::new(slot))
    }

    /// Counts the connection for the client that a trusted proxy named. False: that address has too many
    /// connections.
    pub(crate) fn name(&self, slot: &Arc<Slot>, snapshot: &Snapshot, client: IpAddr) -> bool {
        let client = client.to_canonical();
        if snapshot.trusted_proxies.contains(client) {
            // Another proxy: the request will name the client.
            return true;
        }
        let limits = &snapshot.settings.limits;
        let source = source_of(client, limits.ipv6_prefix_length);
        let Some(address_permit) = self.address_permit(source, limits) else {
            return false;
        };
        slot.rename(source, address_permit);
        true
    }

    fn address_permit(&self, source: IpAddr, limits: &GatewayLimits) -> Option<AddressPermit> {
        let max = limits.max_connections_per_ip;
        if let Ok(within) = self.sessions.reserve(LimitKey::Ip(source), Some(max)) {
            return Some(AddressPermit::Within(within));
        }
        let key = LimitKey::AboveIp(source);
        let above = self.sessions.reserve(key, Some(ANSWERED_ABOVE_LIMIT));
        if above.is_err() {
            self.metrics.connection_rejected(Rejection::AddressLimit);
        }
        above.ok().map(AddressPermit::Above)
    }

    /// Admits a request of `client` as a tunnel. It came over the connection of `slot`; without a slot it is
    /// counted separately.
    ///
    /// # Errors
    /// [`NoRoom`]: the pod or the address has reached its limit.
    pub(crate) fn permit(
        &self,
        slot: Option<&Arc<Slot>>,
        limits: &GatewayLimits,
        client: IpAddr,
    ) -> Result<Permit, NoRoom> {
        let total = self.sessions.reserve(LimitKey::Total, self.max(limits));
        let total = total.map_err(|LimitReached { max }| NoRoom::Gateway { max })?;
        let key = LimitKey::Ip(source_of(client, limits.ipv6_prefix_length));
        let own = slot.and_then(|slot| slot.take_address_permit(&key));
        let address = match own {
            Some(address_permit) => address_permit,
            None => {
                let max = Some(limits.max_connections_per_ip);
                let address_permit = self.sessions.reserve(key, max);
                address_permit.map_err(|_| NoRoom::Address)?
            }
        };
        if let Some(slot) = slot {
            slot.admit();
        }
        Ok(Permit::new(total, address, slot.cloned()))
    }

    /// Checks whether a request of `client` would get a permit now.
    ///
    /// # Errors
    /// [`NoRoom`]: the pod or the address has reached its limit.
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

    /// Highest number of tunnels; `None`: no limit.
    fn max(&self, limits: &GatewayLimits) -> Option<u32> {
        let configured = Some(limits.max_connections).filter(|max| *max > 0);
        configured.into_iter().chain(self.capacity).min()
    }

    /// No file descriptor is left: closes one of the pending connections.
    pub(crate) fn make_room(&self) {
        if self.pool.make_room() {
            self.metrics.connection_rejected(Rejection::MadeRoom);
        }
    }
}

/// What counts as one client: an IPv4 address, or the first `ipv6_prefix_length` bits of an IPv6 address.
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
