//! `tidegate echo` and the demo's backend: a WebSocket server that sends back what it gets.

use std::net::SocketAddr;

use anyhow::Context as _;
use clap::Args;
use futures::{SinkExt as _, StreamExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::http::HeaderValue;

use crate::run::{Stop, say};

/// Serves WebSockets that send back every message: a backend to try things with.
///
/// Prints the bound address. Ends with SIGTERM or Ctrl-C.
#[derive(Debug, Args)]
pub struct EchoArgs {
    /// Address and port to listen on; port 0: any free one.
    #[arg(long, default_value = "127.0.0.1:9000", value_name = "ADDRESS:PORT")]
    pub address: SocketAddr,
}

/// Serves until a signal asks to stop.
pub async fn run_echo(args: &EchoArgs) -> anyhow::Result<()> {
    let mut stop = Stop::new()?;
    let server = EchoServer::start(args.address).await?;
    say(&format!("echo ws://{}", server.address()));
    stop.asked().await;
    Ok(())
}

/// An echo server. Ends with the value.
#[derive(Debug)]
pub struct EchoServer {
    address: SocketAddr,
    /// Dropping it aborts the server and all its connections.
    _tasks: JoinSet<()>,
}

impl EchoServer {
    /// Binds and starts serving.
    pub async fn start(address: SocketAddr) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(address)
            .await
            .with_context(|| format!("failed to bind {address} for the echo server"))?;
        let address = listener
            .local_addr()
            .context("failed to read the echo backend's address")?;
        let mut tasks = JoinSet::new();
        tasks.spawn(serve(listener));
        Ok(Self {
            address,
            _tasks: tasks,
        })
    }

    /// Where it listens.
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

/// Takes the first subprotocol on offer, so that clients which insist on one work.
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
