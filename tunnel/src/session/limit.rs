//! Live connections counted by what limits them: a place is reserved before work is done for a
//! connection, and free again when its reservation is dropped.

use std::collections::HashMap;
use std::fmt;
use std::hash::RandomState;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tidegate_config::ObjectKey;

use super::Sessions;
use super::hashed::{ByHash, Hashed};

/// What is counted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum LimitKey {
    /// All connections of this process.
    Total,
    /// Those from one address, or one prefix of IPv6.
    Ip(IpAddr),
    /// Those beyond its limit, which are told so.
    AboveIp(IpAddr),
    /// Tunnels of one API.
    Api(ObjectKey),
    /// Tunnels of one API under one subscription.
    Subscription {
        /// The API.
        api: ObjectKey,
        /// The subscription.
        subscription: ObjectKey,
    },
    /// Whatever a policy counts by, hashed.
    Counted([u8; 16]),
}

/// There is no place left.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("all {max} places are taken")]
pub struct LimitReached {
    /// How many there are.
    pub max: u32,
}

/// A place; free again on drop.
pub struct Reservation {
    key: Arc<Hashed<LimitKey>>,
    sessions: Arc<Sessions>,
}

impl Reservation {
    /// What it is counted by.
    pub fn key(&self) -> &LimitKey {
        &self.key
    }
}

impl fmt::Debug for Reservation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The value counted may be a secret.
        formatter
            .debug_struct("Reservation")
            .finish_non_exhaustive()
    }
}

/// So many locks that workers rarely meet.
const SHARDS: usize = 16;

/// The counts, by key. A key without connections has no entry.
#[derive(Default)]
pub(super) struct Counts {
    hasher: RandomState,
    shards: [Mutex<Shard>; SHARDS],
}

type Shard = HashMap<Arc<Hashed<LimitKey>>, u32, ByHash>;

impl Counts {
    fn shard(&self, key: &Hashed<LimitKey>) -> MutexGuard<'_, Shard> {
        // A count is one number: it is whole even if a thread died holding the lock.
        self.shards[key.shut_legs(SHARDS)]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn count(&self, key: &LimitKey) -> u32 {
        let key = Hashed::new(key.clone(), &self.hasher);
        self.shard(&key).get(&key).copied().unwrap_or_default()
    }
}

pub(super) fn reserve(
    sessions: &Arc<Sessions>,
    key: LimitKey,
    max: Option<u32>,
) -> Result<Reservation, LimitReached> {
    let key = Hashed::new(key, &sessions.counts.hasher);
    let mut shard = sessions.counts.shard(&key);
    let taken = shard.get(&key).copied().unwrap_or_default();
    if let Some(max) = max.filter(|&max| max > 0 && taken >= max) {
        return Err(LimitReached { max });
    }
    let key = match shard.get_key_value(&key) {
        Some((known, _)) => Arc::clone(known),
        None => Arc::new(key),
    };
    shard.insert(Arc::clone(&key), taken + 1);
    drop(shard);
    Ok(Reservation {
        key,
        sessions: Arc::clone(sessions),
    })
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let mut shard = self.sessions.counts.shard(&self.key);
        match shard.get_mut(&self.key) {
            Some(taken) if *taken > 1 => *taken -= 1,
            _ => drop(shard.remove(&self.key)),
        }
    }
}
