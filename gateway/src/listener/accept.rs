//! Accepts connections of one port, on each worker those that the kernel gives to its socket.

use std::fs::File;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::FutureExt;
use tokio::net::{TcpListener, TcpStream};

use crate::connections::Accepted;
use crate::handshake::Shared;
use crate::listener::worker::Workers;
use crate::telemetry::metrics::Rejection;

/// Without free descriptors, accepting again at once would only spin.
const BREATH: Duration = Duration::from_millis(50);

/// Said to plain clients when there is no descriptor left to serve them; TLS clients take it for
/// what it is, the end.
const FULL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\n\
    Retry-After: 5\r\nContent-Length: 46\r\nConnection: close\r\n\r\n\
    {\"statusCode\":503,\"message\":\"Gateway is full\"}";

struct Acceptor {
    listener: TcpListener,
    port: u16,
    workers: Arc<Workers>,
    /// Of the worker on whose runtime this is.
    number: usize,
    shared: Arc<Shared>,
    /// Given up to turn a client away when no descriptor is left; without it the kernel would keep
    /// the client waiting, and us awake.
    reserve: Option<File>,
}

/// Accepts for ever; to be called in the context of the runtime of worker `number`, and spawned
/// there.
pub(super) fn accept(
    listener: std::net::TcpListener,
    port: u16,
    (workers, number): (&Arc<Workers>, usize),
    shared: &Arc<Shared>,
) -> io::Result<impl Future<Output = ()> + use<>> {
    let mut acceptor = Acceptor {
        listener: TcpListener::from_std(listener)?,
        port,
        workers: Arc::clone(workers),
        number,
        shared: Arc::clone(shared),
        reserve: reserve(),
    };
    Ok(async move { acceptor.run().await })
}

impl Acceptor {
    async fn run(&mut self) {
        loop {
            match self.listener.accept().await {
                Ok((socket, peer)) => self.give(socket, peer),
                Err(error) if is_exhaustion(&error) => self.turn_away().await,
                // The client was gone before we took it (accept(2): network errors).
                Err(error) => tracing::debug!(%error, port = self.port, "failed to accept"),
            }
        }
    }

    fn give(&self, socket: TcpStream, peer: SocketAddr) {
        let snapshot = self.shared.snapshot.load();
        // Who has too many is not even told: an answer would be work, and that is what a flood wants.
        let Some(slot) = self.shared.connections.accept(&snapshot, peer) else {
            return;
        };
        let accepted = Accepted {
            socket,
            peer,
            port: self.port,
            slot,
            at: Instant::now(),
        };
        self.workers.take(self.number, accepted);
    }

    async fn turn_away(&mut self) {
        drop(self.reserve.take());
        // Linux looks for a descriptor first: perhaps nobody is there.
        if let Some(Ok((socket, _))) = self.listener.accept().now_or_never() {
            self.shared.connections.make_room();
            let metrics = &self.shared.metrics;
            metrics.connection_rejected(Rejection::NoDescriptor);
            refuse(socket);
        }
        self.reserve = reserve();
        if self.reserve.is_none() {
            tokio::time::sleep(BREATH).await;
        }
    }
}

/// Says no without waiting for anything.
fn refuse(socket: TcpStream) {
    let _ = socket.try_write(FULL);
}

/// No descriptor or no memory, in the process or in the system: accept(2).
fn is_exhaustion(error: &io::Error) -> bool {
    let code = error.raw_os_error();
    [libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::ENOMEM]
        .iter()
        .any(|known| code == Some(*known))
}

fn reserve() -> Option<File> {
    File::open("/dev/null").ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_of_a_full_gateway_is_whole() {
        let text = std::str::from_utf8(FULL).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(
            head.contains(&format!("Content-Length: {}\r\n", body.len())),
            "{head}"
        );
    }
}
