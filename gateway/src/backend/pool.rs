//! The backends of an API: which one a handshake goes to. No I/O; the caller has the clock.
//!
//! Tunnels live for hours, so that what counts is how many a member has, not how many it was
//! given. A member that cannot be reached is set aside for a while; then one handshake tries it,
//! and the others stay away until that went well. Being set aside, or ill, is advice: when all are,
//! they are tried nevertheless. An open circuit is not.

mod breaker;
mod checked;
mod choice;
mod outlier;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};
use tidegate_config::{ApiConfig, CircuitBreaker, PassiveHealthCheck, PoolMember};

use crate::exchange::{BackendUrl, InvalidBackendUrl};
use crate::telemetry::metrics::UnavailableBackends;
use breaker::Breaker;
use checked::Checked;
use choice::Attempt;
use outlier::OutlierState;

pub(crate) use breaker::Transition;
pub(crate) use checked::HealthHandle;
pub(crate) use choice::{Choice, Effect, InFlightGuard};

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
pub(crate) enum Candidates<'a> {
    /// Everybody who was not tried yet.
    AllBut(&'a [usize]),
    /// This one.
    Only(usize),
}

/// Why nobody was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoBackend {
    /// There is nobody (left).
    NoneLeft,
    /// The circuits of all that are left are open; the first one may be tried after so long.
    CircuitOpen(Duration),
}

/// An API's backends; never empty.
#[derive(Debug)]
pub(crate) struct Pool {
    members: Vec<Member>,
    rules: HealthRules,
    /// Whose turn it is among equals.
    next: AtomicUsize,
}

/// When members get no handshakes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct HealthRules {
    breaker: Option<CircuitBreaker>,
    passive: PassiveHealthCheck,
    /// Does somebody check them?
    active: bool,
}

impl HealthRules {
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
    state: Arc<MemberState>,
}

#[derive(Debug, Default)]
struct MemberState {
    /// Tunnels, and handshakes that may become some.
    tunnels: AtomicU64,
    health: Mutex<Health>,
}

/// What handshakes and checks found out.
#[derive(Clone, Debug, Default)]
struct Health {
    outlier: OutlierState,
    breaker: Breaker,
    checked: Checked,
}

impl Pool {
    /// These members, or the one at `backend`; those that `before` has, too, keep their counts.
    pub(crate) fn new(
        backend: &BackendUrl,
        members: &[PoolMember],
        rules: HealthRules,
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
            next: AtomicUsize::new(0),
        })
    }

    /// The same backends as they are now; what is learnt of these, the others do not know.
    pub(crate) fn dry_run_copy(&self) -> Self {
        let copy = |member: &Member| Member {
            url: member.url.clone(),
            state: Arc::new(MemberState {
                tunnels: AtomicU64::new(member.state.tunnels.load(Ordering::Relaxed)),
                health: Mutex::new(member.state.health().clone()),
            }),
            ..*member
        };
        Self {
            members: self.members.iter().map(copy).collect(),
            rules: self.rules,
            next: AtomicUsize::new(self.next.load(Ordering::Relaxed)),
        }
    }

    /// Is there more than one?
    pub(crate) fn has_choice(&self) -> bool {
        self.members.len() > 1
    }

    /// The best member. Those that are set aside come last, but they come: a refusal would help
    /// nobody. Those whose circuit is open do not.
    pub(crate) fn choose(
        &self,
        candidates: Candidates<'_>,
        now: Instant,
    ) -> Result<Choice<'_>, NoBackend> {
        let count = self.members.len();
        let next = self.next.fetch_add(1, Ordering::Relaxed);
        let mut no_backend = NoBackend::NoneLeft;
        // More than one round only when somebody else took what we saw.
        for _ in 0..=count {
            no_backend = NoBackend::NoneLeft;
            let best = (0..count)
                .map(|i| next.wrapping_add(i) % count)
                .filter(|index| candidates.has(*index))
                .filter_map(|index| match self.rank(index, now) {
                    Ok(rank) => Some((index, rank)),
                    Err(open) => {
                        no_backend = no_backend.or_open(open);
                        None
                    }
                })
                .min_by(|(_, a), (_, b)| a.cmp(b));
            let Some((index, _)) = best else { break };
            let Member { url, state, .. } = &self.members[index];
            match Attempt::begin(state, self.rules, now) {
                Ok(attempt) => return Ok(Choice::new((index, url), attempt, self.rules)),
                Err(open) => no_backend = no_backend.or_open(open),
            }
        }
        Err(no_backend)
    }

    /// Every member with its address, for who checks them.
    pub(crate) fn health_handles(&self) -> impl Iterator<Item = (&BackendUrl, HealthHandle)> {
        let members = self.members.iter();
        members.map(|member| (&member.url, HealthHandle(Arc::clone(&member.state))))
    }

    /// How many get no handshakes; `None` where that is never so.
    pub(crate) fn unavailable(&self, now: Instant) -> Option<UnavailableBackends> {
        let HealthRules {
            breaker, active, ..
        } = self.rules;
        if !self.has_choice() && breaker.is_none() && !active {
            return None;
        }
        let mut unavailable = UnavailableBackends::default();
        for member in &self.members {
            let health = member.state.health();
            if breaker.is_some() && health.breaker.is_open() {
                unavailable.circuit_open += 1;
            } else if health.checked.is_unhealthy() {
                unavailable.unhealthy += 1;
            } else if self.has_choice() && health.outlier.is_ejected(now) {
                unavailable.ejected += 1;
            }
        }
        Some(unavailable)
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
                let is_ejected = health.checked.is_unhealthy() || health.outlier.is_ejected(now);
                Ok((is_ejected, *priority, load))
            }
        }
    }
}

/// Smaller is better: set aside, priority, tunnels for the weight in millionths.
type Rank = (bool, u32, u64);

impl Candidates<'_> {
    fn has(self, index: usize) -> bool {
        match self {
            Self::AllBut(tried) => !tried.contains(&index),
            Self::Only(one) => index == one,
        }
    }
}

impl NoBackend {
    /// The soonest.
    fn or_open(self, left: Duration) -> Self {
        match self {
            Self::CircuitOpen(other) => Self::CircuitOpen(other.min(left)),
            Self::NoneLeft => Self::CircuitOpen(left),
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

impl MemberState {
    fn health(&self) -> MutexGuard<'_, Health> {
        self.health.lock()
    }
}

fn state_of(url: &BackendUrl, before: Option<&Pool>) -> Arc<MemberState> {
    let members = before.map_or(&[][..], |before| &before.members);
    members
        .iter()
        .find(|member| (&member.url.host, member.url.port) == (&url.host, url.port))
        .map(|member| Arc::clone(&member.state))
        .unwrap_or_default()
}
