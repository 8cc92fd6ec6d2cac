//! What a pass leaves to be written beside the configuration: statuses, Events, subscription keys,
//! forgotten Leases. Client required.
//!
//! Every pass replaces the whole list, so that only what is true now gets written, and nobody's
//! configuration waits for 50,000 statuses.

mod key_secret;
mod lease;
mod report;

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::runtime::events::{Recorder, Reporter};
use tidegate_api::{
    GatewayStatus, PolicyFragmentStatus, ProductStatus, Subscription, SubscriptionStatus,
    WebSocketApiStatus,
};
use tidegate_config::ObjectKey;
use tidegate_plan::KeyRequest;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::drain::Drain;
use crate::gather::{Broken, Wake, Waker};
use crate::keys::NoRandomness;
use crate::objects::{Kind, ObjectRef};
use crate::status::Report;
use crate::write::{WriteError, Writer};

/// Writes at a time: as many as an API server gives one client without queueing.
const CONCURRENCY: usize = 16;

/// Pause after a failed write, before the same object is tried again.
const PAUSE: Duration = Duration::from_secs(1);

/// A Gateway's status names its revision, which changes with every change of anything it serves: it
/// is written at most this often, and then with what is true by then.
const REST: Duration = Duration::from_millis(500);

/// What a chore is about; there is one chore per object at a time. In order of urgency.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum About {
    /// The Secret with a subscription's keys.
    Keys(ObjectKey),
    /// The status of an object.
    Status(ObjectRef),
    /// The Lease of a pod that is long gone.
    Lease(ObjectKey),
}

/// Something to write.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Chore {
    Keys(KeyRequest, Arc<Subscription>),
    Gateway(Report<GatewayStatus>),
    WebSocketApi(Report<WebSocketApiStatus>),
    Product(Report<ProductStatus>),
    PolicyFragment(Report<PolicyFragmentStatus>),
    Subscription(Report<SubscriptionStatus>),
    /// Nothing is known of the object but that it cannot be read.
    Unreadable(Broken, Box<Condition>),
    /// Delete the Lease.
    Lease,
}

/// Why a chore was not done.
#[derive(Debug, thiserror::Error)]
pub(super) enum ChoreError {
    #[error(transparent)]
    Write(#[from] WriteError),
    #[error("failed to make a subscription key")]
    Key(#[from] NoRandomness),
}

#[derive(Debug, Default)]
struct Queue {
    pending: BTreeMap<About, Chore>,
    busy: HashSet<About>,
    /// Not to be taken up again before this time.
    resting: BTreeMap<About, Instant>,
    /// Unreadable objects whose status says so.
    told: HashSet<(ObjectRef, Broken)>,
    /// Secrets with keys that could not be written at the last attempt.
    keyless: HashSet<ObjectKey>,
}

impl Queue {
    /// The most urgent of the chores that can be taken up.
    fn free(&self) -> Option<&About> {
        let mut pending = self.pending.keys();
        pending.find(|about| !self.busy.contains(about) && !self.resting.contains_key(about))
    }

    /// Of an object that cannot be read there is nothing new to say.
    fn drop_told(&mut self) {
        let Self { pending, told, .. } = self;
        // What became readable meanwhile was told something else.
        told.retain(|(object, broken)| {
            let chore = pending.get(&About::Status(object.clone()));
            matches!(chore, Some(Chore::Unreadable(now, _)) if now == broken)
        });
        pending.retain(|about, chore| match (about, chore) {
            (About::Status(object), Chore::Unreadable(broken, _)) => {
                !told.contains(&(object.clone(), broken.clone()))
            }
            _ => true,
        });
    }

    /// A subscription whose keys are about to be made is told about when they are: one write
    /// instead of two for each. When making them fails, its status says so.
    fn drop_early(&mut self) {
        let keys = self
            .pending
            .iter()
            .filter_map(|(about, chore)| match (about, chore) {
                (About::Keys(secret), Chore::Keys(request, _))
                    if !self.keyless.contains(secret) =>
                {
                    let kind = Kind::Subscription;
                    Some(About::Status(ObjectRef::new(kind, &request.subscription)))
                }
                _ => None,
            });
        for early in keys.collect::<Vec<_>>() {
            self.pending.remove(&early);
        }
    }
}

/// The list of chores, shared by the pass and the task that does them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Chores {
    queue: Arc<Mutex<Queue>>,
    changed: Arc<Notify>,
}

impl Chores {
    /// Puts `chores` in place of all that have not been started.
    pub(crate) fn replace(&self, chores: BTreeMap<About, Chore>) {
        let mut queue = self.lock();
        queue.pending = chores;
        queue.drop_told();
        queue.drop_early();
        drop(queue);
        self.changed.notify_one();
    }

