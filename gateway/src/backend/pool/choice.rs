//! A member that was chosen for one handshake, and what the handshake says about it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::absence::Reserved;
use super::breaker::Turn;
use super::{Rules, State};
use crate::backend::outcome::{Consequence, Count, DialOutcome};
use crate::exchange::BackendUrl;

/// A member that was chosen for a handshake. Dropped without a verdict, it says nothing.
#[derive(Debug)]
pub(crate) struct Choice<'a> {
    pub(crate) url: &'a BackendUrl,
    pub(crate) index: usize,
    seat: Seat,
    attempt: Attempt,
    rules: Rules,
}

/// What a handshake changed about the member it went to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Effect {
    /// It is set aside for so long.
    pub(crate) absence: Option<Duration>,
    pub(crate) circuit: Option<Turn>,
}

/// A tunnel of a member, counted until dropped.
#[derive(Debug)]
pub(crate) struct Seat(pub(super) Arc<State>);

/// A handshake on its way, as the member's state knows it. Dropped, it never was.
#[derive(Debug)]
pub(super) struct Attempt {
    state: Arc<State>,
    /// Failures when it began.
    failures: u32,
    /// Is it the one that tries whether the circuit may close, and has not said?
    tries: bool,
    /// It keeps the others away until it has said whether the member is back.
    reserved: Option<Reserved>,
}

impl<'a> Choice<'a> {
    pub(super) fn new(
        (index, url): (usize, &'a BackendUrl),
        attempt: Attempt,
        rules: Rules,
    ) -> Self {
        let state = Arc::clone(&attempt.state);
        state.tunnels.fetch_add(1, Ordering::Relaxed);
        Self {
            url,
            index,
            seat: Seat(state),
            attempt,
            rules,
        }
    }

    /// It ended so.
    pub(crate) fn ended(mut self, outcome: DialOutcome, now: Instant) -> (Seat, Effect) {
        let Consequence {
            circuit, ejection, ..
        } = outcome.consequence();
        let mut health = self.seat.0.health();
        let absence = match ejection {
            Count::Failure => health
                .absence
                .failed(self.attempt.failures, self.rules.passive, now),
            Count::Success => {
                health.absence = Default::default();
                None
            }
            Count::Nothing => None,
        };
        if ejection != Count::Nothing {
            self.attempt.reserved = None;
        }
        let rule = self.rules.breaker;
        let circuit = match circuit {
            Count::Failure => {
                let tried = self.attempt.conclude();
                rule.and_then(|rule| health.breaker.failed(tried, rule, now))
            }
            Count::Success => health.breaker.succeeded(self.attempt.conclude()),
            Count::Nothing => None,
        };
        // What it did not decide is undone when the attempt goes.
        drop(health);
        (self.seat, Effect { absence, circuit })
    }
}

impl Attempt {
    /// `None`: the circuit is open, for so long.
    pub(super) fn begin(state: &Arc<State>, rules: Rules, now: Instant) -> Result<Self, Duration> {
        let has_breaker = rules.breaker.is_some();
        let mut health = state.health();
        if has_breaker && let Some(left) = health.breaker.open_for(now) {
            return Err(left);
        }
        let (failures, reserved) = health.absence.begin(rules.passive, now);
        Ok(Self {
            failures,
            reserved,
            tries: has_breaker && health.breaker.enter(),
            state: Arc::clone(state),
        })
    }

    /// It has something to say. Was it the one that tried?
    fn conclude(&mut self) -> bool {
        std::mem::take(&mut self.tries)
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if !self.tries && self.reserved.is_none() {
            return;
        }
        let mut health = self.state.health();
        if self.tries {
            health.breaker.abandoned(Instant::now());
        }
        if let Some(reserved) = self.reserved.take() {
            health.absence.abandoned(reserved);
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.tunnels.fetch_sub(1, Ordering::Relaxed);
    }
}
