//! Tokens by client credentials (RFC 6749 §4.4), and of the pods' service account: one per client, shared by all
//! handshakes.

mod client;

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::HeaderValue;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tidegate_config::policy::token_file_name;
use tokio::runtime::Handle;

use super::renewed::{Issue, Issued, Known, Source};
use crate::http_client::{CallError, Caller, Reply, shown_url};
use tidegate_tunnel::drain::Drain;

pub(crate) use client::{AccountToken, Client, Grant, Proof};

/// Life of a token whose server does not tell (RFC 6749 §5.1 only recommends that it does).
const UNTOLD_LIFE: Duration = Duration::from_secs(300);

/// A file is read again after this time. Kubernetes writes a new token long before the old one ends.
const FILE_LIFE: Duration = Duration::from_secs(60);

/// A token that was issued.
pub(crate) type Token = Issued<HeaderValue>;

/// The tokens of one client.
pub(crate) type TokenSource = Source<Issuer>;

impl Token {
    /// Value of an Authorization header.
    pub(crate) fn header(&self) -> HeaderValue {
        self.value().clone()
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
    known: Known<Issuer>,
}

/// Who issues tokens.
pub(crate) enum Issuer {
    /// A token endpoint.
    Endpoint(Client, Arc<Caller>),
    /// Kubernetes.
    Account(AccountToken),
}

impl Issue for Issuer {
    type Value = HeaderValue;

    async fn issue(&self) -> Result<(HeaderValue, Duration), CallError> {
        match self {
            Self::Endpoint(client, caller) => caller.ask(client.request().await?, read).await,
            Self::Account(account) => {
                let token = bearer(&account.read().await?);
                let token = token.ok_or(CallError::NoServiceAccount)?;
                Ok((token, FILE_LIFE))
            }
        }
    }
}

impl TokenSources {
    pub(crate) fn new(drain: Drain, runtime: Handle) -> Self {
        Self {
            directory: OnceLock::new(),
            known: Known::new(drain, runtime),
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
        self.known.shared(id, issuer, origin)
    }

    /// The service account's tokens for this audience.
    pub(crate) fn of_service_account(&self, audience: &str) -> Arc<TokenSource> {
        let mut id = Sha256::new();
        id.update("service account");
        id.update(audience);
        let origin = format!("the service account, for {audience}");
        let issuer = Issuer::Account(self.account_token(audience));
        self.known.shared(id, issuer, origin)
    }

    /// Where the service account's token for this audience is.
    pub(crate) fn account_token(&self, audience: &str) -> AccountToken {
        let directory = self.directory.get();
        AccountToken {
            audience: audience.to_owned(),
            file: directory.map(|directory| directory.join(token_file_name(audience))),
        }
    }
}

/// The token as the value of a header; `None` when it cannot stand in one.
fn bearer(token: &str) -> Option<HeaderValue> {
    let mut header = HeaderValue::from_str(&format!("Bearer {token}")).ok()?;
    header.set_sensitive(true);
    Some(header)
}

/// What a token endpoint answered (RFC 6749 §5).
fn read(reply: Reply) -> Result<(HeaderValue, Duration), CallError> {
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
    let token = bearer(token).ok_or_else(unusable)?;
    Ok((token, life.unwrap_or(UNTOLD_LIFE)))
}

#[cfg(test)]
mod tests;
