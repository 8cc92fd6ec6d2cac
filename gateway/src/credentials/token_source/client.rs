//! A client of a token endpoint, and the request with which it asks for a token (RFC 6749 §4.4, RFC 8693).

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method};
use sha2::{Digest, Sha256};
use url::Url;
use url::form_urlencoded::Serializer;

use crate::http_client::{Call, CallError, shown_url};

/// For one request to the token endpoint.
const TIMEOUT: Duration = Duration::from_secs(10);

/// RFC 8693 §2.1 and §3.
const TOKEN_EXCHANGE: [(&str, &str); 3] = [
    (
        "grant_type",
        "urn:ietf:params:oauth:grant-type:token-exchange",
    ),
    (
        "requested_token_type",
        "urn:ietf:params:oauth:token-type:access_token",
    ),
    ("subject_token_type", "urn:ietf:params:oauth:token-type:jwt"),
];

/// RFC 7523 §2.2.
const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// Who asks for tokens, and where.
pub(crate) struct Client {
    pub(crate) url: Url,
    pub(crate) grant: Grant,
    /// Scopes, separated by spaces.
    pub(crate) scope: String,
}

/// What it shows for a token.
pub(crate) enum Grant {
    ClientCredentials {
        id: String,
        proof: Proof,
    },
    /// A token of the pods' service account, for one that this audience takes.
    TokenExchange {
        audience: String,
        subject: AccountToken,
    },
}

/// How a client proves who it is.
pub(crate) enum Proof {
    Secret(String),
    /// A token of the pods' service account (RFC 7523).
    Assertion(AccountToken),
}

/// The service account's token for one audience: a file that Kubernetes keeps fresh (a projected volume).
#[derive(Debug)]
pub(crate) struct AccountToken {
    pub(super) audience: String,
    /// None where there is no directory of such tokens.
    pub(super) file: Option<PathBuf>,
}

impl AccountToken {
    /// Whom it is for.
    pub(crate) fn audience(&self) -> &str {
        &self.audience
    }

    /// What Kubernetes wrote there last. It is read for each use, because it is replaced without a word.
    pub(crate) async fn read(&self) -> Result<String, CallError> {
        let file: &Path = self.file.as_deref().ok_or(CallError::NoServiceAccount)?;
        let text = tokio::fs::read_to_string(file).await;
        let text = text.map_err(CallError::ServiceAccount)?;
        match text.trim() {
            "" => Err(CallError::NoServiceAccount),
            token => Ok(token.to_owned()),
        }
    }
}

impl fmt::Debug for Client {
    /// The secret is not shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("url", &shown_url(&self.url))
            .finish_non_exhaustive()
    }
}

impl Client {
    /// Hashes everything that makes it another client.
    pub(super) fn identify(&self, id: &mut Sha256) {
        let (kind, name, proof) = match &self.grant {
            Grant::ClientCredentials { id, proof } => match proof {
                Proof::Secret(secret) => ("secret", id, secret),
                Proof::Assertion(token) => ("assertion", id, &token.audience),
            },
            Grant::TokenExchange { audience, subject } => ("exchange", audience, &subject.audience),
        };
        for part in [self.url.as_str(), kind, name, proof, &self.scope] {
            id.update(part.len().to_be_bytes());
            id.update(part);
        }
    }

    /// The request for a token.
    ///
    /// # Errors
    /// [`CallError`]: the service account's token cannot be read.
    pub(super) async fn request(&self) -> Result<Call, CallError> {
        let account = match self.account_token() {
            Some(token) => token.read().await?,
            None => String::new(),
        };
        let form = self.form(&account);
        let mut headers = HeaderMap::new();
        let kind = HeaderValue::from_static("application/x-www-form-urlencoded");
        headers.insert(CONTENT_TYPE, kind);
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        Ok(Call {
            via: None,
            method: Method::POST,
            url: self.url.clone(),
            headers,
            body: Bytes::from(form),
            timeout: TIMEOUT,
        })
    }

    /// The service account's token that it shows, if it shows one.
    fn account_token(&self) -> Option<&AccountToken> {
        match &self.grant {
            Grant::ClientCredentials {
                proof: Proof::Secret(_),
                ..
            } => None,
            Grant::ClientCredentials {
                proof: Proof::Assertion(token),
                ..
            } => Some(token),
            Grant::TokenExchange { subject, .. } => Some(subject),
        }
    }

    /// `account`: the content of [`Self::account_token`].
    fn form(&self, account: &str) -> String {
        let mut form = Serializer::new(String::new());
        match &self.grant {
            Grant::ClientCredentials { id, proof } => {
                form.append_pair("grant_type", "client_credentials")
                    .append_pair("client_id", id);
                match proof {
                    Proof::Secret(secret) => form.append_pair("client_secret", secret),
                    Proof::Assertion(_) => form
                        .append_pair("client_assertion_type", JWT_BEARER)
                        .append_pair("client_assertion", account),
                };
            }
            Grant::TokenExchange { audience, .. } => {
                form.extend_pairs(TOKEN_EXCHANGE)
                    .append_pair("audience", audience)
                    .append_pair("subject_token", account);
            }
        }
        if !self.scope.is_empty() {
            form.append_pair("scope", &self.scope);
        }
        form.finish()
    }
}
