//! Where a tunnel's orders wait.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use tidegate_config::LiveAccess;
use tokio::time::Instant;

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
    subscription_expires_at: Option<i64>,
    /// Whom to wake. It stays when it was woken: the relay says it once, and more may follow.
    waker: Option<Waker>,
}

/// One tunnel's control channel, and what the registry needs to know of the tunnel.
pub(super) struct ControlChannel {
    pub(super) id: u64,
    pub(super) api_version: u64,
    pub(super) live_access: LiveAccess,
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
    ) -> Self {
        Self {
            id,
            api_version,
            live_access,
            pending: Mutex::new(Pending {
                command: None,
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
