//! Owns every task of the process. The only place that may spawn.
//!
//! It asks tasks to stop and does not abort them: a task finishes its present step and returns. The caller
//! decides how long to wait.

use std::future::Future;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Spawns tasks, and tells them to stop.
#[derive(Clone, Debug, Default)]
pub(crate) struct Drain {
    tasks: TaskTracker,
    token: CancellationToken,
}

impl Drain {
    /// Starts a task that [`Drain::finished`] waits for.
    pub(crate) fn spawn<F>(&self, task: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.tasks.spawn(task)
    }

    /// Asks all tasks to stop.
    pub(crate) fn ask(&self) {
        self.token.cancel();
        self.tasks.close();
    }

    /// Resolves when the tasks are asked to stop.
    pub(crate) async fn asked(&self) {
        self.token.cancelled().await;
    }

    /// Have the tasks been asked to stop?
    pub(crate) fn is_asked(&self) -> bool {
        self.token.is_cancelled()
    }

    /// Waits until all tasks have returned, for `timeout` at most; false when some have not.
    pub(crate) async fn finished(&self, timeout: Duration) -> bool {
        tokio::time::timeout(timeout, self.tasks.wait())
            .await
            .is_ok()
    }
}
