//! Key sets of identity providers: fetched once, shared by all policies that name them, refreshed.
//!
//! A handshake waits only when there is no set yet, or when its token names a key that the set does
//! not have. One fetch at a time per set; it is a task of its own, so a client that hangs up does
//! not cancel it. Keys that worked stay in use as long as the provider is away.

mod document;
mod remote;

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use rustls::ClientConfig;
use tidegate_config::shown_url;
use tidegate_keys::VerificationKey;
use tokio::runtime::Handle;
use tokio::sync::Notify;

use crate::http_client::{Guard, HttpClient};
use crate::outage::Outage;
use tidegate_tunnel::drain::Drain;

pub(crate) use remote::RemoteKeys;

/// Where a key set is found.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum KeySource {
    /// URL of an OpenID Connect discovery document, which names issuer and key set.
    Discovery(String),
    /// URL of the key set itself.
    Jwks(String),
}

impl fmt::Display for KeySource {
    /// The query of a URL may hold a secret and is left out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Discovery(url) | Self::Jwks(url)) = self;
        f.write_str(shown_url(url))
    }
}

/// Whom to trust besides what the system does: TLS settings of a policy.
#[derive(Clone, Debug)]
pub(crate) struct Trust {
    /// What equal settings hash to.
    pub(crate) id: [u8; 32],
    pub(crate) config: Arc<ClientConfig>,
}

/// Keys as they were fetched last.
#[derive(Debug)]
pub(crate) struct KeySet {
    /// The discovery document's issuer.
    pub(crate) issuer: Option<String>,
    pub(crate) keys: Vec<VerificationKey>,
    /// Keys of the document that are too many.
    pub(crate) left_out: usize,
}

/// How often fetching worked; for metrics.
#[derive(Debug, Default)]
pub(crate) struct FetchCounts {
    succeeded: AtomicU64,
    failed: AtomicU64,
}

impl FetchCounts {
    pub(crate) fn succeeded(&self) -> u64 {
        self.succeeded.load(Ordering::Relaxed)
    }

    pub(crate) fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }

    fn count(&self, worked: bool) {
        let counter = if worked {
            &self.succeeded
        } else {
            &self.failed
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// What fetching needs; the same for all sets.
#[derive(Debug)]
struct Fetcher {
    drain: Drain,
    /// Fetches run here, whichever worker asked for them.
    runtime: Handle,
    guard: Guard,
    client: Arc<HttpClient>,
    counts: FetchCounts,
}

/// A source and whom its readers trust: who trusts others may be told other keys.
type KeySetId = (KeySource, Option<[u8; 32]>);

/// All key sets that some policy names.
#[derive(Debug)]
pub(crate) struct KeySets {
    fetcher: Arc<Fetcher>,
    /// Weak: a set that no compiled policy holds any more is forgotten.
    known: Mutex<HashMap<KeySetId, Weak<RemoteKeys>>>,
    added: Notify,
}

impl KeySets {
    /// Nothing fetched yet.
    pub(crate) fn new(drain: Drain, runtime: Handle, guard: Guard) -> Self {
        Self {
            fetcher: Arc::new(Fetcher {
                drain,
                runtime,
                client: Arc::new(HttpClient::new(guard.clone())),
                guard,
                counts: FetchCounts::default(),
            }),
            known: Mutex::default(),
            added: Notify::new(),
        }
    }

    /// The set at `source`, shared by all who ask for it and trust the same.
    pub(crate) fn at(&self, source: KeySource, trust: Option<&Trust>) -> Arc<RemoteKeys> {
        let of = (source, trust.map(|trust| trust.id));
        let mut known = self.known.lock();
        if let Some(keys) = known.get(&of).and_then(Weak::upgrade) {
            return keys;
        }
        let fetcher = Arc::clone(&self.fetcher);
        let client = match trust {
            None => Arc::clone(&fetcher.client),
            Some(trust) => {
                let guard = fetcher.guard.clone();
                Arc::new(HttpClient::with_tls(guard, Arc::clone(&trust.config)))
            }
        };
        let keys = Arc::new(RemoteKeys::new(of.0.clone(), client, fetcher));
        known.insert(of, Arc::downgrade(&keys));
        self.added.notify_one();
        keys
    }

    /// Completes when a set was added, whose keys are better fetched before a handshake needs them.
    pub(crate) async fn added(&self) {
        self.added.notified().await;
    }

    /// Starts the fetches that are due, and drops sets that no policy uses.
    pub(crate) fn refresh(&self) {
        let mut known = self.known.lock();
        known.retain(|_, keys| keys.strong_count() > 0);
        for keys in known.values().filter_map(Weak::upgrade) {
            keys.refresh_if_due();
        }
    }

    /// How many sets could not be fetched when that was tried last.
    pub(crate) fn failing(&self) -> usize {
        let known = self.known.lock();
        let held = known.values().filter_map(Weak::upgrade);
        held.filter(|keys| keys.is_failing()).count()
    }

    /// The sets that cannot be fetched, and why.
    pub(crate) fn outages(&self) -> Vec<(String, Outage)> {
        let known = self.known.lock();
        let held = known.iter().filter_map(|((source, _), keys)| {
            let outage = keys.upgrade()?.outage()?;
            Some((source.to_string(), outage))
        });
        let mut outages: Vec<_> = held.collect();
        outages.sort_by(|(a, _), (b, _)| a.cmp(b));
        outages.dedup_by(|(a, _), (b, _)| a == b);
        outages
    }

    pub(crate) fn counts(&self) -> &FetchCounts {
        &self.fetcher.counts
    }
}

#[cfg(test)]
mod tests;
