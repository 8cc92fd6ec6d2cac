//! For how long a backend that gave no answer is set aside.

use std::time::{Duration, Instant};

use tidegate_config::PassiveHealthCheck;

/// How a member failed lately.
#[derive(Clone, Debug, Default)]
pub(super) struct OutlierState {
    /// In a row.
    failures: u32,
    until: Option<Instant>,
}

/// The time for which a handshake keeps others away, and how it was before.
#[derive(Clone, Copy, Debug)]
pub(super) struct TrialEjection {
    until: Instant,
    before: Option<Instant>,
}

impl OutlierState {
    pub(super) fn is_ejected(&self, now: Instant) -> bool {
        self.until.is_some_and(|until| until > now)
    }

    /// A handshake goes there; failures so far. After an absence it goes alone.
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

    /// It went without having found out anything: the next one may, as if it had not been there.
    pub(super) fn abandoned(&mut self, TrialEjection { until, before }: TrialEjection) {
        if self.until == Some(until) {
            self.until = before;
        }
    }

    /// For how long it is set aside, if that is news to who began at `failures`: handshakes that
    /// were on their way together say so once.
    pub(super) fn failed(
        &mut self,
        failures: u32,
        rule: PassiveHealthCheck,
        now: Instant,
    ) -> Option<Duration> {
        if self.time(rule).is_some() && self.failures != failures {
            return None;
        }
        self.failures = self.failures.saturating_add(1);
        let time = self.time(rule)?;
        self.until = Some(now + time);
        Some(time)
    }

    /// `None`: it did not fail often enough.
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
