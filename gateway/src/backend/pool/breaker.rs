//! The circuit breaker of one backend: closed, open for a while, then half open for one trial handshake.
//!
//! When it is not closed, only the trial decides: a handshake that began before the circuit opened says nothing
//! about the backend's current state.

use std::time::{Duration, Instant};

use tidegate_config::CircuitBreaker;

/// Retry-After while a trial is in flight: it is soon decided.
const HALF_OPEN_RETRY: Duration = Duration::from_secs(1);

/// Recent results of a backend. Not used without a rule.
#[derive(Clone, Debug, Default)]
pub(super) struct Breaker {
    /// In a row.
    failures: u32,
    circuit: Circuit,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Circuit {
    #[default]
    Closed,
    Open {
        until: Instant,
    },
    /// One trial handshake is in flight.
    HalfOpen,
}

/// A change of the circuit's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transition {
    /// It opened (again), for this time.
    Opened(Duration),
    Closed,
}

impl Breaker {
    /// Time until the backend may be asked; `None`: now.
    pub(super) fn open_for(&self, now: Instant) -> Option<Duration> {
        match self.circuit {
            Circuit::Closed => None,
            Circuit::Open { until } => until
                .checked_duration_since(now)
                .filter(|left| !left.is_zero()),
            Circuit::HalfOpen => Some(HALF_OPEN_RETRY),
        }
    }

    /// Is the circuit open or half open?
    pub(super) fn is_open(&self) -> bool {
        self.circuit != Circuit::Closed
    }

    /// A handshake goes to the backend. True: it is the trial.
    pub(super) fn enter(&mut self) -> bool {
        let is_trial = matches!(self.circuit, Circuit::Open { .. });
        if is_trial {
            self.circuit = Circuit::HalfOpen;
        }
        is_trial
    }

    pub(super) fn succeeded(&mut self, is_trial: bool) -> Option<Transition> {
        if self.is_open() && !is_trial {
            return None;
        }
        self.failures = 0;
        self.circuit = Circuit::Closed;
        is_trial.then_some(Transition::Closed)
    }

    pub(super) fn failed(
        &mut self,
        is_trial: bool,
        rule: &CircuitBreaker,
        now: Instant,
    ) -> Option<Transition> {
        if self.is_open() && !is_trial {
            return None;
        }
        self.failures = self.failures.saturating_add(1);
        if self.failures < rule.consecutive_failures && !is_trial {
            return None;
        }
        let time = rule.trip_duration.get();
        self.circuit = Circuit::Open { until: now + time };
        Some(Transition::Opened(time))
    }

    /// The trial ended without a result: the next handshake is the trial.
    pub(super) fn abandoned(&mut self, now: Instant) {
        if self.circuit == Circuit::HalfOpen {
            self.circuit = Circuit::Open { until: now };
        }
    }
}
