//! A small HTTP server for what gateways and browsers fetch, and a client for admin ports.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tidegate_wire::{Head, Wire};
use tokio_util::sync::DropGuard;

use crate::backend::listen;

/// A request with its body.
#[derive(Clone, Debug)]
pub struct Request {
    /// Its head.
    pub head: Head,
    /// Its body.
    pub body: String,
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Response {
    status: &'static str,
    kind: &'static str,
    body: String,
}

impl Response {
    /// 200 with JSON.
    pub fn json(body: &str) -> Self {
        Self::ok("application/json", body)
    }

    /// 200 with a page.
    pub fn html(body: &str) -> Self {
        Self::ok("text/html; charset=utf-8", body)
    }

    /// JSON with this status line.
    pub fn with(status: &'static str, body: &str) -> Self {
        Self {
            status,
            ..Self::json(body)
        }
    }

    /// 404.
    pub fn not_found() -> Self {
        Self {
            status: "404 Not Found",
            ..Self::ok("text/plain", "no such thing\n")
        }
    }

    fn ok(kind: &'static str, body: &str) -> Self {
        Self {
            status: "200 OK",
            kind,
            body: body.to_owned(),
        }
    }
}

/// A server that answers by a function and records what it was asked.
pub struct HttpServer {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<Request>>>,
    _stop: DropGuard,
}

impl HttpServer {
    /// Starts it; `answer` gets the server's address and the request.
    pub async fn start(
        answer: impl Fn(SocketAddr, &Request) -> Response + Send + Sync + 'static,
    ) -> anyhow::Result<Self> {
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (record, answer) = (Arc::clone(&requests), Arc::new(answer));
        let (address, stop) = listen(move |stream| {
            let (record, answer) = (Arc::clone(&record), Arc::clone(&answer));
            async move {
                let here = stream.local_addr()?;
                let mut wire = Wire::new(stream);
                let head = wire.head().await?;
                let body = wire.body(&head).await?;
                let request = Request { head, body };
                let Response { status, kind, body } = answer(here, &request);
                {
                    let mut record = record.lock().unwrap_or_else(PoisonError::into_inner);
                    record.push(request);
                }
                let length = body.len();
                wire.send(format!(
                    "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\
                     Connection: close\r\n\r\n{body}"
                ))
                .await?;
                wire.shut_down().await
            }
        })
        .await?;
        Ok(Self {
            address,
            requests,
            _stop: stop,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// All requests so far.
    pub fn requests(&self) -> Vec<Request> {
        let requests = self.requests.lock();
        requests.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Status and body of a GET.
pub async fn get(address: SocketAddr, path: &str) -> anyhow::Result<(u16, String)> {
    get_with(address, path, "").await
}

/// The same by one who shows a token.
pub async fn get_with_token(
    address: SocketAddr,
    path: &str,
    token: &str,
) -> anyhow::Result<(u16, String)> {
    get_with(address, path, &format!("Authorization: Bearer {token}\r\n")).await
}

async fn get_with(address: SocketAddr, path: &str, lines: &str) -> anyhow::Result<(u16, String)> {
    let mut wire = Wire::connect(address, None).await?;
    wire.send(format!(
        "GET {path} HTTP/1.1\r\nHost: {address}\r\n{lines}Connection: close\r\n\r\n"
    ))
    .await?;
    let (head, body) = wire.answer().await?;
    Ok((head.status(), body))
}
