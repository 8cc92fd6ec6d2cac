//! The bytes of live tunnels: counted at each relay by itself, booked from there once a second and
//! at the tunnel's end.
//!
//! A relay only adds to a number of its own, which nobody else writes: no lock, no allocation and
//! no shared cache line per message. The booking finds out besides which quotas are used up, and
//! closes the tunnels that are to go then, also those that are silent.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::time::Instant;

use super::{Allowance, lock};
use crate::counters::counter::Key;
use tidegate_tunnel::close_cause::CloseCause;
use tidegate_tunnel::relay::{Counts, Meter, Side};
use tidegate_tunnel::session::Closer;

/// Enough that ending tunnels seldom wait for a booking.
const SHARDS: usize = 16;

/// A quota of bytes that a handshake passed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Metered {
    pub(crate) key: Key,
    pub(crate) allowance: Allowance,
    /// Close the tunnel when it is used up?
    pub(crate) close: bool,
}

/// Where bytes are booked.
pub(crate) trait Book: Send + Sync {
    /// So much more was relayed.
    fn add_bytes(&self, key: Key, allowance: &Allowance, bytes: u64);
}

/// The tunnels whose bytes are counted.
#[derive(Default)]
pub(crate) struct Ledger {
    shards: [Mutex<HashMap<u64, Entry>>; SHARDS],
    next: AtomicU64,
}

struct Entry {
    meter: Arc<ByteMeter>,
    booked: u64,
    quotas: Box<[Metered]>,
    closer: Closer,
}

/// Counts for a relay, besides whoever counted before.
struct ByteMeter {
    other: Arc<dyn Meter>,
    bytes: AtomicU64,
}

impl Meter for ByteMeter {
    fn passed(&self, sender: Side, more: &Counts) {
        self.other.passed(sender, more);
        // Only the tunnel's own task writes: no read-modify-write is needed.
        let sum = self.bytes.load(Ordering::Relaxed) + more.bytes.sum();
        self.bytes.store(sum, Ordering::Relaxed);
    }
}

impl fmt::Debug for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ledger").finish_non_exhaustive()
    }
}

/// A tunnel's entry; on drop it is booked a last time and leaves.
pub(crate) struct Metering {
    id: u64,
    ledger: Arc<Ledger>,
    book: Arc<dyn Book>,
}

impl Ledger {
    /// Counts a tunnel's bytes from now on; gives its meter besides. `metered` are the quotas that
    /// its handshake passed.
    pub(crate) fn open(
        self: &Arc<Self>,
        book: Arc<dyn Book>,
        metered: Vec<Metered>,
        other: Arc<dyn Meter>,
        closer: Closer,
    ) -> (Metering, Arc<dyn Meter>) {
        let meter = Arc::new(ByteMeter {
            other,
            bytes: AtomicU64::new(0),
        });
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let entry = Entry {
            meter: Arc::clone(&meter),
            booked: 0,
            quotas: metered.into(),
            closer,
        };
        self.shard(id).insert(id, entry);
        let metering = Metering {
            id,
            ledger: Arc::clone(self),
            book,
        };
        (metering, meter)
    }

    /// Books what was relayed since the last time; asks for nothing too, where a tunnel is to be
    /// closed when its quota is used up by others.
    pub(crate) fn book(&self, book: &dyn Book) {
        for shard in &self.shards {
            for entry in lock(shard).values_mut() {
                entry.book(book);
            }
        }
    }

    /// Closes the tunnels whose quota is used up; `used` tells the bytes by quota.
    pub(crate) fn close(&self, used: impl Fn(Key, &Allowance) -> u64) {
        let now = Instant::now();
        for shard in &self.shards {
            for entry in lock(shard).values() {
                let over = entry.quotas.iter().any(|quota| {
                    let most = quota.allowance.bytes.filter(|_| quota.close);
                    most.is_some_and(|most| used(quota.key, &quota.allowance) >= most)
                });
                if over {
                    entry.closer.close(CloseCause::QuotaExceeded, now);
                }
            }
        }
    }

    fn shard(&self, id: u64) -> MutexGuard<'_, HashMap<u64, Entry>> {
        lock(&self.shards[id as usize % SHARDS])
    }
}

impl Entry {
    fn book(&mut self, book: &dyn Book) {
        let bytes = self.meter.bytes.load(Ordering::Relaxed);
        let more = bytes - std::mem::replace(&mut self.booked, bytes);
        for (at, quota) in self.quotas.iter().enumerate() {
            // Several steps with one key count a tunnel's bytes once.
            let again = self.quotas[..at].iter().any(|other| other.key == quota.key);
            if !again && (more > 0 || quota.close) {
                book.add_bytes(quota.key, &quota.allowance, more);
            }
        }
    }
}

impl Drop for Metering {
    fn drop(&mut self) {
        let entry = self.ledger.shard(self.id).remove(&self.id);
        if let Some(mut entry) = entry {
            entry.book(&*self.book);
        }
    }
}
