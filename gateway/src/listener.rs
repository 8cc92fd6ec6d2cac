//! Ports: bound when a configuration first names them, closed when one no longer does. The snapshot decides
//! what is spoken on a port, so certificates, host names and APIs change without touching a socket.

mod accept;
mod bind;
pub(crate) mod worker;

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use tidegate_config::Protocol;
use tokio::task::JoinHandle;

use crate::configuration::snapshot::Snapshot;
use crate::handshake::{Server, Shared};
use crate::listener::worker::Workers;
use tidegate_tunnel::drain::Drain;

/// Which port a listener binds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ports {
    /// The one that its configuration names.
    #[default]
    AsConfigured,
    /// Any free one: for tests and demos.
    Ephemeral,
}

/// A listener and the address that it is bound to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BoundListener {
    /// Its name in the configuration.
    pub name: String,
    /// What it speaks.
    pub protocol: Protocol,
    /// Where it listens.
    pub address: SocketAddr,
}

/// The sockets of all listeners.
#[derive(Debug)]
pub(crate) struct Listeners {
    bind_address: IpAddr,
    ports: Ports,
    workers: Arc<Workers>,
    shared: Arc<Shared>,
    control: Drain,
    /// By configured port.
    bound: BTreeMap<u16, Bound>,
}

#[derive(Debug)]
struct Bound {
    address: SocketAddr,
    /// One for each worker.
    accepting: Vec<JoinHandle<()>>,
}

/// The result of binding a snapshot's listeners.
#[derive(Debug, Default)]
pub(crate) struct Listening {
    pub(crate) bound: Vec<BoundListener>,
    /// Name of the listener, its address, and why it could not be bound.
    pub(crate) failed: Vec<(String, SocketAddr, io::Error)>,
}

impl Listeners {
    /// Starts `workers` threads (0: one per core); binds nothing yet. `control` outlives connections.
    ///
    /// # Errors
    /// A thread or its runtime cannot be started.
    pub(crate) fn start(
        (bind_address, ports): (IpAddr, Ports),
        workers: usize,
        shared: Arc<Shared>,
        control: Drain,
    ) -> io::Result<Self> {
        let server = Arc::new(Server::new(Arc::clone(&shared)));
        Ok(Self {
            bind_address,
            ports,
            workers: Arc::new(Workers::start(workers, &server, &control)?),
            shared,
            control,
            bound: BTreeMap::new(),
        })
    }

    /// Binds new ports and closes those that are gone. A port that cannot be bound is tried again with the next
    /// call and does not affect the others. Call it on a runtime, after the snapshot was swapped.
    pub(crate) fn reconcile(&mut self, snapshot: &Snapshot) -> Listening {
        self.bound
            .retain(|port, _| snapshot.ports.contains_key(port));
        let mut listening = Listening::default();
        for (number, port) in &snapshot.ports {
            let address = self.ensure_bound(*number);
            for listener in &port.listeners {
                let name = listener.config.name.clone();
                match &address {
                    Ok(address) => listening.bound.push(BoundListener {
                        name,
                        protocol: port.protocol,
                        address: *address,
                    }),
                    Err(error) => {
                        let copy = io::Error::new(error.kind(), error.to_string());
                        let address = self.address(*number);
                        listening.failed.push((name, address, copy));
                    }
                }
            }
        }
        listening
    }

    /// What is bound for a port of the configuration.
    fn address(&self, port: u16) -> SocketAddr {
        let port = match self.ports {
            Ports::AsConfigured => port,
            Ports::Ephemeral => 0,
        };
        SocketAddr::new(self.bind_address, port)
    }

    fn ensure_bound(&mut self, port: u16) -> io::Result<SocketAddr> {
        if let Some(bound) = self.bound.get(&port) {
            return Ok(bound.address);
        }
        let workers = &self.workers;
        let sockets = bind::bind(self.address(port), workers.runtimes().count())?;
        let address = sockets[0].local_addr()?;
        let mut bound = Bound {
            address,
            accepting: Vec::with_capacity(sockets.len()),
        };
        for (number, (socket, runtime)) in sockets.into_iter().zip(workers.runtimes()).enumerate() {
            let _context = runtime.enter();
            let accept = accept::accept(socket, port, (workers, number), &self.shared)?;
            let task = self.control.spawn_on(accept, runtime);
            bound.accepting.push(task);
        }
        self.bound.insert(port, bound);
        Ok(address)
    }
}

impl Drop for Bound {
    fn drop(&mut self) {
        for task in &self.accepting {
            task.abort();
        }
    }
}
