//! Everything the operator knows of the cluster: one watch per kind feeding one in-memory index,
//! plus the few objects it reads by name. Client required.
//!
//! Nothing is decided here. What is watched, and with which rights, is written at each watch.

mod ack;
mod broken;
mod guarded;
mod health;
mod index;
mod named;
mod recall;
mod store;
mod watch;
mod watched;

use std::future::Future;
use std::time::Duration;

pub(crate) use ack::Ack;
pub(crate) use broken::Broken;
pub(crate) use health::Health;
pub(crate) use index::{Index, SharedIndex, Wake, Waker};
pub(crate) use named::{Named, ReadError};
pub(crate) use recall::recall;
pub(crate) use store::Store;
pub(crate) use watch::{RELIST, Scope, Sink, spawn_watches};
pub(crate) use watched::{Custom, strip};

/// The client itself waits for ever for an answer on a connection that is dead.
const TIMEOUT: Duration = Duration::from_secs(15);

/// One read, bounded in time.
async fn in_time<T>(read: impl Future<Output = Result<T, kube::Error>>) -> Result<T, kube::Error> {
    match tokio::time::timeout(TIMEOUT, read).await {
        Ok(outcome) => outcome,
        Err(elapsed) => Err(kube::Error::Service(Box::new(elapsed))),
    }
}
