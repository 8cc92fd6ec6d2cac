//! The slot of one connection: its permit under the limit of its address, and its entry among the pending
//! connections. All streams of an HTTP/2 connection share one slot: it counts once while it has at most one
//! tunnel, and each further tunnel counts once more.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};

use super::pending::{Membership, PendingConnections};
use tidegate_tunnel::session::{LimitKey, Reservation};

/// A permit under the limit of an address.
#[derive(Debug)]
pub(super) enum AddressPermit {
    /// One of `maxConnectionsPerIp`.
    Within(Reservation),
    /// One of the few above the limit, whose requests get 429.
    #[expect(dead_code, reason = "held, not read")]
    Above(Reservation),
}

/// One connection.
pub(crate) struct Slot {
    pool: Arc<PendingConnections>,
    pub(super) membership: Membership,
    held: Mutex<HeldPermits>,
}

struct HeldPermits {
    /// The client's address, as far as it is known.
    source: IpAddr,
    address_permit: Option<AddressPermit>,
    /// Handshakes and tunnels that were admitted.
    admitted: u32,
}

impl fmt::Debug for Slot {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Slot").finish_non_exhaustive()
    }
}

impl Slot {
    pub(super) fn new(
        pool: Arc<PendingConnections>,
        source: IpAddr,
        address_permit: Option<AddressPermit>,
    ) -> Self {
        Self {
            pool,
            membership: Membership::default(),
            held: Mutex::new(HeldPermits {
                source,
                address_permit,
                admitted: 0,
            }),
        }
    }

    /// Completes when the connection is evicted to make room. Only one task at a time may wait for it.
    pub(crate) async fn evicted(&self) {
        self.membership.evicted().await;
    }

    /// The client is `source`, not the peer.
    pub(super) fn rename(self: &Arc<Self>, source: IpAddr, address_permit: AddressPermit) {
        let mut held = self.held();
        held.source = source;
        held.address_permit = Some(address_permit);
        drop(held);
        self.pool.rename(self, source);
    }

    /// Takes the connection's permit, if it belongs to this key.
    pub(super) fn take_address_permit(&self, key: &LimitKey) -> Option<Reservation> {
        let mut held = self.held();
        match held.address_permit.take() {
            Some(AddressPermit::Within(address_permit)) if address_permit.key() == key => {
                Some(address_permit)
            }
            other => {
                held.address_permit = other;
                None
            }
        }
    }

    /// Admits a request.
    pub(super) fn admit(&self) {
        let mut held = self.held();
        held.admitted += 1;
        // The request has a permit of its own now.
        if matches!(held.address_permit, Some(AddressPermit::Above(_))) {
            held.address_permit = None;
        }
        drop(held);
        self.pool.leave(self);
    }

    /// An admitted request has ended: the connection gets its permit back, and is pending again if that was the
    /// last one.
    fn release(self: &Arc<Self>, address_permit: Option<Reservation>) {
        let mut held = self.held();
        held.admitted = held.admitted.saturating_sub(1);
        let waits = held.admitted == 0;
        let source = held.source;
        if held.address_permit.is_none() {
            held.address_permit = address_permit.map(AddressPermit::Within);
        }
        drop(held);
        if waits {
            self.pool.enter(self, source);
        }
    }

    fn held(&self) -> MutexGuard<'_, HeldPermits> {
        self.held.lock()
    }
}

/// Held by the task that serves the connection. Dropped when the connection ends or becomes an HTTP/1.1
/// tunnel.
#[derive(Debug)]
pub(crate) struct SlotGuard(Arc<Slot>);

impl SlotGuard {
    pub(super) fn new(slot: Arc<Slot>) -> Self {
        Self(slot)
    }

    pub(crate) fn slot(&self) -> &Arc<Slot> {
        &self.0
    }
}

impl Drop for SlotGuard {
    fn drop(&mut self) {
        self.0.pool.end(&self.0);
        self.0.held().address_permit = None;
    }
}

/// Counts a handshake or tunnel for the pod and for its address until dropped.
#[derive(Debug)]
pub(crate) struct Permit {
    _total: Reservation,
    address: Option<Reservation>,
    slot: Option<Arc<Slot>>,
}

impl Permit {
    pub(super) fn new(total: Reservation, address: Reservation, slot: Option<Arc<Slot>>) -> Self {
        Self {
            _total: total,
            address: Some(address),
            slot,
        }
    }

    /// The connection will not get its permit back: it ends with the tunnel.
    pub(crate) fn leave_slot(&mut self) {
        self.slot = None;
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(slot) = &self.slot {
            slot.release(self.address.take());
        }
    }
}
