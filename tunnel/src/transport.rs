//! One leg of a tunnel: plain TCP, TLS on either side of it, or a stream of HTTP/2.
//!
//! An enum and not a trait object: the relay calls it for every burst of bytes.

mod delivery;
mod http2;
mod rewound;
#[cfg(test)]
mod tests;

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::{client, server};

pub use delivery::Delivery;
pub use http2::Counted;
pub use http2::Http2Stream;
pub use rewound::Rewound;

/// A connection to a client or a backend.
#[derive(Debug)]
pub enum Transport {
    /// TCP.
    Plain(TcpStream),
    /// A client that came through a TLS listener.
    TlsServer(Box<server::TlsStream<TcpStream>>),
    /// A backend that is reached through TLS.
    TlsClient(Box<client::TlsStream<TcpStream>>),
    /// A client's stream of an HTTP/2 connection. Boxed as TLS is: an idle tunnel over HTTP/1.1
    /// must not pay for it.
    Http2(Box<Http2Stream>),
}

impl Transport {
    /// The socket below, unless others have it as well.
    pub fn socket(&self) -> Option<&TcpStream> {
        match self {
            Self::Plain(socket) => Some(socket),
            Self::TlsServer(stream) => Some(stream.get_ref().0),
            Self::TlsClient(stream) => Some(stream.get_ref().0),
            Self::Http2(_) => None,
        }
    }
}

/// What the relay asks of a leg.
pub trait Wire: AsyncRead + AsyncWrite + Unpin {
    /// As `poll_write`, for bytes behind which this side is shut at once: they may wait for that,
    /// to go in one packet with it.
    fn poll_write_last(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write(cx, bytes)
    }

    /// Must it be shut although its peer has ended, because that says more than closing it does?
    fn has_close_notify(&self) -> bool {
        true
    }

    /// What has become of what was written; `None`: it is not known, and counts as taken.
    fn delivery(&mut self) -> Option<Delivery> {
        None
    }

    /// Was everything that was written taken, our end included? A cheaper question than
    /// [`delivery`](Self::delivery); `false` may mean that it is not known.
    fn is_delivered(&self) -> bool {
        false
    }

    /// Has everything that was written left this machine? As cheap, and as doubtful where it says `false`.
    fn has_left(&self) -> bool {
        false
    }

    /// Gives up: what was not taken is not to be delivered any more, and the peer learns of it.
    fn abandon(&mut self) {}
}

impl Wire for Transport {
    fn poll_write_last(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let socket = match self.get_mut() {
            Self::Plain(socket) => socket,
            other => return Pin::new(other).poll_write(cx, bytes),
        };
        let flags = libc::MSG_MORE | libc::MSG_NOSIGNAL;
        let send = || SockRef::from(&*socket).send_with_flags(bytes, flags);
        loop {
            ready!(socket.poll_write_ready(cx))?;
            match socket.try_io(Interest::WRITABLE, send) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                sent => return Poll::Ready(sent),
            }
        }
    }

    fn has_close_notify(&self) -> bool {
        !matches!(self, Self::Plain(_))
    }

    fn delivery(&mut self) -> Option<Delivery> {
        if let Self::Http2(stream) = self {
            return stream.delivery();
        }
        delivery::of_socket(self.socket()?)
    }

    fn is_delivered(&self) -> bool {
        self.socket().is_some_and(delivery::is_complete)
    }

    fn has_left(&self) -> bool {
        self.socket().is_some_and(delivery::has_left)
    }

    fn abandon(&mut self) {
        if let Self::Http2(stream) = self {
            stream.cancel();
        } else if let Some(socket) = self.socket() {
            // Otherwise the kernel would go on offering it, for minutes, after the socket is closed.
            let _ = socket.set_zero_linger();
        }
    }
}

impl AsyncRead for Transport {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_read(cx, buf),
            Self::TlsServer(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::TlsClient(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Http2(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Transport {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_write(cx, buf),
            Self::TlsServer(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::TlsClient(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Http2(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_flush(cx),
            Self::TlsServer(stream) => Pin::new(stream).poll_flush(cx),
            Self::TlsClient(stream) => Pin::new(stream).poll_flush(cx),
            Self::Http2(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_shutdown(cx),
            Self::TlsServer(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::TlsClient(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Http2(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

/// Gives of what was read ahead as much as there is room for; says how much.
fn take_read_ahead(read_ahead: &mut Bytes, buf: &mut ReadBuf<'_>) -> usize {
    let count = read_ahead.len().min(buf.remaining());
    buf.put_slice(&read_ahead[..count]);
    read_ahead.advance(count);
    count
}
