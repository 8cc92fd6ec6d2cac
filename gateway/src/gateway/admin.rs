//! The admin server: liveness, readiness, metrics, the configuration in use, the evaluation of handshakes, and live
//! tunnels.
//!
//! It changes no configuration, and closes tunnels only when asked to. Probes and metrics need no credentials.
//! Everything else reveals how access is controlled, or runs policies. It requires the Gateway's token and a
//! connection from the pod's own addresses, where `kubectl port-forward` leads, so that the token is never sent
//! in clear text over the network. Pages in a browser are refused.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use tidegate_admin::{
    BrowserRequest, InFlightLimit, Peer, Service, is_json, refuse_pages, refuse_rebound_hosts,
};
use tokio::net::TcpListener;

use crate::gateway::{GatewayState, Options};
use crate::http_client::admin_ports::AdminPort;
use tidegate_tunnel::drain::Drain;
use token::{Token, Unauthorized};

mod explain;
mod token;
mod tunnels;
mod view;

/// Concurrent scrapes: two Prometheus servers and a few more. An answer can have megabytes, and a peer that does
/// not read keeps its permit until the timeout.
const SCRAPES: usize = 8;

/// Of those, for one address: several scrapers may come from one node or load balancer.
const SCRAPES_PER_PEER: usize = 4;

/// Concurrent requests that need the token. All come from one address, the pod's own.
const QUESTIONS: usize = 8;

/// A permit is released within a second.
const RETRY_WHEN_BUSY: HeaderValue = HeaderValue::from_static("1");

const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const METRICS: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// The bound server.
pub(crate) struct Admin {
    listener: TcpListener,
    routes: Routes,
    /// Keeps policies and backends from connecting here.
    port: AdminPort,
}

/// Answers requests.
struct Routes {
    state: Arc<GatewayState>,
    token: Token,
    scrapes: InFlightLimit,
    questions: InFlightLimit,
}

impl Admin {
    /// # Errors
    /// The address cannot be bound.
    pub(crate) async fn bind(
        address: SocketAddr,
        options: &Options,
        state: Arc<GatewayState>,
    ) -> std::io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        Ok(Self {
            port: options.admin_ports.add(listener.local_addr()?.port()),
            listener,
            routes: Routes {
                state,
                token: Token::new(options.admin_token_file.clone()),
                scrapes: InFlightLimit::new(SCRAPES, SCRAPES_PER_PEER),
                questions: InFlightLimit::new(QUESTIONS, QUESTIONS),
            },
        })
    }

    /// # Errors
    /// The system does not give the address.
    pub(crate) fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Answers until the task is dropped.
    pub(crate) async fn run(self, drain: Drain) {
        let spawn = |task| drop(drain.spawn(task));
        tidegate_admin::serve(self.listener, Arc::new(self.routes), spawn).await;
        drop(self.port);
    }
}

impl Service for Routes {
    async fn answer(&self, request: Request<Incoming>, peer: Peer) -> Response<Full<Bytes>> {
        match request.uri().path() {
            "/livez" => probe(&request, || reply(StatusCode::OK, TEXT, "ok\n".to_owned())),
            "/readyz" => probe(&request, || ready(&self.state)),
            "/metrics" => self.metrics(&request, &peer).await,
            _ => self.restricted(request, &peer).await,
        }
    }
}

impl Routes {
    async fn metrics(&self, request: &Request<Incoming>, peer: &Peer) -> Response<Full<Bytes>> {
        if !is_read(request) {
            return not_this_method("only GET\n");
        }
        if let Err(refused) = refuse_pages(request.headers()) {
            return from_page(refused);
        }
        if !peer.acquire(&self.scrapes) {
            return busy();
        }
        let state = Arc::clone(&self.state);
        heavy(METRICS, move || state.metrics.render()).await
    }

