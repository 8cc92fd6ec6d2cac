//! One key set: what is known of it, and when it may be fetched.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::watch;
use tokio::time::timeout;

use super::{Fetcher, KeySet, KeySource, document};
use crate::http_client::HttpClient;
use crate::outage::{Outage, OutageTracker};
use tidegate_config::error_chain;

/// Age at which keys are fetched again.
const REFRESH_AFTER: Duration = Duration::from_secs(60 * 60);

/// A token with an unknown key leads to a fetch at most this often, so that clients cannot cause many requests
/// to the provider.
const REFETCH_AFTER: Duration = Duration::from_secs(5 * 60);

/// After a failure, while older keys are in use: soon enough to tell when the provider is back.
const RETRY_AFTER: Duration = Duration::from_secs(30);

/// First pause while there are no keys at all and every handshake is refused; it grows.
const FIRST_RETRY: Duration = Duration::from_secs(1);

/// Two documents, each bounded by the client's own timeout.
const LONGEST_FETCH: Duration = Duration::from_secs(25);

/// The keys at one source.
#[derive(Debug)]
pub(crate) struct RemoteKeys {
    source: KeySource,
    client: Arc<HttpClient>,
    fetcher: Arc<Fetcher>,
    schedule: Mutex<Schedule>,
    outage: OutageTracker,
    /// The newest keys; a new version whenever a fetch ended, also when it failed.
    newest: watch::Sender<Option<Arc<KeySet>>>,
}

impl RemoteKeys {
    pub(super) fn new(source: KeySource, client: Arc<HttpClient>, fetcher: Arc<Fetcher>) -> Self {
        Self {
            source,
            client,
            fetcher,
            schedule: Mutex::default(),
            outage: OutageTracker::default(),
            newest: watch::Sender::new(None),
        }
    }

    /// The keys as they are; `None` before the first fetch worked.
    pub(crate) fn current(&self) -> Option<Arc<KeySet>> {
        self.newest.borrow().clone()
    }

    /// The keys; waits for them when there are none yet.
    pub(crate) async fn get(self: &Arc<Self>) -> Option<Arc<KeySet>> {
        match self.current() {
            Some(keys) => Some(keys),
            None => self.fetched(Cause::Missing).await,
        }
    }

    /// The keys after a look whether the source has newer ones than `seen`, which lack a key.
    pub(crate) async fn newer_than(self: &Arc<Self>, seen: &Arc<KeySet>) -> Option<Arc<KeySet>> {
        match self.current() {
            Some(keys) if !Arc::ptr_eq(&keys, seen) => Some(keys),
            _ => {
                let keys = self.fetched(Cause::UnknownKey).await;
                keys.filter(|keys| !Arc::ptr_eq(keys, seen))
            }
        }
    }

    /// Starts a fetch when the keys are old, or missing.
    pub(super) fn refresh_if_due(self: &Arc<Self>) {
        let cause = if self.newest.borrow().is_some() {
            Cause::Age
        } else {
            Cause::Missing
        };
        self.start(cause);
    }

    /// Did the last fetch fail?
    pub(super) fn is_failing(&self) -> bool {
        self.schedule().failures > 0
    }

    /// What is wrong with the source, as far as is known.
    pub(super) fn outage(&self) -> Option<Outage> {
        self.outage.outage()
    }

    async fn fetched(self: &Arc<Self>, cause: Cause) -> Option<Arc<KeySet>> {
        let mut newest = self.newest.subscribe();
        if self.start(cause) {
            // The bound holds when the fetch's runtime is gone; a fetch ends by itself.
            let _ = timeout(LONGEST_FETCH, newest.changed()).await;
        }
        self.current()
    }

    /// Is a fetch under way now?
    fn start(self: &Arc<Self>, cause: Cause) -> bool {
        match self.schedule().begin(cause, Instant::now()) {
            FetchStart::No => false,
            FetchStart::UnderWay => true,
            FetchStart::Now => {
                let this = Arc::clone(self);
                let Fetcher { drain, runtime, .. } = &*self.fetcher;
                drain.spawn_on(async move { this.fetch(cause).await }, runtime);
                true
            }
        }
    }

    async fn fetch(&self, cause: Cause) {
        let result = document::fetch(&self.client, &self.source).await;
        self.fetcher.counts.count(result.is_ok());
        // Both under one lock: when no fetch is in progress, its result is visible.
        let mut schedule = self.schedule();
        schedule.end(result.is_ok(), cause, Instant::now());
        match result {
            Ok(keys) => {
                self.outage.worked();
                tracing::info!(source = %self.source, keys = keys.keys.len(), "fetched keys of tokens");
                if keys.left_out > 0 {
                    let left_out = keys.left_out;
                    tracing::warn!(source = %self.source, left_out, "too many keys of tokens");
                }
                self.newest.send_replace(Some(Arc::new(keys)));
            }
            Err(error) => {
                let error = error_chain(&error);
                tracing::warn!(source = %self.source, error, "failed to fetch keys of tokens");
                self.outage.failed(&error);
                // Wakes the waiting handshakes, which continue with the old keys.
                self.newest.send_modify(|_| {});
            }
        }
    }

