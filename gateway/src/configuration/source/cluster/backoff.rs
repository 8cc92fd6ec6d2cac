//! Growing pauses with jitter, so that a fleet of pods does not return in step.

use std::time::Duration;

use tokio::time::Instant;

/// The first pause: a Role that was created a moment ago is usually in force by then.
const FIRST: Duration = Duration::from_millis(100);

/// No pause is longer: a configuration must not wait because the API server was away for long.
const LONGEST: Duration = Duration::from_secs(2);

/// A watch that worked for this time starts over with the first pause.
const QUIET: Duration = Duration::from_secs(20);

/// Doubles from [`FIRST`] to [`LONGEST`].
#[derive(Clone, Debug)]
pub(super) struct Backoff {
    next: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { next: FIRST }
    }
}

impl Backoff {
    /// The pause to make now: between half of and the whole current step.
    pub(super) fn step(&mut self) -> Duration {
        let pause = self.next.mul_f64(rand::random_range(0.5..=1.0));
        self.next = (self.next * 2).min(LONGEST);
        pause
    }

    /// Starts over with the first pause.
    pub(super) fn restart(&mut self) {
        *self = Self::default();
    }
}

/// The pauses of a watch. It starts over after a quiet while and not when kube asks for it: kube
/// asks at every attempt to list, before it is known whether the list works.
#[derive(Debug, Default)]
pub(super) struct WatchBackoff {
    backoff: Backoff,
    last: Option<Instant>,
}

impl WatchBackoff {
    fn step(&mut self, now: Instant) -> Duration {
        if self.last.is_some_and(|last| now > last + QUIET) {
            self.backoff.restart();
        }
        self.last = Some(now);
        self.backoff.step()
    }
}

impl Iterator for WatchBackoff {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        Some(self.step(Instant::now()))
    }
}

impl kube::runtime::utils::Backoff for WatchBackoff {
    fn reset(&mut self) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_bound_and_start_over() {
        let mut backoff = Backoff::default();
        for bound in [100, 200, 400, 800, 1600, 2000, 2000] {
            let pause = backoff.step().as_millis();
            assert!(pause >= bound / 2 && pause <= bound, "{pause} of {bound}");
        }
        backoff.restart();
        assert!(backoff.step() <= FIRST);
    }

    #[test]
    fn a_watch_starts_over_after_a_quiet_while_only() {
        use kube::runtime::utils::Backoff as _;

        let mut backoff = WatchBackoff::default();
        let start = Instant::now();
        for _ in 0..10 {
            backoff.reset();
            backoff.step(start);
        }
        assert!(backoff.step(start) >= LONGEST / 2);
        assert!(backoff.step(start + QUIET + FIRST) <= FIRST);
    }
}
