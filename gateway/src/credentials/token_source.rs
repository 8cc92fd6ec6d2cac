//! Tokens by client credentials (RFC 6749 §4.4), and of the pods' service account: one per client, shared by all
//! handshakes.
//!
//! Renewed in the background before it ends, so that only the first handshake waits. One request at a
//! time; who waited for one that failed shares its failure instead of asking again.

mod client;

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use http::HeaderValue;
use parking_lot::{Mutex, MutexGuard};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tidegate_config::policy::token_file_name;
use tokio::runtime::Handle;
use tokio::time::Instant;

use crate::http_client::{CallError, Caller, Reply, shown_url};
use tidegate_config::error_chain;
use tidegate_tunnel::drain::Drain;

pub(crate) use client::{AccountToken, Client, Grant, Proof};

/// Life of a token whose server does not tell (RFC 6749 §5.1 only recommends that it does).
const UNTOLD_LIFE: Duration = Duration::from_secs(300);

/// Longer lives are cut: deadlines stay computable, and a revoked client is found out some day.
const LONGEST_LIFE: Duration = Duration::from_secs(24 * 3600);

/// A renewal that failed is tried again after this time.
const RENEW_AGAIN: Duration = Duration::from_secs(10);

/// A file is read again after this time. Kubernetes writes a new token long before the old one ends.
const FILE_LIFE: Duration = Duration::from_secs(60);

/// A token that was issued.
pub(crate) struct Token {
    header: HeaderValue,
    renew_at: Instant,
    ends_at: Instant,
}

impl Token {
    /// Value of an Authorization header.
    pub(crate) fn header(&self) -> HeaderValue {
        self.header.clone()
    }
}

impl fmt::Debug for Token {
    /// The token is not shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").finish_non_exhaustive()
    }
}

/// A token that was sent to a server.
#[derive(Debug)]
pub(crate) struct IssuedToken {
    pub(crate) source: Arc<TokenSource>,
    pub(crate) token: Arc<Token>,
}

impl IssuedToken {
    /// It was not accepted there.
    pub(crate) fn refused(&self) {
        self.source.discard(&self.token);
    }
}

/// All sources that some policy holds.
#[derive(Debug)]
pub(crate) struct TokenSources {
    /// Has files with tokens of the service account.
    directory: OnceLock<PathBuf>,
    drain: Drain,
    runtime: Handle,
    /// Weak: with its last policy a source goes.
    known: Mutex<HashMap<[u8; 32], Weak<TokenSource>>>,
}

/// Who issues tokens.
enum Issuer {
    /// A token endpoint.
    Endpoint(Client, Arc<Caller>),
    /// Kubernetes.
    Account(AccountToken),
}

/// The tokens of one client.
pub(crate) struct TokenSource {
    issuer: Issuer,
    /// Where tokens come from, for logs.
    origin: String,
    drain: Drain,
    runtime: Handle,
    state: Mutex<TokenState>,
    /// Held while a token is fetched; when and how the last fetch failed.
    fetching: tokio::sync::Mutex<Option<(Instant, Arc<CallError>)>>,
}

impl fmt::Debug for TokenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TokenSource").field(&self.origin).finish()
    }
}

#[derive(Default)]
struct TokenState {
    token: Option<Arc<Token>>,
    /// No renewal begins before.
    renewal_at: Option<Instant>,
}

impl TokenSources {
    pub(crate) fn new(drain: Drain, runtime: Handle) -> Self {
        Self {
            drain,
            runtime,
            directory: OnceLock::new(),
            known: Mutex::default(),
        }
    }

    /// From here on tokens of the service account are read in this directory.
    pub(crate) fn read_from(&self, directory: PathBuf) {
        // The first one stays: there is one for each process.
        let _ = self.directory.set(directory);
    }

    /// The tokens of this client, shared by all who ask for them.
    pub(crate) fn of(&self, client: Client, caller: &Arc<Caller>) -> Arc<TokenSource> {
        let mut id = Sha256::new();
        client.identify(&mut id);
        // Other TLS settings may lead to another server.
        id.update((Arc::as_ptr(caller) as usize).to_be_bytes());
        let origin = shown_url(&client.url);
        let issuer = Issuer::Endpoint(client, Arc::clone(caller));
        self.shared(id, issuer, origin)
    }

    /// The service account's tokens for this audience.
    pub(crate) fn of_service_account(&self, audience: &str) -> Arc<TokenSource> {
        let mut id = Sha256::new();
        id.update("service account");
        id.update(audience);
        let origin = format!("the service account, for {audience}");
        self.shared(id, Issuer::Account(self.account_token(audience)), origin)
    }

