//! Opens the backend's leg: TCP, and TLS on it for `wss://`.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use rustls_pki_types::ServerName;
use socket2::SockRef;
use tidegate_config::UrlScheme;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::{BackendUrl, ClientTls, Resolver};
use crate::socket;
use crate::transport::Transport;

/// How long one address may keep us waiting before the next one is tried besides (RFC 8305 §5).
const STAGGER: Duration = Duration::from_millis(250);

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    #[error("failed to find the address of {0}")]
    Resolve(String, #[source] io::Error),
    #[error("failed to connect to {0}")]
    Connect(String, #[source] io::Error),
    #[error("\"{0}\" is no name that a certificate can be for")]
    Name(String),
    #[error("failed to agree on TLS with {0}")]
    Tls(String, #[source] io::Error),
}

/// Connects to a backend. `server_name` is what its certificate must be for, if not the host.
pub(crate) async fn connect(
    resolver: &Resolver,
    url: &BackendUrl,
    tls: &ClientTls,
    server_name: Option<&ServerName<'static>>,
) -> Result<Transport, ConnectError> {
    let resolved = resolver.resolve(&url.host, url.port).await;
    let addresses = resolved.map_err(|error| ConnectError::Resolve(url.host.clone(), error))?;
    let socket = match race(&addresses).await {
        Ok(socket) => socket,
        Err(error) => {
            resolver.forget(&url.host, url.port);
            return Err(ConnectError::Connect(url.authority(), error));
        }
    };
    if url.scheme == UrlScheme::Ws {
        return Ok(Transport::Plain(socket));
    }
    let name = match server_name {
        Some(name) => name.clone(),
        None => ServerName::try_from(url.host.clone())
            .map_err(|_| ConnectError::Name(url.host.clone()))?,
    };
    let connector = TlsConnector::from(std::sync::Arc::clone(&tls.config));
    let stream = connector.connect(name, socket).await;
    let stream = stream.map_err(|error| ConnectError::Tls(url.authority(), error))?;
    Ok(Transport::TlsClient(Box::new(stream)))
}

/// The first address that answers. The next one joins in when one fails or takes its time.
async fn race(addresses: &[SocketAddr]) -> io::Result<TcpStream> {
    if let [only] = addresses {
        return open(*only).await;
    }
    let mut waiting = addresses.iter();
    let mut attempts = FuturesUnordered::new();
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    loop {
        match waiting.next() {
            Some(address) => attempts.push(open(*address)),
            None if attempts.is_empty() => return Err(last),
            None => {}
        }
        let stagger = tokio::time::sleep(STAGGER);
        tokio::pin!(stagger);
        tokio::select! {
            Some(attempt) = attempts.next() => match attempt {
                Ok(socket) => return Ok(socket),
                Err(error) => last = error,
            },
            () = &mut stagger => {}
        }
    }
}

async fn open(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    socket::watch(SockRef::from(&stream))?;
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn an_address_that_refuses_is_passed_over() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let good = listener.local_addr().unwrap();
        let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let bad = closed.local_addr().unwrap();
        drop(closed);
        let socket = race(&[bad, bad, good]).await.unwrap();
        assert_eq!(socket.peer_addr().unwrap(), good);
        assert!(race(&[bad, bad]).await.is_err());
        assert!(race(&[]).await.is_err());
    }
}
