//! A connection of which the caller decides each byte, for either side of a handshake.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, ToSocketAddrs};
use tokio_rustls::TlsConnector;

use crate::frame::Frame;
use crate::head::Head;
use crate::wait::within;

/// Longest head, body or frame that is waited for.
const MAX: usize = 64 << 20;

/// A byte stream: TCP or TLS.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// How to connect over TLS: the name in the certificate, and what is trusted.
pub type Tls = (String, Arc<rustls::ClientConfig>);

/// Connects over TCP, and over TLS where that is asked for.
pub async fn connect(
    address: impl ToSocketAddrs,
    tls: Option<Tls>,
) -> anyhow::Result<Box<dyn Stream>> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let Some((name, config)) = tls else {
        return Ok(Box::new(stream));
    };
    let name = ServerName::try_from(name)?;
    let connector = TlsConnector::from(config);
    Ok(Box::new(connector.connect(name, stream).await?))
}

/// Reads up to the empty line. What follows stays in `buffer`, which may hold the beginning.
pub async fn read_head(
    stream: &mut (impl AsyncRead + Unpin + ?Sized),
    buffer: &mut Vec<u8>,
) -> anyhow::Result<Head> {
    loop {
        if let Some(end) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
            let head: Vec<u8> = buffer.drain(..end + 4).collect();
            return Head::parse(&String::from_utf8_lossy(&head));
        }
        read_more(stream, buffer).await?;
    }
}

async fn read_more(
    stream: &mut (impl AsyncRead + Unpin + ?Sized),
    buffer: &mut Vec<u8>,
) -> anyhow::Result<()> {
    ensure!(buffer.len() < MAX, "too long");
    let read = stream.read_buf(buffer).await;
    if read.context("connection broken")? == 0 {
        let got = String::from_utf8_lossy(buffer);
        bail!("the connection ended after {got:?}");
    }
    Ok(())
}

/// A connection and what was read of it but not yet asked for. Each wait is bounded, but for
/// [`Self::next_frame`].
pub struct Wire {
    stream: Box<dyn Stream>,
    buffer: Vec<u8>,
}

impl Wire {
    /// Over a connection.
    pub fn new(stream: impl Stream + 'static) -> Self {
        Self {
            stream: Box::new(stream),
            buffer: Vec::new(),
        }
    }

    /// Connects over TCP, and over TLS where that is asked for.
    pub async fn connect(address: impl ToSocketAddrs, tls: Option<Tls>) -> anyhow::Result<Self> {
        let stream = within("a connection", connect(address, tls)).await?;
        Ok(Self::new(stream))
    }

    /// Sends bytes as they are.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) -> anyhow::Result<()> {
        within("the peer takes our bytes", async {
            self.stream.write_all(bytes.as_ref()).await?;
            Ok(self.stream.flush().await?)
        })
        .await
    }

    /// Sends a frame.
    pub async fn send_frame(&mut self, frame: &Frame) -> anyhow::Result<()> {
        self.send(frame.bytes()).await
    }

    /// Reads a request's or a response's head.
    pub async fn head(&mut self) -> anyhow::Result<Head> {
        let head = read_head(&mut self.stream, &mut self.buffer);
        within("a whole head", head).await
    }

    /// Reads the body that belongs to a head: as long as that says; else none of a request, and all that
    /// comes of a response.
    pub async fn body(&mut self, head: &Head) -> anyhow::Result<String> {
        let body = match head.get("content-length") {
            Some(length) => self.bytes(length.parse()?).await?,
            None if head.start.starts_with("HTTP/") => self.rest().await?,
            None => Vec::new(),
        };
        Ok(String::from_utf8_lossy(&body).into_owned())
    }

    /// Reads a response with its body.
    pub async fn answer(&mut self) -> anyhow::Result<(Head, String)> {
        let head = self.head().await?;
        let body = self.body(&head).await?;
        Ok((head, body))
    }

    /// Reads so many bytes.
    pub async fn bytes(&mut self, count: usize) -> anyhow::Result<Vec<u8>> {
        within(&format!("{count} bytes"), async {
            while self.buffer.len() < count {
                read_more(&mut self.stream, &mut self.buffer).await?;
            }
            Ok(self.buffer.drain(..count).collect())
        })
        .await
    }

    /// Reads a frame.
    pub async fn frame(&mut self) -> anyhow::Result<Frame> {
        within("a frame", self.find_frame()).await
    }

    /// Reads a frame, however long it takes to come; `None` when the connection ends or is reset before.
    pub async fn next_frame(&mut self) -> Option<Frame> {
        self.find_frame().await.ok()
    }

    async fn find_frame(&mut self) -> anyhow::Result<Frame> {
        loop {
            if let Some((frame, length)) = Frame::parse(&self.buffer) {
                self.buffer.drain(..length);
                return Ok(frame);
            }
            read_more(&mut self.stream, &mut self.buffer).await?;
        }
    }

    /// Makes sure that the peer says nothing more: end of stream or reset.
    pub async fn end(&mut self) -> anyhow::Result<()> {
        let rest = self.rest().await?;
        ensure!(rest.is_empty(), "not at the end: {rest:?}");
        Ok(())
    }

    async fn rest(&mut self) -> anyhow::Result<Vec<u8>> {
        within("the end of the connection", async {
            let _reset_counts_as_end = self.stream.read_to_end(&mut self.buffer).await;
            Ok(std::mem::take(&mut self.buffer))
        })
        .await
    }

    /// Makes sure that nothing comes for a moment.
    pub async fn silence(&mut self, period: Duration) -> anyhow::Result<()> {
        ensure!(self.buffer.is_empty(), "not silent: {:?}", self.buffer);
        let mut byte = [0];
        match tokio::time::timeout(period, self.stream.read(&mut byte)).await {
            Err(_) => Ok(()),
            Ok(Ok(0)) => bail!("the connection ended"),
            Ok(Ok(_)) => bail!("not silent: got {byte:?}"),
            Ok(Err(error)) => Err(error.into()),
        }
    }

    /// Ends our direction; the other stays open.
    pub async fn shut_down(&mut self) -> anyhow::Result<()> {
        let end = async { Ok(self.stream.shutdown().await?) };
        within("the end of our direction", end).await
    }
}
