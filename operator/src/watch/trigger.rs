//! Wakes the reconcile loop. Pure.

use std::sync::Arc;

use tokio::sync::Notify;

/// How urgent a change is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Urgency {
    /// No pass would act on it.
    Never,
    /// Only a status changed. It may have to be corrected, but that can wait: it does not change what is served.
    Soon,
    /// Something changed that decides what is served.
    Now,
}

/// Wakes the reconcile loop; clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trigger {
    now: Arc<Notify>,
    soon: Arc<Notify>,
}

impl Trigger {
    /// Requests a pass.
    pub(crate) fn request(&self, urgency: Urgency) {
        match urgency {
            Urgency::Never => {}
            Urgency::Soon => self.soon.notify_one(),
            Urgency::Now => self.now.notify_one(),
        }
    }

    /// Drops all requests until now.
    pub(crate) fn clear(&self) {
        use futures::FutureExt;
        let _ = self.now().now_or_never();
        let _ = self.soon().now_or_never();
    }

    /// Resolves after a request with [`Urgency::Now`].
    pub(crate) async fn now(&self) {
        self.now.notified().await;
    }

    /// Resolves after a request with [`Urgency::Soon`].
    pub(crate) async fn soon(&self) {
        self.soon.notified().await;
    }
}
