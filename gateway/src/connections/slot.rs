//! What one connection holds: its place under its address' limit, and its membership among those that
//! wait. A connection of HTTP/2 has one slot for all its streams: it counts once as long as it has at most
//! one tunnel, and each further tunnel counts once more.

use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::pending::{Membership, Pool};
use tidegate_tunnel::session::{LimitKey, Reservation};

/// A place of an address.
#[derive(Debug)]
pub(super) enum Place {
    /// One of `maxConnectionsPerIp`.
    Within(Reservation),
    /// One of the few beyond, which are told so.
    #[expect(dead_code, reason = "held, not read")]
    Above(Reservation),
}

/// One connection.
pub(crate) struct Slot {
    pool: Arc<Pool>,
    pub(super) membership: Membership,
    held: Mutex<Held>,
}

struct Held {
    /// Who connects, as far as is known.
    source: IpAddr,
    place: Option<Place>,
    /// Handshakes and tunnels that were let on.
    admitted: u32,
}

impl fmt::Debug for Slot {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Slot").finish_non_exhaustive()
    }
}

impl Slot {
    pub(super) fn new(pool: Arc<Pool>, source: IpAddr, place: Option<Place>) -> Self {
        Self {
            pool,
            membership: Membership::default(),
            held: Mutex::new(Held {
                source,
                place,
                admitted: 0,
            }),
        }
    }

    /// Completes when the connection has to go, because others need its place. Only one at a time may wait
    /// for that.
    pub(crate) async fn evicted(&self) {
        self.membership.evicted().await;
    }

    /// It is `source` that connects, not the peer.
    pub(super) fn rename(self: &Arc<Self>, source: IpAddr, place: Place) {
        let mut held = self.held();
        held.source = source;
        held.place = Some(place);
        drop(held);
        self.pool.rename(self, source);
    }

    /// The connection's own place, if it is one under this key.
    pub(super) fn take_place(&self, key: &LimitKey) -> Option<Reservation> {
        let mut held = self.held();
        match held.place.take() {
            Some(Place::Within(place)) if place.key() == key => Some(place),
            other => {
                held.place = other;
                None
            }
        }
    }

    /// A request goes on.
    pub(super) fn admit(&self) {
        let mut held = self.held();
        held.admitted += 1;
        // It has a real place now.
        if matches!(held.place, Some(Place::Above(_))) {
            held.place = None;
        }
        drop(held);
        self.pool.leave(self);
    }

    /// A request that went on has ended: the connection holds its place again, and waits as before if that
    /// was the last one.
    fn release(self: &Arc<Self>, place: Option<Reservation>) {
        let mut held = self.held();
        held.admitted = held.admitted.saturating_sub(1);
        let waits = held.admitted == 0;
        let source = held.source;
        if held.place.is_none() {
            held.place = place.map(Place::Within);
        }
        drop(held);
        if waits {
            self.pool.enter(self, source);
        }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        // Each value is whole by itself.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whoever carries the connection; it is over with this, or has become a tunnel of HTTP/1.1.
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
        self.0.held().place = None;
    }
}

/// A handshake or tunnel in the counts of the pod and of its address, until dropped.
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
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(slot) = &self.slot {
            slot.release(self.address.take());
        }
    }
}
