//! The backends of an API: which one a handshake goes to. No I/O; the caller has the clock.
//!
//! Tunnels live for hours, so that what counts is how many a member has, not how many it was
//! given. A member that can not be reached is set aside for a while; then one handshake tries it,
//! and the others stay away until that went well.

#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tidegate_config::PoolMember;

use super::{BackendUrl, InvalidBackendUrl};

/// Long enough to spare the others the attempt, short enough for a restart to go unnoticed.
const FIRST_ABSENCE: Duration = Duration::from_secs(1);

/// Somebody repairs it in the end, and does not want to wait for us then.
const LONGEST_ABSENCE: Duration = Duration::from_secs(30);

/// Why a pool can not be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InvalidPool {
    #[error("backend.pool[{0}].url")]
    Member(usize, #[source] InvalidBackendUrl),
    #[error("backend.pool[{0}].url: path and query must be those of the first member")]
    Path(usize),
    #[error("backend.pool[{0}].weight must be 1 or more")]
    Weight(usize),
}

/// An API's backends; never empty.
#[derive(Debug)]
pub(crate) struct Pool {
    members: Vec<Member>,
    /// Whose turn it is among equals.
    turn: AtomicUsize,
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
    absence: Mutex<Absence>,
}

/// How a member failed lately.
#[derive(Debug, Default)]
struct Absence {
    /// In a row.
    failures: u32,
    until: Option<Instant>,
}

/// A member that was chosen for a handshake.
#[derive(Debug)]
pub(crate) struct Choice<'a> {
    pub(crate) url: &'a BackendUrl,
    pub(crate) index: usize,
    pub(crate) seat: Seat,
    failures: u32,
}

/// A tunnel of a member, counted until dropped.
#[derive(Debug)]
pub(crate) struct Seat(Arc<State>);

impl Pool {
    /// These members, or the one at `backend`; those that `before` has, too, keep their counts.
    pub(crate) fn new(
        backend: &BackendUrl,
        members: &[PoolMember],
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
            turn: AtomicUsize::new(0),
        })
    }

    /// Is there more than one?
    pub(crate) fn has_choice(&self) -> bool {
        self.members.len() > 1
    }

    /// The best member that is not among `tried`. Those that are set aside come last, but they
    /// come: a refusal would help nobody.
    pub(crate) fn choose(&self, tried: &[usize], now: Instant) -> Option<Choice<'_>> {
        let count = self.members.len();
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let (index, _) = (0..count)
            .map(|i| turn.wrapping_add(i) % count)
            .filter(|index| !tried.contains(index))
            .map(|index| (index, self.members[index].rank(now)))
            .min_by(|(_, a), (_, b)| a.cmp(b))?;
        let Member { url, state, .. } = &self.members[index];
        let failures = state.begin(now);
        state.tunnels.fetch_add(1, Ordering::Relaxed);
        Some(Choice {
            url,
            index,
            seat: Seat(Arc::clone(state)),
            failures,
        })
    }
}

impl Choice<'_> {
    /// It answered.
    pub(crate) fn worked(self) -> Seat {
        *self.seat.0.absence() = Absence::default();
        self.seat
    }

    /// It could not be reached, or did not answer. For how long it is set aside, if that is news:
    /// handshakes that failed together count once.
    pub(crate) fn failed(self, now: Instant) -> Option<Duration> {
        let mut absence = self.seat.0.absence();
        if absence.failures != self.failures {
            return None;
        }
        absence.failures = absence.failures.saturating_add(1);
        let time = absence.time();
        absence.until = Some(now + time);
        Some(time)
    }
}

/// Smaller is better: set aside, priority, tunnels for the weight in millionths.
type Rank = (bool, u32, u64);

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

    fn rank(&self, now: Instant) -> Rank {
        let tunnels = self.state.tunnels.load(Ordering::Relaxed) + 1;
        // With the one to come, so that of two empty members the heavier is first.
        let load = tunnels.saturating_mul(1_000_000) / u64::from(self.weight);
        let is_out = self.state.absence().until.is_some_and(|until| until > now);
        (is_out, self.priority, load)
    }
}

impl State {
    fn absence(&self) -> MutexGuard<'_, Absence> {
        // Two numbers, of which any combination is valid.
        self.absence.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A handshake goes there; failures so far. After an absence it goes alone.
    fn begin(&self, now: Instant) -> u32 {
        let mut absence = self.absence();
        if absence.failures > 0 {
            absence.until = Some(now + absence.time());
        }
        absence.failures
    }
}

impl Absence {
    fn time(&self) -> Duration {
        let doublings = self.failures.saturating_sub(1).min(16);
        FIRST_ABSENCE
            .saturating_mul(1 << doublings)
            .min(LONGEST_ABSENCE)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.tunnels.fetch_sub(1, Ordering::Relaxed);
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
