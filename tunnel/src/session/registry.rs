//! All live tunnels of this process.

use std::collections::HashMap;
use std::fmt;
use std::hash::RandomState;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tidegate_config::CloseCode;
use tokio::time::Instant;

use super::hashed::{ByHash, Hashed};
use super::limit::{self, LimitKey, LimitReached, Reservation};
use super::mailbox::{Mailbox, Order};
use super::right::{Right, Verdict};
use super::{Access, DrainPlan, Session, SessionInfo};
use crate::close_cause::CloseCause;

/// So many locks that a judgement of all tunnels holds none for longer than about a millisecond:
/// handshakes register meanwhile.
const SHARDS: usize = 32;

/// Wall clock and monotonic clock may part by this much before expiries are computed anew.
const CLOCK_SLACK: Duration = Duration::from_secs(1);

/// The tunnels of one right.
type Group = HashMap<u64, Arc<Mailbox>>;

/// The groups of some rights.
type Shard = HashMap<Arc<Hashed<Right>>, Group, ByHash>;

/// What holds for those who come later, too.
#[derive(Default)]
struct Standing {
    access: Option<Arc<dyn Access>>,
    drain: Option<DrainPlan>,
    cut: bool,
}

/// What both clocks showed at one moment.
#[derive(Clone, Copy, Debug)]
struct Clocks {
    wall: SystemTime,
    monotonic: Instant,
}

impl Clocks {
    fn now() -> Self {
        Self {
            wall: SystemTime::now(),
            monotonic: Instant::now(),
        }
    }

    /// Has the wall clock moved otherwise than the monotonic one until `later`?
    fn jumped(self, later: Self) -> bool {
        let monotonic = later.monotonic.saturating_duration_since(self.monotonic);
        match later.wall.duration_since(self.wall) {
            Ok(wall) => wall.abs_diff(monotonic) > CLOCK_SLACK,
            Err(_) => true,
        }
    }
}

/// All live tunnels of this process, and the counts that limits need.
pub struct Sessions {
    pub(super) counts: limit::Counts,
    hasher: RandomState,
    shards: [Mutex<Shard>; SHARDS],
    standing: Mutex<Standing>,
    /// When tunnels looked at the wall clock last: all expiries are computed from then on or later.
    clocks: Mutex<Clocks>,
    live: AtomicUsize,
    next_id: AtomicU64,
}

impl fmt::Debug for Sessions {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Sessions").finish_non_exhaustive()
    }
}

