//! Backends that do as they are told and remember what they were asked.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use futures::{SinkExt as _, StreamExt as _};
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

use crate::support::until;

/// A request head as it came over the wire, and what came behind it in the same read.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    pub(crate) text: String,
    pub(crate) rest: Vec<u8>,
}

impl Head {
    /// `GET /path HTTP/1.1`.
    pub(crate) fn request_line(&self) -> &str {
        self.text.lines().next().unwrap_or_default()
    }

    /// All values of a field, in order.
    pub(crate) fn header(&self, name: &str) -> Vec<&str> {
        let fields = self.text.lines().filter_map(|line| line.split_once(':'));
        fields
            .filter(|(field, _)| field.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim())
            .collect()
    }

    /// The answer that accepts it, with further lines (each ended by CR LF).
    pub(crate) fn switching(&self, lines: &str) -> String {
        let key = self.header("Sec-WebSocket-Key");
        let accept = derive_accept_key(key.first().expect("no key").as_bytes());
        format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {accept}\r\n{lines}\r\n"
        )
    }
}

/// A server on a free port; ends with the value.
pub(crate) struct Backend {
    pub(crate) address: SocketAddr,
    heads: Arc<Mutex<Vec<Head>>>,
    _tasks: JoinSet<()>,
}

impl Backend {
    /// Runs `script` for every connection, once its request head was read.
    pub(crate) async fn scripted<S, F>(script: S) -> Self
    where
        S: Fn(Head, TcpStream) -> F + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let heads = Arc::new(Mutex::new(Vec::new()));
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, Arc::new(script), Arc::clone(&heads)));
        Self {
            address,
            heads,
            _tasks: tasks,
        }
    }

    /// Accepts everything and sends back every message.
    pub(crate) async fn echo() -> Self {
        Self::scripted(|head, stream| async move {
            let mut socket = upgrade(&head, stream, "").await;
            while let Some(Ok(message)) = socket.next().await {
                let is_data = message.is_text() || message.is_binary();
                if is_data && socket.send(message).await.is_err() {
                    return;
                }
            }
        })
        .await
    }

    /// Gives every request the same answer and closes.
    pub(crate) async fn answering(answer: &'static str) -> Self {
        Self::scripted(move |_, mut stream| async move {
            use tokio::io::AsyncWriteExt as _;
            // The gateway may have left; the test then sees that.
            let _ = stream.write_all(answer.as_bytes()).await;
            let _ = stream.shutdown().await;
        })
        .await
    }

    /// The request heads so far.
    pub(crate) fn heads(&self) -> Vec<Head> {
        self.heads.lock().unwrap().clone()
    }

    /// The only request head; waits for it.
    pub(crate) async fn head(&self) -> Head {
        until("a request at the backend", || !self.heads().is_empty()).await;
        let heads = self.heads();
        assert_eq!(heads.len(), 1, "{heads:?}");
        heads[0].clone()
    }
}

/// Accepts a handshake and speaks WebSocket from there on.
pub(crate) async fn upgrade(
    head: &Head,
    mut stream: TcpStream,
    lines: &str,
) -> WebSocketStream<TcpStream> {
    use tokio::io::AsyncWriteExt as _;
    let answer = head.switching(lines);
    stream.write_all(answer.as_bytes()).await.unwrap();
    let rest = head.rest.clone();
    WebSocketStream::from_partially_read(stream, rest, Role::Server, None).await
}

async fn accept<S, F>(listener: TcpListener, script: Arc<S>, heads: Arc<Mutex<Vec<Head>>>)
where
    S: Fn(Head, TcpStream) -> F + Send + Sync + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let (stream, _) = accepted.unwrap();
                let (script, heads) = (Arc::clone(&script), Arc::clone(&heads));
                connections.spawn(async move {
                    let mut stream = stream;
                    let Some(head) = read_head(&mut stream).await else { return };
                    heads.lock().unwrap().push(head.clone());
                    script(head, stream).await;
                });
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// `None`: the peer left before the head ended.
async fn read_head(stream: &mut TcpStream) -> Option<Head> {
    let mut bytes = Vec::new();
    loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let rest = bytes.split_off(end + 4);
            let text = String::from_utf8(bytes).unwrap();
            return Some(Head { text, rest });
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}
