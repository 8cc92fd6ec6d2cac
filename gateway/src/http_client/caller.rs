//! Requests of policies: pooled connections, one pool for all who have the same TLS settings.
//!
//! A request runs as a task of its own on the control runtime, whichever worker asked: kept
//! connections then belong to a runtime that lives as long as they, and a large answer is read and
//! parsed where it delays no tunnel. Dropping the future ends the request.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use http::header::VIA;
use http::{HeaderMap, HeaderValue, Method};
use parking_lot::Mutex;
use reqwest::redirect::Policy;
use rustls::ClientConfig;
use tokio::runtime::Handle;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;
use url::Url;

use super::guard::{Forbidden, Guard};
use super::{Clients, SetupError, builder};
use tidegate_tunnel::drain::Drain;

/// Largest answer: verdicts, tokens and addresses have a few kilobytes, and thousands of handshakes
/// may hold one at a time.
const MAX_ANSWER_BYTES: usize = 256 * 1024;

/// Kept per host: bursts of handshakes share a few connections.
const IDLE_PER_HOST: usize = 16;

/// Shorter than most servers keep theirs, so that a kept one is seldom found closed.
const IDLE: Duration = Duration::from_secs(30);

/// A request, ready to be sent.
#[derive(Clone)]
pub(crate) struct Call {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    /// Apart from the headers: where a client has been makes no difference to whether two requests are
    /// the same.
    pub(crate) via: Option<HeaderValue>,
    pub(crate) body: Bytes,
    /// From the connect to the end of the answer.
    pub(crate) timeout: Duration,
}

impl Call {
    /// Bytes that it takes, roughly.
    pub(crate) fn size(&self) -> usize {
        let fields = self.headers.iter();
        let fields = fields.map(|(name, value)| name.as_str().len() + value.len());
        let via = self.via.as_ref().map_or(0, HeaderValue::len);
        self.url.as_str().len() + fields.sum::<usize>() + via + self.body.len()
    }
}

