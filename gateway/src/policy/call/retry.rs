//! When a request is sent again, and after how long.

use std::time::Duration;

use tidegate_config::policy;

use super::Answer;
use crate::exchange::Exchange;
use crate::policy::compile::{Compiler, InvalidPolicy};
use crate::policy::expression::Condition;
use crate::refusal::Refusal;

/// Statuses that mean: perhaps later (RFC 9110 §15.5.9, §15.6, RFC 6585 §4).
const PERHAPS_LATER: [u16; 5] = [408, 429, 502, 503, 504];

/// A retry, compiled.
#[derive(Debug)]
pub(in crate::policy) struct Retry {
    pub(in crate::policy) count: u32,
    interval: Duration,
    max_interval: Option<Duration>,
    when: Option<Condition>,
}

impl Retry {
    pub(in crate::policy) fn compile(
        retry: &policy::Retry,
        at: &str,
        compiler: &Compiler<'_>,
    ) -> Result<Self, InvalidPolicy> {
        let when = retry.when.as_ref();
        let when = when.map(|when| compiler.condition(&format!("{at}.when"), when));
        Ok(Self {
            count: retry.count,
            interval: retry.interval.get(),
            max_interval: retry.max_interval.map(tidegate_config::Duration::get),
            when: when.transpose()?,
        })
    }

    /// Is this outcome worth another try? The condition reads it as the request's variable.
    pub(in crate::policy) fn is_wanted(
        &self,
        answer: Option<&Answer>,
        exchange: &mut Exchange,
    ) -> Result<bool, Refusal> {
        match (&self.when, answer) {
            (Some(when), _) => when.holds(exchange),
            (None, Some(answer)) => Ok(PERHAPS_LATER.contains(&answer.status)),
            (None, None) => Ok(true),
        }
    }

    /// The wait after so many tries. Doubled waits differ a little from handshake to handshake, so
    /// that those who failed together do not come back together.
    pub(in crate::policy) fn pause(&self, tries: u32) -> Duration {
        let Some(longest) = self.max_interval else {
            return self.interval;
        };
        let factor = 2_u32.saturating_pow(tries.saturating_sub(1).min(16));
        let doubled = self.interval.saturating_mul(factor);
        doubled.min(longest).mul_f64(rand::random_range(0.8..=1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_the_same_or_double_up_to_a_bound() {
        let ms = Duration::from_millis;
        let retry = |max_interval| Retry {
            count: 50,
            interval: ms(100),
            max_interval,
            when: None,
        };
        for tries in 1..=50 {
            assert_eq!(retry(None).pause(tries), ms(100));
            let wait = retry(Some(ms(500))).pause(tries);
            let longest = [100, 200, 400, 500][(tries as usize - 1).min(3)];
            assert!(
                wait <= ms(longest) && wait >= ms(longest) * 8 / 10,
                "{tries}: {wait:?}"
            );
        }
    }
}
