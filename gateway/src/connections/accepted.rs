//! A connection that was accepted, and the worker's load that it is part of.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use tokio::net::TcpStream;

use super::SlotGuard;

/// A client's connection.
#[derive(Debug)]
pub(crate) struct Accepted<S = TcpStream> {
    /// Registered with the runtime of the worker that carries it.
    pub(crate) socket: S,
    pub(crate) peer: SocketAddr,
    /// The configured port, which may be bound as another one.
    pub(crate) port: u16,
    pub(crate) slot: SlotGuard,
    pub(crate) at: Instant,
}

/// One connection in a worker's load, or one of its streams; counted until dropped.
#[derive(Debug)]
pub(crate) struct Carried(Arc<AtomicUsize>);

impl Clone for Carried {
    fn clone(&self) -> Self {
        self.0.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(&self.0))
    }
}

impl Carried {
    /// One that whoever gave it has counted.
    pub(crate) fn counted_already(load: &Arc<AtomicUsize>) -> Self {
        Self(Arc::clone(load))
    }

    /// One more.
    pub(crate) fn new(load: &Arc<AtomicUsize>) -> Self {
        load.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(load))
    }
}

impl Drop for Carried {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
