//! Load balancing among the backends of an API. No I/O; the caller passes the time.
//!
//! Tunnels live for hours, so members are compared by their open tunnels, not by handshakes. A member that fails
//! is ejected for a while; then one trial handshake goes to it, and others only after that succeeded. Ejected
//! and unhealthy members are still used if there are no others. A member with an open circuit is not.

mod breaker;
mod checked;
mod choice;
mod outlier;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use http::HeaderMap;
use jiff::Timestamp;
use parking_lot::{Mutex, MutexGuard};
use tidegate_config::{ApiConfig, CircuitBreaker, Failover, PassiveHealthCheck, PoolMember};

use super::outcome::DialOutcome;
use super::retry_after::retry_after;
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

/// Members that may be chosen.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Candidates<'a> {
    /// All members except these.
    AllBut(&'a [usize]),
    /// This member.
    Only(usize),
}

/// Why no member was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoBackend {
    /// No candidate is left.
    NoneLeft,
    /// The circuits of all candidates are open; time until the first one is half open.
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

/// Rules of circuit breaker, failover and health checks.
#[derive(Clone, Debug, Default)]
pub(crate) struct HealthRules {
    breaker: Option<CircuitBreaker>,
    failover: Option<Failover>,
    passive: PassiveHealthCheck,
    /// Are there active health checks?
    active: bool,
}

impl HealthRules {
    pub(crate) fn of(api: &ApiConfig) -> Self {
        let check = api.health_check.as_ref();
        Self {
            breaker: api.circuit_breaker.clone(),
            failover: api.failover.clone(),
            passive: check.map(|check| check.passive).unwrap_or_default(),
            active: check.is_some_and(|check| check.active.is_some()),
        }
    }

    /// The outcome of a backend's refusal with this status.
    pub(crate) fn outcome_of(&self, status: u16) -> DialOutcome {
        let is_bad = match &self.breaker {
            Some(breaker) => breaker.counts(status),
            None => status >= 500,
        };
        let failover = self.failover.as_ref();
        DialOutcome::of_status(is_bad, failover.is_some_and(|rule| rule.includes(status)))
    }

    /// How long a member with this refusal is to be left alone, if it says so.
    pub(crate) fn retry_after(
        &self,
        status: u16,
        headers: &HeaderMap,
        now: Timestamp,
    ) -> Option<Duration> {
        let failover = self.failover.as_ref()?;
        let wait = failover
            .includes(status)
            .then(|| retry_after(headers, now))?;
        Some(wait?.min(failover.max_retry_after.get()))
    }
}

#[derive(Debug)]
struct Member {
    url: BackendUrl,
    weight: u32,
    priority: u32,
    /// Outlives the configuration.
    state: Arc<MemberState>,
}

#[derive(Debug, Default)]
struct MemberState {
    /// Tunnels and handshakes in flight.
    tunnels: AtomicU64,
    health: Mutex<Health>,
}

/// Results of handshakes and checks.
#[derive(Clone, Debug, Default)]
struct Health {
    outlier: OutlierState,
    breaker: Breaker,
    checked: Checked,
}

impl Pool {
    /// A pool of `members`, or of the single `backend`. Members that `before` has too keep their state.
    ///
    /// # Errors
    /// [`InvalidPool`]: a member's URL or weight is not valid.
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

    /// A copy for a dry run: what happens to it does not affect this pool.
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
            rules: self.rules.clone(),
            next: AtomicUsize::new(self.next.load(Ordering::Relaxed)),
        }
    }

    /// Its rules.
    pub(crate) fn rules(&self) -> &HealthRules {
        &self.rules
    }

    /// Is there more than one member?
    pub(crate) fn has_choice(&self) -> bool {
        self.members.len() > 1
    }

    /// The best member. Ejected and unhealthy ones come last; those with an open circuit are never chosen.
    ///
    /// # Errors
    /// [`NoBackend`]: no candidate is left, or their circuits are open.
    pub(crate) fn choose(
        &self,
        candidates: Candidates<'_>,
        now: Instant,
    ) -> Result<Choice<'_>, NoBackend> {
        let count = self.members.len();
        let next = self.next.fetch_add(1, Ordering::Relaxed);
        let mut no_backend = NoBackend::NoneLeft;
        // Repeated only if another handshake took the trial of the member that was ranked best.
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
            match Attempt::begin(state, &self.rules, now) {
                Ok(attempt) => return Ok(Choice::new((index, url), attempt, &self.rules)),
                Err(open) => no_backend = no_backend.or_open(open),
            }
        }
        Err(no_backend)
    }

    /// Every member's address and health handle, for the active checks.
    pub(crate) fn health_handles(&self) -> impl Iterator<Item = (&BackendUrl, HealthHandle)> {
        let members = self.members.iter();
        members.map(|member| (&member.url, HealthHandle(Arc::clone(&member.state))))
    }

    /// Members that get no handshakes; `None` if this pool has no rules for that.
    pub(crate) fn unavailable(&self, now: Instant) -> Option<UnavailableBackends> {
        let HealthRules {
            breaker, active, ..
        } = &self.rules;
        if !self.has_choice() && breaker.is_none() && !*active {
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

    /// Rank of a member.
    ///
    /// # Errors
    /// Its circuit is open, for this time.
    fn rank(&self, index: usize, now: Instant) -> Result<Rank, Duration> {
        let Member {
            weight,
            priority,
            state,
            ..
        } = &self.members[index];
        let tunnels = state.tunnels.load(Ordering::Relaxed) + 1;
        // Including the new tunnel, so that of two empty members the one with more weight is first.
        let load = tunnels.saturating_mul(1_000_000) / u64::from(*weight);
        let health = state.health();
        let open = self
            .rules
            .breaker
            .as_ref()
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

/// Smaller is better: ejected or unhealthy, priority, tunnels per weight in millionths.
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
    /// The shorter time of both.
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
