//! Where a tunnel's orders wait.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::SystemTime;

use tidegate_config::LiveAccess;
use tokio::time::Instant;

use super::SessionInfo;
use crate::close_cause::CloseCause;

/// Ends a tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Command {
    /// Not before then.
    pub(crate) due: Instant,
    /// [`CloseCause::Cut`] is executed without a Close.
    pub(crate) cause: CloseCause,
    /// Code for the client, where it is configured.
    pub(crate) code: Option<u16>,
}

impl Command {
    fn goes_before(&self, other: &Self) -> bool {
        let cuts = |command: &Self| command.cause == CloseCause::Cut;
        cuts(self) || (!cuts(other) && self.due < other.due)
    }
}

#[derive(Default)]
struct Pending {
    command: Option<Command>,
    /// Of an administrator who closes it, for its Close and its record.
    reason: Option<Arc<str>>,
    subscription_expires_at: Option<i64>,
    /// Whom to wake. It stays when it was woken: the relay says it once, and more may follow.
    waker: Option<Waker>,
}

/// What one side sent so far. Only the tunnel's own task writes.
#[derive(Debug, Default)]
pub(super) struct Passed {
    pub(super) messages: AtomicU64,
    pub(super) bytes: AtomicU64,
}

/// What the registry shows of one tunnel besides its grant.
#[derive(Debug)]
pub(super) struct Description {
    /// As in the access log.
    pub(super) id: Box<str>,
    pub(super) client: IpAddr,
    /// When it opened, in seconds since 1970.
    pub(super) opened: i64,
    /// By side.
    pub(super) passed: [Passed; 2],
}

impl Description {
    /// Of a tunnel that opens now.
    pub(super) fn of(info: &SessionInfo) -> Self {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let now = now.unwrap_or_default().as_secs();
        Self {
            id: info.id.as_str().into(),
            client: info.client,
            opened: i64::try_from(now).unwrap_or(i64::MAX),
            passed: Default::default(),
        }
    }
}

/// One tunnel's control channel, and what the registry needs to know of the tunnel.
pub(super) struct ControlChannel {
    pub(super) id: u64,
    pub(super) api_version: u64,
    pub(super) live_access: LiveAccess,
    pub(super) description: Description,
    pending: Mutex<Pending>,
    /// So that a relay, which looks at each poll, need not take the lock.
    fresh: AtomicBool,
}

impl ControlChannel {
    pub(super) fn new(
        id: u64,
        api_version: u64,
        live_access: LiveAccess,
        subscription_expires_at: Option<i64>,
        description: Description,
    ) -> Self {
        Self {
            id,
            api_version,
            live_access,
            description,
            pending: Mutex::new(Pending {
                command: None,
                reason: None,
                subscription_expires_at,
                waker: None,
            }),
            fresh: AtomicBool::new(false),
        }
    }

    fn pending(&self) -> MutexGuard<'_, Pending> {
        // Plain values: whole even if a thread died holding the lock.
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Posts a command; of two the earlier one stays. Returns whether it is the first one.
    pub(super) fn post(&self, command: Command) -> bool {
        let mut pending = self.pending();
        let known = pending.command;
        if known.is_some_and(|known| !command.goes_before(&known)) {
            return false;
        }
        pending.command = Some(command);
        drop(pending);
        self.wake();
        known.is_none()
    }

    /// Posts a command with the reason for it.
    pub(super) fn post_with(&self, command: Command, reason: Option<Arc<str>>) {
        self.pending().reason = reason;
        self.post(command);
    }

    pub(super) fn reason(&self) -> Option<Arc<str>> {
        self.pending().reason.clone()
    }

    pub(super) fn set_subscription_expiry(&self, at: Option<i64>) {
        let mut pending = self.pending();
        if pending.subscription_expires_at == at {
            return;
        }
        pending.subscription_expires_at = at;
        drop(pending);
        self.wake();
    }

    /// Has the tunnel look at the clock again.
    pub(super) fn wake(&self) {
        self.fresh.store(true, Ordering::Release);
        let waker = self.pending().waker.clone();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// To be called before [`poll_command`](Self::poll_command): what is posted afterwards wakes `waker`.
    pub(super) fn watch(&self, waker: &Waker) {
        self.pending().waker = Some(waker.clone());
    }

    pub(super) fn poll_command(&self) -> Option<Option<Command>> {
        if !self.fresh.load(Ordering::Acquire) {
            return None;
        }
        // Before the command is read: what is posted after this sets the flag again.
        self.fresh.store(false, Ordering::Release);
        Some(self.pending().command)
    }

    pub(super) fn subscription_expires_at(&self) -> Option<i64> {
        self.pending().subscription_expires_at
    }
}
