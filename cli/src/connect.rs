//! `tidegate connect`: an interactive client that prints messages, Closes and refusals.

mod console;
mod show;
mod tls;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use clap::Args;
use futures::{SinkExt as _, StreamExt as _};
use tokio::net::TcpStream;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::{HeaderName, HeaderValue, Request, Response};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{Connector, MaybeTlsStream, WebSocketStream};

use self::console::{Console, Input};
pub(crate) use self::tls::tls_config;

/// How long the server may take to answer this client's Close.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Closed with code 1000, without a code, or by this client.
    Closed,
    /// The handshake was refused.
    Refused,
    /// Closed by the server with another code, or lost.
    ClosedByPeer,
    /// Closed by this client, because answers did not come in time.
    Unanswered,
}

impl Ending {
    /// Exit status of the program.
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Closed => 0,
            Self::Refused => 1,
            Self::ClosedByPeer => 3,
            Self::Unanswered => 4,
        }
    }
}

/// Opens a WebSocket, sends each line of standard input, and prints what the server sends.
///
/// At a terminal, lines can be edited and the arrow keys bring back earlier ones; Ctrl-D or Ctrl-C closes the
/// connection. At the end of other input, the client waits until it has got as many messages as it has sent,
/// and closes the connection.
///
/// Exit status: 0 when closed normally, 1 when the handshake was refused, 2 for bad arguments or when there
/// is no connection, 3 when the server closed with a code other than 1000 or the connection was lost, 4 when
/// answers did not come in time.
#[derive(Debug, Args)]
pub struct ConnectArgs {
    /// URL with ws:// or wss://.
    pub url: String,
    /// Subscription key. It is sent in the header Ocp-Apim-Subscription-Key.
    #[arg(long, value_name = "KEY")]
    pub key: Option<String>,
    /// Header to send, for example -H 'Authorization: Bearer x'. Repeat it for more.
    #[arg(long = "header", short = 'H', value_name = "NAME: VALUE")]
    pub headers: Vec<String>,
    /// Subprotocol to offer. Repeat it for more.
    #[arg(long = "subprotocol", value_name = "NAME")]
    pub subprotocols: Vec<String>,
    /// File with certificates (PEM) to trust instead of the system's: of authorities, or the server's own.
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// Accept any certificate of the server. Anybody between can then read and change everything.
    #[arg(long, short = 'k', conflicts_with = "ca")]
    pub insecure: bool,
    /// How long connection and handshake may take together.
    #[arg(long, value_name = "DURATION", default_value = "10s")]
    pub timeout: tidegate_config::Duration,
    /// Message to send instead of standard input. Repeat it for more.
    #[arg(long = "text", value_name = "MESSAGE")]
    pub texts: Vec<String>,
    /// How long to wait for the next answer after the last message was sent. 0: do not wait.
    #[arg(long, value_name = "DURATION", default_value = "10s")]
    pub wait: tidegate_config::Duration,
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
    let mut console = Console::output();
    let (socket, response) = match open(args).await? {
        Ok(opened) => opened,
        Err(response) => {
            show::refusal(&mut console, &response);
            return Ok(Ending::Refused);
        }
    };
    if args.texts.is_empty() {
        console = Console::open()?;
    }
    if args.insecure {
        console.show("! the server's certificate was not checked");
    }
    show::opened(&mut console, &response);
    let mut session = Session {
        socket,
        console,
        stop: Stop::new()?,
        unanswered: 0,
    };
    let ending = session.run(args).await;
    session.console.close();
    ending
}

type Opened = Result<(Socket, Response<Option<Vec<u8>>>), Response<Option<Vec<u8>>>>;

/// Connects and makes the handshake. The inner error is a refusal.
async fn open(args: &ConnectArgs) -> anyhow::Result<Opened> {
    let connector = match (&args.ca, args.insecure) {
        (Some(file), _) => Some(Connector::Rustls(tls_config(file)?)),
        (None, true) => Some(Connector::Rustls(tls::unverified()?)),
        (None, false) => None,
    };
    check_scheme(&args.url)?;
    let request = request(args)?;
    let opening = tokio_tungstenite::connect_async_tls_with_config(request, None, true, connector);
    let Ok(opened) = timeout(args.timeout.get(), opening).await else {
        bail!("{} did not answer within {}", args.url, args.timeout);
    };
    match opened {
        Ok(opened) => Ok(Ok(opened)),
        Err(Error::Http(response)) => Ok(Err(*response)),
        Err(error) => Err(error).with_context(|| format!("failed to connect to {}", args.url)),
    }
}