    /// Forgets everything: this replica does not lead.
    pub(crate) fn clear(&self) {
        let mut queue = self.lock();
        queue.pending.clear();
        queue.told.clear();
        queue.keyless.clear();
        queue.resting.clear();
    }

    /// Does chores until the drain asks, then finishes those under way.
    pub(crate) async fn run(self, writer: Writer, replica: String, waker: Waker, drain: Drain) {
        let reporter = Reporter {
            controller: crate::CONTROLLER.to_owned(),
            instance: Some(replica),
        };
        let recorder = Recorder::new(writer.client.clone(), reporter);
        let worker = Worker {
            chores: self,
            writer,
            recorder,
            waker,
        };
        let mut running = FuturesUnordered::new();
        while !drain.is_asked() {
            while running.len() < CONCURRENCY
                && let Some((about, chore)) = worker.chores.take()
            {
                running.push(worker.complete(about, chore));
            }
            let rested = worker.chores.rested();
            tokio::select! {
                () = drain.asked() => break,
                () = tokio::time::sleep_until(rested) => {}
                () = worker.chores.changed.notified() => {}
                Some(()) = running.next() => {}
            }
        }
        while running.next().await.is_some() {}
    }

    /// When the first chore that rests can be taken up.
    fn rested(&self) -> Instant {
        let queue = self.lock();
        let resting = queue.resting.iter();
        let waiting = resting.filter(|(about, _)| queue.pending.contains_key(about));
        let first = waiting.map(|(_, until)| *until).min();
        // Any later time will do: whatever is added wakes the worker.
        first.unwrap_or_else(|| Instant::now() + PAUSE * 60)
    }

    fn take(&self) -> Option<(About, Chore)> {
        let now = Instant::now();
        let mut queue = self.lock();
        queue.resting.retain(|_, until| now < *until);
        let about = queue.free()?.clone();
        let chore = queue.pending.remove(&about)?;
        queue.busy.insert(about.clone());
        Some((about, chore))
    }

    /// The chore is no longer under way. Is there still something to do about the object?
    fn settle(&self, about: &About, chore: &Chore, done: bool) -> bool {
        let mut queue = self.lock();
        queue.busy.remove(about);
        if let About::Keys(secret) = about {
            match done {
                true => queue.keyless.remove(secret),
                false => queue.keyless.insert(secret.clone()),
            };
        }
        if !done {
            return true;
        }
        if matches!(chore, Chore::Gateway(_)) {
            queue.resting.insert(about.clone(), Instant::now() + REST);
        }
        // A pass may have asked for the same while it was under way.
        if queue.pending.get(about) == Some(chore) {
            queue.pending.remove(about);
        }
        if let (About::Status(object), Chore::Unreadable(broken, _)) = (about, chore) {
            queue.told.insert((object.clone(), broken.clone()));
        }
        false
    }

    /// Is nothing left to do?
    #[cfg(test)]
    pub(crate) fn is_idle(&self) -> bool {
        let queue = self.lock();
        queue.busy.is_empty() && queue.pending.is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Does chores.
struct Worker {
    chores: Chores,
    writer: Writer,
    recorder: Recorder,
    waker: Waker,
}

impl Worker {
    async fn complete(&self, about: About, chore: Chore) {
        let outcome = self.act(&about, &chore).await;
        if let Err(error) = &outcome {
            if !matches!(error, ChoreError::Write(WriteError::NotLeading)) {
                let error = crate::error_chain(error);
                tracing::warn!(?about, error, "will try again");
            }
            tokio::time::sleep(PAUSE).await;
        }
        if self.chores.settle(&about, &chore, outcome.is_ok()) {
            // The next pass asks for it again, when it is still to be done.
            self.waker.wake(Wake::Soon);
        }
    }

    async fn act(&self, about: &About, chore: &Chore) -> Result<(), ChoreError> {
        match (about, chore) {
            (_, Chore::Keys(request, subscription)) => {
                let made = key_secret::make(&self.writer, request, subscription).await;
                self.waker.wake(Wake::Now);
                made
            }
            (About::Status(object), chore) => {
                report::write(&self.writer, &self.recorder, object, chore).await
            }
            (About::Lease(key), _) => lease::delete(&self.writer, key).await,
            (About::Keys(_), _) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
