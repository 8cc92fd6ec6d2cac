//! `tidegate connect` against servers in this process, with a pipe and at a pseudo-terminal.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests fail the test that calls them"
)]

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use futures::{SinkExt as _, StreamExt as _};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};

/// Longest time that a test waits for anything.
const LIMIT: Duration = Duration::from_secs(60);

/// What a server does with a message.
#[derive(Clone, Copy, PartialEq)]
enum Behaviour {
    /// Sends it back, after a while.
    Echo(Duration),
    /// Nothing.
    Silent,
}

/// A server that takes one connection after the other, and says what it got.
struct Server {
    address: SocketAddr,
    seen: mpsc::UnboundedReceiver<String>,
    /// What it has seen and no test has waited for.
    log: Vec<String>,
    _runtime: Runtime,
}

impl Server {
    fn start(behaviour: Behaviour, tls: Option<rustls::ServerConfig>) -> Self {
        let runtime = Runtime::new().unwrap();
        let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)));
        let listener = listener.unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, seen) = mpsc::unbounded_channel();
        let tls = tls.map(|config| tokio_rustls::TlsAcceptor::from(Arc::new(config)));
        runtime.spawn(async move {
            loop {
                let Ok((stream, _)) = listener.accept().await else {
                    return;
                };
                match &tls {
                    None => serve(stream, behaviour, &sender).await,
                    Some(tls) => {
                        if let Ok(stream) = tls.accept(stream).await {
                            serve(stream, behaviour, &sender).await;
                        }
                    }
                }
            }
        });
        Self {
            address,
            seen,
            log: Vec::new(),
            _runtime: runtime,
        }
    }

    fn echo() -> Self {
        Self::start(Behaviour::Echo(Duration::ZERO), None)
    }

    fn url(&self) -> String {
        format!("ws://{}/", self.address)
    }

    /// Waits until the server has seen something, once for each time that it has.
    fn wait_for(&mut self, wanted: &str) {
        let end = std::time::SystemTime::now() + LIMIT;
        while std::time::SystemTime::now() < end {
            if let Some(at) = self.log.iter().position(|line| line == wanted) {
                self.log.remove(at);
                return;
            }
            match self.seen.try_recv() {
                Ok(line) => self.log.push(line),
                Err(_) => std::thread::sleep(Duration::from_millis(10)),
            }
        }
        panic!("the server did not see {wanted:?}, but {:?}", self.log);
    }
}

#[expect(clippy::result_large_err, reason = "the signature is tungstenite's")]
async fn serve<S>(stream: S, behaviour: Behaviour, seen: &mpsc::UnboundedSender<String>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let note = |line: String| drop(seen.send(line));
    let headers = |request: &Request, response: Response| -> Result<Response, ErrorResponse> {
        for (name, value) in request.headers() {
            note(format!("{name}: {}", value.to_str().unwrap_or_default()));
        }
        Ok(response)
    };
    let Ok(mut socket) = tokio_tungstenite::accept_hdr_async(stream, headers).await else {
        return;
    };
    while let Some(Ok(message)) = socket.next().await {
        match (&message, behaviour) {
            (Message::Close(frame), _) => {
                let code = frame.as_ref().map(|frame| u16::from(frame.code));
                note(format!("close {}", code.unwrap_or_default()));
            }
            (Message::Text(text), Behaviour::Echo(after)) => {
                note(format!("text {text}"));
                tokio::time::sleep(after).await;
                let _ = socket.send(message).await;
            }
            _ => {}
        }
    }
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
    command.arg("connect").args(arguments);
    command
}

fn piped(arguments: &[&str]) -> Child {
    let mut command = command(arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    command.stderr(Stdio::piped()).spawn().unwrap()
}

/// Runs the client with this input, and says what it printed and its exit status.
fn run(arguments: &[&str], input: &str) -> (Option<i32>, String) {
    let mut child = piped(arguments);
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).unwrap();
    drop(stdin);
    said(child.wait_with_output().unwrap())
}

