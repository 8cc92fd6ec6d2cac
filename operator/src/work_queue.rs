//! The work queue: what a pass leaves to be written besides configurations, which are statuses with their
//! Events, subscription keys, SubscriptionRequests, and the deletion of stale Leases. Client required by the worker.
//!
//! Every pass replaces the tasks about what it looked at, so that nothing outdated is written, and no configuration
//! waits for 50,000 statuses.

mod subscription_keys;
mod worker;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use parking_lot::Mutex;
use tidegate_api::{Subscription, SubscriptionRequestSpec};
use tidegate_config::ObjectKey;
use tidegate_plan::KeyRequest;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::keys::RandomnessError;
use crate::objects::{CustomKind, ObjectRef};
use crate::status::StatusUpdate;
use crate::watch::Unreadable;
use crate::write::WriteError;

pub(crate) use worker::Worker;

/// The status of a Gateway shows its revision, which rises with every change of what it serves. It is written
/// at most this often, each time with the latest revision.
const GATEWAY_STATUS_INTERVAL: Duration = Duration::from_millis(500);

/// What a task is about. There is one task per key at a time. In order of urgency.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum TaskKey {
    /// The Secret with the keys of a subscription.
    Keys(ObjectKey),
    /// A SubscriptionRequest.
    Request(ObjectKey),
    /// The status of an object.
    Status(ObjectRef),
    /// The Lease of a pod that is long gone.
    Lease(ObjectKey),
}

/// Something to write.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Task {
    /// Generate keys for this Subscription.
    Keys(KeyRequest, Arc<Subscription>),
    /// Make the SubscriptionRequest.
    NewRequest(Box<SubscriptionRequestSpec>),
    /// Delete the SubscriptionRequest with this uid.
    OutdatedRequest(String),
    /// Write the status.
    Status(Box<StatusUpdate>),
    /// Write the status of an object that cannot be read.
    Unreadable(Unreadable, Box<Condition>),
    /// Delete the Lease.
    Lease,
}

