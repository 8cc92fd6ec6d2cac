//! Clients: a WebSocket library for what works, raw sockets for what must not.

use std::net::SocketAddr;

use futures::{SinkExt as _, StreamExt as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::{HeaderName, HeaderValue, Response};
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use crate::support::within;

/// An open WebSocket.
pub(crate) type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// An answer that was not 101.
#[derive(Clone, Debug)]
pub(crate) struct Refused {
    pub(crate) status: u16,
    pub(crate) answer: Response<()>,
    pub(crate) body: String,
}

/// Opens a WebSocket, or tells the refusal.
pub(crate) async fn connect(url: &str, headers: &[(&str, &str)]) -> Result<Socket, Refused> {
    connect_with_answer(url, headers)
        .await
        .map(|(socket, _)| socket)
}

/// As [`connect`], with the head of the answer.
pub(crate) async fn connect_with_answer(
    url: &str,
    headers: &[(&str, &str)],
) -> Result<(Socket, Response<()>), Refused> {
    let mut request = url.into_client_request().unwrap();
    for (name, value) in headers {
        let name: HeaderName = name.parse().unwrap();
        request
            .headers_mut()
            .append(name, HeaderValue::from_str(value).unwrap());
    }
    let connecting = tokio_tungstenite::connect_async(request);
    match within("the answer to a handshake", connecting).await {
        Ok((socket, answer)) => Ok((socket, answer.map(|_| ()))),
        Err(Error::Http(answer)) => {
            let status = answer.status().as_u16();
            let (parts, body) = answer.into_parts();
            let body = String::from_utf8(body.unwrap_or_default()).unwrap();
            let answer = Response::from_parts(parts, ());
            Err(Refused {
                status,
                answer,
                body,
            })
        }
        Err(error) => panic!("{url} is not reachable: {error}"),
    }
}

/// Opens a WebSocket that must not be refused.
pub(crate) async fn open(url: &str) -> Socket {
    match connect(url, &[]).await {
        Ok(socket) => socket,
        Err(refused) => panic!("{url} was refused: {refused:?}"),
    }
}

/// Sends a text and waits for the same.
pub(crate) async fn echo(socket: &mut Socket, text: &str) {
    socket.send(Message::text(text)).await.unwrap();
    let answer = within("the echo", socket.next()).await;
    assert_eq!(answer.unwrap().unwrap(), Message::text(text));
}

/// The next message, which must be there.
pub(crate) async fn receive(socket: &mut Socket) -> Message {
    let next = within("a message", socket.next()).await;
    next.expect("the connection ended").unwrap()
}

/// Waits for a Close and tells its code and reason; `None`: an empty one.
pub(crate) async fn closed(socket: &mut Socket) -> Option<(u16, String)> {
    loop {
        match within("a Close", socket.next()).await {
            Some(Ok(Message::Close(frame))) => {
                return frame.map(|frame| (frame.code.into(), frame.reason.to_string()));
            }
            Some(Ok(_)) => {}
            other => panic!("expected a Close, got {other:?}"),
        }
    }
}

/// Writes bytes and reads until the other side closes.
pub(crate) async fn raw(address: SocketAddr, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request).await.unwrap();
    read_to_end(&mut stream).await
}

/// Reads until the other side closes; a reset ends it too.
pub(crate) async fn read_to_end(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    // What was read before a reset is in the buffer.
    let _ = within("the end of the answer", stream.read_to_end(&mut answer)).await;
    String::from_utf8_lossy(&answer).into_owned()
}

/// A handshake that is as it should be, for `path`, with further lines (each ended by CR LF).
pub(crate) fn handshake(path: &str, lines: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: harbour.example\r\nUpgrade: websocket\r\n\
         Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{lines}\r\n"
    )
}
