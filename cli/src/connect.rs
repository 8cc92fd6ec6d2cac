//! `tidegate connect`: an interactive client that prints messages, Closes and refusals.

use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use clap::Args;
use futures::{SinkExt as _, StreamExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::{HeaderName, HeaderValue, Request, Response};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{Connector, MaybeTlsStream, WebSocketStream};

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Closed with code 1000, without a code, or by this client.
    Closed,
    /// The handshake was refused.
    Refused,
    /// Closed by the server with another code, or lost.
    ClosedByPeer,
}

impl Ending {
    /// Exit status of the program.
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Closed => 0,
            Self::Refused => 1,
            Self::ClosedByPeer => 3,
        }
    }
}

/// Opens a WebSocket, sends each line of standard input, and prints what the server sends.
///
/// Exit status: 0 when closed normally, 1 when the handshake was refused, 2 for bad arguments or when there
/// is no connection, 3 when the server closed with a code other than 1000 or the connection was lost.
#[derive(Debug, Args)]
pub struct ConnectArgs {
    /// URL with ws:// or wss://.
    pub url: String,
    /// Subscription key. It is sent in the header Ocp-Apim-Subscription-Key.
    #[arg(long, value_name = "KEY")]
    pub key: Option<String>,
    /// Header to send, for example --header 'Authorization: Bearer x'. Repeat it for more.
    #[arg(long = "header", value_name = "NAME: VALUE")]
    pub headers: Vec<String>,
    /// Subprotocol to offer. Repeat it for more.
    #[arg(long = "subprotocol", value_name = "NAME")]
    pub subprotocols: Vec<String>,
    /// File with CA certificates (PEM) to trust instead of the system's.
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// Message to send instead of standard input. Repeat it for more. The client closes after as many
    /// messages from the server.
    #[arg(long = "text", value_name = "MESSAGE")]
    pub texts: Vec<String>,
    /// Send binary messages instead of text messages.
    #[arg(long)]
    pub binary: bool,
}

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Runs the client until either side closes.
///
/// # Errors
///
/// When the arguments are bad, there is no connection, or standard input cannot be read.
pub async fn connect(args: &ConnectArgs) -> anyhow::Result<Ending> {
    let connector = args.ca.as_deref().map(connector).transpose()?;
    let opened =
        tokio_tungstenite::connect_async_tls_with_config(request(args)?, None, true, connector);
    let socket = match opened.await {
        Ok((socket, response)) => {
            show_opened(&response);
            socket
        }
        Err(Error::Http(response)) => {
            show_refusal(&response);
            return Ok(Ending::Refused);
        }
        Err(error) => {
            return Err(error).with_context(|| format!("failed to connect to {}", args.url));
        }
    };
    if args.texts.is_empty() {
        interactive(socket, args.binary).await
    } else {
        scripted(socket, args).await
    }
}

fn request(args: &ConnectArgs) -> anyhow::Result<Request<()>> {
    let mut request = args
        .url
        .as_str()
        .into_client_request()
        .context("the URL is not valid")?;
    let headers = request.headers_mut();
    for line in &args.headers {
        let Some((name, value)) = line.split_once(':') else {
            bail!("--header {line:?}: write NAME: VALUE");
        };
        let name: HeaderName = name
            .trim()
            .parse()
            .with_context(|| format!("--header {line:?}"))?;
        let value =
            HeaderValue::from_str(value.trim()).context("the value of a header is not valid")?;
        headers.append(name, value);
    }
    if let Some(key) = &args.key {
        let value = HeaderValue::from_str(key)
            .context("--key has characters that are not allowed in a header")?;
        headers.insert(tidegate_config::DEFAULT_KEY_HEADER, value);
    }
    if !args.subprotocols.is_empty() {
        let offer =
            HeaderValue::from_str(&args.subprotocols.join(", ")).context("--subprotocol")?;
        headers.insert("Sec-WebSocket-Protocol", offer);
    }
    Ok(request)
}

fn connector(file: &std::path::Path) -> anyhow::Result<Connector> {
    Ok(Connector::Rustls(tls_config(file)?))
}

