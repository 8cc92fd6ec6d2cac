//! For how long a backend that gave no answer is set aside.

use std::time::{Duration, Instant};

/// Long enough to spare the others the attempt, short enough for a restart to go unnoticed.
pub(super) const FIRST_ABSENCE: Duration = Duration::from_secs(1);

/// Somebody repairs it in the end, and does not want to wait for us then.
const LONGEST_ABSENCE: Duration = Duration::from_secs(30);

/// How a member failed lately.
#[derive(Debug, Default)]
pub(super) struct Absence {
    /// In a row.
    failures: u32,
    until: Option<Instant>,
}

impl Absence {
    pub(super) fn is_out(&self, now: Instant) -> bool {
        self.until.is_some_and(|until| until > now)
    }

    /// A handshake goes there; failures so far. After an absence it goes alone.
    pub(super) fn begin(&mut self, now: Instant) -> u32 {
        if self.failures > 0 {
            self.until = Some(now + self.time());
        }
        self.failures
    }

    /// For how long it is set aside, if that is news to who began at `failures`.
    pub(super) fn failed(&mut self, failures: u32, now: Instant) -> Option<Duration> {
        if self.failures != failures {
            return None;
        }
        self.failures = self.failures.saturating_add(1);
        let time = self.time();
        self.until = Some(now + time);
        Some(time)
    }

    fn time(&self) -> Duration {
        let doublings = self.failures.saturating_sub(1).min(16);
        FIRST_ABSENCE
            .saturating_mul(1 << doublings)
            .min(LONGEST_ABSENCE)
    }
}