    /// Answers requests that need the token.
    async fn restricted(&self, request: Request<Incoming>, peer: &Peer) -> Response<Full<Bytes>> {
        let path = request.uri().path();
        let is_explain = path == explain::PATH || path.starts_with(explain::TRACES);
        let is_tunnels = matches!(path, tunnels::LIST | tunnels::CLOSE);
        if !is_explain && !is_tunnels && !matches!(path, "/config" | "/status") {
            let paths = "/livez /readyz /metrics /config /status /explain /traces/ID /tunnels /tunnels/close\n";
            return reply(StatusCode::NOT_FOUND, TEXT, paths.to_owned());
        }
        if let Some(refused) = self.refusal(&request, peer).await {
            return refused;
        }
        if !peer.acquire(&self.questions) {
            return busy();
        }
        let state = &self.state;
        match request.uri().path() {
            "/config" | "/status" if !is_read(&request) => not_this_method("only GET\n"),
            "/status" => reply(StatusCode::OK, JSON, view::status(state)),
            "/config" => {
                let state = Arc::clone(state);
                heavy(JSON, move || view::config(&state)).await
            }
            tunnels::LIST | tunnels::CLOSE => tunnels::answer(request, state).await,
            _ => explain::answer(request, state).await,
        }
    }

    /// The refusal of a request that needs the token; `None`: it may be answered.
    async fn refusal(
        &self,
        request: &Request<Incoming>,
        peer: &Peer,
    ) -> Option<Response<Full<Bytes>>> {
        let headers = request.headers();
        let safe =
            refuse_pages(headers).and_then(|()| refuse_rebound_hosts(headers, request.uri()));
        if let Err(refused) = safe {
            return Some(from_page(refused));
        }
        if !peer.is_local() {
            let text = "only from the pod itself; kubectl port-forward leads there\n";
            return Some(reply(StatusCode::FORBIDDEN, TEXT, text.to_owned()));
        }
        let unauthorized = self.token.check(headers).await.err()?;
        Some(self.unauthorized(&unauthorized))
    }

    fn unauthorized(&self, why: &Unauthorized) -> Response<Full<Bytes>> {
        let body = format!("{why}\n");
        let Unauthorized::Wrong = why else {
            return reply(StatusCode::FORBIDDEN, TEXT, body);
        };
        let mut response = reply(StatusCode::UNAUTHORIZED, TEXT, body);
        // RFC 6750 §3; the realm tells `tidegate explain` whose token it is.
        let challenge = format!("Bearer realm=\"{}\"", self.realm());
        if let Ok(challenge) = HeaderValue::from_str(&challenge) {
            response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
        }
        response
    }

    /// The Gateway, `NAMESPACE/NAME`; empty before the first configuration.
    fn realm(&self) -> String {
        let serving = self.state.serving.borrow();
        let key = serving.as_ref().map(|update| &update.config.settings.key);
        let text = key.map(ToString::to_string).unwrap_or_default();
        text.replace(['"', '\\'], "")
    }
}

/// Probes are answered without any check: the kubelet must always get the state.
fn probe(
    request: &Request<Incoming>,
    answer: impl FnOnce() -> Response<Full<Bytes>>,
) -> Response<Full<Bytes>> {
    match is_read(request) {
        true => answer(),
        false => not_this_method("only GET\n"),
    }
}

fn is_read(request: &Request<Incoming>) -> bool {
    matches!(*request.method(), Method::GET | Method::HEAD)
}

fn not_this_method(text: &str) -> Response<Full<Bytes>> {
    reply(StatusCode::METHOD_NOT_ALLOWED, TEXT, text.to_owned())
}

fn from_page(refused: BrowserRequest) -> Response<Full<Bytes>> {
    reply(StatusCode::FORBIDDEN, TEXT, refused.text().to_owned())
}

fn busy() -> Response<Full<Bytes>> {
    let text = "too many requests at the same time\n".to_owned();
    let mut response = reply(StatusCode::SERVICE_UNAVAILABLE, TEXT, text);
    response.headers_mut().insert(RETRY_AFTER, RETRY_WHEN_BUSY);
    response
}

fn ready(state: &GatewayState) -> Response<Full<Bytes>> {
    match state.why_not_ready() {
        None => reply(StatusCode::OK, TEXT, "ok\n".to_owned()),
        Some(why) => reply(StatusCode::SERVICE_UNAVAILABLE, TEXT, format!("{why}\n")),
    }
}

/// Renders on a thread for blocking work: with thousands of APIs it takes long enough to delay other tasks.
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
