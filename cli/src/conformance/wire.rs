//! A connection of the client or the recording backend: heads, bodies, frames.

use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::frame::Frame;

/// How long each wait may take: generous, for busy machines and clusters.
pub(super) const STEP_TIMEOUT: Duration = Duration::from_secs(15);
/// Longer heads and bodies are errors: no case has them.
const MAX_HEAD: usize = 64 * 1024;
const MAX_BODY: usize = 16 * 1024 * 1024;

/// A byte stream: TCP or TLS.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A connection and its read buffer.
pub(super) struct Wire {
    stream: Box<dyn Stream>,
    read: Vec<u8>,
}

/// Start line and fields of a request or a response.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Head {
    /// The first line.
    pub(super) start: String,
    /// Names in lower case, with values.
    pub(super) fields: Vec<(String, String)>,
}

impl Head {
    /// All values of a field, joined as RFC 9110 §5.3 does; `None` without it.
    pub(super) fn get(&self, name: &str) -> Option<String> {
        let named = self
            .fields
            .iter()
            .filter(|(n, _)| n.eq_ignore_ascii_case(name));
        let values: Vec<_> = named.map(|(_, value)| value.as_str()).collect();
        (!values.is_empty()).then(|| values.join(", "))
    }

    /// A word of the start line.
    pub(super) fn word(&self, at: usize) -> &str {
        self.start.split(' ').nth(at).unwrap_or_default()
    }

    /// The status of a response; 0 if there is none.
    pub(super) fn status(&self) -> u16 {
        self.word(1).parse().unwrap_or(0)
    }

    fn parse(text: &str) -> Self {
        let mut lines = text.split("\r\n");
        let start = lines.next().unwrap_or_default().to_owned();
        let fields = lines.filter_map(|line| line.split_once(':'));
        let fields = fields.map(|(n, v)| (n.to_ascii_lowercase(), v.trim().to_owned()));
        Self {
            start,
            fields: fields.collect(),
        }
    }
}

impl Wire {
    pub(super) fn new(stream: impl Stream + 'static) -> Self {
        Self {
            stream: Box::new(stream),
            read: Vec::new(),
        }
    }

    pub(super) async fn send(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        within("sending bytes", async {
            self.stream.write_all(bytes).await?;
            Ok(self.stream.flush().await?)
        })
        .await
    }

    /// The next head.
    pub(super) async fn head(&mut self) -> anyhow::Result<Head> {
        within("receiving a head", async {
            loop {
                if let Some(end) = find(&self.read, b"\r\n\r\n") {
                    let text = String::from_utf8_lossy(&self.read[..end]).into_owned();
                    self.read.drain(..end + 4);
                    return Ok(Head::parse(&text));
                }
                ensure!(self.read.len() <= MAX_HEAD, "the head is too long");
                ensure!(self.more().await? > 0, "the connection ended");
            }
        })
        .await
    }

    /// The body that belongs to a head.
    pub(super) async fn body(&mut self, head: &Head) -> anyhow::Result<String> {
        let length = head
            .get("content-length")
            .map(|length| length.parse::<usize>());
        let length = length.transpose().context("content-length")?;
        within("receiving a body", async {
            match length {
                Some(length) => {
                    ensure!(length <= MAX_BODY, "the body is too long: {length} bytes");
                    while self.read.len() < length {
                        ensure!(self.more().await? > 0, "the connection ended");
                    }
                    let body: Vec<_> = self.read.drain(..length).collect();
                    Ok(String::from_utf8_lossy(&body).into_owned())
                }
                None if head.start.starts_with("HTTP/") => {
                    while self.more().await? > 0 {
                        ensure!(self.read.len() <= MAX_BODY, "the body is too long");
                    }
                    let body = std::mem::take(&mut self.read);
                    Ok(String::from_utf8_lossy(&body).into_owned())
                }
                None => Ok(String::new()),
            }
        })
        .await
    }

    /// The next frame; `None` when the connection ended without one.
    pub(super) async fn frame(&mut self) -> anyhow::Result<Option<Frame>> {
        loop {
            if let Some((frame, length)) = Frame::parse(&self.read)? {
                self.read.drain(..length);
                return Ok(Some(frame));
            }
            // A reset ends the connection, too.
            if self.more().await.unwrap_or(0) == 0 {
                return Ok(None);
            }
        }
    }

    async fn more(&mut self) -> std::io::Result<usize> {
        self.stream.read_buf(&mut self.read).await
    }

    pub(super) async fn shut_down(&mut self) {
        // The peer may be gone already.
        let _ = tokio::time::timeout(STEP_TIMEOUT, self.stream.shutdown()).await;
    }
}

/// Waits for a result, at most for [`STEP_TIMEOUT`].
pub(super) async fn within<T>(
    what: &str,
    awaited: impl Future<Output = anyhow::Result<T>>,
) -> anyhow::Result<T> {
    match tokio::time::timeout(STEP_TIMEOUT, awaited).await {
        Ok(result) => result.with_context(|| format!("error while {what}")),
        Err(_) => bail!("timeout of {STEP_TIMEOUT:?} while {what}"),
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}
