//! Accepts, and carries each connection to the end of its one request.

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

/// A head that takes longer is not from a probe.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);

/// A whole exchange; a scrape of many series over a slow link must fit.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Room for the head of a request; hyper's least is 8 KiB.
const MAX_HEAD: usize = 16 * 1024;

/// After an accept that failed for want of descriptors or memory: never spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What is answered.
pub type Answer = Response<Full<Bytes>>;

/// Something to be run to its end by whoever owns all tasks.
pub type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Who answers requests.
pub trait Service: Send + Sync + 'static {
    /// The answer to one request. What takes long takes a place of its own first ([`Peer::take`]).
    fn answer(&self, request: Request<Incoming>, peer: Peer)
    -> impl Future<Output = Answer> + Send;
}

/// Answers until the future is dropped. Each connection is a task that `spawn` gets; it ends within
/// half a minute.
pub async fn serve<S: Service>(listener: TcpListener, service: Arc<S>, spawn: impl Fn(Task)) {
    let connections = Arc::<Connections>::default();
    // Given up when no descriptor is left, so that a probe is answered even then.
    let mut reserve = None;
    let mut exhausted = false;
    loop {
        if reserve.is_none() && !exhausted {
            reserve = File::open("/dev/null").ok();
        }
        match listener.accept().await {
            Ok((stream, peer)) => {
                exhausted = false;
                if let Some(connection) = connections.enter(stream, peer) {
                    spawn(Box::pin(carry(connection, Arc::clone(&service))));
                }
            }
            Err(error) if is_exhaustion(&error) => {
                tracing::warn!("failed to accept an admin connection: {error}");
                exhausted = true;
                if !connections.evict() && reserve.take().is_none() {
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
            // The peer was gone before we took it (accept(2): network errors).
            Err(error) => tracing::debug!("failed to accept an admin connection: {error}"),
        }
    }
}

/// No descriptor or no memory, in the process or in the system: accept(2).
fn is_exhaustion(error: &io::Error) -> bool {
    let code = error.raw_os_error();
    [libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::ENOMEM]
        .iter()
        .any(|known| code == Some(*known))
}

async fn carry<S: Service>(connection: Connection, service: Arc<S>) {
    let heard = &connection;
    let answer = service_fn(|request| {
        heard.heard();
        let (service, peer) = (Arc::clone(&service), heard.peer.clone());
        async move { Ok::<_, Infallible>(service.answer(request, peer).await) }
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .keep_alive(false)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(connection.stream.clone()), answer);
    tokio::select! {
        () = connection.end.notified() => {}
        // A peer that is too slow or gone needs no answer and no log line.
        _ = tokio::time::timeout(TIMEOUT, serving) => {}
    }
}

#[cfg(test)]
mod tests;
