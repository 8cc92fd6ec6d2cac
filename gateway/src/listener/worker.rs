//! Threads that serve connections. Each has a single-threaded runtime, so that a connection stays on one core
//! and relaying takes no lock that cores share.
//!
//! Each worker accepts connections itself (`listener`), so a handshake wakes no other thread. A worker that
//! serves considerably more than another hands new connections over to it.

mod tick;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use tokio::net::TcpStream;
use tokio::runtime::{Builder, Handle};
use tokio::sync::mpsc;

use crate::connections::{Accepted, LoadGuard};
use crate::handshake::{self, Server};
use tick::Tick;
use tidegate_tunnel::drain::Drain;

/// A worker hands a connection over only if its load is higher than the other's by more than an eighth plus
/// this number: below that, waking the other thread costs more than the balance gains.
const SLACK: usize = 16;

/// A connection on its way to another worker; the socket is in non-blocking mode.
type Handover = Accepted<std::net::TcpStream>;

/// All workers of a gateway. They end with the control drain's last call.
#[derive(Debug)]
pub(crate) struct Workers(Vec<Worker>);

#[derive(Debug)]
struct Worker {
    queue: mpsc::UnboundedSender<Handover>,
    load: Arc<AtomicUsize>,
    runtime: Handle,
    server: Arc<Server>,
    tick: Arc<Tick>,
}

impl Workers {
    /// Starts `count` threads; 0 means one per core.
    ///
    /// # Errors
    /// A thread or its runtime cannot be started.
    pub(crate) fn start(count: usize, server: &Arc<Server>, control: &Drain) -> io::Result<Self> {
        let cores = || thread::available_parallelism().map_or(1, usize::from);
        let count = if count == 0 { cores() } else { count };
        let workers = (0..count).map(|number| Worker::start(number, server, control));
        workers.collect::<Result<_, _>>().map(Self)
    }

    /// The runtimes, in the order of their numbers.
    pub(crate) fn runtimes(&self) -> impl Iterator<Item = &Handle> {
        self.0.iter().map(|worker| &worker.runtime)
    }

    /// Serves a connection that worker `number` has accepted, on whose runtime this is called; on another
    /// worker, if that has a much lower load.
    pub(crate) fn take(&self, number: usize, accepted: Accepted) {
        let own = &self.0[number];
        match self.lightest() {
            Some(other) if own.is_heavier(other) => other.give(accepted),
            _ => own.carry(accepted),
        }
    }

    fn lightest(&self) -> Option<&Worker> {
        self.0.iter().min_by_key(|worker| worker.load())
    }
}

impl Worker {
    fn start(number: usize, server: &Arc<Server>, control: &Drain) -> io::Result<Self> {
        let (queue, connections) = mpsc::unbounded_channel();
        let load = Arc::new(AtomicUsize::new(0));
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let carry = receive(connections, Arc::clone(&load), Arc::clone(server));
        let tick = Arc::new(Tick::default());
        let (beating, insisted) = (Arc::clone(&tick), control.clone());
        let beat = async move {
            tokio::select! {
                () = insisted.insisted() => {}
                () = beating.run() => {}
            }
        };
        control.spawn_on(beat, &handle);
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
                // A resolver thread that hangs must not keep the process alive.
                runtime.shutdown_background();
            })?;
        Ok(Self {
            queue,
            load,
            runtime: handle,
            server: Arc::clone(server),
            tick,
        })
    }

    fn load(&self) -> usize {
        self.load.load(Ordering::Relaxed)
    }

    fn is_heavier(&self, other: &Self) -> bool {
        let load = other.load();
        self.load() > load + load / 8 + SLACK
    }

    /// Call it on the worker's own runtime.
    fn carry(&self, accepted: Accepted) {
        self.tick.keep();
        serve(&self.server, LoadGuard::new(&self.load), accepted);
    }

    /// Call it on another worker's runtime.
    fn give(&self, accepted: Accepted) {
        if let Ok(handover) = accepted.convert(TcpStream::into_std) {
            self.load.fetch_add(1, Ordering::Relaxed);
            self.tick.keep();
            // A worker that has ended drops the connection: the gateway ends as well.
            let _ = self.queue.send(handover);
        }
    }
}

/// Serves connections that other workers hand over.
async fn receive(
    mut connections: mpsc::UnboundedReceiver<Handover>,
    load: Arc<AtomicUsize>,
    server: Arc<Server>,
) {
    while let Some(handover) = connections.recv().await {
        // Counted by the worker that handed it over.
        let load_guard = LoadGuard::counted_already(&load);
        if let Ok(accepted) = handover.convert(TcpStream::from_std) {
            serve(&server, load_guard, accepted);
        }
    }
    // No listener is left, but tunnels live on.
    std::future::pending::<()>().await;
}

fn serve(server: &Arc<Server>, load_guard: LoadGuard, accepted: Accepted) {
    let server = Arc::clone(server);
    let drain = server.shared.drain.clone();
    drain.spawn(handshake::serve_connection(server, accepted, load_guard));
}
