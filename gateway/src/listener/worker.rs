//! Threads that carry connections: one single-threaded runtime each, so that a connection and all
//! it needs stay on one core and no lock is shared between cores for a byte that passes.
//!
//! Each worker accepts connections itself (`listener`), so that a handshake need not wake another
//! thread; one that carries notably more than another gives them away.

mod pulse;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use tokio::net::TcpStream;
use tokio::runtime::{Builder, Handle};
use tokio::sync::mpsc;

use crate::connections::{Accepted, Carried};
use crate::handshake::{self, Server};
use pulse::Pulse;
use tidegate_tunnel::drain::Drain;

/// A worker gives a connection away only if it carries an eighth, and so many, more than another:
/// below that the other thread's waking costs more than the evenness gains.
const SLACK: usize = 16;

/// On its way to another worker; the socket is in non-blocking mode.
type Given = Accepted<std::net::TcpStream>;

/// All workers of a gateway. They end with the control drain's last call.
#[derive(Debug)]
pub(crate) struct Workers(Vec<Worker>);

#[derive(Debug)]
struct Worker {
    queue: mpsc::UnboundedSender<Given>,
    load: Arc<AtomicUsize>,
    runtime: Handle,
    server: Arc<Server>,
    pulse: Arc<Pulse>,
}

impl Workers {
    /// Starts `count` threads; 0 means one per core.
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

    /// Carries a connection that worker `number`, on whose runtime this is called, has accepted;
    /// on another one, if that has much less to do.
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
        let pulse = Arc::new(Pulse::default());
        let (beating, insisted) = (Arc::clone(&pulse), control.clone());
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
                // A resolver thread that hangs must not keep the process.
                runtime.shutdown_background();
            })?;
        Ok(Self {
            queue,
            load,
            runtime: handle,
            server: Arc::clone(server),
            pulse,
        })
    }

    fn load(&self) -> usize {
        self.load.load(Ordering::Relaxed)
    }

    fn is_heavier(&self, other: &Self) -> bool {
        let load = other.load();
        self.load() > load + load / 8 + SLACK
    }

    /// To be called on its own runtime.
    fn carry(&self, accepted: Accepted) {
        self.pulse.keep();
        serve(&self.server, Carried::new(&self.load), accepted);
    }

    /// To be called on any other.
    fn give(&self, accepted: Accepted) {
        let Accepted {
            socket,
            peer,
            port,
            slot,
            at,
        } = accepted;
        if let Ok(socket) = socket.into_std() {
            self.load.fetch_add(1, Ordering::Relaxed);
            self.pulse.keep();
            // A worker that has ended drops the connection: the gateway ends as well.
            let _ = self.queue.send(Given {
                socket,
                peer,
                port,
                slot,
                at,
            });
        }
    }
}

/// Carries what other workers give.
async fn receive(
    mut connections: mpsc::UnboundedReceiver<Given>,
    load: Arc<AtomicUsize>,
    server: Arc<Server>,
) {
    while let Some(given) = connections.recv().await {
        // Counted already, by the giver.
        let carried = Carried::counted_already(&load);
        let Given {
            socket,
            peer,
            port,
            slot,
            at,
        } = given;
        if let Ok(socket) = TcpStream::from_std(socket) {
            let accepted = Accepted {
                socket,
                peer,
                port,
                slot,
                at,
            };
            serve(&server, carried, accepted);
        }
    }
    // Nobody listens any more, but tunnels live on.
    std::future::pending::<()>().await;
}

fn serve(server: &Arc<Server>, carried: Carried, accepted: Accepted) {
    let server = Arc::clone(server);
    let drain = server.shared.drain.clone();
    drain.spawn(handshake::serve(server, accepted, carried));
}
