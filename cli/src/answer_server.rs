//! An HTTP server in place of the services that policies ask. It answers every request with 200 and JSON: what an
//! application and Azure SignalR answer to a negotiation, and the request itself.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use anyhow::Context as _;
use serde_json::{Map, Value, json};
use tidegate_wire::{Head, Wire};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// The server. It stops when the value is dropped.
#[derive(Debug)]
pub struct AnswerServer {
    address: SocketAddr,
    /// Dropping it aborts the server and all its connections.
    _tasks: JoinSet<()>,
}

impl AnswerServer {
    /// Starts on a free port, inside of a runtime. `service` is the authority that negotiations name.
    ///
    /// # Errors
    ///
    /// When no port is free.
    pub fn start(service: &str) -> anyhow::Result<Self> {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
        let listener = listener.context("failed to bind a port for the answering server")?;
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        let address = listener.local_addr()?;
        let mut tasks = JoinSet::new();
        tasks.spawn(serve(listener, service.into()));
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

async fn serve(listener: TcpListener, service: Arc<str>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => if let Ok((stream, _)) = accepted {
                let service = Arc::clone(&service);
                // Whoever asked sees when a connection fails.
                connections.spawn(async move { let _ = answer(stream, &service).await; });
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn answer(stream: TcpStream, service: &str) -> anyhow::Result<()> {
    let mut wire = Wire::new(stream);
    let head = wire.head().await?;
    let body = wire.body(&head).await?;
    let json = negotiation(service, &head, &body).to_string();
    let length = json.len();
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    wire.send((head + &json).as_bytes()).await?;
    wire.shut_down().await
}

fn negotiation(service: &str, head: &Head, body: &str) -> Value {
    let field = |(name, value): &(String, String)| (name.to_lowercase(), Value::from(&**value));
    let headers: Map<_, _> = head.fields.iter().map(field).collect();
    json!({
        "url": format!("https://{service}/client/?hub=echo"),
        "accessToken": "echo",
        "connectionId": "echo",
        "connectionToken": "echo",
        "negotiateVersion": 1,
        "availableTransports": [{"transport": "WebSockets", "transferFormats": ["Text", "Binary"]}],
        "request": {
            "method": head.method(), "target": head.target(), "headers": headers, "body": body,
        },
    })
}
