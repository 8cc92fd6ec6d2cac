//! The admin server: `/livez`, `/readyz` and `/metrics`.
//!
//! Live means that the reconcile loop runs. Ready means that every watch has its list, and none was without
//! an event for too long. A replica that does not lead is ready too, and so is one whose API server is away
//! for a while.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::{Request, Response, StatusCode};
use parking_lot::Mutex;
use tidegate_admin::{InFlightLimit, Peer, Service, refuse_pages};
use tokio::net::TcpListener;
use tokio::time::Instant;

use crate::drain::Drain;
use crate::metrics::Metrics;
use crate::watch::{RELIST_INTERVAL, WatchHealth};

/// The reconcile loop is stuck when it has not woken for this long: its longest sleep is a fraction of that,
/// and a pass whose requests all time out is shorter.
const LIVENESS_TIMEOUT: Duration = Duration::from_secs(600);

/// Scrapes at the same time: those of two Prometheus servers, and a few by people.
const SCRAPES: usize = 8;

/// Scrapes at the same time of one address: several scrapers may share the address of a node.
const SCRAPES_PER_PEER: usize = 4;

/// When the reconcile loop last woke.
#[derive(Clone, Debug)]
pub(crate) struct Heartbeat(Arc<Mutex<Instant>>);

impl Heartbeat {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new(Instant::now())))
    }

    pub(crate) fn beat(&self) {
        *self.0.lock() = Instant::now();
    }

    fn age(&self) -> Duration {
        self.0.lock().elapsed()
    }
}

/// What the endpoints show.
#[derive(Clone, Debug)]
pub(crate) struct Admin {
    pub(crate) health: WatchHealth,
    pub(crate) heartbeat: Heartbeat,
    pub(crate) metrics: Metrics,
}

/// The endpoints of a running server.
struct Routes {
    admin: Admin,
    scrapes: InFlightLimit,
}

/// The admin server could not start.
#[derive(Debug, thiserror::Error)]
#[error("failed to bind the admin address {address}")]
pub struct AdminError {
    address: SocketAddr,
    #[source]
    source: std::io::Error,
}

impl Admin {
    /// Binds `address` and serves until the drain asks; returns the address that was bound.
    ///
    /// # Errors
    ///
    /// When the address could not be bound.
    pub(crate) async fn serve(
        self,
        address: SocketAddr,
        drain: &Drain,
    ) -> Result<SocketAddr, AdminError> {
        let failed = |source| AdminError { address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let bound = listener.local_addr().map_err(failed)?;
        let routes = Arc::new(Routes {
            admin: self,
            scrapes: InFlightLimit::new(SCRAPES, SCRAPES_PER_PEER),
        });
        let tasks = drain.clone();
        drain.spawn(async move {
            let spawn = |task| drop(tasks.spawn(until_asked(tasks.clone(), task)));
            let serving = tidegate_admin::serve(listener, routes, spawn);
            tokio::select! {
                () = tasks.asked() => {}
                () = serving => {}
            }
        });
        Ok(bound)
    }

    fn live(&self) -> (StatusCode, Vec<u8>) {
        let age = self.heartbeat.age();
        if age < LIVENESS_TIMEOUT {
            return (StatusCode::OK, b"ok\n".to_vec());
        }
        let text = format!("the reconcile loop has not run for {} s\n", age.as_secs());
        (StatusCode::SERVICE_UNAVAILABLE, text.into_bytes())
    }

    fn ready(&self) -> (StatusCode, Vec<u8>) {
        let reasons = self.health.not_ready(RELIST_INTERVAL * 2);
        if reasons.is_empty() {
            return (StatusCode::OK, b"ok\n".to_vec());
        }
        let text = reasons.join("\n") + "\n";
        (StatusCode::SERVICE_UNAVAILABLE, text.into_bytes())
    }

    fn measure(&self) -> (StatusCode, Vec<u8>) {
        for (watch, age) in self.health.ages() {
            self.metrics.watch_age(&watch, age);
        }
        match self.metrics.text() {
            Ok(text) => (StatusCode::OK, text),
            Err(error) => {
                let text = format!("{error}\n");
                (StatusCode::INTERNAL_SERVER_ERROR, text.into_bytes())
            }
        }
    }
}

impl Service for Routes {
    async fn answer(&self, request: Request<Incoming>, peer: Peer) -> Response<Full<Bytes>> {
        let (status, body) = match request.uri().path() {
            "/livez" => self.admin.live(),
            "/readyz" => self.admin.ready(),
            "/metrics" => match refuse_pages(request.headers()) {
                Err(page) => (StatusCode::FORBIDDEN, page.text().as_bytes().to_vec()),
                Ok(()) if !peer.acquire(&self.scrapes) => {
                    let text = b"too many requests at the same time\n".to_vec();
                    (StatusCode::SERVICE_UNAVAILABLE, text)
                }
                Ok(()) => self.admin.measure(),
            },
            _ => (StatusCode::NOT_FOUND, b"not found\n".to_vec()),
        };
        let mut response = Response::new(Full::new(Bytes::from(body)));
        *response.status_mut() = status;
        let text = hyper::header::HeaderValue::from_static("text/plain; version=0.0.4");
        response
            .headers_mut()
            .insert(hyper::header::CONTENT_TYPE, text);
        response
    }
}

async fn until_asked(drain: Drain, task: impl Future<Output = ()>) {
    tokio::select! {
        () = drain.asked() => {}
        () = task => {}
    }
}

#[cfg(test)]
mod tests;
