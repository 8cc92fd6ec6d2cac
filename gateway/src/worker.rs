//! Threads that carry connections: one single-threaded runtime each, so that a connection and all
//! it needs stay on one core and no lock is shared between cores for a byte that passes.
//!
//! Connections are accepted elsewhere and given to the worker that carries fewest.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use tokio::runtime::Builder;
use tokio::sync::mpsc;

use crate::drain::Drain;
use crate::handshake::{self, Server};

/// A client's connection on its way to a worker.
#[derive(Debug)]
pub(crate) struct Accepted {
    /// In non-blocking mode.
    pub(crate) socket: TcpStream,
    pub(crate) peer: SocketAddr,
    /// The configured port, which may be bound as another one.
    pub(crate) port: u16,
    pub(crate) at: Instant,
}

/// All workers of a gateway. They end with the control drain's last call.
#[derive(Debug)]
pub(crate) struct Workers(Vec<Worker>);

#[derive(Debug)]
struct Worker {
    queue: mpsc::UnboundedSender<Accepted>,
    load: Arc<AtomicUsize>,
}

/// One connection in a worker's load, or one of its streams; counted until dropped.
#[derive(Debug)]
pub(crate) struct Carried(Arc<AtomicUsize>);

impl Workers {
    /// Starts `count` threads; 0 means one per core.
    pub(crate) fn start(count: usize, server: &Arc<Server>, control: &Drain) -> io::Result<Self> {
        let cores = || thread::available_parallelism().map_or(1, usize::from);
        let count = if count == 0 { cores() } else { count };
        let workers = (0..count).map(|number| Worker::start(number, server, control));
        workers.collect::<Result<_, _>>().map(Self)
    }

    /// Gives a connection to the worker with the fewest.
    pub(crate) fn give(&self, accepted: Accepted) {
        let least = self
            .0
            .iter()
            .min_by_key(|worker| worker.load.load(Ordering::Relaxed));
        if let Some(worker) = least {
            worker.load.fetch_add(1, Ordering::Relaxed);
            // A worker that has ended drops the connection: the gateway ends as well.
            let _ = worker.queue.send(accepted);
        }
    }
}

impl Worker {
    fn start(number: usize, server: &Arc<Server>, control: &Drain) -> io::Result<Self> {
        let (queue, connections) = mpsc::unbounded_channel();
        let load = Arc::new(AtomicUsize::new(0));
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let carry = carry(connections, Arc::clone(&load), Arc::clone(server));
        let control = control.clone();
        thread::Builder::new()
            .name(format!("tidegate-worker-{number}"))
            .spawn(move || {
                runtime.block_on(async {
                    tokio::select! {
                        () = control.insisted() => {}
                        () = carry => {}
                    }
                });
                // A resolver thread that hangs must not keep the process.
                runtime.shutdown_background();
            })?;
        Ok(Self { queue, load })
    }
}

async fn carry(
    mut connections: mpsc::UnboundedReceiver<Accepted>,
    load: Arc<AtomicUsize>,
    server: Arc<Server>,
) {
    while let Some(accepted) = connections.recv().await {
        let carried = Carried(Arc::clone(&load));
        let server = Arc::clone(&server);
        let drain = server.shared.drain.clone();
        drain.spawn(async move {
            handshake::serve(server, accepted, carried).await;
        });
    }
    // Nobody listens any more, but tunnels live on.
    std::future::pending::<()>().await;
}

impl Clone for Carried {
    fn clone(&self) -> Self {
        self.0.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(&self.0))
    }
}

impl Drop for Carried {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
