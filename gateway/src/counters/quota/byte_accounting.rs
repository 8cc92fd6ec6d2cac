//! Byte accounting of live tunnels: each relay counts its bytes; they are added to the quotas once a second and
//! at the tunnel's end.
//!
//! A relay only adds to a number that nobody else writes: no lock, no allocation and no shared cache line per
//! message. The accounting also finds quotas that are used up, and closes their tunnels if the policy says so,
//! including silent ones.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Mutex, MutexGuard};
use tokio::time::Instant;

use super::Allowance;
use crate::counters::counter::Key;
use tidegate_tunnel::close_cause::CloseCause;
use tidegate_tunnel::relay::{Counts, Meter, Side};
use tidegate_tunnel::session::Closer;

/// Enough that a tunnel that ends seldom waits for the accounting.
const SHARDS: usize = 16;

/// A quota of bytes that a handshake passed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ByteQuota {
    pub(crate) key: Key,
    pub(crate) allowance: Allowance,
    /// Is the tunnel closed when the quota is used up?
    pub(crate) close: bool,
}

/// Where bytes are added.
pub(crate) trait ByteCounts: Send + Sync {
    /// Adds relayed bytes.
    fn add_bytes(&self, key: Key, allowance: &Allowance, bytes: u64);
}

/// All tunnels whose bytes count for quotas.
#[derive(Default)]
pub(crate) struct ByteAccounting {
    shards: [Mutex<HashMap<u64, Entry>>; SHARDS],
    next: AtomicU64,
}

struct Entry {
    meter: Arc<ByteMeter>,
    accounted: u64,
    quotas: Box<[ByteQuota]>,
    closer: Closer,
}

/// Counts bytes for a relay, in addition to the `other` meter.
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

impl fmt::Debug for ByteAccounting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ByteAccounting").finish_non_exhaustive()
    }
}

/// A tunnel's entry. On drop its last bytes are added, and the entry is removed.
pub(crate) struct TunnelBytes {
    id: u64,
    byte_accounting: Arc<ByteAccounting>,
    account: Arc<dyn ByteCounts>,
}

impl ByteAccounting {
    /// Starts to count a tunnel's bytes for the quotas that its handshake passed; gives its entry and its meter.
    pub(crate) fn open(
        self: &Arc<Self>,
        account: Arc<dyn ByteCounts>,
        byte_quotas: Vec<ByteQuota>,
        other: Arc<dyn Meter>,
        closer: Closer,
    ) -> (TunnelBytes, Arc<dyn Meter>) {
        let meter = Arc::new(ByteMeter {
            other,
            bytes: AtomicU64::new(0),
        });
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let entry = Entry {
            meter: Arc::clone(&meter),
            accounted: 0,
            quotas: byte_quotas.into(),
            closer,
        };
        self.shard(id).insert(id, entry);
        let tunnel_bytes = TunnelBytes {
            id,
            byte_accounting: Arc::clone(self),
            account,
        };
        (tunnel_bytes, meter)
    }

    /// Adds what was relayed since the last time. A silent tunnel is included if it is to be closed when others
    /// use up its quota.
    pub(crate) fn account(&self, account: &dyn ByteCounts) {
        for shard in &self.shards {
            for entry in shard.lock().values_mut() {
                entry.account(account);
            }
        }
    }

    /// Closes the tunnels whose quota is used up; `used` gives the bytes of a quota.
    pub(crate) fn close(&self, used: impl Fn(Key, &Allowance) -> u64) {
        let now = Instant::now();
        for shard in &self.shards {
            for entry in shard.lock().values() {
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
        self.shards[id as usize % SHARDS].lock()
    }
}

impl Entry {
    fn account(&mut self, account: &dyn ByteCounts) {
        let bytes = self.meter.bytes.load(Ordering::Relaxed);
        let more = bytes - std::mem::replace(&mut self.accounted, bytes);
        for (at, quota) in self.quotas.iter().enumerate() {
            // Several steps with one key count a tunnel's bytes once.
            let again = self.quotas[..at].iter().any(|other| other.key == quota.key);
            if !again && (more > 0 || quota.close) {
                account.add_bytes(quota.key, &quota.allowance, more);
            }
        }
    }
}

impl Drop for TunnelBytes {
    fn drop(&mut self) {
        let entry = self.byte_accounting.shard(self.id).remove(&self.id);
        if let Some(mut entry) = entry {
            entry.account(&*self.account);
        }
    }
}
