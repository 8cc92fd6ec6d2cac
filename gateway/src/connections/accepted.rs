//! An accepted connection, and the count of connections that a worker serves.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use tokio::net::TcpStream;

use super::SlotGuard;

/// An accepted connection of a client.
#[derive(Debug)]
pub(crate) struct Accepted<S = TcpStream> {
    /// Registered with the runtime of the worker that serves it.
    pub(crate) socket: S,
    pub(crate) peer: SocketAddr,
    /// The configured port; the bound port may differ.
    pub(crate) port: u16,
    pub(crate) slot: SlotGuard,
    pub(crate) at: Instant,
}

impl<S> Accepted<S> {
    /// The same connection with its socket in another form.
    ///
    /// # Errors
    /// Whatever `convert` fails with.
    pub(crate) fn convert<T>(
        self,
        convert: impl FnOnce(S) -> io::Result<T>,
    ) -> io::Result<Accepted<T>> {
        let Self {
            socket,
            peer,
            port,
            slot,
            at,
        } = self;
        Ok(Accepted {
            socket: convert(socket)?,
            peer,
            port,
            slot,
            at,
        })
    }
}

/// Counts one connection, or one stream, in a worker's load until dropped.
#[derive(Debug)]
pub(crate) struct LoadGuard(Arc<AtomicUsize>);

impl Clone for LoadGuard {
    fn clone(&self) -> Self {
        self.0.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(&self.0))
    }
}

impl LoadGuard {
    /// For a connection that the worker which handed it over has counted.
    pub(crate) fn counted_already(load: &Arc<AtomicUsize>) -> Self {
        Self(Arc::clone(load))
    }

    /// Counts one more.
    pub(crate) fn new(load: &Arc<AtomicUsize>) -> Self {
        load.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(load))
    }
}

impl Drop for LoadGuard {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
