//! Requests that the gateway makes on its own: for keys of tokens, with spans, and for policies.
//! Never for a handshake's backend.
//!
//! Answers are bounded in size and time, a redirect never leads from https to http, and no request
//! goes to a link-local or metadata address unless the Gateway says so.

pub(crate) mod admin_ports;
mod caller;
mod guard;

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use http::header::LOCATION;
use reqwest::Response;
use reqwest::redirect::{Attempt, Policy};
use rustls::{ClientConfig, RootCertStore};
use url::Url;

use crate::http_client::admin_ports::{AdminPorts, OwnAdminServer};

pub(crate) use self::caller::{Call, CallError, Caller, Callers, Reply, shown_url};
pub(crate) use self::guard::Guard;
pub(crate) use self::guard::embedded_v4;
use self::guard::{Forbidden, GuardedResolver};

/// An answer may not be larger: a key set has a few kilobytes.
const MAX_BODY_BYTES: usize = 1024 * 1024;

/// A whole request, from the connect to the end of the body.
const TIMEOUT: Duration = Duration::from_secs(10);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Identity providers redirect once, at most twice.
const MAX_REDIRECTS: usize = 3;

/// Why a document could not be fetched.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FetchError {
    #[error("failed to set up the HTTP client")]
    Setup(#[source] Arc<dyn std::error::Error + Send + Sync>),
    #[error("the URL is invalid")]
    Url(#[source] url::ParseError),
    #[error("the URL leads to a place that is not allowed")]
    Forbidden(#[source] Forbidden),
    #[error("failed to fetch")]
    Request(#[source] reqwest::Error),
    #[error("the status is {0}, not 200")]
    Status(u16),
    #[error("the answer has more than {MAX_BODY_BYTES} bytes")]
    TooLarge,
    #[error("redirected too often")]
    Redirects,
}

/// Why no spans can be sent.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ExportError {
    #[error("failed to set up the HTTP client")]
    Setup(#[source] SetupError),
    #[error("it leads to a place that is not allowed")]
    Forbidden(#[source] OwnAdminServer),
}

/// A client that sends telemetry to `endpoint`; a new one for each receiver. The owner of the Gateway chose the
/// endpoint: it may be any address except an admin server's.
///
/// # Errors
/// [`ExportError`]: the client cannot be set up, or the endpoint is an admin server of this process.
pub(crate) fn for_exports(
    admin_ports: &AdminPorts,
    endpoint: &str,
) -> Result<reqwest::Client, ExportError> {
    let guard = Guard::new(admin_ports.clone());
    let clients = build(system_roots(), &guard).map_err(ExportError::Setup)?;
    let Ok(url) = Url::parse(endpoint) else {
        // The exporter reports an invalid URL.
        return Ok(clients.everywhere);
    };
    match guard.check_url(&url) {
        Err(Forbidden::Admin(own)) => Err(ExportError::Forbidden(own)),
        Err(Forbidden::Metadata(_)) | Ok(()) => Ok(clients.towards(&url, &guard).clone()),
    }
}

/// Two clients that differ in what names may lead to, for the resolver is not told the port.
#[derive(Clone, Debug)]
struct Clients {
    everywhere: reqwest::Client,
    /// For the ports of admin servers.
    at_admin_ports: reqwest::Client,
}

impl Clients {
    fn build(
        guard: &Guard,
        build: impl Fn(GuardedResolver) -> reqwest::Result<reqwest::Client>,
    ) -> Result<Self, SetupError> {
        let one = |at_admin_port| {
            let guard = guard.clone();
            build(GuardedResolver {
                guard,
                at_admin_port,
            })
        };
        Ok(Self {
            everywhere: one(false).map_err(shared)?,
            at_admin_ports: one(true).map_err(shared)?,
        })
    }

    /// The one for this URL.
    fn towards(&self, url: &Url, guard: &Guard) -> &reqwest::Client {
        match guard.has_admin_port(url) {
            true => &self.at_admin_ports,
            false => &self.everywhere,
        }
    }
}

/// A client that is set up when first needed: reading the system's certificates takes time and memory, and most
/// gateways send no requests.
#[derive(Debug, Default)]
pub(crate) struct HttpClient {
    guard: Guard,
    /// Instead of the system's authorities.
    tls: Option<Arc<ClientConfig>>,
    clients: OnceLock<Result<Clients, SetupError>>,
}

/// Why there is no client.
type SetupError = Arc<dyn std::error::Error + Send + Sync>;

impl HttpClient {
    /// One whose requests go where `guard` lets them.
    pub(crate) fn new(guard: Guard) -> Self {
        Self {
            guard,
            ..Self::default()
        }
    }

    /// The same with TLS settings of its own.
    pub(crate) fn with_tls(guard: Guard, tls: Arc<ClientConfig>) -> Self {
        Self {
            tls: Some(tls),
            ..Self::new(guard)
        }
    }

    /// The bytes of the document at `url`.
    ///
    /// # Errors
    /// [`FetchError`]: there is no answer with status 200, or it is too large.
    pub(crate) async fn get(&self, url: &str) -> Result<Vec<u8>, FetchError> {
        let mut url = Url::parse(url).map_err(FetchError::Url)?;
        let end = Instant::now() + TIMEOUT;
        for _ in 0..=MAX_REDIRECTS {
            let response = self.send(&url, end).await?;
            match left_to_us(&response, &self.guard) {
                Some(next) => url = next,
                None => return whole(response).await,
            }
        }
        Err(FetchError::Redirects)
    }

    async fn send(&self, url: &Url, end: Instant) -> Result<Response, FetchError> {
        self.guard.check_url(url).map_err(FetchError::Forbidden)?;
        let build = || match &self.tls {
            Some(tls) => finish(ClientConfig::clone(tls), &self.guard),
            None => build(system_roots(), &self.guard),
        };
        let clients = self.clients.get_or_init(build).as_ref();
        let clients = clients.map_err(|error| FetchError::Setup(Arc::clone(error)))?;
        let request = clients.towards(url, &self.guard).get(url.clone());
        let request = request.header("accept", "application/json");
        let request = request.timeout(end.saturating_duration_since(Instant::now()));
        request.send().await.map_err(without_url)
    }
}

async fn whole(mut response: Response) -> Result<Vec<u8>, FetchError> {
    if response.status().as_u16() != 200 {
        return Err(FetchError::Status(response.status().as_u16()));
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(without_url)? {
        if body.len() + chunk.len() > MAX_BODY_BYTES {
            return Err(FetchError::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// Where a redirect leads that [`follow`] did not follow.
fn left_to_us(response: &Response, guard: &Guard) -> Option<Url> {
    let location = response.headers().get(LOCATION)?.to_str().ok()?;
    let next = response.url().join(location).ok()?;
    let is_ours = response.status().is_redirection() && guard.has_admin_port(&next);
    is_ours.then_some(next)
}

/// The query of a URL may be secret, and the caller names the URL anyway.
fn without_url(error: reqwest::Error) -> FetchError {
    FetchError::Request(error.without_url())
}

fn build(roots: RootCertStore, guard: &Guard) -> Result<Clients, SetupError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(shared)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    finish(tls, guard)
}

fn finish(tls: ClientConfig, guard: &Guard) -> Result<Clients, SetupError> {
    Clients::build(guard, |resolver| {
        let of_redirects = guard.clone();
        builder(tls.clone(), resolver)
            .timeout(TIMEOUT)
            // Requests are rare, and a kept connection would belong to the runtime that opened it.
            .pool_max_idle_per_host(0)
            .redirect(Policy::custom(move |attempt| {
                follow(attempt, &of_redirects)
            }))
            .build()
    })
}

/// What all clients have in common.
fn builder(tls: ClientConfig, resolver: GuardedResolver) -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .connect_timeout(CONNECT_TIMEOUT)
        .dns_resolver(Arc::new(resolver))
        .user_agent(concat!("tidegate/", env!("CARGO_PKG_VERSION")))
}

fn shared(error: impl std::error::Error + Send + Sync + 'static) -> SetupError {
    Arc::new(error)
}

fn system_roots() -> RootCertStore {
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::warn!(%error, "failed to read some of the system's certificates");
    }
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    roots
}

fn follow(attempt: Attempt<'_>, guard: &Guard) -> reqwest::redirect::Action {
    let downgraded = attempt.url().scheme() != "https"
        && attempt.previous().iter().any(|url| url.scheme() == "https");
    if let Err(forbidden) = guard.check_url(attempt.url()) {
        attempt.error(forbidden)
    } else if downgraded {
        attempt.error("redirected from https to http")
    } else if attempt.previous().len() > MAX_REDIRECTS {
        attempt.error("redirected too often")
    } else if guard.has_admin_port(attempt.url()) {
        // A name there needs the other client.
        attempt.stop()
    } else {
        attempt.follow()
    }
}

#[cfg(test)]
mod tests;
