//! A client of HTTP/2: the library's own, which knows nothing of the gateway.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use h2::client::SendRequest;
use h2::ext::Protocol;
use h2::{Reason, RecvStream, SendStream};
use http::{Request, Response};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::Role;

use crate::support::client::Refused;
use crate::support::tls::{Authority, tls_connect};
use crate::support::within;

/// A connection.
pub(crate) struct Http2 {
    pub(crate) requests: SendRequest<Bytes>,
    /// How the connection ended.
    pub(crate) end: JoinHandle<Result<(), h2::Error>>,
    scheme: &'static str,
}

/// A WebSocket in a stream.
pub(crate) type Socket = WebSocketStream<Duplex>;

impl Http2 {
    /// With prior knowledge, over plain TCP.
    pub(crate) async fn plain(address: SocketAddr) -> Self {
        let socket = TcpStream::connect(address).await.unwrap();
        socket.set_nodelay(true).unwrap();
        Self::over(socket, "http").await
    }

    /// Over TLS, agreed on by ALPN.
    pub(crate) async fn secure(address: SocketAddr, authority: &Authority, name: &str) -> Self {
        let mut config = authority.client_config();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let stream = tls_connect(address, name, config).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        Self::over(stream, "https").await
    }

    async fn over<T>(io: T, scheme: &'static str) -> Self
    where
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        // A stream that a test does not read must hold up no other on the client's side either.
        let mut builder = h2::client::Builder::new();
        builder.initial_connection_window_size(16 << 20);
        builder.data_frame_budget(64 << 20);
        let (requests, connection) = builder.handshake(io).await.unwrap();
        let end = tokio::runtime::Handle::current().spawn(connection);
        Self {
            requests,
            end,
            scheme,
        }
    }

    /// Waits for the server's SETTINGS; says whether WebSockets are advertised there.
    pub(crate) async fn is_offered(&mut self) -> bool {
        // Only what came before an answer is sure to have been seen.
        let _ = self.request("GET", "/no-such-path", None, &[]).await;
        self.requests.is_extended_connect_protocol_enabled()
    }

    /// Sends a request and waits for the head of its answer. The stream stays open.
    pub(crate) async fn request(
        &mut self,
        method: &str,
        path: &str,
        protocol: Option<&'static str>,
        fields: &[(&str, &str)],
    ) -> Result<(Response<RecvStream>, SendStream<Bytes>), h2::Error> {
        let uri = match (method, protocol) {
            ("CONNECT", None) => "harbour.example:443".to_owned(),
            _ => format!("{}://harbour.example{path}", self.scheme),
        };
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let mut request = request.body(()).unwrap();
        if let Some(protocol) = protocol {
            let protocol = Protocol::from_static(protocol);
            request.extensions_mut().insert(protocol);
        }
        let mut requests = self.requests.clone().ready().await?;
        let (answer, send) = requests.send_request(request, false)?;
        let answer = within("an answer over HTTP/2", answer).await?;
        Ok((answer, send))
    }

    /// Asks for a tunnel.
    pub(crate) async fn connect(
        &mut self,
        path: &str,
        fields: &[(&str, &str)],
    ) -> Result<(Duplex, Response<()>), Refused> {
        self.try_connect(path, fields).await.unwrap()
    }

    /// As [`Self::connect`]; an error when the connection ends before an answer is there.
    pub(crate) async fn try_connect(
        &mut self,
        path: &str,
        fields: &[(&str, &str)],
    ) -> Result<Result<(Duplex, Response<()>), Refused>, h2::Error> {
        let fields = [&[("sec-websocket-version", "13")], fields].concat();
        let asked = self.request("CONNECT", path, Some("websocket"), &fields);
        let (answer, send) = asked.await?;
        let (answer, receive) = {
            let (parts, body) = answer.into_parts();
            (Response::from_parts(parts, ()), body)
        };
        if answer.status() == 200 {
            return Ok(Ok((Duplex::new(send, receive), answer)));
        }
        Ok(Err(Refused {
            status: answer.status().as_u16(),
            answer,
            body: text(receive).await,
        }))
    }

    /// Opens a WebSocket that must not be refused.
    pub(crate) async fn open(&mut self, path: &str) -> Socket {
        match self.connect(path, &[]).await {
            Ok((stream, _)) => web_socket(stream).await,
            Err(refused) => panic!("{path} was refused: {refused:?}"),
        }
    }
}

/// The client's side of a tunnel.
pub(crate) async fn web_socket(stream: Duplex) -> Socket {
    WebSocketStream::from_raw_socket(stream, Role::Client, None).await
}

/// The whole body of an answer.
pub(crate) async fn text(mut body: RecvStream) -> String {
    let mut text = Vec::new();
    while let Some(data) = within("a body", body.data()).await {
        let data = data.unwrap();
        body.flow_control().release_capacity(data.len()).unwrap();
        text.extend_from_slice(&data);
    }
    String::from_utf8(text).unwrap()
}

/// A stream in both directions.
pub(crate) struct Duplex {
    send: SendStream<Bytes>,
    receive: RecvStream,
    ahead: Bytes,
}

impl Duplex {
    fn new(send: SendStream<Bytes>, receive: RecvStream) -> Self {
        let ahead = Bytes::new();
        Self {
            send,
            receive,
            ahead,
        }
    }

    /// Leaves without a word.
    pub(crate) fn reset(&mut self) {
        self.send.send_reset(Reason::CANCEL);
    }
}

impl AsyncRead for Duplex {
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
        let count = this.ahead.len().min(buf.remaining());
        buf.put_slice(&this.ahead[..count]);
        this.ahead.advance(count);
        let _ = this.receive.flow_control().release_capacity(count);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Duplex {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let send = &mut self.get_mut().send;
        send.reserve_capacity(buf.len());
        let mut room = send.capacity();
        while room == 0 {
            room = match ready!(send.poll_capacity(cx)) {
                Some(granted) => granted.map_err(io::Error::other)?,
                None => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            };
        }
        let count = room.min(buf.len());
        let sent = send.send_data(Bytes::copy_from_slice(&buf[..count]), false);
        Poll::Ready(sent.map(|()| count).map_err(io::Error::other))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let ended = self.get_mut().send.send_data(Bytes::new(), true);
        Poll::Ready(ended.map_err(io::Error::other))
    }
}
