//! Outlier detection: how long a backend that gave no answer is ejected.

use std::time::{Duration, Instant};

use tidegate_config::PassiveHealthCheck;

/// Recent failures of a member.
#[derive(Clone, Debug, Default)]
pub(super) struct OutlierState {
    /// Failures in a row.
    failures: u32,
    until: Option<Instant>,
    /// Its last wish to be left alone.
    wish: Option<Wish>,
}

/// An answer with `Retry-After`.
#[derive(Clone, Copy, Debug)]
struct Wish {
    since: Instant,
    until: Instant,
}

/// The ejection during a trial handshake, and the one before it.
#[derive(Clone, Copy, Debug)]
pub(super) struct TrialEjection {
    until: Instant,
    before: Option<Instant>,
}

impl OutlierState {
    pub(super) fn is_ejected(&self, now: Instant) -> bool {
        let wished = self.wish.map(|wish| wish.until);
        self.until.max(wished).is_some_and(|until| until > now)
    }

    /// Begins a handshake; gives the failures so far. After an ejection it is a trial: the member stays ejected
    /// for others until it has a result.
    pub(super) fn begin(
        &mut self,
        rule: PassiveHealthCheck,
        now: Instant,
    ) -> (u32, Option<TrialEjection>) {
        let trial_ejection = self.time(rule).map(|time| {
            let (until, before) = (now + time, self.until);
            self.until = Some(until);
            TrialEjection { until, before }
        });
        (self.failures, trial_ejection)
    }

    /// Undoes a trial that ended without a result, so that the next handshake is the trial.
    pub(super) fn abandoned(&mut self, TrialEjection { until, before }: TrialEjection) {
        if self.until == Some(until) {
            self.until = before;
        }
    }

    /// Ends the row of failures. A handshake that `began` before the member wanted to be left alone does not end
    /// that: a backend that limits its rate accepts some handshakes beside those that it refuses.
    pub(super) fn succeeded(&mut self, began: Instant) {
        *self = Self {
            wish: self.wish.filter(|wish| began <= wish.since),
            ..Self::default()
        };
    }

    /// Counts a failure, after which the member may want to be left alone for a time. Gives the ejection time,
    /// but only once for handshakes that were in flight together: a handshake that began at another number of
    /// `failures` gets `None`.
    pub(super) fn failed(
        &mut self,
        (failures, retry_after): (u32, Option<Duration>),
        rule: PassiveHealthCheck,
        now: Instant,
    ) -> Option<Duration> {
        let was_ejected = self.is_ejected(now);
        if let Some(time) = retry_after {
            self.wish = Some(Wish {
                since: now,
                until: now + time,
            });
        }
        if self.failures != failures && (self.time(rule).is_some() || was_ejected) {
            return None;
        }
        self.failures = self.failures.saturating_add(1);
        let time = self.time(rule);
        if let Some(time) = time {
            self.until = Some(now + time);
        }
        time.max(retry_after.filter(|time| !time.is_zero()))
    }

    /// Ejection time; `None`: it did not fail often enough.
    fn time(&self, rule: PassiveHealthCheck) -> Option<Duration> {
        let more = self
            .failures
            .checked_sub(rule.consecutive_failures.max(1))?;
        let time = rule
            .base_ejection_time
            .get()
            .saturating_mul(1 << more.min(16));
        Some(time.min(rule.max_ejection_time.get()))
    }
}
