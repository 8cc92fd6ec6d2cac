//! Accepts the connections of one port: each worker those that the kernel gives to its socket.

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

/// Pause if no file descriptor is free: accepting again at once would only spin.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(50);

/// Sent to plain clients when no descriptor is left to serve them; TLS clients see an invalid record and close.
const FULL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\n\
    Retry-After: 5\r\nContent-Length: 46\r\nConnection: close\r\n\r\n\
    {\"statusCode\":503,\"message\":\"Gateway is full\"}";

struct Acceptor {
    listener: TcpListener,
    port: u16,
    workers: Arc<Workers>,
    /// Number of the worker on whose runtime this runs.
    number: usize,
    shared: Arc<Shared>,
    /// Closed to accept and refuse a client when no descriptor is left. Otherwise the client would stay in the
    /// kernel's queue and wake this task again and again.
    reserve: Option<File>,
}

/// Accepts for ever. Call it in the context of the runtime of worker `number`, and spawn it there.
///
/// # Errors
/// The socket cannot be registered with the runtime.
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
                // The client closed before it was accepted (accept(2): network errors).
                Err(error) => tracing::debug!(%error, port = self.port, "failed to accept"),
            }
        }
    }

    fn give(&self, socket: TcpStream, peer: SocketAddr) {
        let snapshot = self.shared.snapshot.load();
        // No answer for an address with too many connections: answering a flood would cost work.
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
        // Linux checks for a descriptor before it looks for a connection: there may be none.
        if let Some(Ok((socket, _))) = self.listener.accept().now_or_never() {
            self.shared.connections.make_room();
            let metrics = &self.shared.metrics;
            metrics.connection_rejected(Rejection::NoDescriptor);
            refuse(socket);
        }
        self.reserve = reserve();
        if self.reserve.is_none() {
            tokio::time::sleep(EXHAUSTED_PAUSE).await;
        }
    }
}

/// Refuses without waiting.
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
