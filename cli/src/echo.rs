//! `tidegate echo` and the backend of the demo: a WebSocket server that returns every message.

use std::net::SocketAddr;

use anyhow::Context as _;
use clap::Args;
use futures::{SinkExt as _, StreamExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::http::HeaderValue;

use crate::run::{StopSignal, say};

/// Runs a WebSocket server that returns every message, as a backend for experiments.
///
/// Prints the bound address. Stop it with SIGTERM or Ctrl-C.
#[derive(Debug, Args)]
pub struct EchoArgs {
    /// Address and port to listen on. Port 0 takes any free port.
    #[arg(long, default_value = "127.0.0.1:9000", value_name = "ADDRESS:PORT")]
    pub address: SocketAddr,
}

/// Serves until SIGTERM or SIGINT.
///
/// # Errors
///
/// When the address cannot be bound.
pub async fn run_echo(args: &EchoArgs) -> anyhow::Result<()> {
    let mut stop = StopSignal::new()?;
    let server = EchoServer::start(args.address).await?;
    say(&format!("echo ws://{}", server.address()));
    stop.received().await;
    Ok(())
}

/// An echo server. It stops when the value is dropped.
#[derive(Debug)]
pub struct EchoServer {
    address: SocketAddr,
    /// Dropping it aborts the server and all its connections.
    _tasks: JoinSet<()>,
}

impl EchoServer {
    /// Binds the address and starts serving.
    ///
    /// # Errors
    ///
    /// When the address cannot be bound.
    pub async fn start(address: SocketAddr) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(address)
            .await
            .with_context(|| format!("failed to bind {address} for the echo server"))?;
        let address = listener
            .local_addr()
            .context("failed to read the address of the echo server")?;
        let mut tasks = JoinSet::new();
        tasks.spawn(serve(listener));
        Ok(Self {
            address,
            _tasks: tasks,
        })
    }

    /// The bound address.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }
}

async fn serve(listener: TcpListener) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => if let Ok((stream, _)) = accepted {
                connections.spawn(echo(stream));
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn echo(stream: TcpStream) {
    let Ok(mut socket) = tokio_tungstenite::accept_hdr_async(stream, choose_subprotocol).await
    else {
        return;
    };
    while let Some(Ok(message)) = socket.next().await {
        let is_data = message.is_text() || message.is_binary();
        if is_data && socket.send(message).await.is_err() {
            return;
        }
    }
}

/// Chooses the first offered subprotocol: some clients close the connection without one.
#[expect(clippy::result_large_err, reason = "the signature is tungstenite's")]
fn choose_subprotocol(
    request: &Request,
    mut response: Response,
) -> Result<Response, tokio_tungstenite::tungstenite::handshake::server::ErrorResponse> {
    let offer = request
        .headers()
        .get("Sec-WebSocket-Protocol")
        .and_then(|value| value.to_str().ok());
    let first = offer
        .and_then(|offer| offer.split(',').next())
        .map(str::trim);
    if let Some(value) = first.and_then(|first| HeaderValue::from_str(first).ok()) {
        response
            .headers_mut()
            .insert("Sec-WebSocket-Protocol", value);
    }
    Ok(response)
}
