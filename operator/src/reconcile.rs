//! The reconcile loop: makes a pass after a change, after this replica became the leader, when time changes the
//! outcome, after a failure, and every few minutes. Client required by the pass.

mod feed;
mod reconciler;
mod tasks;

use std::time::Duration;

use tokio::time::Instant;

use crate::admin::Heartbeat;
use crate::drain::Drain;
use crate::leader_election::Leadership;
use crate::metrics::Metrics;
use crate::watch::{SharedCache, Trigger, WatchHealth};
pub(crate) use reconciler::{Context, Installation, Reconciler};
use reconciler::{Outcome, retry_after};

/// A pass waits this long after a change for further ones, and takes them together.
const DEBOUNCE: Duration = Duration::from_millis(10);

/// How long a change of a status alone waits: it does not change what is served.
const STATUS_DELAY: Duration = Duration::from_millis(500);

/// Longest time between two passes that look at everything: they also repair what changed without an event.
const RESYNC_INTERVAL: Duration = Duration::from_secs(180);

/// How long a pass may go on when the operator stops: the next leader waits for the Lease.
const STOP_TIMEOUT: Duration = Duration::from_millis(800);

/// The loop that makes passes.
pub(crate) struct ReconcileLoop {
    pub(crate) reconciler: Reconciler,
    pub(crate) cache: SharedCache,
    pub(crate) trigger: Trigger,
    pub(crate) health: WatchHealth,
    pub(crate) heartbeat: Heartbeat,
    pub(crate) leadership: Leadership,
    pub(crate) metrics: Metrics,
    pub(crate) drain: Drain,
}

/// Why the loop woke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum WakeReason {
    Change,
    /// A change that can wait.
    StatusChange,
    Leadership,
    Time,
    LeaseExpiry,
    Stop,
}

/// When the next pass is due.
#[derive(Debug)]
struct Schedule {
    leads: bool,
    failures: u32,
    /// When the next pass is due without any change.
    due: Instant,
    /// When the pass for a change is due that could wait.
    delayed: Option<Instant>,
    /// When the first of the live Leases expires, unless it is renewed.
    lease_expiry: Option<Instant>,
    /// When the last pass started.
    last_pass: Instant,
    /// When a pass looks at everything again.
    resync: Instant,
}

impl Schedule {
    /// Nothing is due until something happens. A time in the past would wake the loop again and again.
    fn clear(&mut self) {
        self.due = Instant::now() + RESYNC_INTERVAL;
        self.delayed = None;
        self.lease_expiry = None;
    }
}

impl ReconcileLoop {
    /// Makes passes until the drain asks.
    pub(crate) async fn run(mut self) {
        let now = Instant::now();
        let mut schedule = Schedule {
            leads: false,
            failures: 0,
            due: now,
            delayed: None,
            lease_expiry: None,
            last_pass: now,
            resync: now,
        };
        loop {
            self.heartbeat.beat();
            let reason = self.sleep(&schedule).await;
            let led = std::mem::replace(&mut schedule.leads, self.leadership.leads());
            self.metrics.leads(schedule.leads);
            match reason {
                WakeReason::Stop => return,
                _ if !schedule.leads => {
                    if led {
                        self.reconciler.reset();
                    }
                    self.cache.lock().forget_changed();
                    schedule.clear();
                    continue;
                }
                // This replica became the leader: everything has to be read again, whatever woke the loop.
                _ if !led => self.reconciler.reset(),
                WakeReason::StatusChange => {
                    schedule.delayed = Some(Instant::now() + STATUS_DELAY);
                    continue;
                }
                // A renewal needs no pass.
                WakeReason::Leadership => continue,
                WakeReason::LeaseExpiry if !self.has_lease_expired(&mut schedule) => continue,
                WakeReason::LeaseExpiry | WakeReason::Change | WakeReason::Time => {}
            }
            if !self.health.all_listed() {
                // The end of each list wakes the loop.
                schedule.clear();
                continue;
            }
            if !self.reconcile(&mut schedule).await {
                return;
            }
        }
    }

    async fn sleep(&mut self, schedule: &Schedule) -> WakeReason {
        let delayed = schedule.delayed;
        let due = delayed.map_or(schedule.due, |delayed| delayed.min(schedule.due));
        let lease_expiry = schedule.lease_expiry.unwrap_or(due + RESYNC_INTERVAL);
        tokio::select! {
            biased;
            () = self.drain.asked() => WakeReason::Stop,
            () = self.trigger.now() => {
                tokio::time::sleep(DEBOUNCE).await;
                WakeReason::Change
            }
            () = self.leadership.changed() => WakeReason::Leadership,
            () = self.trigger.soon(), if delayed.is_none() => WakeReason::StatusChange,
            () = tokio::time::sleep_until(due) => WakeReason::Time,
            () = tokio::time::sleep_until(lease_expiry) => WakeReason::LeaseExpiry,
        }
    }

    /// Makes a pass; false when the drain ended it.
    async fn reconcile(&mut self, schedule: &mut Schedule) -> bool {
        // This pass sees all changes until now.
        self.trigger.clear();
        schedule.delayed = None;
        let started = Instant::now();
        let stop = async {
            self.drain.asked().await;
            tokio::time::sleep(STOP_TIMEOUT).await;
        };
        let outcome = tokio::select! {
            () = stop => return false,
            outcome = self.reconciler.reconcile(started >= schedule.resync) => outcome,
        };
        self.metrics.passed(started.elapsed());
        schedule.last_pass = started;
        if started >= schedule.resync && outcome.is_ok() {
            schedule.resync = started + RESYNC_INTERVAL;
        }
        self.schedule_lease_expiry(schedule);
        let pause = match outcome {
            Ok(outcome) => self.pause_after(outcome, schedule),
            Err(error) => {
                let error = crate::error_chain(&error);
                tracing::warn!(error, "pass failed, will try again");
                self.metrics.pass_failed();
                schedule.failures += 1;
                retry_after(schedule.failures)
            }
        };
        schedule.due = Instant::now() + pause;
        true
    }

    fn pause_after(&self, outcome: Outcome, schedule: &mut Schedule) -> Duration {
        let change = outcome.next_change.map_or(RESYNC_INTERVAL, |at| {
            at.saturating_duration_since(Instant::now())
        });
        if outcome.incomplete {
            self.metrics.pass_failed();
            schedule.failures += 1;
            change.min(retry_after(schedule.failures))
        } else {
            schedule.failures = 0;
            change.min(RESYNC_INTERVAL)
        }
    }

    /// Finds when the first of the live Leases expires.
    fn schedule_lease_expiry(&self, schedule: &mut Schedule) {
        let now = Instant::now();
        let cache = self.cache.lock();
        let expiries = cache.acks.iter().map(|(_, ack)| ack.expires());
        schedule.lease_expiry = expiries.filter(|expires| *expires > now).min();
    }

    /// Has a Lease expired since the last pass? The next expiry is scheduled either way.
    fn has_lease_expired(&self, schedule: &mut Schedule) -> bool {
        let now = Instant::now();
        let has_expired = {
            let cache = self.cache.lock();
            let mut acks = cache.acks.iter();
            acks.any(|(_, ack)| ack.is_live(schedule.last_pass) && !ack.is_live(now))
        };
        self.schedule_lease_expiry(schedule);
        self.reconciler.measure_now();
        has_expired
    }
}