    fn schedule(&self) -> MutexGuard<'_, Schedule> {
        self.schedule.lock()
    }
}

/// Why a fetch is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    /// There are no keys yet.
    Missing,
    /// The keys are old.
    Age,
    /// A token names a key that is not among them.
    UnknownKey,
}

#[derive(Debug, PartialEq, Eq)]
enum FetchStart {
    Now,
    UnderWay,
    No,
}

/// Decides when the next fetch may begin. Pure.
#[derive(Debug, Default)]
struct Schedule {
    under_way_since: Option<Instant>,
    fetched_at: Option<Instant>,
    /// Not before; set by a failure.
    retry_at: Option<Instant>,
    /// Not for an unknown key before; set by a fetch for one.
    unknown_key_at: Option<Instant>,
    failures: u32,
}

impl Schedule {
    fn begin(&mut self, cause: Cause, now: Instant) -> FetchStart {
        let under_way = |since: &Instant| now.duration_since(*since) < LONGEST_FETCH;
        if self.under_way_since.as_ref().is_some_and(under_way) {
            return FetchStart::UnderWay;
        }
        let passed = |at: Option<Instant>| at.is_none_or(|at| now >= at);
        let due = passed(self.retry_at)
            && match cause {
                Cause::Missing => self.fetched_at.is_none(),
                Cause::Age => {
                    self.failures > 0 || passed(self.fetched_at.map(|at| at + REFRESH_AFTER))
                }
                Cause::UnknownKey => passed(self.unknown_key_at),
            };
        if !due {
            return FetchStart::No;
        }
        self.under_way_since = Some(now);
        FetchStart::Now
    }

    fn end(&mut self, worked: bool, cause: Cause, now: Instant) {
        self.under_way_since = None;
        if cause == Cause::UnknownKey {
            self.unknown_key_at = Some(now + REFETCH_AFTER);
        }
        if worked {
            self.fetched_at = Some(now);
            self.retry_at = None;
            self.failures = 0;
        } else {
            let soon = FIRST_RETRY * 2u32.saturating_pow(self.failures.min(16));
            let wait = match self.fetched_at {
                None => soon.min(REFETCH_AFTER),
                Some(_) => RETRY_AFTER,
            };
            self.retry_at = Some(now + wait);
            self.failures += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tells a fresh schedule what happens at which second, and checks what it answers.
    fn plays(steps: &[(u64, Cause, FetchStart, Option<bool>)]) {
        let start = Instant::now();
        let mut schedule = Schedule::default();
        for (second, cause, expected, outcome) in steps {
            let now = start + Duration::from_secs(*second);
            assert_eq!(
                &schedule.begin(*cause, now),
                expected,
                "{cause:?} at {second} s"
            );
            if let Some(worked) = outcome {
                schedule.end(*worked, *cause, now);
            }
        }
    }

    #[test]
    fn keys_are_refreshed_hourly() {
        plays(&[
            (0, Cause::Missing, FetchStart::Now, Some(true)),
            (3599, Cause::Age, FetchStart::No, None),
            (3600, Cause::Age, FetchStart::Now, Some(false)),
            (3601, Cause::Age, FetchStart::No, None),
            (3630, Cause::Age, FetchStart::Now, Some(true)),
            (7229, Cause::Age, FetchStart::No, None),
        ]);
    }

    #[test]
    fn an_unknown_key_leads_to_one_fetch_in_five_minutes() {
        plays(&[
            (0, Cause::Missing, FetchStart::Now, Some(true)),
            (1, Cause::UnknownKey, FetchStart::Now, Some(true)),
            (2, Cause::UnknownKey, FetchStart::No, None),
            (300, Cause::UnknownKey, FetchStart::No, None),
            (301, Cause::UnknownKey, FetchStart::Now, Some(false)),
            (330, Cause::Age, FetchStart::No, None),
            (331, Cause::Age, FetchStart::Now, Some(true)),
            (332, Cause::Age, FetchStart::No, None),
            (600, Cause::UnknownKey, FetchStart::No, None),
            (601, Cause::UnknownKey, FetchStart::Now, Some(true)),
        ]);
    }

    #[test]
    fn without_any_keys_it_is_tried_again_soon_and_then_less_often() {
        plays(&[
            (0, Cause::Missing, FetchStart::Now, Some(false)),
            (0, Cause::Missing, FetchStart::No, None),
            (1, Cause::Missing, FetchStart::Now, Some(false)),
            (2, Cause::Missing, FetchStart::No, None),
            (3, Cause::Missing, FetchStart::Now, Some(false)),
            (6, Cause::Missing, FetchStart::No, None),
            (7, Cause::Missing, FetchStart::Now, Some(true)),
        ]);
    }

    #[test]
    fn there_is_one_fetch_at_a_time_and_a_lost_one_does_not_block() {
        plays(&[
            (0, Cause::Missing, FetchStart::Now, None),
            (1, Cause::Missing, FetchStart::UnderWay, None),
            (24, Cause::UnknownKey, FetchStart::UnderWay, None),
            (25, Cause::Missing, FetchStart::Now, Some(true)),
        ]);
    }
}