fn check_scheme(url: &str) -> anyhow::Result<()> {
    let scheme = url.split_once("://").map_or("", |(scheme, _)| scheme);
    let is_known = ["ws", "wss"]
        .iter()
        .any(|known| scheme.eq_ignore_ascii_case(known));
    ensure!(is_known, "{url:?} is not a ws:// or wss:// URL");
    Ok(())
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
            .with_context(|| format!("--header {line:?}: the name is not valid"))?;
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

/// An open connection and its user.
struct Session {
    socket: Socket,
    console: Console,
    stop: Stop,
    /// How many messages were sent more than received.
    unanswered: usize,
}

impl Session {
    async fn run(&mut self, args: &ConnectArgs) -> anyhow::Result<Ending> {
        for text in &args.texts {
            self.send(text, args.binary).await?;
        }
        if args.texts.is_empty()
            && let Some(ending) = self.forward_input(args.binary).await?
        {
            return Ok(ending);
        }
        self.finish(args.wait).await
    }

    /// Sends lines and shows messages until the input ends. `Some`: the connection has ended.
    async fn forward_input(&mut self, binary: bool) -> anyhow::Result<Option<Ending>> {
        loop {
            tokio::select! {
                input = self.console.next() => match input? {
                    Input::Line(line) => self.send(&line, binary).await?,
                    Input::End => return Ok(None),
                    Input::Interrupted => return self.close(Ending::Closed).await.map(Some),
                },
                () = self.stop.received() => return self.close(Ending::Closed).await.map(Some),
                message = self.socket.next() => if let Some(ending) = self.take(message).await {
                    return Ok(Some(ending));
                },
            }
        }
    }

    /// Waits until as many messages have come as were sent, and closes the connection. At a terminal, the user
    /// has seen what came.
    async fn finish(&mut self, wait: tidegate_config::Duration) -> anyhow::Result<Ending> {
        if self.console.is_terminal() {
            return self.close(Ending::Closed).await;
        }
        while self.unanswered > 0 && !wait.is_zero() {
            tokio::select! {
                message = timeout(wait.get(), self.socket.next()) => match message {
                    Ok(message) => if let Some(ending) = self.take(message).await {
                        return Ok(ending);
                    },
                    Err(_) => {
                        let missing = self.unanswered;
                        self.console.show(&format!("! no answer to {missing} messages within {wait}"));
                        return self.close(Ending::Unanswered).await;
                    }
                },
                () = self.stop.received() => break,
            }
        }
        self.close(Ending::Closed).await
    }

    async fn send(&mut self, text: &str, binary: bool) -> anyhow::Result<()> {
        let message = match binary {
            true => Message::binary(text.as_bytes().to_vec()),
            false => Message::text(text),
        };
        self.unanswered += 1;
        self.socket.send(message).await.context("failed to send")
    }

    /// Shows a message. `Some`: the connection has ended.
    async fn take(&mut self, message: Option<Result<Message, Error>>) -> Option<Ending> {
        match message {
            Some(Ok(Message::Close(frame))) => {
                // tungstenite answers the Close; flushing it is ours.
                let _ = self.socket.flush().await;
                Some(show::close(&mut self.console, frame.as_ref()))
            }
            Some(Ok(message)) => {
                show::message(&mut self.console, &message);
                if message.is_text() || message.is_binary() {
                    self.unanswered = self.unanswered.saturating_sub(1);
                }
                None
            }
            Some(Err(error)) => {
                self.console.show(&format!("! connection lost: {error}"));
                Some(Ending::ClosedByPeer)
            }
            None => {
                self.console.show("! connection lost");
                Some(Ending::ClosedByPeer)
            }
        }
    }

    /// Sends a Close and waits for the server's; a second Ctrl-C ends the waiting.
    async fn close(&mut self, ending: Ending) -> anyhow::Result<Ending> {
        let normal = CloseFrame {
            code: CloseCode::Normal,
            reason: "".into(),
        };
        let closing = self.socket.close(Some(normal)).await;
        closing.context("failed to close")?;
        tokio::select! {
            answered = timeout(CLOSE_TIMEOUT, closed(&mut self.socket, &mut self.console)) => {
                if answered.is_err() {
                    self.console.show("! the server did not answer the Close");
                }
            }
            () = self.stop.received() => {}
        }
        Ok(ending)
    }
}

/// Shows what comes before the server's Close, and the Close.
async fn closed(socket: &mut Socket, console: &mut Console) {
    while let Some(Ok(message)) = socket.next().await {
        if let Message::Close(frame) = message {
            show::close(console, frame.as_ref());
            return;
        }
        show::message(console, &message);
    }
}

/// The signals that end the program: Ctrl-C where no line is edited, and SIGTERM.
struct Stop {
    interrupt: Signal,
    terminate: Signal,
}

impl Stop {
    fn new() -> anyhow::Result<Self> {
        let take = |kind| signal(kind).context("failed to handle a signal");
        Ok(Self {
            interrupt: take(SignalKind::interrupt())?,
            terminate: take(SignalKind::terminate())?,
        })
    }

    async fn received(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::check_scheme;

    #[test]
    fn only_the_url_of_a_websocket_is_connected_to() {
        for url in ["127.0.0.1:8080/x", "http://127.0.0.1/x", "wsx://a", ""] {
            let wanted = format!("\"{url}\" is not a ws:// or wss:// URL");
            assert_eq!(check_scheme(url).unwrap_err().to_string(), wanted);
        }
        for url in ["ws://127.0.0.1:8080/x", "WSS://a"] {
            assert!(check_scheme(url).is_ok(), "{url}");
        }
    }
}
