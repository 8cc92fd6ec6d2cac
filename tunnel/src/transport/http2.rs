//! One stream of an HTTP/2 connection as a connection of its own (RFC 8441 §5).
//!
//! Flow control is the backpressure: the window that a byte took is given back when that byte is
//! read, and no more is written than the peer's window has room for.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, Response};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{Delivery, take_read_ahead};

/// What is asked for to see how much room the peer gives: a window's worth.
const PROBE: usize = 64 * 1024;

/// Bytes for a stream, counted when its connection hands them to the socket.
#[derive(Debug)]
pub struct Counted {
    bytes: Bytes,
    gone: Arc<AtomicU64>,
}

impl Buf for Counted {
    fn remaining(&self) -> usize {
        self.bytes.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.bytes.chunk()
    }

    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
        self.gone.fetch_add(count as u64, Ordering::Relaxed);
    }
}

/// A client's stream. Dropped before it has ended, it is reset (`CANCEL`).
#[derive(Debug)]
pub struct Http2Stream {
    respond: SendResponse<Counted>,
    /// Set once it is open.
    send: Option<SendStream<Counted>>,
    receive: RecvStream,
    /// Received, but not read.
    read_ahead: Bytes,
    /// Bytes that the connection was given, and how many of them have gone to its socket.
    given: u64,
    gone: Arc<AtomicU64>,
    /// Room that a write waits for.
    wanted: usize,
    /// The most that was known to be taken, or to have room.
    taken: u64,
}

impl Http2Stream {
    /// A request that is not answered yet.
    pub fn new(respond: SendResponse<Counted>, receive: RecvStream) -> Self {
        Self {
            respond,
            send: None,
            receive,
            read_ahead: Bytes::new(),
            given: 0,
            gone: Arc::default(),
            wanted: 0,
            taken: 0,
        }
    }

    /// Answers 200; what is written from now on are frames.
    pub fn open(&mut self, fields: &HeaderMap) -> io::Result<()> {
        let mut response = Response::new(());
        response.headers_mut().clone_from(fields);
        let sent = self.respond.send_response(response, false);
        self.send = Some(sent.map_err(io::Error::other)?);
        Ok(())
    }

    /// Answers something else; what is written from now on is its body.
    pub fn answer(&mut self, response: Response<()>) -> io::Result<()> {
        let sent = self.respond.send_response(response, false);
        self.send = Some(sent.map_err(io::Error::other)?);
        Ok(())
    }

    /// Has all that was written gone to the connection's socket, and the head before it?
    pub fn has_left(&self) -> bool {
        self.given <= self.gone.load(Ordering::Relaxed)
    }

    /// The answer breaks off, and the client gets to know. What has not left yet is dropped: see
    /// [`Self::has_left`].
    pub fn reset(&mut self) {
        if let Some(send) = &mut self.send {
            send.send_reset(Reason::INTERNAL_ERROR);
        }
    }

    /// Answers something else, and ends. A client that is gone does without.
    pub fn refuse(mut self, response: Response<()>, body: Bytes) {
        if let Ok(mut send) = self.respond.send_response(response, body.is_empty())
            && !body.is_empty()
        {
            let body = Counted {
                bytes: body,
                gone: self.gone,
            };
            let _ = send.send_data(body, true);
        }
    }

    /// What the peer has taken shows in its window: what it was given, and what it has room for,
    /// grow together by what it takes or what leaves for it.
    pub(super) fn delivery(&mut self) -> Option<Delivery> {
        let send = self.send.as_mut()?;
        send.reserve_capacity(PROBE);
        let room = send.capacity();
        // Room that nobody uses would be missing in the connection's other streams.
        send.reserve_capacity(self.wanted);
        let unsent = self.given > self.gone.load(Ordering::Relaxed);
        // Other streams may use up the connection's room.
        self.taken = self.taken.max(self.given + room as u64);
        Some(Delivery {
            taken: self.taken,
            unsent,
            complete: !unsent,
            quiet: Duration::ZERO,
        })
    }

    /// Drops what the peer has not taken.
    pub(super) fn cancel(&mut self) {
        if let Some(send) = &mut self.send {
            send.send_reset(Reason::CANCEL);
        }
    }
}

impl AsyncRead for Http2Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        while this.read_ahead.is_empty() {
            match ready!(this.receive.poll_data(cx)) {
                Some(Ok(data)) => this.read_ahead = data,
                Some(Err(error)) => return Poll::Ready(Err(io::Error::other(error))),
                None => return Poll::Ready(Ok(())),
            }
        }
        let count = take_read_ahead(&mut this.read_ahead, buf);
        // Fails for a stream that is over, which the next read tells.
        let _ = this.receive.flow_control().release_capacity(count);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Http2Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let Some(send) = &mut this.send else {
            return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
        };
        this.wanted = buf.len();
        send.reserve_capacity(buf.len());
        // What was granted earlier and not used is not told again.
        let mut room = send.capacity();
        while room == 0 {
            room = match ready!(send.poll_capacity(cx)) {
                Some(granted) => granted.map_err(io::Error::other)?,
                None => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            };
        }
        let count = room.min(buf.len());
        let data = Counted {
            bytes: Bytes::copy_from_slice(&buf[..count]),
            gone: Arc::clone(&this.gone),
        };
        let sent = send.send_data(data, false);
        this.given += count as u64;
        this.wanted -= count;
        Poll::Ready(sent.map(|()| count).map_err(io::Error::other))
    }

    /// The connection's own task sends what it was given.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let end = Counted {
            bytes: Bytes::new(),
            gone: Arc::clone(&this.gone),
        };
        let send = this.send.as_mut();
        let ended = send.map_or(Ok(()), |send| send.send_data(end, true));
        Poll::Ready(ended.map_err(io::Error::other))
    }
}
