//! The generator's side of a connection.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tidegate_wire::connection::{Stream, connect};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use crate::wire;

/// No answer on loopback takes as long.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(20);

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
    pub(crate) async fn open(&self, size: usize) -> anyhow::Result<Box<dyn Stream>> {
        timeout(HANDSHAKE_TIMEOUT, self.handshake(size))
            .await
            .with_context(|| format!("no WebSocket from {} in time", self.address))?
    }

    async fn handshake(&self, size: usize) -> anyhow::Result<Box<dyn Stream>> {
        let tls = self.tls.clone();
        let tls = tls.map(|config| ("localhost".to_owned(), config));
        let mut stream = connect(self.address, tls).await?;
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
        anyhow::ensure!(answer.status() == 101, "{}", answer.start);
        Ok(stream)
    }
}

/// Sends a Close, and waits for the answer and the end.
pub(crate) async fn close(mut stream: Box<dyn Stream>) -> anyhow::Result<()> {
    stream.write_all(&wire::CLIENT_CLOSE).await?;
    stream.flush().await?;
    let mut answer = [0; wire::SERVER_CLOSE.len()];
    let read = timeout(HANDSHAKE_TIMEOUT, stream.read_exact(&mut answer)).await;
    read.context("no Close in time")?.context("no Close")?;
    anyhow::ensure!(answer == wire::SERVER_CLOSE, "another answer than a Close");
    Ok(())
}
