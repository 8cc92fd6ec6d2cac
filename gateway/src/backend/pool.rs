//! The backends of an API: which one a handshake goes to. No I/O; the caller has the clock.
//!
//! Tunnels live for hours, so that what counts is how many a member has, not how many it was
//! given. A member that cannot be reached is set aside for a while; then one handshake tries it,
//! and the others stay away until that went well. Being set aside, or ill, is advice: when all are,
//! they are tried nevertheless. An open circuit is not.

mod absence;
mod breaker;
mod checked;
mod choice;
#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tidegate_config::{ApiConfig, CircuitBreaker, PassiveHealthCheck, PoolMember};

use crate::exchange::{BackendUrl, InvalidBackendUrl};
use crate::telemetry::metrics::Out;
use absence::Absence;
use breaker::Breaker;
use checked::Checked;
use choice::Attempt;

pub(crate) use breaker::Turn;
pub(crate) use checked::Patient;
pub(crate) use choice::{Choice, Effect, Seat};

/// Why a pool cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InvalidPool {
    #[error("backend.pool[{0}].url")]
    Member(usize, #[source] InvalidBackendUrl),
    #[error("backend.pool[{0}].url: path and query must be the same as those of the first member")]
    Path(usize),
    #[error("backend.pool[{0}].weight must be 1 or more")]
    Weight(usize),
}

/// Who may be chosen.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Among<'a> {
    /// Everybody who was not tried yet.
    AllBut(&'a [usize]),
    /// This one.
    Only(usize),
}

/// Why nobody was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Nobody {
    /// There is nobody (left).
    Left,
    /// The circuits of all that are left are open; the first one may be tried after so long.
    Open(Duration),
}

/// An API's backends; never empty.
#[derive(Debug)]
pub(crate) struct Pool {
    members: Vec<Member>,
    rules: Rules,
    /// Whose turn it is among equals.
    turn: AtomicUsize,
}

/// When members get no handshakes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rules {
    breaker: Option<CircuitBreaker>,
    passive: PassiveHealthCheck,
    /// Does somebody check them?
    active: bool,
}

impl Rules {
    pub(crate) fn of(api: &ApiConfig) -> Self {
        let check = api.health_check.as_ref();
        Self {
            breaker: api.circuit_breaker,
            passive: check.map(|check| check.passive).unwrap_or_default(),
            active: check.is_some_and(|check| check.active.is_some()),
        }
    }
}

#[derive(Debug)]
struct Member {
    url: BackendUrl,
    weight: u32,
    priority: u32,
    /// Outlives the configuration that the member stands in.
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Tunnels, and handshakes that may become some.
    tunnels: AtomicU64,
    health: Mutex<Health>,
}

/// What handshakes and checks found out.
#[derive(Clone, Debug, Default)]
struct Health {
    absence: Absence,
    breaker: Breaker,
    checked: Checked,
}

impl Pool {
    /// These members, or the one at `backend`; those that `before` has, too, keep their counts.
    pub(crate) fn new(
        backend: &BackendUrl,
        members: &[PoolMember],
        rules: Rules,
        before: Option<&Self>,
    ) -> Result<Self, InvalidPool> {
        let parsed = members.iter().enumerate();
        let parsed = parsed.map(|(i, member)| Member::new(i, member, backend, before));
        let mut members = parsed.collect::<Result<Vec<_>, _>>()?;
        if members.is_empty() {
            members.push(Member {
                url: backend.clone(),
                weight: 1,
                priority: 0,
                state: state_of(backend, before),
            });
        }
        Ok(Self {
            members,
            rules,
            turn: AtomicUsize::new(0),
        })
    }

    /// The same backends as they are now; what is learnt of these, the others do not know.
    pub(crate) fn apart(&self) -> Self {
        let apart = |member: &Member| Member {
            url: member.url.clone(),
            state: Arc::new(State {
                tunnels: AtomicU64::new(member.state.tunnels.load(Ordering::Relaxed)),
                health: Mutex::new(member.state.health().clone()),
            }),
            ..*member
        };
        Self {
            members: self.members.iter().map(apart).collect(),
            rules: self.rules,
            turn: AtomicUsize::new(self.turn.load(Ordering::Relaxed)),
        }
    }

    /// Is there more than one?
    pub(crate) fn has_choice(&self) -> bool {
        self.members.len() > 1
    }

