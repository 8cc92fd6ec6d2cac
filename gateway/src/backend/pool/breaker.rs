//! The circuit breaker of one backend: closed, open for a while, then one handshake tries.
//!
//! While it is open only the handshake that tries decides: one that began before it opened, and
//! ends now, says nothing about what the backend is like by now.

use std::time::{Duration, Instant};

use tidegate_config::CircuitBreaker;

/// What to tell clients while somebody tries: that is soon over.
const HALF_OPEN_RETRY: Duration = Duration::from_secs(1);

/// How a backend did lately. Without a rule nobody asks it anything.
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
    /// One handshake is on its way.
    HalfOpen,
}

/// What became of the circuit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transition {
    /// It opened (again), for so long.
    Opened(Duration),
    Closed,
}

impl Breaker {
    /// For how long nobody may go there; `None`: somebody may.
    pub(super) fn open_for(&self, now: Instant) -> Option<Duration> {
        match self.circuit {
            Circuit::Closed => None,
            Circuit::Open { until } => until
                .checked_duration_since(now)
                .filter(|left| !left.is_zero()),
            Circuit::HalfOpen => Some(HALF_OPEN_RETRY),
        }
    }

    /// Does it let nobody or one through?
    pub(super) fn is_open(&self) -> bool {
        self.circuit != Circuit::Closed
    }

    /// Somebody goes there who may. Is that one the one who tries?
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
        rule: CircuitBreaker,
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

    /// Whoever tried left without an answer: somebody else may.
    pub(super) fn abandoned(&mut self, now: Instant) {
        if self.circuit == Circuit::HalfOpen {
            self.circuit = Circuit::Open { until: now };
        }
    }
}
