//! The backend behind every peer. It knows from the request how long the client's frames will be
//! (`?size=64`), counts bytes instead of parsing, and answers with frames that were built before.

use std::net::SocketAddr;

use anyhow::Context as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::wire;

/// What is read at once.
const BUFFER: usize = 64 * 1024;

/// Connections that may wait to be accepted: a full queue would cost a proxy a second of SYN's
/// retransmission, and be taken for its slowness.
const BACKLOG: u32 = 4096;

/// A message of a flood.
const FLOOD_MESSAGE: usize = 16 * 1024;

/// Serves for as long as the process lives; on the runtime of the load, inside its `LocalSet`. With a
/// thread of its own it would compete with the load for their core, and a turn of the scheduler, some
/// milliseconds, would be taken for a proxy's latency.
pub(crate) fn start() -> anyhow::Result<SocketAddr> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
    let listener = socket.listen(BACKLOG)?;
    let address = listener.local_addr()?;
    tokio::task::spawn_local(accept(listener));
    Ok(address)
}

async fn accept(listener: TcpListener) -> anyhow::Result<()> {
    loop {
        let (socket, _) = listener.accept().await?;
        tokio::task::spawn_local(async move {
            // A peer that breaks a connection shows at the client's end.
            let _ = serve(socket).await;
        });
    }
}

async fn serve(mut socket: TcpStream) -> anyhow::Result<()> {
    socket.set_nodelay(true)?;
    let head = wire::read_head(&mut socket).await?;
    let key = head.get("sec-websocket-key").context("no key")?;
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {}\r\n\r\n",
        derive_accept_key(key.as_bytes())
    );
    socket.write_all(answer.as_bytes()).await?;
    let size = head.target().split_once("size=").and_then(|(_, rest)| {
        let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
        digits.parse().ok()
    });
    match size.context("no size")? {
        0 => flood(socket).await,
        size => echo(socket, size).await,
    }
}

/// As fast as it is taken, until the client leaves.
async fn flood(mut socket: TcpStream) -> anyhow::Result<()> {
    let message = wire::server_frame(FLOOD_MESSAGE);
    loop {
        socket.write_all(&message).await?;
    }
}

/// One frame back for each that came whole, until a Close.
async fn echo(mut socket: TcpStream, size: usize) -> anyhow::Result<()> {
    let frame = wire::client_frame(size).len();
    let answer = wire::server_frame(size);
    let mut buffer = Vec::with_capacity(BUFFER);
    let mut ahead = 0;
    loop {
        buffer.clear();
        if socket.read_buf(&mut buffer).await? == 0 {
            return Ok(());
        }
        let mut rest = &buffer[..];
        while !rest.is_empty() {
            if ahead == 0 && rest[0] == wire::CLOSE {
                socket.write_all(&wire::SERVER_CLOSE).await?;
                return Ok(());
            }
            let more = rest.len().min(frame - ahead);
            ahead = (ahead + more) % frame;
            rest = &rest[more..];
            if ahead == 0 {
                socket.write_all(&answer).await?;
            }
        }
    }
}