    /// Where the service account's token for this audience is.
    pub(crate) fn account_token(&self, audience: &str) -> AccountToken {
        let directory = self.directory.get();
        AccountToken {
            audience: audience.to_owned(),
            file: directory.map(|directory| directory.join(token_file_name(audience))),
        }
    }

    fn shared(&self, id: Sha256, issuer: Issuer, origin: String) -> Arc<TokenSource> {
        let id = id.finalize().into();
        let mut known = self.known.lock();
        if let Some(source) = known.get(&id).and_then(Weak::upgrade) {
            return source;
        }
        known.retain(|_, source| source.strong_count() > 0);
        let source = Arc::new(TokenSource {
            issuer,
            origin,
            drain: self.drain.clone(),
            runtime: self.runtime.clone(),
            state: Mutex::default(),
            fetching: tokio::sync::Mutex::default(),
        });
        known.insert(id, Arc::downgrade(&source));
        source
    }
}

impl TokenSource {
    /// A token that is valid for a while.
    ///
    /// # Errors
    /// [`CallError`]: no token could be fetched or read.
    pub(crate) async fn token(self: &Arc<Self>) -> Result<Arc<Token>, CallError> {
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

    /// A server did not accept this one: the next handshake fetches another.
    pub(crate) fn discard(&self, token: &Arc<Token>) {
        let mut state = self.state();
        if state
            .token
            .as_ref()
            .is_some_and(|known| Arc::ptr_eq(known, token))
        {
            state.token = None;
        }
    }

    fn current(&self, now: Instant) -> Option<Arc<Token>> {
        let state = self.state();
        state.token.clone().filter(|token| now < token.ends_at)
    }

    fn may_renew(&self, now: Instant) -> bool {
        let mut state = self.state();
        let due = state.renewal_at.is_none_or(|at| now >= at);
        if due {
            state.renewal_at = Some(now + RENEW_AGAIN);
        }
        due
    }

    /// Waits for a fetch in progress, and starts one only if that gave no token.
    async fn fetch_once(&self, asked_at: Instant) -> Result<Arc<Token>, CallError> {
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

    async fn fetch(&self) -> Result<Arc<Token>, CallError> {
        let token = match &self.issuer {
            Issuer::Endpoint(client, caller) => caller.ask(client.request().await?, read).await?,
            Issuer::Account(account) => {
                let token = bearer(&account.read().await?, FILE_LIFE);
                token.ok_or(CallError::NoServiceAccount)?
            }
        };
        let token = Arc::new(token);
        let mut state = self.state();
        state.token = Some(Arc::clone(&token));
        state.renewal_at = None;
        Ok(token)
    }

    fn state(&self) -> MutexGuard<'_, TokenState> {
        self.state.lock()
    }
}

/// The token with this time to live; `None` when it cannot stand in a header.
fn bearer(token: &str, life: Duration) -> Option<Token> {
    let mut header = HeaderValue::from_str(&format!("Bearer {token}")).ok()?;
    header.set_sensitive(true);
    let now = Instant::now();
    Some(Token {
        header,
        renew_at: now + life - (life / 5).min(Duration::from_secs(300)),
        // It must still be valid when it arrives.
        ends_at: now + life - (life / 10).min(Duration::from_secs(30)),
    })
}

/// What a token endpoint answered (RFC 6749 §5).
fn read(reply: Reply) -> Result<Token, CallError> {
    let json: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
    if reply.status != 200 {
        // A code out of a small alphabet (RFC 6749 §5.2); anything else is not repeated.
        let plain = |code: &&str| {
            code.len() <= 64 && code.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        };
        let code = json["error"].as_str().filter(plain);
        let code = code.map(|code| format!(", {code}")).unwrap_or_default();
        return Err(CallError::Token(format!("answered {}{code}", reply.status)));
    }
    let kind = json["token_type"].as_str().unwrap_or("Bearer");
    if !kind.eq_ignore_ascii_case("bearer") {
        return Err(CallError::Token(
            "issued a token that is no bearer token".to_owned(),
        ));
    }
    let unusable = || CallError::Token("issued no usable access_token".to_owned());
    let token = json["access_token"].as_str().ok_or_else(unusable)?;
    let life = json["expires_in"].as_u64().map(Duration::from_secs);
    let life = life.unwrap_or(UNTOLD_LIFE).min(LONGEST_LIFE);
    bearer(token, life).ok_or_else(unusable)
}

#[cfg(test)]
mod tests;
