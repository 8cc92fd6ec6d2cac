//! When a pass is due: after a change, after winning the election, when time changes the outcome,
//! after a failure, and every few minutes. Client required by what it calls.

use std::time::Duration;

use tokio::time::Instant;

use crate::admin::Heartbeat;
use crate::drain::Drain;
use crate::gather::{Health, SharedIndex, Waker};
use crate::lease::Leadership;
use crate::metrics::Metrics;
use crate::pass::{Done, Pass, retry_after};

/// Changes that come together are taken together: a pass sees all that arrive this soon after the
/// first.
const DEBOUNCE: Duration = Duration::from_millis(10);

/// A change of a status alone can wait: nobody is served differently.
const PATIENCE: Duration = Duration::from_millis(500);

/// A pass is made this often in any case: what nobody noticed is put right then.
const RESYNC: Duration = Duration::from_secs(180);

/// When stopping, a pass may go on this long: the next leader waits for the Lease.
const FINISH: Duration = Duration::from_millis(800);

/// The loop that makes passes.
pub(crate) struct Loop {
    pub(crate) pass: Pass,
    pub(crate) index: SharedIndex,
    pub(crate) waker: Waker,
    pub(crate) health: Health,
    pub(crate) heartbeat: Heartbeat,
    pub(crate) leadership: Leadership,
    pub(crate) metrics: Metrics,
    pub(crate) drain: Drain,
}

/// Why the loop woke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    Change,
    /// A change that can wait.
    Later,
    Leadership,
    Time,
    Expiry,
    Stop,
}

/// What the loop remembers from one turn to the next.
#[derive(Debug)]
struct Agenda {
    leads: bool,
    failures: u32,
    /// When the next pass is due without any change.
    due: Instant,
    /// When a change that can wait has waited enough.
    later: Option<Instant>,
    /// Acknowledgements that are counted as live lapse at this time, unless renewed.
    expiry: Option<Instant>,
    /// When the last pass looked at the acknowledgements.
    looked: Instant,
}

impl Agenda {
    /// Nothing is due until something happens. A time in the past would wake the loop at once, and
    /// again and again.
    fn rest(&mut self) {
        self.due = Instant::now() + RESYNC;
        self.later = None;
        self.expiry = None;
    }
}

impl Loop {
    /// Makes passes until the drain asks.
    pub(crate) async fn run(mut self) {
        let now = Instant::now();
        let mut agenda = Agenda {
            leads: false,
            failures: 0,
            due: now,
            later: None,
            expiry: None,
            looked: now,
        };
        loop {
            self.heartbeat.beat();
            let cause = self.sleep(&agenda).await;
            let led = std::mem::replace(&mut agenda.leads, self.leadership.leads());
            self.metrics.leads(agenda.leads);
            match cause {
                Cause::Stop => return,
                _ if !agenda.leads => {
                    if led {
                        self.pass.reset();
                    }
                    agenda.rest();
                    continue;
                }
                // Won: whatever woke it, everything is to be looked at anew.
                _ if !led => self.pass.reset(),
                Cause::Later => {
                    agenda.later = Some(Instant::now() + PATIENCE);
                    continue;
                }
                // A renewal is no reason.
                Cause::Leadership => continue,
                Cause::Expiry if !self.has_expired(&mut agenda) => continue,
                Cause::Expiry | Cause::Change | Cause::Time => {}
            }
            if !self.health.all_listed() {
                // The end of each list wakes the loop.
                agenda.rest();
                continue;
            }
            if !self.turn(&mut agenda).await {
                return;
            }
        }
    }

    async fn sleep(&mut self, agenda: &Agenda) -> Cause {
        let due = agenda
            .later
            .map_or(agenda.due, |later| later.min(agenda.due));
        let expiry = agenda.expiry.unwrap_or(due + RESYNC);
        tokio::select! {
            biased;
            () = self.drain.asked() => Cause::Stop,
            () = self.waker.now() => {
                tokio::time::sleep(DEBOUNCE).await;
                Cause::Change
            }
            () = self.leadership.changed() => Cause::Leadership,
            () = self.waker.soon(), if agenda.later.is_none() => Cause::Later,
            () = tokio::time::sleep_until(due) => Cause::Time,
            () = tokio::time::sleep_until(expiry) => Cause::Expiry,
        }
    }

    /// Makes a pass; false when it was cut short by the drain.
    async fn turn(&mut self, agenda: &mut Agenda) -> bool {
        // What woke it until now is seen by this pass.
        self.waker.settle();
        agenda.later = None;
        let started = Instant::now();
        let stop = async {
            self.drain.asked().await;
            tokio::time::sleep(FINISH).await;
        };
        let outcome = tokio::select! {
            () = stop => return false,
            outcome = self.pass.run() => outcome,
        };
        self.metrics.passed(started.elapsed());
        agenda.looked = started;
        self.plan_expiry(agenda);
        let next = match outcome {
            Ok(done) => self.after(done, agenda),
            Err(error) => {
                let error = crate::error_chain(&error);
                tracing::warn!(error, "pass failed, trying again");
                self.metrics.pass_failed();
                agenda.failures += 1;
                retry_after(agenda.failures)
            }
        };
        agenda.due = Instant::now() + next;
        true
    }

    fn after(&self, done: Done, agenda: &mut Agenda) -> Duration {
        let change = done
            .next_change
            .map_or(RESYNC, |at| at.saturating_duration_since(Instant::now()));
        if done.incomplete {
            self.metrics.pass_failed();
            agenda.failures += 1;
            change.min(retry_after(agenda.failures))
        } else {
            agenda.failures = 0;
            change.min(RESYNC)
        }
    }

    /// When the first of the live acknowledgements lapses.
    fn plan_expiry(&self, agenda: &mut Agenda) {
        let now = Instant::now();
        let index = self.index.lock();
        let live = index.acks.iter().map(|(_, ack)| ack.expires());
        agenda.expiry = live.filter(|expires| *expires > now).min();
    }

    /// Has an acknowledgement lapsed since the last pass? Else the next one may.
    fn has_expired(&self, agenda: &mut Agenda) -> bool {
        let now = Instant::now();
        let lapsed = {
            let index = self.index.lock();
            let mut acks = index.acks.iter();
            acks.any(|(_, ack)| ack.is_live(agenda.looked) && !ack.is_live(now))
        };
        self.plan_expiry(agenda);
        self.pass.remeasure();
        lapsed
    }
}