    /// The best member. Those that are set aside come last, but they come: a refusal would help
    /// nobody. Those whose circuit is open do not.
    pub(crate) fn choose(&self, among: Among<'_>, now: Instant) -> Result<Choice<'_>, Nobody> {
        let count = self.members.len();
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let mut nobody = Nobody::Left;
        // More than one round only when somebody else took what we saw.
        for _ in 0..=count {
            nobody = Nobody::Left;
            let best = (0..count)
                .map(|i| turn.wrapping_add(i) % count)
                .filter(|index| among.has(*index))
                .filter_map(|index| match self.rank(index, now) {
                    Ok(rank) => Some((index, rank)),
                    Err(open) => {
                        nobody = nobody.or_open(open);
                        None
                    }
                })
                .min_by(|(_, a), (_, b)| a.cmp(b));
            let Some((index, _)) = best else { break };
            let Member { url, state, .. } = &self.members[index];
            match Attempt::begin(state, self.rules, now) {
                Ok(attempt) => return Ok(Choice::new((index, url), attempt, self.rules)),
                Err(open) => nobody = nobody.or_open(open),
            }
        }
        Err(nobody)
    }

    /// Every member with its address, for who checks them.
    pub(crate) fn patients(&self) -> impl Iterator<Item = (&BackendUrl, Patient)> {
        let members = self.members.iter();
        members.map(|member| (&member.url, Patient(Arc::clone(&member.state))))
    }

    /// How many get no handshakes; `None` where that is never so.
    pub(crate) fn out(&self, now: Instant) -> Option<Out> {
        let Rules {
            breaker, active, ..
        } = self.rules;
        if !self.has_choice() && breaker.is_none() && !active {
            return None;
        }
        let mut out = Out::default();
        for member in &self.members {
            let health = member.state.health();
            if breaker.is_some() && health.breaker.is_open() {
                out.circuit_open += 1;
            } else if health.checked.is_ill() {
                out.unhealthy += 1;
            } else if self.has_choice() && health.absence.is_out(now) {
                out.set_aside += 1;
            }
        }
        Some(out)
    }

    /// For how long its circuit is open, where it is.
    fn rank(&self, index: usize, now: Instant) -> Result<Rank, Duration> {
        let Member {
            weight,
            priority,
            state,
            ..
        } = &self.members[index];
        let tunnels = state.tunnels.load(Ordering::Relaxed) + 1;
        // With the one to come, so that of two empty members the heavier is first.
        let load = tunnels.saturating_mul(1_000_000) / u64::from(*weight);
        let health = state.health();
        let open = self
            .rules
            .breaker
            .and_then(|_| health.breaker.open_for(now));
        match open {
            Some(left) => Err(left),
            None => {
                let is_out = health.checked.is_ill() || health.absence.is_out(now);
                Ok((is_out, *priority, load))
            }
        }
    }
}

/// Smaller is better: set aside, priority, tunnels for the weight in millionths.
type Rank = (bool, u32, u64);

impl Among<'_> {
    fn has(self, index: usize) -> bool {
        match self {
            Self::AllBut(tried) => !tried.contains(&index),
            Self::Only(one) => index == one,
        }
    }
}

impl Nobody {
    /// The soonest.
    fn or_open(self, left: Duration) -> Self {
        match self {
            Self::Open(other) => Self::Open(other.min(left)),
            Self::Left => Self::Open(left),
        }
    }
}

impl Member {
    fn new(
        index: usize,
        config: &PoolMember,
        backend: &BackendUrl,
        before: Option<&Pool>,
    ) -> Result<Self, InvalidPool> {
        let url = BackendUrl::parse(&config.url);
        let url = url.map_err(|error| InvalidPool::Member(index, error))?;
        if (&url.path, &url.query) != (&backend.path, &backend.query) {
            return Err(InvalidPool::Path(index));
        }
        if config.weight == 0 {
            return Err(InvalidPool::Weight(index));
        }
        Ok(Self {
            state: state_of(&url, before),
            url,
            weight: config.weight,
            priority: config.priority,
        })
    }
}

impl State {
    fn health(&self) -> MutexGuard<'_, Health> {
        // Numbers and moments of which any combination is valid.
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn state_of(url: &BackendUrl, before: Option<&Pool>) -> Arc<State> {
    let members = before.map_or(&[][..], |before| &before.members);
    members
        .iter()
        .find(|member| (&member.url.host, member.url.port) == (&url.host, url.port))
        .map(|member| Arc::clone(&member.state))
        .unwrap_or_default()
}
