//! A WebSocket client for tests that look at messages rather than bytes.

use std::sync::Arc;

use anyhow::{Context, bail};
use futures::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::{HeaderName, HeaderValue, Response};
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{
    Connector, MaybeTlsStream, WebSocketStream, connect_async_tls_with_config,
};

use crate::wait::within;

/// How a handshake ended.
#[derive(Debug)]
pub enum Outcome {
    /// With a tunnel.
    Open(Box<Client>),
    /// With an answer other than 101.
    Refused(Refused),
}

impl Outcome {
    /// Its status; 101 for a tunnel.
    pub fn status(&self) -> u16 {
        match self {
            Self::Open(_) => 101,
            Self::Refused(refused) => refused.status,
        }
    }
}

/// An answer other than 101.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Its status.
    pub status: u16,
    /// Its headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// Its body.
    pub body: String,
}

impl Refused {
    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut named = self.headers.iter().filter(|(n, _)| n == name);
        named.next().map(|(_, value)| value.as_str())
    }

    /// The `message` of the usual JSON body, its `statusCode` checked.
    pub fn message(&self) -> anyhow::Result<String> {
        let body: serde_json::Value = serde_json::from_str(&self.body)
            .with_context(|| format!("not the usual body: {:?}", self.body))?;
        anyhow::ensure!(body["statusCode"] == self.status, "statusCode: {body}");
        let message = body["message"].as_str().context("no message")?;
        Ok(message.to_owned())
    }
}

/// A handshake to make.
#[derive(Clone, Debug)]
pub struct Request {
    url: String,
    headers: Vec<(&'static str, String)>,
    tls: Option<Arc<rustls::ClientConfig>>,
}

impl Request {
    /// To this URL.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            headers: Vec::new(),
            tls: None,
        }
    }

    /// With one more header.
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Trusting this.
    pub fn tls(mut self, config: Arc<rustls::ClientConfig>) -> Self {
        self.tls = Some(config);
        self
    }

    /// Makes the handshake.
    pub async fn send(self) -> anyhow::Result<Outcome> {
        let mut request = self.url.as_str().into_client_request()?;
        for (name, value) in &self.headers {
            let value = HeaderValue::from_str(value)?;
            request
                .headers_mut()
                .append(HeaderName::from_static(name), value);
        }
        let tls = self.tls.map(Connector::Rustls);
        let what = format!("the answer to {}", self.url);
        let answer = within(&what, async {
            match connect_async_tls_with_config(request, None, true, tls).await {
                Ok((stream, answer)) => Ok(Ok((stream, answer))),
                Err(Error::Http(answer)) => Ok(Err(*answer)),
                Err(error) => Err(error.into()),
            }
        })
        .await?;
        Ok(match answer {
            Ok((stream, answer)) => Outcome::Open(Box::new(Client {
                stream,
                answer: headers(&answer),
            })),
            Err(answer) => Outcome::Refused(Refused {
                status: answer.status().as_u16(),
                headers: headers(&answer),
                body: String::from_utf8(answer.into_body().unwrap_or_default())?,
            }),
        })
    }

    /// Makes the handshake and expects a tunnel.
    pub async fn open(self) -> anyhow::Result<Client> {
        match self.send().await? {
            Outcome::Open(client) => Ok(*client),
            Outcome::Refused(refused) => bail!("refused: {refused:?}"),
        }
    }

    /// Makes the handshake and expects a refusal.
    pub async fn refused(self) -> anyhow::Result<Refused> {
        match self.send().await? {
            Outcome::Refused(refused) => Ok(refused),
            Outcome::Open(_) => bail!("should have been refused"),
        }
    }

    /// Makes the handshake and expects a refusal with this status.
    pub async fn refused_with(self, status: u16) -> anyhow::Result<Refused> {
        let refused = self.refused().await?;
        anyhow::ensure!(refused.status == status, "not {status}: {refused:?}");
        Ok(refused)
    }
}

fn headers<T>(answer: &Response<T>) -> Vec<(String, String)> {
    let headers = answer.headers().iter();
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    headers
        .map(|(n, v)| (n.as_str().to_owned(), text(v)))
        .collect()
}

/// The client's end of a tunnel.
#[derive(Debug)]
pub struct Client {
    stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
    answer: Vec<(String, String)>,
}

impl Client {
    /// The value of a header of the 101.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut named = self.answer.iter().filter(|(n, _)| n == name);
        named.next().map(|(_, value)| value.as_str())
    }

    /// Sends a text and expects it back.
    pub async fn echo(&mut self, text: &str) -> anyhow::Result<()> {
        self.send(Message::text(text)).await?;
        let back = self.message().await?;
        anyhow::ensure!(back == Message::text(text), "sent {text:?}, got {back:?}");
        Ok(())
    }

    /// Sends a message.
    pub async fn send(&mut self, message: Message) -> anyhow::Result<()> {
        within("the peer takes a message", async {
            Ok(self.stream.send(message).await?)
        })
        .await
    }

    /// The next message.
    pub async fn message(&mut self) -> anyhow::Result<Message> {
        within("a message", async {
            Ok(self.stream.next().await.context("end of the tunnel")??)
        })
        .await
    }

    /// Waits for the peer's Close; its code and reason. Messages before it are left out.
    pub async fn closed(&mut self) -> anyhow::Result<(u16, String)> {
        loop {
            match self.message().await.context("awaited a Close")? {
                Message::Close(Some(close)) => {
                    return Ok((close.code.into(), close.reason.to_string()));
                }
                Message::Close(None) => bail!("a Close without code"),
                _ => {}
            }
        }
    }
}
