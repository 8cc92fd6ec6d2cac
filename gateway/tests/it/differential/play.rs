//! Two peers that say what they were told to and write down every byte they get.

use std::net::SocketAddr;

use tokio::io::{
    AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadHalf, WriteHalf,
};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::conversation::{Conversation, Side};
use crate::support::client::handshake;
use crate::support::within;

/// With an extension no bit of a header means anything to the gateway.
pub(super) const OFFER: (&str, &str) = ("sec-websocket-extensions", "permessage-deflate");

/// TCP, TLS, or a stream of HTTP/2.
pub(super) trait Connection: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Connection for T {}
pub(super) type Stream = Box<dyn Connection>;

/// All bytes that came after the heads, to the end of the connection.
#[derive(PartialEq)]
pub(super) struct Transcript {
    pub(super) at_client: Vec<u8>,
    pub(super) at_backend: Vec<u8>,
}

impl Transcript {
    /// What can be printed of it.
    pub(super) fn shape(&self) -> (usize, usize, String, String) {
        let tail = |bytes: &[u8]| hex::encode(&bytes[bytes.len().saturating_sub(32)..]);
        let (client, backend) = (&self.at_client, &self.at_backend);
        (client.len(), backend.len(), tail(client), tail(backend))
    }
}

/// A backend.
pub(super) struct Peer {
    pub(super) address: SocketAddr,
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
}

impl Peer {
    pub(super) async fn start(tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self {
            address: listener.local_addr().unwrap(),
            listener,
            tls,
        }
    }

    /// Plays both parts: the backend's on the next connection, the client's on what `client` opens.
    pub(super) async fn play(
        &self,
        client: impl Future<Output = Stream>,
        conversation: &Conversation,
    ) -> Transcript {
        let opening = futures::future::join(self.accept(), client);
        let (backend, client) = within("the handshake", opening).await;
        let sides = futures::future::join(
            speak(client, Side::Client, conversation),
            speak(backend, Side::Backend, conversation),
        );
        let (at_client, at_backend) = within("the end of a conversation", sides).await;
        Transcript {
            at_client,
            at_backend,
        }
    }

    async fn accept(&self) -> Stream {
        let (socket, _) = self.listener.accept().await.unwrap();
        socket.set_nodelay(true).unwrap();
        let mut stream: Stream = match &self.tls {
            Some(acceptor) => Box::new(acceptor.accept(socket).await.unwrap()),
            None => Box::new(socket),
        };
        let head = read_head(&mut stream).await;
        let key = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("sec-websocket-key")
                .then(|| value.trim())
        });
        let accept = derive_accept_key(key.unwrap().as_bytes());
        let answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {accept}\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
        );
        stream.write_all(answer.as_bytes()).await.unwrap();
        stream.flush().await.unwrap();
        stream
    }
}

/// Asks for a tunnel in HTTP/1.1.
pub(super) async fn open(mut client: Stream, path: &str) -> Stream {
    let (name, value) = OFFER;
    let request = handshake(path, &format!("{name}: {value}\r\n"));
    client.write_all(request.as_bytes()).await.unwrap();
    client.flush().await.unwrap();
    let head = read_head(&mut client).await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    client
}

/// Byte by byte, so that nothing behind the head is taken.
async fn read_head(stream: &mut Stream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

/// One side: reads to the end while it writes. Who does not close first sends its Close after it
/// got the other's; the backend ends the connection, as a server does (RFC 6455 §7.1.1).
async fn speak(stream: Stream, side: Side, conversation: &Conversation) -> Vec<u8> {
    let other = match side {
        Side::Client => Side::Backend,
        Side::Backend => Side::Client,
    };
    let expected = conversation.bytes(other).len();
    let (mut reader, mut writer) = tokio::io::split(stream);
    let (data, close) = conversation.parts(side);
    let (heard, all_heard) = tokio::sync::oneshot::channel();
    let writing = async {
        write(&mut writer, &data, conversation.cuts()).await;
        if side != conversation.closing {
            all_heard.await.unwrap();
        }
        write(&mut writer, &close, conversation.cuts()).await;
        writer
    };
    let reading = async {
        let mut bytes = vec![0; expected];
        reader.read_exact(&mut bytes).await.unwrap();
        heard.send(()).unwrap_or_default();
        (reader, bytes)
    };
    let (mut writer, (mut reader, mut bytes)) = futures::future::join(writing, reading).await;
    if side == Side::Backend {
        writer.shutdown().await.unwrap_or_default();
    }
    rest(&mut reader, &mut bytes).await;
    bytes
}

async fn write(writer: &mut WriteHalf<Stream>, bytes: &[u8], cuts: impl Iterator<Item = usize>) {
    let mut left = bytes;
    for cut in cuts {
        if left.is_empty() {
            return;
        }
        let (now, later) = left.split_at(cut.min(left.len()));
        writer.write_all(now).await.unwrap();
        writer.flush().await.unwrap();
        // Others get a turn, so that many a cut arrives as one.
        tokio::task::yield_now().await;
        left = later;
    }
}

/// Whatever comes after what was expected; a TLS peer may leave without a word.
async fn rest(reader: &mut ReadHalf<Stream>, bytes: &mut Vec<u8>) {
    reader.read_to_end(bytes).await.unwrap_or_default();
}
