//! Accepts connections and answers the one request of each.

use std::convert::Infallible;
use std::fs::File;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;

use crate::connections::{Connection, Connections};
use crate::peer::Peer;

/// Time for a request head: a probe sends it at once.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);

/// Time for a whole exchange: a scrape of many series over a slow link must fit.
const EXCHANGE_TIMEOUT: Duration = Duration::from_secs(30);

/// Bytes of a request head at most; hyper accepts no limit below 8 KiB.
const MAX_HEAD: usize = 16 * 1024;

/// Pause after an accept that failed because no descriptor or memory was left, instead of a busy loop.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The answer to a request.
pub type Answer = Response<Full<Bytes>>;

/// A task that the owner of the process's tasks runs to its end.
pub type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Answers the requests of an admin server.
pub trait Service: Send + Sync + 'static {
    /// Answers one request. One that may take long is counted first, see [`Peer::acquire`].
    fn answer(&self, request: Request<Incoming>, peer: Peer)
    -> impl Future<Output = Answer> + Send;
}

/// Serves until the future is dropped. Each connection is a task that is given to `spawn` and ends
/// within 30 s.
pub async fn serve<S: Service>(listener: TcpListener, service: Arc<S>, spawn: impl Fn(Task)) {
    let connections = Arc::<Connections>::default();
    // Closed when no descriptor is left, so that a probe is answered even then.
    let mut reserve = None;
    let mut exhausted = false;
    loop {
        if reserve.is_none() && !exhausted {
            reserve = File::open("/dev/null").ok();
        }
        match listener.accept().await {
            Ok((stream, peer)) => {
                exhausted = false;
                if let Some(connection) = connections.admit(stream, peer) {
                    spawn(Box::pin(serve_connection(connection, Arc::clone(&service))));
                }
            }
            Err(error) if is_exhaustion(&error) => {
                tracing::warn!("failed to accept an admin connection: {error}");
                exhausted = true;
                if !connections.evict() && reserve.take().is_none() {
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
            // The peer closed the connection before it was accepted (accept(2): network errors).
            Err(error) => tracing::debug!("failed to accept an admin connection: {error}"),
        }
    }
}

/// True when the process or the system has no descriptor or memory left: accept(2).
fn is_exhaustion(error: &io::Error) -> bool {
    let code = error.raw_os_error();
    [libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::ENOMEM]
        .iter()
        .any(|known| code == Some(*known))
}

async fn serve_connection<S: Service>(connection: Connection, service: Arc<S>) {
    let admitted = &connection;
    let answer = service_fn(|request| {
        admitted.head_received();
        let (service, peer) = (Arc::clone(&service), admitted.peer.clone());
        async move { Ok::<_, Infallible>(service.answer(request, peer).await) }
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .keep_alive(false)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(connection.stream.clone()), answer);
    tokio::select! {
        () = connection.close.notified() => {}
        // A peer that is too slow or has gone away needs no answer and no log line.
        _ = tokio::time::timeout(EXCHANGE_TIMEOUT, serving) => {}
    }
}

#[cfg(test)]
mod tests;