impl Sessions {
    /// None yet.
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            counts: limit::Counts::default(),
            hasher: RandomState::default(),
            shards: Default::default(),
            standing: Mutex::default(),
            clocks: Mutex::new(Clocks::now()),
            live: AtomicUsize::default(),
            next_id: AtomicU64::default(),
        })
    }

    /// Takes a place under a limit, or says that there is none; `None` and 0 are no limit, but
    /// count all the same. The place is free again when the reservation is dropped.
    pub fn reserve(
        self: &Arc<Self>,
        key: LimitKey,
        max: Option<u32>,
    ) -> Result<Reservation, LimitReached> {
        limit::reserve(self, key, max)
    }

    /// How many places are taken.
    pub fn count(&self, key: &LimitKey) -> u32 {
        self.counts.count(key)
    }

    /// Enters a tunnel; it leaves when the guard is dropped.
    pub fn register(self: &Arc<Self>, info: &SessionInfo) -> Session {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let mailbox = Arc::new(Mailbox::new(
            id,
            info.api_generation,
            info.live_access,
            info.subscription_expires_at,
        ));
        let right = self.enter(Right::from(info), &mailbox);
        self.catch_up(&right, &mailbox);
        Session {
            sessions: Arc::clone(self),
            right,
            mailbox,
            token_expires_at: info.token_expires_at,
        }
    }

    fn enter(&self, right: Right, mailbox: &Arc<Mailbox>) -> Arc<Hashed<Right>> {
        let right = Hashed::new(right, &self.hasher);
        let mut shard = self.shard(&right);
        let known = shard.get_key_value(&right).map(|(known, _)| known.clone());
        let right = known.unwrap_or_else(|| Arc::new(right));
        let group = shard.entry(Arc::clone(&right)).or_default();
        group.insert(mailbox.id, Arc::clone(mailbox));
        self.live.fetch_add(1, Ordering::Relaxed);
        right
    }

    /// Tells a new tunnel what was said to all while its handshake was under way: it was decided
    /// by a configuration that may be gone. Entered first and told then, it misses nothing.
    fn catch_up(&self, right: &Right, mailbox: &Mailbox) {
        let standing = self.standing();
        let (access, drain, cut) = (standing.access.clone(), standing.drain, standing.cut);
        drop(standing);
        let now = Instant::now();
        if let Some(access) = access {
            let verdict = right.judge(&*access);
            if tell(mailbox, verdict, now) {
                mailbox.post(changed(now));
            }
        }
        if let Some(plan) = drain {
            let left = plan.until.saturating_duration_since(now);
            mailbox.post(drained(now + left.mul_f64(rand::random()), plan.code));
        }
        if cut {
            mailbox.post(cut_now(now));
        }
    }

    /// Closes exactly the tunnels whose access ended with this configuration, and those of changed
    /// APIs that ask for it.
    pub fn reconcile(&self, access: Arc<dyn Access>) {
        self.standing().access = Some(Arc::clone(&access));
        let now = Instant::now();
        let mut changed_ones = Vec::new();
        for shard in &self.shards {
            for (right, group) in &*lock(shard) {
                let verdict = right.judge(&*access);
                let outdated = group.values().filter(|mailbox| tell(mailbox, verdict, now));
                changed_ones.extend(outdated.cloned());
            }
        }
        let window = access.settings().drain.window.get();
        spread(&changed_ones, now, window, changed);
    }

    /// Judges all tunnels again by the last configuration. To be called once a minute: a backstop,
    /// nothing depends on it.
    pub fn sweep(&self) {
        let access = self.standing().access.clone();
        if let Some(access) = access {
            self.reconcile(access);
        }
    }

    /// Has all tunnels look at the wall clock again if it was set, forward or back, or has drifted
    /// away since they did. To be called once a second: a tunnel that opens while the clock is wrong
    /// for a moment only must not go by it for hours.
    pub fn watch_clock(&self) {
        self.compare_clocks(Clocks::now());
    }

    fn compare_clocks(&self, now: Clocks) {
        let mut clocks = lock(&self.clocks);
        if !clocks.jumped(now) {
            return;
        }
        *clocks = now;
        drop(clocks);
        for mailbox in self.all() {
            mailbox.nudge();
        }
    }

    /// Closes all tunnels, and those that still come, evenly over `window`.
    pub fn drain(&self, window: Duration, code: CloseCode) {
        let now = Instant::now();
        let until = now + window;
        self.standing().drain = Some(DrainPlan { until, code });
        spread(&self.all(), now, window, |due| drained(due, code));
    }

    /// Cuts all tunnels, and those that still come, at once.
    pub fn cut(&self) {
        self.standing().cut = true;
        for mailbox in self.all() {
            mailbox.post(cut_now(Instant::now()));
        }
    }

    /// How many tunnels live.
    pub fn len(&self) -> usize {
        self.live.load(Ordering::Relaxed)
    }

    /// Is nobody there?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn remove(&self, right: &Hashed<Right>, mailbox: &Mailbox) {
        let mut shard = self.shard(right);
        let Some(group) = shard.get_mut(right) else {
            return;
        };
        if group.remove(&mailbox.id).is_some() {
            self.live.fetch_sub(1, Ordering::Relaxed);
        }
        if group.is_empty() {
            shard.remove(right);
        }
    }

    #[cfg(test)]
    pub(super) fn groups(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).len()).sum()
    }

    fn all(&self) -> Vec<Arc<Mailbox>> {
        let mut all = Vec::with_capacity(self.len());
        for shard in &self.shards {
            for group in lock(shard).values() {
                all.extend(group.values().cloned());
            }
        }
        all
    }

    fn shard(&self, right: &Hashed<Right>) -> MutexGuard<'_, Shard> {
        lock(&self.shards[right.part(SHARDS)])
    }

    fn standing(&self) -> MutexGuard<'_, Standing> {
        lock(&self.standing)
    }
}

/// Nothing that is locked here is ever half changed: a thread that died with the lock does no harm.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Tells a tunnel what its right is worth; says whether it belongs to an API that has changed and
/// wants its tunnels to go.
fn tell(mailbox: &Mailbox, verdict: Verdict, now: Instant) -> bool {
    let live_access = mailbox.live_access;
    match verdict {
        Verdict::Holds {
            subscription_expires_at,
            only_generation,
        } => {
            mailbox.set_subscription_expiry(subscription_expires_at);
            only_generation.is_some_and(|generation| generation != mailbox.api_generation)
        }
        Verdict::Ended(cause) => {
            // An API that is not here any more is no matter of access.
            let gone = cause == CloseCause::ApiRemoved;
            if gone || live_access.enforce {
                mailbox.post(Order {
                    due: now,
                    cause,
                    code: (!gone).then_some(live_access.close_code.get()),
                });
            }
            false
        }
    }
}

/// Gives each of them an order, due evenly over `window`.
fn spread(all: &[Arc<Mailbox>], now: Instant, window: Duration, order: impl Fn(Instant) -> Order) {
    for (place, mailbox) in all.iter().enumerate() {
        let share = place as f64 / all.len() as f64;
        mailbox.post(order(now + window.mul_f64(share)));
    }
}

fn changed(due: Instant) -> Order {
    Order {
        due,
        cause: CloseCause::ApiChanged,
        code: None,
    }
}

fn drained(due: Instant, code: CloseCode) -> Order {
    Order {
        due,
        cause: CloseCause::Drain,
        code: Some(code.get()),
    }
}

fn cut_now(now: Instant) -> Order {
    Order {
        due: now,
        cause: CloseCause::Cut,
        code: None,
    }
}

#[cfg(test)]
impl Sessions {
    /// The wall clock is set to this many seconds after now; the monotonic one goes on.
    pub(super) fn set_clock(&self, seconds: i64) {
        let by = Duration::from_secs(seconds.unsigned_abs());
        let now = Clocks::now();
        let wall = match seconds {
            0.. => now.wall + by,
            _ => now.wall - by,
        };
        self.compare_clocks(Clocks { wall, ..now });
    }
}
