//! Everything that the operator knows of the cluster: one watch per kind fills one in-memory cache, and
//! the few Secrets and ConfigMaps that objects name are read one by one. Client required.
//!
//! Nothing is decided here. What is watched, and which permissions that needs, is written at each watch.

mod ack;
mod cache;
mod guarded;
mod health;
mod referenced;
mod store;
mod trigger;
mod unreadable;
mod watched;
mod watcher;

use std::future::Future;
use std::time::Duration;

pub(crate) use ack::Ack;
pub(crate) use cache::{Cache, Labels, SharedCache};
pub(crate) use health::WatchHealth;
pub(crate) use referenced::{FoundObjects, ReadError, ReferencedObjects};
pub(crate) use store::Store;
pub(crate) use trigger::{Trigger, Urgency};
pub(crate) use unreadable::Unreadable;
pub(crate) use watched::{CustomObject, strip};
pub(crate) use watcher::{RELIST_INTERVAL, WatchContext, WatchScope, spawn_watches};

/// Time for one read. The client itself sets no limit: on a connection that is dead it would wait for ever.
const READ_TIMEOUT: Duration = Duration::from_secs(15);

/// Waits for one read of the API server, for [`READ_TIMEOUT`] at most.
///
/// # Errors
///
/// The error of the read, or [`kube::Error::Service`] when it did not end in time.
pub(crate) async fn read_with_timeout<T>(
    read: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, kube::Error> {
    match tokio::time::timeout(READ_TIMEOUT, read).await {
        Ok(outcome) => outcome,
        Err(elapsed) => Err(kube::Error::Service(Box::new(elapsed))),
    }
}
