//! Sends a client its refusal and makes sure that it can arrive.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{sleep, timeout};

use crate::backend::BodyRest;
use crate::connections::Slot;
use crate::refusal::{Extent, LAST_CHUNK, Refusal, put_chunk};
use tidegate_config::error_chain;
use tidegate_tunnel::transport::Transport;

/// How long a refused client may take to read its answer and close.
const LINGER_TIMEOUT: Duration = Duration::from_secs(2);

/// How long a client may take to read one piece of a streamed body.
const BODY_WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// How often to check whether an HTTP/2 connection has sent its queued frames.
const FLUSH_POLL: Duration = Duration::from_millis(10);

/// Bytes that a refused client may still send before it is cut off.
const MAX_IGNORED: usize = 64 * 1024;

/// Writes the answer, then waits for the client to go. A socket that is closed with unread bytes
/// sends a reset, which can overtake the answer (RFC 9112 §9.6).
pub(super) async fn send(client: Transport, slot: &Slot, refusal: &Refusal) {
    let mut client = match client {
        // The connection stays open and sends the queued answer.
        Transport::Http2(stream) => {
            let (response, body) = refusal.message();
            return stream.refuse(response, body);
        }
        client => client,
    };
    let bytes = refusal.encode();
    // Boxed, so that it takes no memory in handshakes that are accepted.
    let sending = Box::pin(async {
        client.write_all(&bytes).await?;
        shut(&mut client).await
    });
    // The answer is dropped if the client is too slow, or if others need the connection's slot.
    tokio::select! {
        biased;
        _ = timeout(LINGER_TIMEOUT, sending) => {}
        () = slot.evicted() => {}
    }
}

/// Shuts down the write side and ignores what the client still sends.
async fn shut(client: &mut Transport) -> io::Result<()> {
    client.shutdown().await?;
    let mut ignored = 0;
    let mut scratch = [0; 512];
    while ignored < MAX_IGNORED {
        match client.read(&mut scratch).await? {
            0 => break,
            count => ignored += count,
        }
    }
    Ok(())
}

/// How streaming a refusal's body ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum BodySent {
    /// Complete, or the client stopped reading.
    Done,
    /// Cut, visibly for the client; why.
    Cut(String),
}

/// As [`send`], with a body that still comes from the backend.
pub(super) async fn send_with_body(
    client: Transport,
    refusal: &Refusal,
    mut body: Box<BodyRest<Transport>>,
) -> BodySent {
    let Ok(mut client) = Recipient::begin(client, refusal).await else {
        return BodySent::Done;
    };
    loop {
        match body.next().await {
            Ok(Some(piece)) => {
                if client.send(&piece).await.is_err() {
                    return BodySent::Done;
                }
            }
            Ok(None) => {
                client.finish().await;
                return BodySent::Done;
            }
            Err(cut) => {
                client.abandon().await;
                return BodySent::Cut(error_chain(&cut));
            }
        }
    }
}

/// A client that receives a streamed body.
struct Recipient {
    client: Transport,
    /// Is the body framed in chunks? Over HTTP/2 no body is (RFC 9113 §8.1).
    chunked: bool,
}

impl Recipient {
    /// Sends the head and the part of the body that is here.
    async fn begin(client: Transport, refusal: &Refusal) -> io::Result<Self> {
        let mut client = client;
        let start = match &mut client {
            Transport::Http2(stream) => {
                let (response, body) = refusal.message();
                stream.answer(response)?;
                body
            }
            _ => Bytes::from(refusal.encode()),
        };
        let chunked = match client {
            Transport::Http2(_) => false,
            _ => refusal.extent() == Extent::Begins(None),
        };
        let mut recipient = Self { client, chunked };
        recipient.write(&start).await?;
        Ok(recipient)
    }

    async fn send(&mut self, piece: &[u8]) -> io::Result<()> {
        if !self.chunked {
            return self.write(piece).await;
        }
        let mut chunk = Vec::with_capacity(piece.len() + 16);
        put_chunk(&mut chunk, piece);
        self.write(&chunk).await
    }

    async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let writing = async {
            self.client.write_all(bytes).await?;
            self.client.flush().await
        };
        timeout(BODY_WRITE_TIMEOUT, writing).await?
    }

    /// Ends a complete body.
    async fn finish(mut self) {
        if let Transport::Http2(stream) = &mut self.client {
            let _ = stream.shutdown().await;
            return;
        }
        if self.chunked && self.write(LAST_CHUNK).await.is_err() {
            return;
        }
        let _ = timeout(LINGER_TIMEOUT, shut(&mut self.client)).await;
    }

    /// Ends an incomplete body so that the client sees it: fewer bytes than the length, or no last chunk; an
    /// HTTP/2 stream is reset (RFC 9113 §8.1.1).
    async fn abandon(mut self) {
        if let Transport::Http2(stream) = &mut self.client {
            // A reset drops what the connection has not sent yet, including the head.
            let leaving = async {
                loop {
                    sleep(FLUSH_POLL).await;
                    if stream.has_left() {
                        return;
                    }
                }
            };
            let _ = timeout(LINGER_TIMEOUT, leaving).await;
            return stream.reset();
        }
        let _ = timeout(LINGER_TIMEOUT, shut(&mut self.client)).await;
    }
}
