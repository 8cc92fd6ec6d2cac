//! An HTTP proxy on the way to a backend: a CONNECT request (RFC 9110 §9.3.6) opens a tunnel; TLS through it is
//! between gateway and backend.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tidegate_config::{BackendProxy, SecretData, SecretDataId};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use url::Url;

use crate::exchange::BackendUrl;
use crate::head::{ReadHeadError, read_final_response};

/// Why a proxy's settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InvalidProxy {
    #[error("backend.proxy.url is not http://host:port")]
    Url,
    #[error("{0} is missing")]
    Missing(SecretDataId),
    #[error("{0} cannot be sent as user name or password")]
    Credentials(SecretDataId),
}

/// Why there is no tunnel through the proxy.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProxyError {
    #[error("the connection to the proxy broke")]
    Io(#[source] std::io::Error),
    #[error("the proxy's answer cannot be read")]
    Answer(#[source] ReadHeadError),
    #[error("the proxy wants a user name and password (407)")]
    CredentialsWanted,
    #[error("the proxy does not accept the user name and password (407)")]
    CredentialsRefused,
    #[error("the proxy refused with status {0}")]
    Refused(u16),
    #[error("the proxy sent bytes before the backend could")]
    Ahead,
}

/// A proxy, ready to be asked.
#[derive(Clone)]
pub(crate) struct Proxy {
    /// Name or address, without brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
    /// Value of Proxy-Authorization; secret.
    authorization: Option<String>,
}

impl Proxy {
    /// References are relative to `namespace`.
    ///
    /// # Errors
    /// [`InvalidProxy`]: the URL or the credentials cannot be used.
    pub(crate) fn compile(
        config: &BackendProxy,
        namespace: &str,
        secret_data: &SecretData,
    ) -> Result<Self, InvalidProxy> {
        let url = Url::parse(&config.url).map_err(|_| InvalidProxy::Url)?;
        let host = url.host_str().filter(|host| !host.is_empty());
        let (Some(host), Some(port), "http") = (host, url.port_or_known_default(), url.scheme())
        else {
            return Err(InvalidProxy::Url);
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(InvalidProxy::Url);
        }
        let credentials = config.credentials_ref.as_deref();
        let authorization = credentials.map(|name| basic(namespace, name, secret_data));
        Ok(Self {
            host: host.trim_matches(['[', ']']).to_owned(),
            port,
            authorization: authorization.transpose()?,
        })
    }

    /// `host:port`, for logs and errors.
    pub(crate) fn authority(&self) -> String {
        authority(&self.host, self.port)
    }

    /// Opens a tunnel to a backend through `socket`. The head of the answer has at most `max_head` bytes; the
    /// body of a refusal is not read.
    ///
    /// # Errors
    /// [`ProxyError`]: the proxy refused, or its answer cannot be used.
    pub(super) async fn tunnel(
        &self,
        socket: &mut (impl AsyncRead + AsyncWrite + Unpin),
        backend: &BackendUrl,
        max_head: usize,
    ) -> Result<(), ProxyError> {
        let request = self.request(backend);
        socket
            .write_all(request.as_bytes())
            .await
            .map_err(ProxyError::Io)?;
        socket.flush().await.map_err(ProxyError::Io)?;
        let read = read_final_response(socket, max_head, &mut 0).await;
        let read = read.map_err(ProxyError::Answer)?;
        match read.head.status {
            // Neither with HTTP nor with TLS does a server send first.
            200..300 if !read.read_ahead.is_empty() => Err(ProxyError::Ahead),
            200..300 => Ok(()),
            407 if self.authorization.is_some() => Err(ProxyError::CredentialsRefused),
            407 => Err(ProxyError::CredentialsWanted),
            status => Err(ProxyError::Refused(status)),
        }
    }

    /// The port is always named (RFC 9110 §9.3.6).
    fn request(&self, backend: &BackendUrl) -> String {
        let target = authority(&backend.host, backend.port);
        let authorization = match &self.authorization {
            Some(value) => format!("Proxy-Authorization: {value}\r\n"),
            None => String::new(),
        };
        format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n{authorization}\r\n")
    }
}

fn authority(host: &str, port: u16) -> String {
    if host.contains(':') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}

/// RFC 7617: UTF-8, and no colon in the name, because it ends there.
fn basic(namespace: &str, name: &str, secret_data: &SecretData) -> Result<String, InvalidProxy> {
    let part = |key: &str| {
        let id = SecretDataId::secret(namespace, name, key);
        let Some(bytes) = secret_data.get(&id) else {
            return Err(InvalidProxy::Missing(id));
        };
        match std::str::from_utf8(bytes) {
            Ok(text) if !text.contains(char::is_control) => Ok((text.to_owned(), id)),
            _ => Err(InvalidProxy::Credentials(id)),
        }
    };
    let (user, id) = part("username")?;
    let (password, _) = part("password")?;
    if user.contains(':') {
        return Err(InvalidProxy::Credentials(id));
    }
    Ok(format!(
        "Basic {}",
        STANDARD.encode(format!("{user}:{password}"))
    ))
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy")
            .field("authority", &self.authority())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
