//! Gives a client its refusal, so that it arrives.

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

/// How long a refused client may take to read its answer and go.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long a client may take for one piece of a body that is passed on as it comes.
const PIECE_PATIENCE: Duration = Duration::from_secs(10);

/// How often it is looked whether an HTTP/2 connection has sent what it was given: several turns of its
/// task.
const LOOK: Duration = Duration::from_millis(10);

/// What a refused client may still send before it is cut off.
const MOST_IGNORED: usize = 64 * 1024;

/// Writes the answer, then waits for the client to go. A socket that is closed with unread bytes
/// sends a reset, which can overtake the answer (RFC 9112 §9.6).
pub(super) async fn answer(client: Transport, slot: &Slot, refusal: &Refusal) {
    let mut client = match client {
        // The connection goes on, and sends what it was given.
        Transport::Http2(stream) => {
            let (response, body) = refusal.message();
            return stream.refuse(response, body);
        }
        client => client,
    };
    let bytes = refusal.encode();
    // Boxed, so that handshakes that are not refused have no room for it.
    let farewell = Box::pin(async {
        client.write_all(&bytes).await?;
        shut(&mut client).await
    });
    // Whoever does not take it in time does without, and so it is when others need the place.
    tokio::select! {
        biased;
        _ = timeout(PATIENCE, farewell) => {}
        () = slot.evicted() => {}
    }
}

/// Says that nothing follows, and ignores what the client still sends.
async fn shut(client: &mut Transport) -> io::Result<()> {
    client.shutdown().await?;
    let mut ignored = 0;
    let mut scratch = [0; 512];
    while ignored < MOST_IGNORED {
        match client.read(&mut scratch).await? {
            0 => break,
            count => ignored += count,
        }
    }
    Ok(())
}

/// How the body of a refusal went that was passed on as it came.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Passed {
    /// To its end, or as far as the client took it.
    Done,
    /// The client sees that there is more; why it does not get it.
    Cut(String),
}

/// As [`answer`], with a body of which the rest is still to come from the backend.
pub(super) async fn answer_with(
    client: Transport,
    refusal: &Refusal,
    mut body: Box<BodyRest<Transport>>,
) -> Passed {
    let Ok(mut client) = Recipient::begin(client, refusal).await else {
        return Passed::Done;
    };
    loop {
        match body.next().await {
            Ok(Some(piece)) => {
                if client.send(&piece).await.is_err() {
                    return Passed::Done;
                }
            }
            Ok(None) => {
                client.finish().await;
                return Passed::Done;
            }
            Err(cut) => {
                client.abandon().await;
                return Passed::Cut(error_chain(&cut));
            }
        }
    }
}

/// A client that gets a body in pieces.
struct Recipient {
    client: Transport,
    /// Is the body framed in chunks? Over HTTP/2 no body is (RFC 9113 §8.1).
    chunked: bool,
}

impl Recipient {
    /// Sends the head, with what is here of the body.
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
        timeout(PIECE_PATIENCE, writing).await?
    }

    /// That was all of it.
    async fn finish(mut self) {
        if let Transport::Http2(stream) = &mut self.client {
            let _ = stream.shutdown().await;
            return;
        }
        if self.chunked && self.write(LAST_CHUNK).await.is_err() {
            return;
        }
        let _ = timeout(PATIENCE, shut(&mut self.client)).await;
    }

    /// That was not all of it: the length stays too long, the last chunk away; a stream is reset
    /// (RFC 9113 §8.1.1).
    async fn abandon(mut self) {
        if let Transport::Http2(stream) = &mut self.client {
            // A reset drops what the connection has not sent yet, the head with it.
            let leaving = async {
                loop {
                    sleep(LOOK).await;
                    if stream.has_left() {
                        return;
                    }
                }
            };
            let _ = timeout(PATIENCE, leaving).await;
            return stream.reset();
        }
        let _ = timeout(PATIENCE, shut(&mut self.client)).await;
    }
}
