//! All live tunnels of this process.

use std::collections::HashMap;
use std::fmt;
use std::hash::RandomState;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tidegate_config::CloseCode;
use tokio::time::Instant;

use super::control::{Command, ControlChannel, Description};
use super::grant::{AccessGrant, Verdict};
use super::hashed::{ByHash, Hashed};
use super::limit::{self, LimitKey, LimitReached, Reservation};
use super::{Access, DrainPlan, Session, SessionInfo};
use crate::close_cause::CloseCause;

/// So many locks that a judgement of all tunnels holds none for longer than about a millisecond:
/// handshakes register meanwhile.
const SHARDS: usize = 32;

/// Wall clock and monotonic clock may part by this much before expiries are computed anew.
const CLOCK_SLACK: Duration = Duration::from_secs(1);

/// The tunnels of one grant.
pub(super) type Group = HashMap<u64, Arc<ControlChannel>>;

/// The groups of some rights.
type Shard = HashMap<Arc<Hashed<AccessGrant>>, Group, ByHash>;

/// What holds for those who come later, too.
#[derive(Default)]
struct StickyState {
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
    sticky: Mutex<StickyState>,
    /// When tunnels looked at the wall clock last: all expiries are computed from then on or later.
    clocks: Mutex<Clocks>,
    live: AtomicUsize,
    next_id: AtomicU64,
    /// How many tunnels configurations have closed.
    ended: AtomicU64,
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
            sticky: Mutex::default(),
            clocks: Mutex::new(Clocks::now()),
            live: AtomicUsize::default(),
            next_id: AtomicU64::default(),
            ended: AtomicU64::default(),
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
        let control = Arc::new(ControlChannel::new(
            id,
            info.api_version,
            info.live_access,
            info.subscription_expires_at,
            Description::of(info),
        ));
        let grant = self.enter(AccessGrant::from(info), &control);
        self.catch_up(&grant, &control);
        Session {
            sessions: Arc::clone(self),
            grant,
            control,
            token_expires_at: info.token_expires_at,
        }
    }

    fn enter(&self, grant: AccessGrant, control: &Arc<ControlChannel>) -> Arc<Hashed<AccessGrant>> {
        let grant = Hashed::new(grant, &self.hasher);
        let mut shard = self.shard(&grant);
        let known = shard.get_key_value(&grant).map(|(known, _)| known.clone());
        let grant = known.unwrap_or_else(|| Arc::new(grant));
        let group = shard.entry(Arc::clone(&grant)).or_default();
        group.insert(control.id, Arc::clone(control));
        self.live.fetch_add(1, Ordering::Relaxed);
        grant
    }

    /// Tells a new tunnel what was said to all while its handshake was under way: it was decided
    /// by a configuration that may be gone. Entered first and told then, it misses nothing.
    fn catch_up(&self, grant: &AccessGrant, control: &ControlChannel) {
        let sticky = self.sticky();
        let (access, drain, cut) = (sticky.access.clone(), sticky.drain, sticky.cut);
        drop(sticky);
        let now = Instant::now();
        if let Some(access) = access {
            let verdict = grant.judge(&*access);
            if tell(control, verdict, now) == Told::IsOutdated {
                control.post(changed(now));
            }
        }
        if let Some(plan) = drain {
            let left = plan.until.saturating_duration_since(now);
            control.post(drained(now + left.mul_f64(rand::random()), plan.code));
        }
        if cut {
            control.post(cut_now(now));
        }
    }

    /// Closes exactly the tunnels whose access ended with this configuration (a revoked or rotated key, an
    /// ended subscription or product, a removed API), and those of changed APIs that ask for it.
    pub fn reconcile(&self, access: Arc<dyn Access>) {
        self.sticky().access = Some(Arc::clone(&access));
        let ended = self.judge(access);
        self.ended.fetch_add(ended, Ordering::Relaxed);
    }

    /// How many tunnels new configurations have closed so far.
    pub fn ended_by_changes(&self) -> u64 {
        self.ended.load(Ordering::Relaxed)
    }

    /// Judges all tunnels; returns how many have to go that did not have to before.
    fn judge(&self, access: Arc<dyn Access>) -> u64 {
        let now = Instant::now();
        let (mut changed_ones, mut ended) = (Vec::new(), 0);
        for shard in &self.shards {
            for (grant, group) in &*lock(shard) {
                let verdict = grant.judge(&*access);
                for control in group.values() {
                    match tell(control, verdict, now) {
                        Told::Stays => {}
                        Told::Ends => ended += 1,
                        Told::IsOutdated => changed_ones.push(Arc::clone(control)),
                    }
                }
            }
        }
        let window = access.settings().drain.window.get();
        ended + spread(&changed_ones, now, window, changed)
    }

    /// Judges all tunnels again by the last configuration. To be called once a minute: a backstop,
    /// nothing depends on it.
    pub fn sweep(&self) {
        let access = self.sticky().access.clone();
        if let Some(access) = access {
            self.judge(access);
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
        for control in self.all() {
            control.wake();
        }
    }

    /// Closes all tunnels, and those that still come, evenly over `window`.
    pub fn drain(&self, window: Duration, code: CloseCode) {
        let now = Instant::now();
        let until = now + window;
        self.sticky().drain = Some(DrainPlan { until, code });
        spread(&self.all(), now, window, |due| drained(due, code));
    }

    /// Cuts all tunnels, and those that still come, at once.
    pub fn cut(&self) {
        self.sticky().cut = true;
        for control in self.all() {
            control.post(cut_now(Instant::now()));
        }
    }

    /// How many tunnels live.
    pub fn len(&self) -> usize {
        self.live.load(Ordering::Relaxed)
    }

    /// Is no tunnel open?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn remove(&self, grant: &Hashed<AccessGrant>, control: &ControlChannel) {
        let mut shard = self.shard(grant);
        let Some(group) = shard.get_mut(grant) else {
            return;
        };
        if group.remove(&control.id).is_some() {
            self.live.fetch_sub(1, Ordering::Relaxed);
        }
        if group.is_empty() {
            shard.remove(grant);
        }
    }

    #[cfg(test)]
    pub(super) fn groups(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).len()).sum()
    }

    /// Calls `look` for each group of tunnels with one grant. Meanwhile no tunnel of some others enters or leaves.
    pub(super) fn each_group(&self, mut look: impl FnMut(&Arc<Hashed<AccessGrant>>, &Group)) {
        for shard in &self.shards {
            for (grant, group) in &*lock(shard) {
                look(grant, group);
            }
        }
    }

    fn all(&self) -> Vec<Arc<ControlChannel>> {
        let mut all = Vec::with_capacity(self.len());
        for shard in &self.shards {
            for group in lock(shard).values() {
                all.extend(group.values().cloned());
            }
        }
        all
    }

    fn shard(&self, grant: &Hashed<AccessGrant>) -> MutexGuard<'_, Shard> {
        lock(&self.shards[grant.shut_legs(SHARDS)])
    }

    fn sticky(&self) -> MutexGuard<'_, StickyState> {
        lock(&self.sticky)
    }
}

