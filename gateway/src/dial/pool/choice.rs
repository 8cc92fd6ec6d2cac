//! A member that was chosen for one handshake, and what the handshake says about it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::breaker::Turn;
use super::{Rules, State};
use crate::dial::BackendUrl;

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

/// A handshake on its way, as the member's state knows it.
#[derive(Debug)]
pub(super) struct Attempt {
    state: Arc<State>,
    /// Failures when it began.
    failures: u32,
    /// Is it the one that tries whether the circuit may close, and has not said?
    tries: bool,
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

    /// It answered, and is well.
    pub(crate) fn worked(mut self) -> (Seat, Effect) {
        let mut health = self.seat.0.health();
        health.absence = Default::default();
        let circuit = health.breaker.succeeded(self.attempt.conclude());
        drop(health);
        let absence = None;
        (self.seat, Effect { absence, circuit })
    }

    /// It answered, but not as one that is well.
    pub(crate) fn ailing(mut self, now: Instant) -> (Seat, Effect) {
        let mut health = self.seat.0.health();
        health.absence = Default::default();
        let tried = self.attempt.conclude();
        let rule = self.rules.breaker;
        let circuit = rule.and_then(|rule| health.breaker.failed(tried, rule, now));
        drop(health);
        let absence = None;
        (self.seat, Effect { absence, circuit })
    }

    /// It could not be reached, or did not answer. Handshakes that failed together count once for
    /// the time it is set aside.
    pub(crate) fn failed(mut self, now: Instant) -> Effect {
        let mut health = self.seat.0.health();
        let absence = health
            .absence
            .failed(self.attempt.failures, self.rules.passive, now);
        let tried = self.attempt.conclude();
        let rule = self.rules.breaker;
        let circuit = rule.and_then(|rule| health.breaker.failed(tried, rule, now));
        Effect { absence, circuit }
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
        Ok(Self {
            failures: health.absence.begin(rules.passive, now),
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
        if self.tries {
            self.state.health().breaker.abandoned(Instant::now());
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.tunnels.fetch_sub(1, Ordering::Relaxed);
    }
}
