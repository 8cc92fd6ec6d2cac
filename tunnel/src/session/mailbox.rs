//! Where a tunnel's orders wait.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use tidegate_config::LiveAccess;
use tokio::time::Instant;

use crate::close_cause::CloseCause;

/// Ends a tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Order {
    /// Not before then.
    pub(crate) due: Instant,
    /// [`CloseCause::Cut`] is obeyed without a goodbye.
    pub(crate) cause: CloseCause,
    /// Code for the client, where it is configured.
    pub(crate) code: Option<u16>,
}

impl Order {
    fn goes_before(&self, other: &Self) -> bool {
        let cuts = |order: &Self| order.cause == CloseCause::Cut;
        cuts(self) || (!cuts(other) && self.due < other.due)
    }
}

#[derive(Default)]
struct Letter {
    order: Option<Order>,
    subscription_expires_at: Option<i64>,
    /// Whom to wake. It stays when it was woken: the relay says it once, and more may follow.
    waker: Option<Waker>,
}

/// One tunnel's mailbox, and what the registry needs to know of the tunnel.
pub(super) struct Mailbox {
    pub(super) id: u64,
    pub(super) api_generation: i64,
    pub(super) live_access: LiveAccess,
    letter: Mutex<Letter>,
    /// So that a relay, which looks at each poll, need not take the lock.
    fresh: AtomicBool,
}

impl Mailbox {
    pub(super) fn new(
        id: u64,
        api_generation: i64,
        live_access: LiveAccess,
        subscription_expires_at: Option<i64>,
    ) -> Self {
        Self {
            id,
            api_generation,
            live_access,
            letter: Mutex::new(Letter {
                order: None,
                subscription_expires_at,
                waker: None,
            }),
            fresh: AtomicBool::new(false),
        }
    }

    fn letter(&self) -> MutexGuard<'_, Letter> {
        // Plain values: whole even if a thread died holding the lock.
        self.letter.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Leaves an order; the sooner one stands.
    pub(super) fn post(&self, order: Order) {
        let mut letter = self.letter();
        if letter.order.is_some_and(|known| !order.goes_before(&known)) {
            return;
        }
        letter.order = Some(order);
        drop(letter);
        self.nudge();
    }

    pub(super) fn set_subscription_expiry(&self, at: Option<i64>) {
        let mut letter = self.letter();
        if letter.subscription_expires_at == at {
            return;
        }
        letter.subscription_expires_at = at;
        drop(letter);
        self.nudge();
    }

    /// Has the tunnel look at the clock again.
    pub(super) fn nudge(&self) {
        self.fresh.store(true, Ordering::Release);
        let waker = self.letter().waker.clone();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// To be called before [`news`](Self::news): what is posted afterwards wakes `waker`.
    pub(super) fn watch(&self, waker: &Waker) {
        self.letter().waker = Some(waker.clone());
    }

    pub(super) fn news(&self) -> Option<Option<Order>> {
        if !self.fresh.load(Ordering::Acquire) {
            return None;
        }
        // Before the letter is read: what is posted after this makes news again.
        self.fresh.store(false, Ordering::Release);
        Some(self.letter().order)
    }

    pub(super) fn subscription_expires_at(&self) -> Option<i64> {
        self.letter().subscription_expires_at
    }
}
