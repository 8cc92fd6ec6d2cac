//! Token buckets: how much a side may still send.

use std::time::Duration;

use tidegate_config::Rate;
use tokio::time::Instant;

/// Waiting for tokens is done in steps of 1/20 s worth of them, so that a delayed stream is not
/// passed on byte by byte.
const STEPS_PER_SECOND: u32 = 20;

/// What is in the bucket; how it fills is in the [`Rate`], which all tunnels of an API share.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bucket {
    tokens: f64,
    at: Instant,
}

fn burst(rate: &Rate) -> f64 {
    rate.burst
        .filter(|&burst| burst > 0)
        .unwrap_or(rate.rate)
        .into()
}

impl Bucket {
    /// A full one.
    pub(super) fn new(rate: &Rate, now: Instant) -> Self {
        Self {
            tokens: burst(rate),
            at: now,
        }
    }

    /// Whole tokens in the bucket.
    pub(super) fn available(&mut self, rate: &Rate, now: Instant) -> usize {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.at = now.max(self.at);
        self.tokens = (self.tokens + passed * f64::from(rate.rate)).min(burst(rate));
        self.tokens.max(0.0) as usize
    }

    /// Takes tokens; more than there are is a debt.
    pub(super) fn take(&mut self, count: usize) {
        self.tokens -= count as f64;
    }

    /// When it is worth trying again.
    pub(super) fn refilled(&self, rate: &Rate, step: bool) -> Instant {
        let wanted = if step {
            f64::from((rate.rate / STEPS_PER_SECOND).max(1)).min(burst(rate))
        } else {
            1.0
        };
        let missing = (wanted - self.tokens).max(0.0);
        // Rounded up: a timer that fires early finds no token and would fire again at once.
        self.at + Duration::from_secs_f64(missing / f64::from(rate.rate)) + Duration::from_millis(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEN: Rate = Rate {
        rate: 10,
        burst: Some(3),
        on_exceed: tidegate_config::OnExceed::Delay,
    };

    #[test]
    fn a_bucket_starts_full_and_never_holds_more() {
        let start = Instant::now();
        let mut bucket = Bucket::new(&TEN, start);
        assert_eq!(bucket.available(&TEN, start), 3);
        let later = start + Duration::from_secs(100);
        assert_eq!(bucket.available(&TEN, later), 3);
    }

    #[test]
    fn tokens_come_back_at_the_rate() {
        let start = Instant::now();
        let mut bucket = Bucket::new(&TEN, start);
        bucket.take(3);
        assert_eq!(bucket.available(&TEN, start), 0);
        let again = bucket.refilled(&TEN, false);
        assert_eq!(again - start, Duration::from_millis(101));
        assert_eq!(bucket.available(&TEN, again), 1);
    }

    #[test]
    fn a_debt_is_paid_first() {
        let start = Instant::now();
        let mut bucket = Bucket::new(&TEN, start);
        bucket.take(5);
        assert_eq!(
            bucket.available(&TEN, start + Duration::from_millis(200)),
            0
        );
        assert_eq!(
            bucket.available(&TEN, start + Duration::from_millis(310)),
            1
        );
    }
}