fn said(output: Output) -> (Option<i32>, String) {
    let all = [output.stdout, output.stderr].concat();
    (
        output.status.code(),
        String::from_utf8_lossy(&all).into_owned(),
    )
}

#[test]
fn answers_are_awaited_after_the_end_of_the_input() {
    let mut server = Server::start(Behaviour::Echo(Duration::from_millis(200)), None);
    let (code, printed) = run(&[&server.url()], "one\ntwo\n");
    assert_eq!(code, Some(0), "{printed}");
    let (one, two) = (printed.find("< one"), printed.find("< two"));
    assert!(one.is_some() && one < two, "{printed}");
    server.wait_for("close 1000");
}

#[test]
fn answers_that_do_not_come_end_the_waiting() {
    let server = Server::start(Behaviour::Silent, None);
    let url = server.url();
    let (code, printed) = run(&[&url, "--text", "a", "--wait", "100ms"], "");
    assert_eq!(code, Some(4), "{printed}");
    assert!(printed.contains("no answer to 1 messages"), "{printed}");
    let (code, printed) = run(&[&url, "--wait", "0"], "a\n");
    assert_eq!(code, Some(0), "{printed}");
}

#[test]
fn a_server_that_does_not_answer_the_handshake_is_given_up() {
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let (code, printed) = run(&[&url, "--timeout", "200ms"], "");
    assert_eq!(code, Some(2), "{printed}");
    assert!(printed.contains("did not answer within 200ms"), "{printed}");
}

#[test]
fn headers_are_sent() {
    let mut server = Server::echo();
    let url = server.url();
    let (code, printed) = run(
        &[&url, "-H", "X-Tenant: a", "--key", "k", "--text", "x"],
        "",
    );
    assert_eq!(code, Some(0), "{printed}");
    server.wait_for("x-tenant: a");
    server.wait_for("ocp-apim-subscription-key: k");
    let (code, printed) = run(&[&url, "-H", "nonsense"], "");
    assert_eq!(code, Some(2), "{printed}");
}

#[test]
fn ctrl_c_sends_a_close() {
    let mut server = Server::echo();
    let mut child = piped(&[&server.url()]);
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"hello\n").unwrap();
    server.wait_for("text hello");
    let interrupted = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status();
    assert!(interrupted.unwrap().success());
    let (code, printed) = said(child.wait_with_output().unwrap());
    assert_eq!(code, Some(0), "{printed}");
    server.wait_for("close 1000");
    drop(stdin);
}

/// A certificate for these names that is its own authority, as `openssl req -x509` makes it.
struct Certificate {
    directory: tempfile::TempDir,
    server: rustls::ServerConfig,
}

impl Certificate {
    fn of(names: &[&str], expired: bool) -> Self {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut parameters = rcgen::CertificateParams::new(names).unwrap();
        parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        if expired {
            parameters.not_after = rcgen::date_time_ymd(2020, 1, 1);
        }
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = parameters.self_signed(&key).unwrap();
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("ca.pem"), certificate.pem()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let der = rustls_pki_types::PrivatePkcs8KeyDer::from(key.serialize_der());
        let server = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], der.into())
            .unwrap();
        Self { directory, server }
    }

    fn file(&self) -> PathBuf {
        self.directory.path().join("ca.pem")
    }
}

