//! One stream of an HTTP/2 connection as a connection of its own (RFC 8441 §5).
//!
//! Flow control is the backpressure: the window that a byte took is given back when that byte is
//! read, and no more is written than the peer's window has room for.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{RecvStream, SendStream};
use http::{HeaderMap, Response};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::take_ahead;

/// A client's stream. Dropped before it has ended, it is reset (`CANCEL`).
#[derive(Debug)]
pub struct Http2Stream {
    respond: SendResponse<Bytes>,
    /// Set once it is open.
    send: Option<SendStream<Bytes>>,
    receive: RecvStream,
    /// Received, but not read.
    ahead: Bytes,
}

impl Http2Stream {
    /// A request that is not answered yet.
    pub(crate) fn new(respond: SendResponse<Bytes>, receive: RecvStream) -> Self {
        Self {
            respond,
            send: None,
            receive,
            ahead: Bytes::new(),
        }
    }

    /// Answers 200; what is written from now on are frames.
    pub(crate) fn open(&mut self, fields: &HeaderMap) -> io::Result<()> {
        let mut response = Response::new(());
        response.headers_mut().clone_from(fields);
        let sent = self.respond.send_response(response, false);
        self.send = Some(sent.map_err(io::Error::other)?);
        Ok(())
    }

    /// Answers something else, and ends. A client that is gone does without.
    pub(crate) fn refuse(mut self, response: Response<()>, body: Bytes) {
        if let Ok(mut send) = self.respond.send_response(response, body.is_empty())
            && !body.is_empty()
        {
            let _ = send.send_data(body, true);
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
        while this.ahead.is_empty() {
            match ready!(this.receive.poll_data(cx)) {
                Some(Ok(data)) => this.ahead = data,
                Some(Err(error)) => return Poll::Ready(Err(io::Error::other(error))),
                None => return Poll::Ready(Ok(())),
            }
        }
        let count = take_ahead(&mut this.ahead, buf);
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
        let Some(send) = &mut self.get_mut().send else {
            return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
        };
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
        let data = Bytes::copy_from_slice(&buf[..count]);
        let sent = send.send_data(data, false);
        Poll::Ready(sent.map(|()| count).map_err(io::Error::other))
    }

    /// The connection's own task sends what it was given.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let send = self.get_mut().send.as_mut();
        let ended = send.map_or(Ok(()), |send| send.send_data(Bytes::new(), true));
        Poll::Ready(ended.map_err(io::Error::other))
    }
}