/// An answer, whatever its status.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    #[error("failed to set up the HTTP client")]
    Setup(#[source] SetupError),
    #[error("the URL leads to a place that is not allowed")]
    Forbidden(#[source] Forbidden),
    #[error("no answer within {}", tidegate_config::Duration::from_millis(millis(*.0)))]
    Timeout(Duration),
    #[error("failed to connect")]
    Connect(#[source] reqwest::Error),
    #[error("the request failed")]
    Request(#[source] reqwest::Error),
    #[error("the answer has more than {MAX_ANSWER_BYTES} bytes")]
    TooLarge,
    #[error("the answer's JSON {0}")]
    Json(&'static str),
    #[error("the token endpoint {0}")]
    Token(String),
    #[error("this gateway has no such token of a service account")]
    NoServiceAccount,
    #[error("failed to read the token of the service account")]
    ServiceAccount(#[source] io::Error),
    /// The result of the same request of another handshake.
    #[error(transparent)]
    Shared(Arc<Self>),
    #[error("the gateway is going away")]
    Cancelled,
}

impl CallError {
    /// Was it time that lacked?
    pub(crate) fn is_timeout(&self) -> bool {
        match self {
            Self::Timeout(_) => true,
            Self::Connect(error) | Self::Request(error) => error.is_timeout(),
            Self::Shared(error) => error.is_timeout(),
            _ => false,
        }
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// How often requests were answered, and how often not; for metrics.
#[derive(Debug, Default)]
pub(crate) struct CallCounts {
    answered: AtomicU64,
    failed: AtomicU64,
}

impl CallCounts {
    pub(crate) fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }

    pub(crate) fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }

    fn count(&self, answered: bool) {
        let counter = if answered {
            &self.answered
        } else {
            &self.failed
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// What all callers share.
#[derive(Debug)]
struct Basis {
    guard: Guard,
    drain: Drain,
    runtime: Handle,
    counts: CallCounts,
}

/// Sends requests with TLS settings of its own.
#[derive(Debug)]
pub(crate) struct Caller {
    clients: Clients,
    basis: Arc<Basis>,
}

/// All callers that some policy holds.
#[derive(Debug)]
pub(crate) struct Callers {
    basis: Arc<Basis>,
    /// By what their TLS settings hash to. Weak: with its last policy a pool goes.
    known: Mutex<HashMap<[u8; 32], Weak<Caller>>>,
}

impl Callers {
    /// None yet. Their requests are tasks of `drain` and run on `runtime`.
    pub(crate) fn new(drain: Drain, runtime: Handle, guard: Guard) -> Self {
        Self {
            basis: Arc::new(Basis {
                guard,
                drain,
                runtime,
                counts: CallCounts::default(),
            }),
            known: Mutex::default(),
        }
    }

    /// The caller with these settings, which hash to `id`; shared by all who ask for it.
    ///
    /// # Errors
    /// [`CallError::Setup`]: the client cannot be set up.
    pub(crate) fn with(&self, id: [u8; 32], tls: &ClientConfig) -> Result<Arc<Caller>, CallError> {
        let mut known = self.known.lock();
        if let Some(caller) = known.get(&id).and_then(Weak::upgrade) {
            return Ok(caller);
        }
        known.retain(|_, caller| caller.strong_count() > 0);
        let clients = Clients::build(&self.basis.guard, |resolver| {
            builder(tls.clone(), resolver)
                .redirect(Policy::none())
                .pool_max_idle_per_host(IDLE_PER_HOST)
                .pool_idle_timeout(IDLE)
                .build()
        });
        let clients = clients.map_err(CallError::Setup)?;
        let basis = Arc::clone(&self.basis);
        let caller = Arc::new(Caller { clients, basis });
        known.insert(id, Arc::downgrade(&caller));
        Ok(caller)
    }

    pub(crate) fn counts(&self) -> &CallCounts {
        &self.basis.counts
    }
}

impl Caller {
    /// Sends a request, and gives what `read` makes of the answer.
    ///
    /// # Errors
    /// [`CallError`]: there is no answer, or `read` does not accept it.
    pub(crate) async fn ask<T: Send + 'static>(
        self: &Arc<Self>,
        call: Call,
        read: fn(Reply) -> Result<T, CallError>,
    ) -> Result<T, CallError> {
        let Basis {
            guard,
            drain,
            runtime,
            counts,
        } = &*self.basis;
        let asked = match guard.check_url(&call.url) {
            Err(forbidden) => Err(CallError::Forbidden(forbidden)),
            Ok(()) => {
                let this = Arc::clone(self);
                let task = drain.spawn_on(async move { read(this.send(call).await?) }, runtime);
                let done = AbortOnDropHandle::new(task).await;
                done.unwrap_or(Err(CallError::Cancelled))
            }
        };
        counts.count(asked.is_ok());
        asked
    }

    async fn send(&self, call: Call) -> Result<Reply, CallError> {
        let limit = call.timeout;
        let answered = timeout(limit, self.exchange(call)).await;
        answered.unwrap_or(Err(CallError::Timeout(limit)))
    }

    async fn exchange(&self, call: Call) -> Result<Reply, CallError> {
        let Call {
            method,
            url,
            mut headers,
            via,
            body,
            timeout: _,
        } = call;
        if let Some(via) = via {
            headers.insert(VIA, via);
        }
        let client = self.clients.towards(&url, &self.basis.guard);
        let request = client.request(method, url).headers(headers);
        let mut response = request.body(body).send().await.map_err(failed)?;
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            if bytes.len() + chunk.len() > MAX_ANSWER_BYTES {
                return Err(CallError::TooLarge);
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(Reply {
            status: response.status().as_u16(),
            headers: std::mem::take(response.headers_mut()),
            body: Bytes::from(bytes),
        })
    }
}

/// Without the URL: its query may be secret, and the caller names the URL.
fn failed(error: reqwest::Error) -> CallError {
    let error = error.without_url();
    if error.is_connect() {
        CallError::Connect(error)
    } else {
        CallError::Request(error)
    }
}

/// The URL without what may be secret in it, for logs.
pub(crate) fn shown_url(url: &Url) -> String {
    let mut shown = url.clone();
    shown.set_query(None);
    shown.set_fragment(None);
    shown.into()
}