/// Nothing that is locked here is ever half changed: a thread that died with the lock does no harm.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What becomes of a tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    /// It stays, or has to go already.
    Stays,
    /// It has to go from now on.
    Ends,
    /// It belongs to an API that has changed and wants its tunnels to go.
    IsOutdated,
}

/// Tells a tunnel whether its access is still granted.
fn tell(control: &ControlChannel, verdict: Verdict, now: Instant) -> Told {
    let live_access = control.live_access;
    match verdict {
        Verdict::Holds {
            subscription_expires_at,
            only_version,
        } => {
            control.set_subscription_expiry(subscription_expires_at);
            match only_version {
                Some(version) if version != control.api_version => Told::IsOutdated,
                _ => Told::Stays,
            }
        }
        Verdict::Ended(cause) => {
            // An API that is not here any more is no matter of access.
            let gone = cause == CloseCause::ApiRemoved;
            if !gone && !live_access.enforce {
                return Told::Stays;
            }
            let is_first = control.post(Command {
                due: now,
                cause,
                code: (!gone).then_some(live_access.close_code.get()),
            });
            if is_first { Told::Ends } else { Told::Stays }
        }
    }
}

/// Posts a command to each of them, due evenly over `window`. Returns for how many it is the first.
fn spread(
    all: &[Arc<ControlChannel>],
    now: Instant,
    window: Duration,
    command: impl Fn(Instant) -> Command,
) -> u64 {
    let mut count = 0;
    for (place, control) in all.iter().enumerate() {
        let share = place as f64 / all.len() as f64;
        count += u64::from(control.post(command(now + window.mul_f64(share))));
    }
    count
}

fn changed(due: Instant) -> Command {
    Command {
        due,
        cause: CloseCause::ApiChanged,
        code: None,
    }
}

fn drained(due: Instant, code: CloseCode) -> Command {
    Command {
        due,
        cause: CloseCause::Drain,
        code: Some(code.get()),
    }
}

fn cut_now(now: Instant) -> Command {
    Command {
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
