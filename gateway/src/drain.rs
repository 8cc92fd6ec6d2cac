//! Who owns every task: ask them to end, wait, insist.
//!
//! The only place that may spawn. A task that nobody counts is a connection that a shutdown cuts
//! without a word. Being asked is a request: whoever holds a [`Drain`] decides how to end well.
//! Being insisted upon is the last call before the runtimes go.

use std::future::Future;

use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Spawns tasks, and tells them when to end.
#[derive(Clone, Debug)]
pub struct Drain {
    tasks: TaskTracker,
    asked: CancellationToken,
    insisted: CancellationToken,
}

/// Ends what was spawned through its [`Drain`].
#[derive(Debug)]
pub struct DrainTrigger(Drain);

impl Drain {
    /// A fresh pair.
    pub fn pair() -> (DrainTrigger, Self) {
        let drain = Self {
            tasks: TaskTracker::new(),
            asked: CancellationToken::new(),
            insisted: CancellationToken::new(),
        };
        (DrainTrigger(drain.clone()), drain)
    }

    /// Runs a task on the current runtime.
    pub fn spawn<F>(&self, task: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.tasks.spawn(task)
    }

    /// Runs a task on another runtime.
    pub fn spawn_on<F>(&self, task: F, runtime: &Handle) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.tasks.spawn_on(task, runtime)
    }

    /// Completes when everybody is asked to end.
    pub async fn asked(&self) {
        self.asked.cancelled().await;
    }

    /// Was everybody asked to end?
    pub fn is_asked(&self) -> bool {
        self.asked.is_cancelled()
    }

    /// Completes when time is up.
    pub async fn insisted(&self) {
        self.insisted.cancelled().await;
    }

    /// Is time up?
    pub fn is_insisted(&self) -> bool {
        self.insisted.is_cancelled()
    }

    /// How many tasks live.
    pub fn tasks(&self) -> usize {
        self.tasks.len()
    }
}

impl DrainTrigger {
    /// Asks every task to end in its own good way.
    pub fn ask(&self) {
        self.0.asked.cancel();
    }

    /// Asks every task to end now; asks them at all if nobody did.
    pub fn insist(&self) {
        self.0.asked.cancel();
        self.0.insisted.cancel();
    }

    /// Completes when no task is left.
    pub async fn finished(&self) {
        self.0.tasks.close();
        self.0.tasks.wait().await;
    }
}
