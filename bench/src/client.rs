//! The generator's side of a connection.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::wire;

/// No answer on loopback takes as long.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(20);

/// Any connection.
pub(crate) trait Io: AsyncRead + AsyncWrite + Unpin {}

impl<T: AsyncRead + AsyncWrite + Unpin> Io for T {}

/// Where to connect, and what to say.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    pub(crate) path: String,
    /// Lines of the head, each with its end.
    pub(crate) headers: String,
    pub(crate) tls: Option<Arc<rustls::ClientConfig>>,
}

impl Target {
    /// Without TLS and headers.
    pub(crate) fn plain(address: SocketAddr) -> Self {
        Self {
            address,
            path: "/echo".to_owned(),
            headers: String::new(),
            tls: None,
        }
    }

    /// A WebSocket whose messages will have `size` bytes; 0: it will be flooded.
    pub(crate) async fn open(&self, size: usize) -> anyhow::Result<Box<dyn Io>> {
        timeout(HANDSHAKE_TIMEOUT, self.handshake(size))
            .await
            .with_context(|| format!("no WebSocket from {} in time", self.address))?
    }

    async fn handshake(&self, size: usize) -> anyhow::Result<Box<dyn Io>> {
        let socket = TcpStream::connect(self.address).await?;
        socket.set_nodelay(true)?;
        let mut stream: Box<dyn Io> = match &self.tls {
            None => Box::new(socket),
            Some(config) => {
                let name = ServerName::try_from("localhost")?;
                let connector = TlsConnector::from(Arc::clone(config));
                Box::new(connector.connect(name, socket).await?)
            }
        };
        let head = format!(
            "GET {}?size={size} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\
             Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{}\r\n",
            self.path, self.headers
        );
        stream.write_all(head.as_bytes()).await?;
        // A TLS session may keep what the runtime did not let it write at once.
        stream.flush().await?;
        if size == 0 {
            // The flood follows the head at once: nothing must be read.
            return Ok(stream);
        }
        let answer = wire::read_head(&mut stream).await.context("no answer")?;
        anyhow::ensure!(answer.starts_with("HTTP/1.1 101"), "{answer}");
        Ok(stream)
    }
}

/// Says goodbye, and waits for the answer and the end.
pub(crate) async fn close(mut stream: Box<dyn Io>) -> anyhow::Result<()> {
    stream.write_all(&wire::CLIENT_CLOSE).await?;
    stream.flush().await?;
    let mut answer = [0; wire::SERVER_CLOSE.len()];
    let read = timeout(HANDSHAKE_TIMEOUT, stream.read_exact(&mut answer)).await;
    read.context("no Close in time")?.context("no Close")?;
    anyhow::ensure!(answer == wire::SERVER_CLOSE, "another answer than a Close");
    Ok(())
}