/// A TLS configuration that trusts the CA certificates in a PEM file.
pub(crate) fn tls_config(file: &std::path::Path) -> anyhow::Result<Arc<rustls::ClientConfig>> {
    use rustls_pki_types::CertificateDer;
    use rustls_pki_types::pem::PemObject as _;

    let mut roots = rustls::RootCertStore::empty();
    let read = || format!("failed to read certificates from {}", file.display());
    for certificate in CertificateDer::pem_file_iter(file).with_context(read)? {
        roots
            .add(certificate.with_context(read)?)
            .with_context(read)?;
    }
    let config = rustls::ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// Sends the given messages and waits for as many messages from the server.
async fn scripted(mut socket: Socket, args: &ConnectArgs) -> anyhow::Result<Ending> {
    for text in &args.texts {
        socket
            .send(message(text, args.binary))
            .await
            .context("failed to send")?;
    }
    let mut answers = 0;
    while answers < args.texts.len() {
        match next(&mut socket).await? {
            Event::Data => answers += 1,
            Event::Control => {}
            Event::End(ending) => return Ok(ending),
        }
    }
    close(&mut socket).await
}

/// Sends each line of standard input, and closes at its end (Ctrl-D).
async fn interactive(mut socket: Socket, binary: bool) -> anyhow::Result<Ending> {
    let mut lines = standard_input();
    loop {
        tokio::select! {
            line = lines.recv() => match line {
                Some(line) => {
                    let line = line.context("failed to read standard input")?;
                    socket.send(message(&line, binary)).await.context("failed to send")?;
                }
                None => return close(&mut socket).await,
            },
            event = next(&mut socket) => if let Event::End(ending) = event? {
                return Ok(ending);
            },
        }
    }
}

/// Lines of standard input. Reading cannot be cancelled, so a thread of its own does it until the process
/// ends.
fn standard_input() -> mpsc::Receiver<std::io::Result<String>> {
    let (sender, receiver) = mpsc::channel(1);
    std::thread::spawn(move || {
        for line in std::io::stdin().lines() {
            if sender.blocking_send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

fn message(text: &str, binary: bool) -> Message {
    if binary {
        Message::binary(text.as_bytes().to_vec())
    } else {
        Message::text(text)
    }
}

/// What the server sent.
enum Event {
    Data,
    Control,
    End(Ending),
}

async fn next(socket: &mut Socket) -> anyhow::Result<Event> {
    match socket.next().await {
        Some(Ok(Message::Close(frame))) => {
            // tungstenite answers the Close; flushing it is ours.
            let _ = socket.flush().await;
            Ok(Event::End(show_close(frame.as_ref())))
        }
        Some(Ok(message)) => Ok(show_message(&message)),
        Some(Err(error)) => {
            show(&format!("! connection lost: {error}"));
            Ok(Event::End(Ending::ClosedByPeer))
        }
        None => {
            show("! connection lost");
            Ok(Event::End(Ending::ClosedByPeer))
        }
    }
}

async fn close(socket: &mut Socket) -> anyhow::Result<Ending> {
    let normal = CloseFrame {
        code: CloseCode::Normal,
        reason: "".into(),
    };
    socket
        .close(Some(normal))
        .await
        .context("failed to close")?;
    while let Some(Ok(message)) = socket.next().await {
        if let Message::Close(frame) = message {
            show_close(frame.as_ref());
            break;
        }
        show_message(&message);
    }
    Ok(Ending::Closed)
}

fn show_opened(response: &Response<Option<Vec<u8>>>) {
    let header = |name| {
        response
            .headers()
            .get(name)
            .and_then(|value| value.to_str().ok())
    };
    let subprotocol = header("Sec-WebSocket-Protocol");
    let extensions = header("Sec-WebSocket-Extensions");
    let detail: String = [("subprotocol", subprotocol), ("extensions", extensions)]
        .into_iter()
        .filter_map(|(name, value)| value.map(|value| format!(", {name} {value}")))
        .collect();
    show(&format!("* connected{detail}"));
}

fn show_refusal(response: &Response<Option<Vec<u8>>>) {
    show(&format!("! refused: {}", response.status()));
    for (name, value) in response.headers() {
        show(&format!(
            "! {name}: {}",
            String::from_utf8_lossy(value.as_bytes())
        ));
    }
    if let Some(body) = response.body().as_deref().filter(|body| !body.is_empty()) {
        show(&format!("! {}", String::from_utf8_lossy(body).trim_end()));
    }
}

fn show_message(message: &Message) -> Event {
    match message {
        Message::Text(text) => show(&format!("< {text}")),
        Message::Binary(bytes) => show(&format!(
            "< binary, {} bytes: {}",
            bytes.len(),
            hex::encode(bytes)
        )),
        Message::Ping(_) => show("* ping"),
        Message::Pong(_) => show("* pong"),
        Message::Close(_) | Message::Frame(_) => {}
    }
    if message.is_text() || message.is_binary() {
        Event::Data
    } else {
        Event::Control
    }
}

fn show_close(frame: Option<&CloseFrame>) -> Ending {
    let Some(CloseFrame { code, reason }) = frame else {
        show("* closed without a code");
        return Ending::Closed;
    };
    let code = u16::from(*code);
    let reason = if reason.is_empty() {
        String::new()
    } else {
        format!(" ({reason})")
    };
    show(&format!("* closed: {code}{reason}"));
    if code == 1000 {
        Ending::Closed
    } else {
        Ending::ClosedByPeer
    }
}

/// Prints a line. The program goes on when standard output is closed (`| head`).
fn show(line: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}
