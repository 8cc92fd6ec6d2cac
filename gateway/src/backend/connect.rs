//! Connects to a backend: TCP, through a proxy if there is one, and TLS for `wss://`.

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

use super::{ClientTls, Proxy, ProxyError, Resolver};
use crate::exchange::BackendUrl;
use crate::http_client::admin_ports::OwnAdminServer;
use tidegate_tunnel::socket;
use tidegate_tunnel::transport::Transport;

/// Pause before the next address is tried in parallel (RFC 8305 §5).
const STAGGER: Duration = Duration::from_millis(250);

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    #[error("failed to find the address of {0}")]
    Resolve(String, #[source] io::Error),
    #[error("failed to connect to {0}")]
    Connect(String, #[source] io::Error),
    #[error("backend {0} cannot be connected to")]
    Forbidden(String, #[source] OwnAdminServer),
    #[error("failed to find the address of the proxy {0}")]
    ResolveProxy(String, #[source] io::Error),
    #[error("failed to connect to the proxy {0}")]
    ConnectProxy(String, #[source] io::Error),
    #[error("proxy {0} cannot be connected to")]
    ForbiddenProxy(String, #[source] OwnAdminServer),
    #[error("no tunnel to {1} through {0}")]
    Tunnel(String, String, #[source] ProxyError),
    #[error("\"{0}\" is not a valid name for a certificate")]
    Name(String),
    #[error("failed to agree on TLS with {0}")]
    Tls(String, #[source] io::Error),
}

/// How an API's backends are reached.
#[derive(Clone, Debug)]
pub(crate) struct ConnectOptions {
    pub(crate) tls: ClientTls,
    pub(crate) proxy: Option<Proxy>,
    /// Largest head of an answer in bytes, including a proxy's.
    pub(crate) max_answer_head: usize,
}

/// Connects to a backend. `server_name`: name in its certificate, if it is not the host.
///
/// # Errors
/// [`ConnectError`]: lookup, connection, proxy or TLS failed, or the address is an admin server of this process.
pub(crate) async fn connect(
    resolver: &Resolver,
    url: &BackendUrl,
    connect_options: &ConnectOptions,
    server_name: Option<&ServerName<'static>>,
) -> Result<Transport, ConnectError> {
    let socket = match &connect_options.proxy {
        None => open_tcp(resolver, &url.host, url.port)
            .await
            .map_err(|failure| match failure {
                TcpFailure::Resolve(error) => ConnectError::Resolve(url.host.clone(), error),
                TcpFailure::Connect(error) => ConnectError::Connect(url.authority(), error),
                TcpFailure::Forbidden(own) => ConnectError::Forbidden(url.authority(), own),
            })?,
        Some(proxy) => {
            Box::pin(open_through(
                proxy,
                resolver,
                url,
                connect_options.max_answer_head,
            ))
            .await?
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
    let connector = TlsConnector::from(std::sync::Arc::clone(&connect_options.tls.config));
    let stream = Box::pin(connector.connect(name, socket)).await;
    let stream = stream.map_err(|error| ConnectError::Tls(url.authority(), error))?;
    Ok(Transport::TlsClient(Box::new(stream)))
}

enum TcpFailure {
    Resolve(io::Error),
    Connect(io::Error),
    Forbidden(OwnAdminServer),
}

async fn open_tcp(resolver: &Resolver, host: &str, port: u16) -> Result<TcpStream, TcpFailure> {
    let resolved = resolver.resolve(host, port).await;
    let addresses = resolved.map_err(TcpFailure::Resolve)?;
    // The connection uses exactly these addresses.
    resolver.check(&addresses).map_err(TcpFailure::Forbidden)?;
    let raced = race(&addresses, open).await;
    raced.map_err(|error| {
        resolver.forget(host, port);
        TcpFailure::Connect(error)
    })
}

async fn open_through(
    proxy: &Proxy,
    resolver: &Resolver,
    url: &BackendUrl,
    max_answer_head: usize,
) -> Result<TcpStream, ConnectError> {
    // A proxy on the same machine could connect to the admin server.
    if let Ok(address) = url.host.parse::<std::net::IpAddr>() {
        let own = resolver.check(&[SocketAddr::new(address, url.port)]);
        own.map_err(|own| ConnectError::Forbidden(url.authority(), own))?;
    }
    let opened = open_tcp(resolver, &proxy.host, proxy.port).await;
    let mut socket = opened.map_err(|failure| match failure {
        TcpFailure::Resolve(error) => ConnectError::ResolveProxy(proxy.authority(), error),
        TcpFailure::Connect(error) => ConnectError::ConnectProxy(proxy.authority(), error),
        TcpFailure::Forbidden(own) => ConnectError::ForbiddenProxy(proxy.authority(), own),
    })?;
    let tunnel = proxy.tunnel(&mut socket, url, max_answer_head).await;
    tunnel.map_err(|error| ConnectError::Tunnel(proxy.authority(), url.authority(), error))?;
    Ok(socket)
}

/// Connects to the first address that answers. Boxed for several addresses: most names have one.
async fn race<F, T>(addresses: &[SocketAddr], open: impl Fn(SocketAddr) -> F) -> io::Result<T>
where
    F: Future<Output = io::Result<T>>,
{
    match addresses {
        [only] => open(*only).await,
        several => Box::pin(race_many(several, open)).await,
    }
}

/// Starts the next attempt when one fails or takes long.
async fn race_many<F, T>(addresses: &[SocketAddr], open: impl Fn(SocketAddr) -> F) -> io::Result<T>
where
    F: Future<Output = io::Result<T>>,
{
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
    socket::keep_alive(SockRef::from(&stream))?;
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use tokio::net::{TcpListener, TcpSocket};

    use super::*;

    #[tokio::test]
    async fn an_address_that_refuses_is_passed_over() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let good = listener.local_addr().unwrap();
        // Bound, so that nobody else gets the port, but not listening.
        let closed = TcpSocket::new_v4().unwrap();
        closed.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let bad = closed.local_addr().unwrap();
        let socket = race(&[bad, bad, good], open).await.unwrap();
        assert_eq!(socket.peer_addr().unwrap(), good);
        assert!(race(&[bad, bad], open).await.is_err());
        assert!(race(&[], open).await.is_err());
    }

    /// The winner of a race, and when each address was tried, in milliseconds.
    async fn run(answers: &[(u64, bool)]) -> (Option<u16>, Vec<(u16, u128)>) {
        let begin = tokio::time::Instant::now();
        let tried = std::cell::RefCell::new(Vec::new());
        let addresses: Vec<SocketAddr> = (0..answers.len())
            .map(|i| ([192, 0, 2, 1], u16::try_from(i).unwrap()).into())
            .collect();
        let open = |address: SocketAddr| {
            let port = address.port();
            tried.borrow_mut().push((port, begin.elapsed().as_millis()));
            let (after, good) = answers[usize::from(port)];
            async move {
                tokio::time::sleep(Duration::from_millis(after)).await;
                let refused = || io::Error::from(io::ErrorKind::ConnectionRefused);
                good.then_some(port).ok_or_else(refused)
            }
        };
        let winner = race(&addresses, open).await.ok();
        (winner, tried.into_inner())
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_that_takes_its_time_gets_company() {
        for (name, answers, winner, tried) in [
            (
                "the first answers",
                &[(249, true), (0, true)][..],
                Some(0),
                &[(0, 0)][..],
            ),
            (
                "the first is silent",
                &[(9000, true), (10, true), (0, true)],
                Some(1),
                &[(0, 0), (1, 250)],
            ),
            (
                "the first is slow, the second slower",
                &[(300, true), (100, true)],
                Some(0),
                &[(0, 0), (1, 250)],
            ),
            (
                "a refusal is not waited for",
                &[(5, false), (0, true)],
                Some(1),
                &[(0, 0), (1, 5)],
            ),
            (
                "all refuse",
                &[(5, false), (400, false)],
                None,
                &[(0, 0), (1, 5)],
            ),
        ] {
            assert_eq!(run(answers).await, (winner, tried.to_vec()), "{name}");
        }
    }
}
