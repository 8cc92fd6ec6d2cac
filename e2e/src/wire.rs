//! A connection of which a test decides each byte, for either side of a handshake.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context, bail, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::frame::Frame;
use crate::wait::within;

/// Longest head or frame that is waited for.
const MAX: usize = 64 << 20;

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A connection and what was read of it but not yet asked for.
pub struct Wire {
    stream: Box<dyn Stream>,
    buffer: Vec<u8>,
}

impl Wire {
    /// Connects over TCP.
    pub async fn connect(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = within(&format!("a connection to {address}"), async {
            Ok(TcpStream::connect(address).await?)
        })
        .await?;
        stream.set_nodelay(true)?;
        Ok(Self::new(stream))
    }

    /// Connects over TLS, expecting a certificate for `name`.
    pub async fn connect_tls(
        address: SocketAddr,
        name: &str,
        config: Arc<rustls::ClientConfig>,
    ) -> anyhow::Result<Self> {
        let name = ServerName::try_from(name.to_owned())?;
        within(&format!("a TLS connection to {address}"), async {
            let stream = TcpStream::connect(address).await?;
            let stream = TlsConnector::from(config).connect(name, stream).await?;
            Ok(Self::new(stream))
        })
        .await
    }

    pub(crate) fn new(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Self {
        Self {
            stream: Box::new(stream),
            buffer: Vec::new(),
        }
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

    /// Reads a request's or an answer's head.
    pub async fn head(&mut self) -> anyhow::Result<Head> {
        let bytes = self.take("a whole head", |buffer| {
            let end = buffer.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
            Some((buffer[..end].to_vec(), end))
        });
        Head::parse(&bytes.await?)
    }

    /// Reads an answer with its body.
    pub async fn answer(&mut self) -> anyhow::Result<(Head, String)> {
        let head = self.head().await?;
        let length: usize = head.get("content-length").unwrap_or("0").parse()?;
        let body = self.bytes(length).await?;
        Ok((head, String::from_utf8(body)?))
    }

    /// Reads so many bytes.
    pub async fn bytes(&mut self, count: usize) -> anyhow::Result<Vec<u8>> {
        self.take(&format!("{count} bytes"), |buffer| {
            Some((buffer.get(..count)?.to_vec(), count))
        })
        .await
    }

    /// Reads a frame.
    pub async fn frame(&mut self) -> anyhow::Result<Frame> {
        self.take("a frame", Frame::parse).await
    }

    /// Makes sure that the peer says nothing more: end of stream or reset.
    pub async fn end(&mut self) -> anyhow::Result<()> {
        ensure!(self.buffer.is_empty(), "not at the end: {:?}", self.buffer);
        let mut rest = Vec::new();
        within("the end of the connection", async {
            let _reset_counts_as_end = self.stream.read_to_end(&mut rest).await;
            ensure!(rest.is_empty(), "got instead: {rest:?}");
            Ok(())
        })
        .await
    }

    /// Makes sure that nothing comes for a moment.
    pub async fn silence(&mut self, period: std::time::Duration) -> anyhow::Result<()> {
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
        Ok(self.stream.shutdown().await?)
    }

    /// Reads a frame, however long it takes to come.
    pub(crate) async fn next_frame(&mut self) -> anyhow::Result<Frame> {
        self.find(Frame::parse).await
    }

    async fn take<T>(
        &mut self,
        what: &str,
        find: impl Fn(&[u8]) -> Option<(T, usize)>,
    ) -> anyhow::Result<T> {
        within(what, self.find(find)).await
    }

    async fn find<T>(&mut self, find: impl Fn(&[u8]) -> Option<(T, usize)>) -> anyhow::Result<T> {
        loop {
            if let Some((found, length)) = find(&self.buffer) {
                self.buffer.drain(..length);
                return Ok(found);
            }
            ensure!(self.buffer.len() < MAX, "too long");
            let read = self.stream.read_buf(&mut self.buffer).await;
            if read.context("connection broken")? == 0 {
                let got = String::from_utf8_lossy(&self.buffer);
                bail!("the connection ended after {got:?}");
            }
        }
    }
}

/// The head of a request or an answer, as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The first line.
    pub start: String,
    /// All headers in their order, names as written.
    pub headers: Vec<(String, String)>,
}

impl Head {
    fn parse(bytes: &[u8]) -> anyhow::Result<Self> {
        let text = std::str::from_utf8(bytes).context("a head that is not text")?;
        let mut lines = text.trim_end().split("\r\n");
        let start = lines.next().unwrap_or_default().to_owned();
        let header = |line: &str| {
            let (name, value) = line.split_once(':').context("a header without colon")?;
            Ok((name.to_owned(), value.trim().to_owned()))
        };
        let headers = lines.map(header).collect::<anyhow::Result<_>>()?;
        Ok(Self { start, headers })
    }

    /// The only value of a header; `None` when it is missing or there are several.
    pub fn get(&self, name: &str) -> Option<&str> {
        match self.all(name)[..] {
            [only] => Some(only),
            _ => None,
        }
    }

    /// All values of a header.
    pub fn all(&self, name: &str) -> Vec<&str> {
        let named = self.headers.iter();
        let named = named.filter(|(n, _)| n.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value.as_str()).collect()
    }

    /// Path and query of a request.
    pub fn target(&self) -> &str {
        self.start.split(' ').nth(1).unwrap_or_default()
    }

    /// Status of an answer; 0 when it has none.
    pub fn status(&self) -> u16 {
        let word = self.start.split(' ').nth(1);
        word.and_then(|word| word.parse().ok()).unwrap_or(0)
    }
}

/// The request of a handshake, to be changed at will.
#[derive(Clone, Debug)]
pub struct Upgrade {
    /// Path and query.
    pub target: String,
    /// Its headers.
    pub headers: Vec<(String, String)>,
}

impl Upgrade {
    /// A correct one.
    pub fn new(host: &str, target: &str) -> Self {
        let key = STANDARD.encode(rand::random::<[u8; 16]>());
        let headers = [
            ("Host", host),
            ("Connection", "Upgrade"),
            ("Upgrade", "websocket"),
            ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Key", &key),
        ];
        Self {
            target: target.to_owned(),
            headers: headers.map(|(n, v)| (n.to_owned(), v.to_owned())).to_vec(),
        }
    }

    /// The same with one more header line.
    pub fn and(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The same without a header.
    pub fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(n, _)| !n.eq_ignore_ascii_case(name));
        self
    }

    /// As it stands on the wire.
    pub fn bytes(&self) -> Vec<u8> {
        let lines = self.headers.iter().map(|(n, v)| format!("{n}: {v}\r\n"));
        let lines: String = lines.collect();
        format!("GET {} HTTP/1.1\r\n{lines}\r\n", self.target).into_bytes()
    }
}