/// Why a task failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum TaskError {
    #[error(transparent)]
    Write(#[from] WriteError),
    #[error("failed to generate a subscription key")]
    Key(#[from] RandomnessError),
}

#[derive(Debug, Default)]
struct Tasks {
    pending: BTreeMap<TaskKey, Task>,
    /// With the status that waits for the task.
    in_progress: BTreeMap<TaskKey, Option<ObjectRef>>,
    /// Tasks that may not start before this time.
    delayed: BTreeMap<TaskKey, Instant>,
    /// Unreadable objects whose status says so already.
    reported: HashSet<(ObjectRef, Unreadable)>,
    /// Secrets with keys that could not be written at the last attempt.
    failed_keys: HashSet<ObjectKey>,
    /// Tasks that failed, until the next pass asks for them again.
    failed: BTreeSet<TaskKey>,
}

impl Tasks {
    /// The most urgent of the tasks that may start.
    fn next(&self) -> Option<&TaskKey> {
        let mut pending = self.pending.keys();
        pending.find(|key| !self.in_progress.contains_key(key) && !self.delayed.contains_key(key))
    }

    /// Drops the statuses of unreadable objects that were written already.
    fn drop_reported(&mut self) {
        let Self {
            pending, reported, ..
        } = self;
        // An object that became readable in between has another status by now.
        reported.retain(|(object, unreadable)| {
            let task = pending.get(&TaskKey::Status(object.clone()));
            matches!(task, Some(Task::Unreadable(now, _)) if now == unreadable)
        });
        pending.retain(|key, task| match (key, task) {
            (TaskKey::Status(object), Task::Unreadable(unreadable, _)) => {
                !reported.contains(&(object.clone(), unreadable.clone()))
            }
            _ => true,
        });
    }

    /// Drops the statuses of subscriptions whose keys are about to be generated: the next pass writes them
    /// once, with the keys. When the keys fail, the status says so.
    fn drop_before_keys(&mut self) {
        let pending = self.pending.iter();
        let early = pending.filter_map(|(key, task)| self.waiting(key, task));
        let generated = self.in_progress.values().flatten().cloned();
        for early in early.chain(generated).collect::<Vec<_>>() {
            self.pending.remove(&TaskKey::Status(early));
        }
    }

    /// The object whose status is written after this task, with what comes of it.
    fn waiting(&self, key: &TaskKey, task: &Task) -> Option<ObjectRef> {
        match (key, task) {
            (TaskKey::Keys(secret), Task::Keys(request, _))
                if !self.failed_keys.contains(secret) =>
            {
                let kind = CustomKind::Subscription;
                Some(ObjectRef::new(kind, &request.subscription))
            }
            _ => None,
        }
    }
}

/// The queue, shared by the reconcile loop and the worker.
#[derive(Clone, Debug, Default)]
pub(crate) struct WorkQueue {
    tasks: Arc<Mutex<Tasks>>,
    changed: Arc<Notify>,
}

impl WorkQueue {
    /// Replaces the tasks that have not started and are about what was `looked` at.
    pub(crate) fn replace(
        &self,
        mut asked: BTreeMap<TaskKey, Task>,
        looked: impl Fn(&TaskKey) -> bool,
    ) {
        let mut tasks = self.tasks.lock();
        tasks.pending.retain(|key, _| !looked(key));
        tasks.pending.append(&mut asked);
        tasks.drop_reported();
        tasks.drop_before_keys();
        drop(tasks);
        self.changed.notify_one();
    }

    /// Tasks that failed since this was asked last.
    pub(crate) fn take_failed(&self) -> BTreeSet<TaskKey> {
        std::mem::take(&mut self.tasks.lock().failed)
    }

    /// Forgets everything, because this replica does not lead.
    pub(crate) fn clear(&self) {
        let mut tasks = self.tasks.lock();
        tasks.pending.clear();
        tasks.reported.clear();
        tasks.failed_keys.clear();
        tasks.delayed.clear();
        tasks.failed.clear();
    }

    /// Resolves when the queue was replaced.
    async fn changed(&self) {
        self.changed.notified().await;
    }

    /// When the first of the delayed tasks may start.
    fn next_start(&self) -> Option<Instant> {
        let tasks = self.tasks.lock();
        let delayed = tasks.delayed.iter();
        let waiting = delayed.filter(|(key, _)| tasks.pending.contains_key(key));
        waiting.map(|(_, start)| *start).min()
    }

    /// Starts the most urgent task that may start.
    fn start(&self) -> Option<(TaskKey, Task)> {
        let now = Instant::now();
        let mut tasks = self.tasks.lock();
        tasks.delayed.retain(|_, start| now < *start);
        let key = tasks.next()?.clone();
        let task = tasks.pending.remove(&key)?;
        let waiting = tasks.waiting(&key, &task);
        tasks.in_progress.insert(key.clone(), waiting);
        Some((key, task))
    }

    /// A task has ended.
    fn finish(&self, key: &TaskKey, task: &Task, succeeded: bool) {
        let mut tasks = self.tasks.lock();
        tasks.in_progress.remove(key);
        if let TaskKey::Keys(secret) = key {
            match succeeded {
                true => tasks.failed_keys.remove(secret),
                false => tasks.failed_keys.insert(secret.clone()),
            };
        }
        if !succeeded {
            tasks.failed.insert(key.clone());
            return;
        }
        // A pass may have asked for the same while it was in progress.
        if tasks.pending.get(key) == Some(task) {
            tasks.pending.remove(key);
        }
        let TaskKey::Status(object) = key else {
            return;
        };
        match task {
            Task::Status(_) if object.kind == CustomKind::Gateway => {
                let start = Instant::now() + GATEWAY_STATUS_INTERVAL;
                tasks.delayed.insert(key.clone(), start);
            }
            Task::Unreadable(unreadable, _) => {
                tasks.reported.insert((object.clone(), unreadable.clone()));
            }
            Task::Status(_)
            | Task::Keys(..)
            | Task::NewRequest(_)
            | Task::OutdatedRequest(_)
            | Task::Lease => {}
        }
    }

    /// True when nothing is left to do.
    #[cfg(test)]
    pub(crate) fn is_idle(&self) -> bool {
        let tasks = self.tasks.lock();
        tasks.in_progress.is_empty() && tasks.pending.is_empty()
    }
}

#[cfg(test)]
mod tests;
