//! Scripted WebSocket backends: what they do is decided by the test, byte for byte.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context;
use tidegate_wire::{Head, Wire, frame};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::wait::within;

/// A server that waits for the test to decide each handshake.
pub struct Backend {
    address: SocketAddr,
    handshakes: mpsc::UnboundedReceiver<Handshake>,
    _stop: DropGuard,
}

impl Backend {
    /// Over TCP.
    pub async fn start() -> anyhow::Result<Self> {
        Self::serve(None).await
    }

    /// Over TLS.
    pub async fn start_tls(config: Arc<rustls::ServerConfig>) -> anyhow::Result<Self> {
        Self::serve(Some(config.into())).await
    }

    async fn serve(tls: Option<TlsAcceptor>) -> anyhow::Result<Self> {
        let (sender, handshakes) = mpsc::unbounded_channel();
        let (address, stop) = listen(move |stream| {
            let (sender, tls) = (sender.clone(), tls.clone());
            async move {
                let mut wire = match tls {
                    None => Wire::new(stream),
                    Some(tls) => Wire::new(tls.accept(stream).await?),
                };
                let head = wire.head().await?;
                let _test_is_over = sender.send(Handshake { head, wire });
                Ok(())
            }
        })
        .await?;
        Ok(Self {
            address,
            handshakes,
            _stop: stop,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The next handshake, its request read and not yet answered.
    pub async fn handshake(&mut self) -> anyhow::Result<Handshake> {
        within("a handshake at the backend", async {
            self.handshakes.recv().await.context("the backend is gone")
        })
        .await
    }

    /// Did a handshake arrive that nobody asked for yet?
    pub fn is_idle(&self) -> bool {
        self.handshakes.is_empty()
    }
}

/// A client's request at the backend.
pub struct Handshake {
    /// What the client asked.
    pub head: Head,
    wire: Wire,
}

impl Handshake {
    /// Answers 101.
    pub async fn accept(self) -> anyhow::Result<Wire> {
        self.accept_with(&[], b"").await
    }

    /// Answers 101 with more headers, and with `trailing` in the same segment.
    pub async fn accept_with(
        mut self,
        headers: &[(&str, &str)],
        trailing: &[u8],
    ) -> anyhow::Result<Wire> {
        let key = self.head.get("sec-websocket-key").context("no key")?;
        let mut answer = accepting(key, headers).into_bytes();
        answer.extend(trailing);
        self.wire.send(answer).await?;
        Ok(self.wire)
    }

    /// Answers with a refusal.
    pub async fn refuse(
        mut self,
        status: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> anyhow::Result<()> {
        let lines = headers.iter().map(|(n, v)| format!("{n}: {v}\r\n"));
        let lines: String = lines.collect();
        let length = body.len();
        let head = format!("HTTP/1.1 {status}\r\n{lines}Content-Length: {length}\r\n\r\n");
        self.wire.send(head + body).await?;
        self.wire.shut_down().await
    }

    /// The connection, to answer whatever one likes.
    pub fn into_wire(self) -> Wire {
        self.wire
    }
}

/// A server that accepts every handshake and echoes every message.
pub struct Echo {
    address: SocketAddr,
    heads: Arc<Mutex<Vec<Head>>>,
    _stop: DropGuard,
}

impl Echo {
    /// Over TCP.
    pub async fn start() -> anyhow::Result<Self> {
        Self::serve(None).await
    }

    /// Over TLS.
    pub async fn start_tls(config: Arc<rustls::ServerConfig>) -> anyhow::Result<Self> {
        Self::serve(Some(config.into())).await
    }

    async fn serve(tls: Option<TlsAcceptor>) -> anyhow::Result<Self> {
        let heads = Arc::new(Mutex::new(Vec::new()));
        let record = Arc::clone(&heads);
        let (address, stop) = listen(move |stream| {
            let (record, tls) = (Arc::clone(&record), tls.clone());
            async move {
                match tls {
                    None => echo(Wire::new(stream), &record).await,
                    Some(tls) => echo(Wire::new(tls.accept(stream).await?), &record).await,
                }
            }
        })
        .await?;
        Ok(Self {
            address,
            heads,
            _stop: stop,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("ws://{}/", self.address)
    }

    /// All requests so far.
    pub fn heads(&self) -> Vec<Head> {
        let heads = self.heads.lock().unwrap_or_else(PoisonError::into_inner);
        heads.clone()
    }

    /// The latest request.
    pub fn last_head(&self) -> anyhow::Result<Head> {
        let heads = self.heads();
        heads.last().cloned().context("no request at the backend")
    }
}

async fn echo(mut wire: Wire, record: &Mutex<Vec<Head>>) -> anyhow::Result<()> {
    let head = wire.head().await?;
    let key = head.get("sec-websocket-key").context("no key")?;
    let offered = head.all("sec-websocket-protocol").join(",");
    let first = offered.split(',').next().unwrap_or_default().trim();
    let chosen = [("Sec-WebSocket-Protocol", first)];
    let headers = if first.is_empty() { &[][..] } else { &chosen };
    let answer = accepting(key, headers);
    {
        let mut heads = record.lock().unwrap_or_else(PoisonError::into_inner);
        heads.push(head);
    }
    wire.send(answer).await?;
    while let Some(frame) = wire.next_frame().await {
        if frame.opcode == frame::PONG {
            continue;
        }
        let frame = frame.echoed();
        wire.send_frame(&frame).await?;
        if frame.opcode == frame::CLOSE {
            return wire.shut_down().await;
        }
    }
    Ok(())
}

/// A 101 for this key (RFC 6455 §4.2.2).
fn accepting(key: &str, headers: &[(&str, &str)]) -> String {
    let accept = derive_accept_key(key.as_bytes());
    let lines = headers.iter().map(|(n, v)| format!("{n}: {v}\r\n"));
    let lines: String = lines.collect();
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n{lines}\r\n"
    )
}

/// Accepts connections until the guard is dropped; each gets a task of its own.
pub(crate) async fn listen<F>(
    serve: impl Fn(TcpStream) -> F + Send + 'static,
) -> anyhow::Result<(SocketAddr, DropGuard)>
where
    F: Future<Output = anyhow::Result<()>> + Send + 'static,
{
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let address = listener.local_addr()?;
    let stop = CancellationToken::new();
    let guard = stop.clone().drop_guard();
    let tasks = TaskTracker::new();
    let connections = tasks.clone();
    tasks.spawn(async move {
        while let Some(Ok((stream, _))) = stop.run_until_cancelled(listener.accept()).await {
            let _only_slower = stream.set_nodelay(true);
            let connection = serve(stream);
            let stop = stop.clone();
            // A connection that fails is what the test is about; it sees its own end of it.
            connections.spawn(async move { stop.run_until_cancelled(connection).await });
        }
    });
    Ok((address, guard))
}
