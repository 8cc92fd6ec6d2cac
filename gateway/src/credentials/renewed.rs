//! Credentials that are issued for a while, kept, and shared by all handshakes.
//!
//! Renewed in the background before they end, so that only the first handshake waits. One request at a
//! time; who waited for one that failed shares its failure instead of asking again.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use sha2::{Digest, Sha256};
use tokio::runtime::Handle;
use tokio::time::Instant;

use crate::http_client::CallError;
use tidegate_config::error_chain;
use tidegate_tunnel::drain::Drain;

/// Longer lives are cut: deadlines stay computable, and credentials that were revoked are found out some day.
const LONGEST_LIFE: Duration = Duration::from_secs(24 * 3600);

/// A renewal that failed is tried again after this time.
const RENEW_AGAIN: Duration = Duration::from_secs(10);

/// Who issues credentials.
pub(crate) trait Issue: Send + Sync + 'static {
    /// What is issued.
    type Value: Send + Sync + 'static;

    /// New credentials, and how long they are valid.
    ///
    /// # Errors
    /// [`CallError`]: none could be fetched or read.
    fn issue(&self) -> impl Future<Output = Result<(Self::Value, Duration), CallError>> + Send;
}

/// Credentials with the time they have.
pub(crate) struct Issued<T> {
    value: T,
    renew_at: Instant,
    ends_at: Instant,
}

impl<T> Issued<T> {
    pub(super) fn new(value: T, life: Duration) -> Self {
        let (now, life) = (Instant::now(), life.min(LONGEST_LIFE));
        Self {
            value,
            renew_at: now + life - (life / 5).min(Duration::from_secs(300)),
            // They must still be valid when they arrive.
            ends_at: now + life - (life / 10).min(Duration::from_secs(30)),
        }
    }

    pub(crate) fn value(&self) -> &T {
        &self.value
    }
}

impl<T> fmt::Debug for Issued<T> {
    /// The credentials are not shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issued").finish_non_exhaustive()
    }
}

/// All sources of a kind that some policy holds.
pub(crate) struct Known<I: Issue> {
    drain: Drain,
    runtime: Handle,
    /// Weak: with its last policy a source goes.
    sources: Mutex<HashMap<[u8; 32], Weak<Source<I>>>>,
}

impl<I: Issue> fmt::Debug for Known<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Known").finish_non_exhaustive()
    }
}

impl<I: Issue> Known<I> {
    pub(crate) fn new(drain: Drain, runtime: Handle) -> Self {
        Self {
            drain,
            runtime,
            sources: Mutex::default(),
        }
    }

    /// The source with this id; `origin` says in logs where its credentials come from.
    pub(crate) fn shared(&self, id: Sha256, issuer: I, origin: String) -> Arc<Source<I>> {
        let id = id.finalize().into();
        let mut known = self.sources.lock();
        if let Some(source) = known.get(&id).and_then(Weak::upgrade) {
            return source;
        }
        known.retain(|_, source| source.strong_count() > 0);
        let source = Arc::new(Source {
            issuer,
            origin,
            drain: self.drain.clone(),
            runtime: self.runtime.clone(),
            state: Mutex::new(State {
                current: None,
                renewal_at: None,
            }),
            fetching: tokio::sync::Mutex::default(),
        });
        known.insert(id, Arc::downgrade(&source));
        source
    }
}

/// The credentials of one issuer.
pub(crate) struct Source<I: Issue> {
    issuer: I,
    /// Where they come from, for logs.
    origin: String,
    drain: Drain,
    runtime: Handle,
    state: Mutex<State<I::Value>>,
    /// Held while some are fetched; when and how the last fetch failed.
    fetching: tokio::sync::Mutex<Option<(Instant, Arc<CallError>)>>,
}

impl<I: Issue> fmt::Debug for Source<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Source").field(&self.origin).finish()
    }
}

struct State<T> {
    current: Option<Arc<Issued<T>>>,
    /// No renewal begins before.
    renewal_at: Option<Instant>,
}

impl<I: Issue> Source<I> {
    /// Credentials that are valid for a while.
    ///
    /// # Errors
    /// [`CallError`]: none could be fetched or read.
    pub(crate) async fn token(self: &Arc<Self>) -> Result<Arc<Issued<I::Value>>, CallError> {
        let now = Instant::now();
        let Some(token) = self.current(now) else {
            return self.fetch_once(now).await;
        };
        if now >= token.renew_at && self.may_renew(now) {
            let this = Arc::clone(self);
            let renewal = async move {
                if let Err(error) = this.fetch().await {
                    let (url, error) = (&this.origin, error_chain(&error));
                    tracing::warn!(
                        url,
                        error,
                        "failed to renew a token; the old one is still in use"
                    );
                }
            };
            self.drain.spawn_on(renewal, &self.runtime);
        }
        Ok(token)
    }

    /// A server did not accept these: the next handshake fetches others.
    pub(crate) fn discard(&self, token: &Arc<Issued<I::Value>>) {
        let mut state = self.state();
        if state
            .current
            .as_ref()
            .is_some_and(|known| Arc::ptr_eq(known, token))
        {
            state.current = None;
        }
    }

    fn current(&self, now: Instant) -> Option<Arc<Issued<I::Value>>> {
        let state = self.state();
        state.current.clone().filter(|token| now < token.ends_at)
    }

    fn may_renew(&self, now: Instant) -> bool {
        let mut state = self.state();
        let due = state.renewal_at.is_none_or(|at| now >= at);
        if due {
            state.renewal_at = Some(now + RENEW_AGAIN);
        }
        due
    }

    /// Waits for a fetch in progress, and starts one only if that gave nothing.
    async fn fetch_once(&self, asked_at: Instant) -> Result<Arc<Issued<I::Value>>, CallError> {
        let mut failure = self.fetching.lock().await;
        if let Some(token) = self.current(Instant::now()) {
            return Ok(token);
        }
        if let Some((at, error)) = &*failure
            && *at >= asked_at
        {
            return Err(CallError::Shared(Arc::clone(error)));
        }
        self.fetch().await.map_err(|error| {
            let error = Arc::new(error);
            *failure = Some((Instant::now(), Arc::clone(&error)));
            CallError::Shared(error)
        })
    }

    async fn fetch(&self) -> Result<Arc<Issued<I::Value>>, CallError> {
        let (value, life) = self.issuer.issue().await?;
        let token = Arc::new(Issued::new(value, life));
        let mut state = self.state();
        state.current = Some(Arc::clone(&token));
        state.renewal_at = None;
        Ok(token)
    }

    fn state(&self) -> MutexGuard<'_, State<I::Value>> {
        self.state.lock()
    }
}
