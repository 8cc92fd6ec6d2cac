//! Does the tasks of the work queue. Client required.

use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::time::Instant;

use super::{Task, TaskError, TaskKey, WorkQueue, subscription_keys};
use crate::drain::Drain;
use crate::status::StatusWriter;
use crate::watch::{Trigger, Urgency};
use crate::write::{WriteError, Writer};

/// Tasks at the same time: as many requests as an API server takes from one client without queueing.
const CONCURRENCY: usize = 16;

/// Pause after a failed write, before the same object is tried again.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// Does the tasks of a queue.
pub(crate) struct Worker {
    pub(crate) queue: WorkQueue,
    pub(crate) writer: Writer,
    pub(crate) statuses: StatusWriter,
    pub(crate) trigger: Trigger,
}

impl Worker {
    /// Does tasks until the drain asks, then finishes those in progress.
    pub(crate) async fn run(self, drain: Drain) {
        let mut running = FuturesUnordered::new();
        while !drain.is_asked() {
            while running.len() < CONCURRENCY
                && let Some((key, task)) = self.queue.start()
            {
                running.push(self.complete(key, task));
            }
            let next_start = self.queue.next_start();
            tokio::select! {
                () = drain.asked() => break,
                () = sleep_until(next_start) => {}
                () = self.queue.changed() => {}
                Some(()) = running.next() => {}
            }
        }
        while running.next().await.is_some() {}
    }

    async fn complete(&self, key: TaskKey, task: Task) {
        let outcome = self.perform(&key, &task).await;
        if let Err(error) = &outcome {
            if !matches!(error, TaskError::Write(WriteError::NotLeading)) {
                let error = crate::error_chain(error);
                tracing::warn!(about = ?key, error, "write failed, will try again");
            }
            tokio::time::sleep(RETRY_PAUSE).await;
        }
        self.queue.finish(&key, &task, outcome.is_ok());
        if outcome.is_err() {
            // The next pass asks for it again if it is still needed.
            self.trigger.request(Urgency::Soon);
        }
    }

    async fn perform(&self, key: &TaskKey, task: &Task) -> Result<(), TaskError> {
        match (key, task) {
            (_, Task::Keys(request, subscription)) => {
                let outcome =
                    subscription_keys::generate(&self.writer, request, subscription).await;
                self.trigger.request(Urgency::Now);
                outcome?;
            }
            (TaskKey::Status(object), Task::Status(update)) => {
                self.statuses.write(object, update).await?;
            }
            (TaskKey::Status(object), Task::Unreadable(unreadable, condition)) => {
                let statuses = &self.statuses;
                statuses
                    .write_unreadable(object, unreadable, condition)
                    .await?;
            }
            (TaskKey::Request(request), Task::NewRequest(spec)) => {
                self.writer.create_request(request, spec).await?;
            }
            (TaskKey::Request(request), Task::OutdatedRequest(uid)) => {
                self.writer.delete_request(request, uid).await?;
            }
            (TaskKey::Lease(lease), Task::Lease) => self.writer.delete_lease(lease).await?,
            // No other key goes with these tasks.
            (
                _,
                Task::Status(_)
                | Task::Unreadable(..)
                | Task::NewRequest(_)
                | Task::OutdatedRequest(_)
                | Task::Lease,
            ) => {}
        }
        Ok(())
    }
}

/// Without a time it never resolves.
async fn sleep_until(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}
