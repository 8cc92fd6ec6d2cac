//! A WebSocket server that returns every message.

use std::net::{SocketAddr, TcpListener as StdListener};

use anyhow::Context as _;
use futures::{SinkExt as _, StreamExt as _};
use serde_json::{Map, Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{
    Callback, ErrorResponse, Request, Response,
};
use tokio_tungstenite::tungstenite::http::{HeaderMap, HeaderValue};

/// What a client gets before its own messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Greeting {
    /// Nothing.
    #[default]
    None,
    /// The request of its handshake as JSON: target and headers.
    Headers,
}

/// An echo server. It stops when the value is dropped.
#[derive(Debug)]
pub struct EchoServer {
    address: SocketAddr,
    /// Dropping it aborts the server and all its connections.
    _tasks: JoinSet<()>,
}

impl EchoServer {
    /// Binds the address and starts serving, inside of a runtime.
    ///
    /// # Errors
    ///
    /// When the address cannot be bound.
    pub fn start(address: SocketAddr, greeting: Greeting) -> anyhow::Result<Self> {
        let listener = listen(address)
            .with_context(|| format!("failed to bind {address} for the echo server"))?;
        let address = listener
            .local_addr()
            .context("failed to read the address of the echo server")?;
        let mut tasks = JoinSet::new();
        tasks.spawn(serve(listener, greeting));
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

fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let listener = StdListener::bind(address)?;
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}

async fn serve(listener: TcpListener, greeting: Greeting) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => if let Ok((stream, _)) = accepted {
                connections.spawn(echo(stream, greeting));
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn echo(stream: TcpStream, greeting: Greeting) {
    let mut head = String::new();
    let seen = Seen { head: &mut head };
    let Ok(mut socket) = tokio_tungstenite::accept_hdr_async(stream, seen).await else {
        return;
    };
    if greeting == Greeting::Headers && socket.send(Message::text(head)).await.is_err() {
        return;
    }
    while let Some(Ok(message)) = socket.next().await {
        let is_data = message.is_text() || message.is_binary();
        if is_data && socket.send(message).await.is_err() {
            return;
        }
    }
}

/// `{"target": "/path?query", "headers": {"host": "…"}}`; a header that is there several times has a list.
fn described(request: &Request) -> String {
    json!({"target": request.uri().to_string(), "headers": headers(request.headers())}).to_string()
}

fn headers(headers: &HeaderMap) -> Map<String, Value> {
    let text = |value: &HeaderValue| Value::from(String::from_utf8_lossy(value.as_bytes()));
    let of = |name| {
        let mut values: Vec<_> = headers.get_all(name).iter().map(text).collect();
        match values.len() {
            1 => values.remove(0),
            _ => Value::Array(values),
        }
    };
    let names = headers.keys();
    names.map(|name| (name.to_string(), of(name))).collect()
}

/// Takes a handshake, and keeps what is told of it.
struct Seen<'h> {
    head: &'h mut String,
}

impl Callback for Seen<'_> {
    /// Chooses the first offered subprotocol: some clients close the connection without one.
    fn on_request(
        self,
        request: &Request,
        mut response: Response,
    ) -> Result<Response, ErrorResponse> {
        *self.head = described(request);
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
}
