//! Ports: bound when a configuration names them first, kept while any names them, closed with the
//! first that does not. What is spoken on a port is the snapshot's matter, so certificates, host
//! names and APIs change without a socket being touched.

mod accept;

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::task::JoinHandle;

use crate::drain::Drain;
use crate::gateway::{BoundListener, Options, Ports, Shared};
use crate::handshake::Server;
use crate::snapshot::Snapshot;
use crate::worker::Workers;

/// Connections that wait to be accepted; the kernel's own limit (`somaxconn`) is the real one.
const BACKLOG: i32 = 4096;

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
    accepting: JoinHandle<()>,
}

/// What came of a snapshot's listeners.
#[derive(Debug, Default)]
pub(crate) struct Listening {
    pub(crate) bound: Vec<BoundListener>,
    /// Name of the listener, and why its port could not be bound.
    pub(crate) failed: Vec<(String, io::Error)>,
}

impl Listeners {
    /// Starts the workers; binds nothing yet. `control` outlives connections.
    pub(crate) fn start(
        options: &Options,
        shared: Arc<Shared>,
        control: Drain,
    ) -> io::Result<Self> {
        let server = Arc::new(Server::new(Arc::clone(&shared)));
        Ok(Self {
            bind_address: options.bind_address,
            ports: options.ports,
            workers: Arc::new(Workers::start(options.workers, &server, &control)?),
            shared,
            control,
            bound: BTreeMap::new(),
        })
    }

    /// Binds what is new, closes what is gone. A port that can not be bound is tried again with
    /// the next call, and stands in nobody's way. To be called on a runtime, after the swap.
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
                        listening.failed.push((name, copy));
                    }
                }
            }
        }
        listening
    }

    fn ensure_bound(&mut self, port: u16) -> io::Result<SocketAddr> {
        if let Some(bound) = self.bound.get(&port) {
            return Ok(bound.address);
        }
        let wanted = match self.ports {
            Ports::AsConfigured => port,
            Ports::Ephemeral => 0,
        };
        let socket = bind(SocketAddr::new(self.bind_address, wanted))?;
        let address = socket.local_addr()?;
        let accept = accept::accept(
            socket,
            port,
            Arc::clone(&self.workers),
            Arc::clone(&self.shared.metrics),
        )?;
        let accepting = self.control.spawn(accept);
        self.bound.insert(port, Bound { address, accepting });
        Ok(address)
    }
}

impl Drop for Bound {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// A listening socket whose options its connections inherit: that saves system calls for each.
fn bind(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    if address.ip() == IpAddr::V6(std::net::Ipv6Addr::UNSPECIFIED) {
        socket.set_only_v6(false)?;
    }
    socket.set_tcp_nodelay(true)?;
    crate::socket::watch(SockRef::from(&socket))?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}
