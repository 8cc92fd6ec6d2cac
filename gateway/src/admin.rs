//! The admin server: liveness, readiness, metrics, what is being served, and what becomes of a
//! handshake.
//!
//! Changes nothing. It must not be able to harm the data plane, so connections, times and sizes are
//! bounded, and nothing sensitive is shown. Traces and explanations tell how access is controlled, and an
//! explanation runs policies: they are for whoever may enter the pod, so only its own addresses
//! are answered.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use crate::drain::Drain;
use crate::gateway::State;

mod explain;
mod view;

/// Probes, one or two scrapers, a person: more at once is an accident.
const MAX_CONNECTIONS: usize = 64;

/// A peer that does not finish its head holds one of the places.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);

/// A whole exchange; a scrape of many series over a slow link must fit.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Room for the head of a request; hyper's least is 8 KiB.
const MAX_HEAD: usize = 16 * 1024;

/// After a failed accept, for example without a free descriptor: never spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const METRICS: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// The bound server.
pub(crate) struct Admin {
    listener: TcpListener,
    state: Arc<State>,
}

impl Admin {
    pub(crate) async fn bind(address: SocketAddr, state: Arc<State>) -> std::io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        Ok(Self { listener, state })
    }

    pub(crate) fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Answers until the task is dropped.
    pub(crate) async fn run(self, drain: Drain) {
        let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        loop {
            let place = Arc::clone(&places).acquire_owned().await;
            let (stream, is_local) = match self.listener.accept().await {
                Ok((stream, peer)) => (stream, is_local(peer)),
                Err(error) => {
                    tracing::warn!("failed to accept an admin connection: {error}");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let state = Arc::clone(&self.state);
            drain.spawn(async move {
                // A peer that is too slow or gone needs no answer and no log line.
                let _ = tokio::time::timeout(TIMEOUT, serve(stream, state, is_local)).await;
                drop(place);
            });
        }
    }
}

/// Does it come from the pod itself, as `kubectl port-forward` does?
fn is_local(peer: SocketAddr) -> bool {
    peer.ip().to_canonical().is_loopback()
}

async fn serve(stream: TcpStream, state: Arc<State>, is_local: bool) -> hyper::Result<()> {
    let service = service_fn(move |request| {
        let state = Arc::clone(&state);
        async move { Ok::<_, Infallible>(answer(request, state, is_local).await) }
    });
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .keep_alive(false)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(stream), service)
        .await
}

async fn answer(
    request: Request<Incoming>,
    state: Arc<State>,
    is_local: bool,
) -> Response<Full<Bytes>> {
    let path = request.uri().path();
    if path == explain::PATH || path.starts_with(explain::TRACES) {
        return explain::answer(request, &state, is_local).await;
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return not_this_method("only GET\n");
    }
    match path {
        "/livez" => reply(StatusCode::OK, TEXT, "ok\n".to_owned()),
        "/readyz" => ready(&state),
        "/metrics" => {
            let render = move || state.metrics.render();
            heavy(METRICS, render).await
        }
        "/config" => heavy(JSON, move || view::config(&state)).await,
        "/status" => reply(StatusCode::OK, JSON, view::status(&state)),
        _ => {
            let paths = "/livez /readyz /metrics /config /status /explain /traces/ID\n";
            reply(StatusCode::NOT_FOUND, TEXT, paths.to_owned())
        }
    }
}

fn not_this_method(text: &str) -> Response<Full<Bytes>> {
    reply(StatusCode::METHOD_NOT_ALLOWED, TEXT, text.to_owned())
}

fn ready(state: &State) -> Response<Full<Bytes>> {
    match state.why_not_ready() {
        None => reply(StatusCode::OK, TEXT, "ok\n".to_owned()),
        Some(why) => reply(StatusCode::SERVICE_UNAVAILABLE, TEXT, format!("{why}\n")),
    }
}

/// With thousands of APIs these take long enough to hold up what shares the thread.
async fn heavy(
    content_type: HeaderValue,
    render: impl FnOnce() -> String + Send + 'static,
) -> Response<Full<Bytes>> {
    match tokio::task::spawn_blocking(render).await {
        Ok(body) => reply(StatusCode::OK, content_type, body),
        Err(error) => {
            let body = format!("{error}\n");
            reply(StatusCode::INTERNAL_SERVER_ERROR, TEXT, body)
        }
    }
}

fn reply(status: StatusCode, content_type: HeaderValue, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    let no_store = HeaderValue::from_static("no-store");
    response.headers_mut().insert(CACHE_CONTROL, no_store);
    response
}

#[cfg(test)]
mod tests {
    use super::is_local;

    #[test]
    fn only_loopback_addresses_are_the_pods_own() {
        for (peer, local) in [
            ("127.0.0.1:1", true),
            ("127.8.8.8:1", true),
            ("[::1]:1", true),
            ("[::ffff:127.0.0.1]:1", true),
            ("10.0.0.1:1", false),
            ("[::ffff:10.0.0.1]:1", false),
            ("[fd00::1]:1", false),
        ] {
            assert_eq!(is_local(peer.parse().unwrap()), local, "{peer}");
        }
    }
}
