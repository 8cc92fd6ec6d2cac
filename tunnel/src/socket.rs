//! What the kernel is told about every connection, towards clients and backends, so that a peer
//! that is gone without a word is noticed.

use std::io;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;

/// A dead peer of a quiet connection is noticed after two minutes (60 s, then 4 probes of 15 s),
/// which most NATs and load balancers outlast.
const KEEPALIVE: TcpKeepalive = TcpKeepalive::new()
    .with_time(Duration::from_secs(60))
    .with_interval(Duration::from_secs(15))
    .with_retries(4);

/// The same where something was sent: no probe goes out then, and the kernel alone would repeat it
/// for a quarter of an hour. It also ends a connection whose peer has had no room for as long.
pub(crate) const USER_TIMEOUT: Duration = Duration::from_secs(120);

/// What may wait in the kernel of a connection that carries many streams: more would keep from each
/// of them how far its own bytes have come. Two windows of a stream, which is enough for the line to be
/// full while the next are fetched.
const HELD: u32 = 128 * 1024;

/// To be set on a listening socket, whose connections inherit it, or on a connection.
pub fn keep_alive(socket: SockRef<'_>) -> io::Result<()> {
    socket.set_tcp_keepalive(&KEEPALIVE)?;
    socket.set_tcp_user_timeout(Some(USER_TIMEOUT))
}

/// Lets a peer without room be: `writeStall` allows that for longer than the kernel would.
pub fn allow_stall(socket: &TcpStream, stall: Option<Duration>) {
    if stall.is_none_or(|stall| stall >= USER_TIMEOUT) {
        // Where that fails, the connection is gone already.
        let _ = SockRef::from(socket).set_tcp_user_timeout(None);
    }
}

/// Has the kernel take no more than it can send soon.
pub fn limit_unsent(socket: &TcpStream) {
    // Where that fails, the connection is gone already.
    let _ = SockRef::from(socket).set_tcp_notsent_lowat(HELD);
}

#[cfg(test)]
mod tests {
    use socket2::Socket;
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_connection_has_what_its_listener_was_given() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        keep_alive(SockRef::from(&listener)).unwrap();
        let address = listener.local_addr().unwrap();
        let _client = TcpStream::connect(address).await.unwrap();
        let (accepted, _) = listener.accept().await.unwrap();
        let accepted = Socket::from(accepted.into_std().unwrap());
        assert!(accepted.keepalive().unwrap());
        assert_eq!(accepted.tcp_keepalive_time().unwrap().as_secs(), 60);
        assert_eq!(accepted.tcp_keepalive_interval().unwrap().as_secs(), 15);
        assert_eq!(accepted.tcp_keepalive_retries().unwrap(), 4);
        assert_eq!(accepted.tcp_user_timeout().unwrap(), Some(USER_TIMEOUT));
    }

    #[tokio::test]
    async fn a_long_write_stall_is_left_to_the_relay() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        for (stall, expected) in [
            (Some(Duration::from_secs(60)), Some(USER_TIMEOUT)),
            (Some(Duration::from_secs(600)), None),
            (None, None),
        ] {
            let client = TcpStream::connect(address).await.unwrap();
            keep_alive(SockRef::from(&client)).unwrap();
            allow_stall(&client, stall);
            let kept = SockRef::from(&client).tcp_user_timeout().unwrap();
            assert_eq!(kept, expected, "{stall:?}");
        }
    }
}
