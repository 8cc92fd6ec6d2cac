//! /livez, /readyz and /metrics.
//!
//! Alive means: the pass loop turns. Ready means: every watch has listed and none is silent; a
//! replica that does not lead is ready too, and so is one whose API server is away for a while.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::{Request, Response, StatusCode};
use tidegate_admin::{InFlightLimit, Peer, Service, refuse_pages};
use tokio::net::TcpListener;
use tokio::time::Instant;

use crate::drain::Drain;
use crate::gather::{Health, RELIST};
use crate::metrics::Metrics;

/// A loop that did not turn for this long is stuck: its longest sleep is a fraction of it, and a
/// pass whose requests all time out stays below it.
const STUCK: Duration = Duration::from_secs(600);

/// Scrapes at a time: two Prometheus servers, and whoever looks besides.
const SCRAPES: usize = 8;

/// Of those, for one address: nodes may stand before several scrapers.
const SCRAPES_PER_PEER: usize = 4;

/// Proof that the pass loop turns.
#[derive(Clone, Debug)]
pub(crate) struct Heartbeat(Arc<Mutex<Instant>>);

impl Heartbeat {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new(Instant::now())))
    }

    pub(crate) fn beat(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    fn age(&self) -> Duration {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .elapsed()
    }
}

/// What the endpoints report on.
#[derive(Clone, Debug)]
pub(crate) struct Admin {
    pub(crate) health: Health,
    pub(crate) heartbeat: Heartbeat,
    pub(crate) metrics: Metrics,
}

/// The endpoints of a running server.
struct Routes {
    admin: Admin,
    scrapes: InFlightLimit,
}

/// Failure to serve the endpoints.
#[derive(Debug, thiserror::Error)]
#[error("failed to bind the admin address {address}")]
pub struct AdminError {
    address: SocketAddr,
    #[source]
    source: std::io::Error,
}

impl Admin {
    /// Binds `address` and serves until the drain asks; returns what was bound.
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
        if age < STUCK {
            return (StatusCode::OK, b"ok\n".to_vec());
        }
        let text = format!("no pass for {} s\n", age.as_secs());
        (StatusCode::SERVICE_UNAVAILABLE, text.into_bytes())
    }

    fn ready(&self) -> (StatusCode, Vec<u8>) {
        let obstacles = self.health.obstacles(RELIST * 2);
        if obstacles.is_empty() {
            return (StatusCode::OK, b"ok\n".to_vec());
        }
        let text = obstacles.join("\n") + "\n";
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
