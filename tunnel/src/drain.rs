//! Who owns every task: ask them to end, wait, insist.
//!
//! The only place that may spawn. A task that nobody counts is a connection that a shutdown cuts
//! without a word. Being asked is a request: the holder of a [`Drain`] decides how to end well.
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::{sleep, timeout};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn tasks_that_are_asked_end_in_their_own_time() {
        let (trigger, drain) = Drain::pair();
        let task = drain.clone();
        let answer = drain.spawn(async move {
            task.asked().await;
            sleep(SECOND).await;
            "done"
        });
        assert!(!drain.is_asked());
        assert!(
            timeout(SECOND, trigger.finished()).await.is_err(),
            "nobody asked"
        );
        trigger.ask();
        assert!(drain.is_asked() && !drain.is_insisted());
        timeout(2 * SECOND, trigger.finished()).await.unwrap();
        assert_eq!(answer.await.unwrap(), "done");
        assert_eq!(drain.tasks(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn tasks_that_do_not_listen_are_insisted_upon() {
        let (trigger, drain) = Drain::pair();
        let task = drain.clone();
        drain.spawn(async move {
            tokio::select! {
                () = task.insisted() => {}
                () = sleep(3600 * SECOND) => {}
            }
        });
        trigger.ask();
        assert!(timeout(10 * SECOND, trigger.finished()).await.is_err());
        trigger.insist();
        timeout(SECOND, trigger.finished()).await.unwrap();
    }

    #[tokio::test]
    async fn to_insist_is_to_ask_too() {
        let (trigger, drain) = Drain::pair();
        trigger.insist();
        drain.asked().await;
        assert!(drain.is_insisted());
    }

    #[tokio::test]
    async fn a_task_on_another_runtime_is_counted() {
        let (trigger, drain) = Drain::pair();
        let task = drain.clone();
        drain.spawn_on(async move { task.asked().await }, &Handle::current());
        assert_eq!(drain.tasks(), 1);
        trigger.ask();
        trigger.finished().await;
    }
}