#[test]
fn certificates_are_checked_as_the_flags_say() {
    let good = Certificate::of(&["localhost"], false);
    let other = Certificate::of(&["localhost"], false);
    let elsewhere = Certificate::of(&["elsewhere.example"], false);
    let expired = Certificate::of(&["localhost"], true);
    for (case, served, flags, wanted) in [
        (
            "its own authority",
            &good,
            vec!["--ca".into(), good.file()],
            0,
        ),
        ("another one's", &good, vec!["--ca".into(), other.file()], 2),
        ("of the system", &good, vec![], 2),
        ("any", &good, vec!["-k".into()], 0),
        (
            "for another host",
            &elsewhere,
            vec!["--ca".into(), elsewhere.file()],
            2,
        ),
        ("too old", &expired, vec!["--ca".into(), expired.file()], 2),
        ("any, too old", &expired, vec!["--insecure".into()], 0),
    ] {
        let server = Server::start(Behaviour::Echo(Duration::ZERO), Some(served.server.clone()));
        let url = format!("wss://localhost:{}/", server.address.port());
        let mut arguments = vec![url.as_str(), "--text", "x"];
        arguments.extend(flags.iter().map(|flag: &PathBuf| flag.to_str().unwrap()));
        let (code, printed) = run(&arguments, "");
        assert_eq!(code, Some(wanted), "{case}: {printed}");
        let warned = printed.contains("was not checked");
        assert_eq!(warned, case.starts_with("any"), "{case}: {printed}");
    }
}

/// The client at a pseudo-terminal.
struct Terminal {
    child: Child,
    keyboard: File,
    /// What the client printed and no test has looked at yet.
    screen: std::sync::mpsc::Receiver<Vec<u8>>,
    seen: String,
}

impl Terminal {
    fn open(server: &Server) -> Self {
        let controller = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&controller).unwrap();
        unlockpt(&controller).unwrap();
        let name = ptsname(&controller, Vec::new()).unwrap();
        let terminal = File::options()
            .read(true)
            .write(true)
            .open(name.to_str().unwrap())
            .unwrap();
        let child = command(&[&server.url()])
            .stdin(terminal.try_clone().unwrap())
            .stdout(terminal.try_clone().unwrap())
            .stderr(terminal)
            .spawn()
            .unwrap();
        let keyboard = File::from(controller);
        let mut output = keyboard.try_clone().unwrap();
        let (sender, screen) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 1024];
            // It fails when the client has ended.
            while let Ok(length @ 1..) = output.read(&mut buffer) {
                if sender.send(buffer[..length].to_vec()).is_err() {
                    return;
                }
            }
        });
        let mut terminal = Self {
            child,
            keyboard,
            screen,
            seen: String::new(),
        };
        terminal.wait_for("* connected");
        terminal.wait_for("> ");
        terminal
    }

    fn press(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
    }

    /// Waits until the client has printed this, after what was waited for before.
    fn wait_for(&mut self, wanted: &str) {
        loop {
            if let Some(at) = self.seen.find(wanted) {
                self.seen.drain(..at + wanted.len());
                return;
            }
            match self.screen.recv_timeout(LIMIT) {
                Ok(bytes) => self.seen.push_str(&String::from_utf8_lossy(&bytes)),
                Err(_) => panic!("{wanted:?} is not printed: {:?}", self.seen),
            }
        }
    }

    fn exit_code(&mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }
}

#[test]
fn at_a_terminal_lines_are_edited_and_come_back_and_ctrl_c_closes() {
    let mut server = Server::echo();
    let mut terminal = Terminal::open(&server);
    // Ctrl-U erases what was typed before.
    terminal.press("wrong\u{15}first\r");
    server.wait_for("text first");
    terminal.wait_for("< first");
    terminal.wait_for("> ");
    // The arrow up brings the line back.
    terminal.press("\u{1b}[A\r");
    server.wait_for("text first");
    terminal.wait_for("< first");
    terminal.press("\u{3}");
    server.wait_for("close 1000");
    terminal.wait_for("* closed: 1000");
    assert_eq!(terminal.exit_code(), Some(0));
}

#[test]
fn at_a_terminal_ctrl_d_closes() {
    let mut server = Server::echo();
    let mut terminal = Terminal::open(&server);
    terminal.press("\u{4}");
    server.wait_for("close 1000");
    assert_eq!(terminal.exit_code(), Some(0));
}
