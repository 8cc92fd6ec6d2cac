//! A member that was chosen for one handshake, and the result of the handshake.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::breaker::Transition;
use super::outlier::TrialEjection;
use super::{HealthRules, MemberState};
use crate::backend::outcome::{Consequence, Count, DialOutcome};
use crate::exchange::BackendUrl;

/// A member that was chosen for a handshake. Dropped without an outcome, it changes nothing.
#[derive(Debug)]
pub(crate) struct Choice<'a> {
    pub(crate) url: &'a BackendUrl,
    pub(crate) index: usize,
    in_flight: InFlightGuard,
    attempt: Attempt,
    rules: &'a HealthRules,
    /// For this time the member wants to be left alone.
    retry_after: Option<Duration>,
}

/// What a handshake changed about its member.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Effect {
    /// Ejection time, if the member is ejected now.
    pub(crate) ejected_for: Option<Duration>,
    pub(crate) circuit: Option<Transition>,
}

/// Counts a handshake or tunnel of a member until dropped.
#[derive(Debug)]
pub(crate) struct InFlightGuard(pub(super) Arc<MemberState>);

/// A handshake in flight to a member. Dropped, it leaves no trace in the member's state.
#[derive(Debug)]
pub(super) struct Attempt {
    state: Arc<MemberState>,
    began: Instant,
    /// The member's failures when it began.
    failures: u32,
    /// Is it the trial of a half-open circuit, without a result yet?
    is_trial: bool,
    /// Set for the trial after an ejection.
    trial_ejection: Option<TrialEjection>,
}

impl<'a> Choice<'a> {
    pub(super) fn new(
        (index, url): (usize, &'a BackendUrl),
        attempt: Attempt,
        rules: &'a HealthRules,
    ) -> Self {
        let state = Arc::clone(&attempt.state);
        state.tunnels.fetch_add(1, Ordering::Relaxed);
        Self {
            url,
            index,
            in_flight: InFlightGuard(state),
            attempt,
            rules,
            retry_after: None,
        }
    }

    /// The member wants to be left alone for this time, if any; that counts if the outcome ejects it.
    pub(crate) fn retry_after(self, retry_after: Option<Duration>) -> Self {
        Self {
            retry_after,
            ..self
        }
    }

    /// Records the outcome. The guard counts the tunnel, if there is one.
    pub(crate) fn record_outcome(
        mut self,
        outcome: DialOutcome,
        now: Instant,
    ) -> (InFlightGuard, Effect) {
        let Consequence {
            circuit, ejection, ..
        } = outcome.consequence();
        let mut health = self.in_flight.0.health();
        let ejected_for = match ejection {
            Count::Failure => {
                let failure = (self.attempt.failures, self.retry_after);
                health.outlier.failed(failure, self.rules.passive, now)
            }
            Count::Success => {
                health.outlier.succeeded(self.attempt.began);
                None
            }
            Count::Nothing => None,
        };
        if ejection != Count::Nothing {
            self.attempt.trial_ejection = None;
        }
        let rule = self.rules.breaker.as_ref();
        let circuit = match circuit {
            Count::Failure => {
                let is_trial = self.attempt.conclude();
                rule.and_then(|rule| health.breaker.failed(is_trial, rule, now))
            }
            Count::Success => health.breaker.succeeded(self.attempt.conclude()),
            Count::Nothing => None,
        };
        // What the outcome did not decide is undone when the attempt is dropped.
        drop(health);
        (
            self.in_flight,
            Effect {
                ejected_for,
                circuit,
            },
        )
    }
}

impl Attempt {
    /// Begins a handshake.
    ///
    /// # Errors
    /// The circuit is open, for this time.
    pub(super) fn begin(
        state: &Arc<MemberState>,
        rules: &HealthRules,
        now: Instant,
    ) -> Result<Self, Duration> {
        let has_breaker = rules.breaker.is_some();
        let mut health = state.health();
        if has_breaker && let Some(left) = health.breaker.open_for(now) {
            return Err(left);
        }
        let (failures, trial_ejection) = health.outlier.begin(rules.passive, now);
        Ok(Self {
            began: now,
            failures,
            trial_ejection,
            is_trial: has_breaker && health.breaker.enter(),
            state: Arc::clone(state),
        })
    }

    /// There is a result. True: it is the trial's.
    fn conclude(&mut self) -> bool {
        std::mem::take(&mut self.is_trial)
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if !self.is_trial && self.trial_ejection.is_none() {
            return;
        }
        let mut health = self.state.health();
        if self.is_trial {
            health.breaker.abandoned(Instant::now());
        }
        if let Some(trial_ejection) = self.trial_ejection.take() {
            health.outlier.abandoned(trial_ejection);
        }
    }
}

impl Drop for InFlightGuard {
    fn drop(&mut self) {
        self.0.tunnels.fetch_sub(1, Ordering::Relaxed);
    }
}
