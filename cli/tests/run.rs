//! `tidegate run`: where it reads from, what it follows, and echo servers in the place of backends.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests fail the test that calls them"
)]

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::{HeaderName, HeaderValue};
use tokio_tungstenite::tungstenite::stream::MaybeTlsStream;
use tokio_tungstenite::tungstenite::{Error, WebSocket, connect};

/// Longest time that a test waits for anything.
const LIMIT: Duration = Duration::from_secs(60);

/// A running `tidegate run`.
struct Run {
    child: Child,
    lines: Receiver<String>,
    seen: Vec<String>,
    state: TempDir,
}

impl Run {
    /// Starts it with these arguments in a directory, with a text for its standard input.
    fn start(directory: &Path, arguments: &[&str], input: &str) -> Self {
        let state = tempfile::tempdir().unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_tidegate"))
            .args(["run", "--bind-address", "127.0.0.1", "--free-ports"])
            .args(arguments)
            .arg("--state-dir")
            .arg(state.path())
            .current_dir(directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(input.as_bytes())
            .unwrap();
        let (sender, lines) = channel();
        let output = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        Self {
            child,
            lines,
            seen: Vec::new(),
            state,
        }
    }

    /// The first line that says it.
    fn line<T>(&mut self, what: &str, says: impl Fn(&str) -> Option<T>) -> T {
        if let Some(found) = self.seen.iter().find_map(|line| says(line)) {
            return found;
        }
        let end = Instant::now() + LIMIT;
        while let Ok(line) = self.lines.recv_timeout(end - Instant::now()) {
            let found = says(&line);
            self.seen.push(line);
            if let Some(found) = found {
                return found;
            }
        }
        panic!("no line with {what} in {:#?}", self.seen);
    }

    /// Host and port of a Gateway's only listener.
    fn host(&mut self, gateway: &str) -> String {
        let start = format!("{gateway}/");
        self.line("the address", |line| {
            let rest = line.strip_prefix(&start)?;
            Some(rest.split_once("ws://")?.1.to_owned())
        })
    }

    fn key(&self, subscription: &str) -> String {
        let path = format!("keys/default.{subscription}-keys.yaml");
        let text = fs::read_to_string(self.state.path().join(path)).unwrap();
        let secret: Value = serde_json::from_str(&text).unwrap();
        secret["stringData"]["primaryKey"]
            .as_str()
            .unwrap()
            .to_owned()
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

type Socket = WebSocket<MaybeTlsStream<TcpStream>>;

/// Opens a WebSocket.
///
/// # Errors
///
/// The status of a refusal.
fn open(url: &str, headers: &[(&str, &str)]) -> Result<Socket, u16> {
    let mut request = url.into_client_request().unwrap();
    for (name, value) in headers {
        let name: HeaderName = name.parse().unwrap();
        request
            .headers_mut()
            .insert(name, HeaderValue::from_str(value).unwrap());
    }
    match connect(request) {
        Ok((socket, _)) => Ok(socket),
        Err(Error::Http(response)) => Err(response.status().as_u16()),
        Err(error) => panic!("{url}: {error}"),
    }
}

/// Waits until a handshake has this outcome: 101, or the status of a refusal.
fn answers(url: &str, wanted: u16) {
    let end = Instant::now() + LIMIT;
    loop {
        let status = open(url, &[]).map_or_else(|status| status, |_| 101);
        if status == wanted {
            return;
        }
        assert!(Instant::now() < end, "{url} answers {status}, not {wanted}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn api(name: &str) -> Value {
    json!({
        "apiVersion": "tidegate.dev/v1alpha1", "kind": "WebSocketApi", "metadata": {"name": name},
        "spec": {
            "gateways": [{"name": "edge"}], "path": format!("/{name}"), "subscriptionRequired": false,
            "backend": {"url": format!("ws://{name}.test/")},
        },
    })
}

const GATEWAY: &str = "apiVersion: tidegate.dev/v1alpha1\nkind: Gateway\nmetadata: {name: edge}\n\
                       spec: {listeners: [{name: plain, port: 8080, protocol: WS}]}\n";

#[test]
fn all_paths_are_served_and_followed() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    fs::create_dir_all(root.join("m/below")).unwrap();
    fs::write(root.join("one.txt"), api("one").to_string()).unwrap();
    let list = json!({"apiVersion": "v1", "kind": "List", "items": [api("two"), api("three")]});
    fs::write(root.join("m/list.json"), list.to_string()).unwrap();
    fs::write(root.join("m/below/four.yaml"), api("four").to_string()).unwrap();
    let mut run = Run::start(
        root,
        &["one.txt", "-R", "m", "-", "one.txt", "--echo"],
        GATEWAY,
    );
    let host = run.host("edge");
    for name in ["one", "two", "three", "four"] {
        answers(&format!("ws://{host}/{name}"), 101);
    }
    for (file, old, new) in [
        ("one.txt", "one", "uno"),
        ("m/list.json", "two", "due"),
        ("m/below/four.yaml", "four", "quattro"),
    ] {
        let text = fs::read_to_string(root.join(file)).unwrap();
        fs::write(root.join(file), text.replace(old, new)).unwrap();
        answers(&format!("ws://{host}/{new}"), 101);
        answers(&format!("ws://{host}/{old}"), 404);
    }
    answers(&format!("ws://{host}/three"), 101);
}

#[test]
fn a_path_that_does_not_exist_is_named_before_anything_is_served() {
    let output = Command::new(env!("CARGO_BIN_EXE_tidegate"))
        .args(["run", "not-there"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        said.contains("failed to read not-there: No such file"),
        "{said}"
    );
}

/// A handshake with an example, and what its echo server has to have seen.
struct Try {
    example: &'static str,
    gateway: &'static str,
    target: &'static str,
    headers: Vec<(&'static str, String)>,
    /// The Subscription whose key is sent, and in which header.
    key: Option<(&'static str, &'static str)>,
    seen: &'static [(&'static str, &'static str)],
    backend_target: &'static str,
}

impl Try {
    fn new(example: &'static str, target: &'static str, backend_target: &'static str) -> Self {
        Self {
            example,
            gateway: "edge",
            target,
            headers: Vec::new(),
            key: None,
            seen: &[],
            backend_target,
        }
    }
}

const KEY: &str = "ocp-apim-subscription-key";

fn token() -> String {
    let claims = json!({
        "iss": "https://login.example.com", "aud": "orders", "sub": "alice", "scope": "orders.read",
        "exp": jiff::Timestamp::now().as_second() + 600,
    });
    let secret = EncodingKey::from_secret(b"an-example-secret-of-at-least-32-bytes");
    encode(&Header::default(), &claims, &secret).unwrap()
}

fn tries() -> Vec<Try> {
    vec![
        Try {
            key: Some(("me", KEY)),
            ..Try::new("echo", "/echo", "/")
        },
        Try {
            headers: vec![("x-app", "bridge".to_owned())],
            seen: &[("x-api", "sonar"), ("x-depth", "40")],
            ..Try::new("fragment", "/sonar", "/")
        },
        Try {
            headers: vec![("authorization", format!("Bearer {}", token()))],
            seen: &[("x-user", "alice")],
            ..Try::new("jwt", "/orders", "/stream")
        },
        Try::new("pool", "/chat?shard=green", "/hub?shard=green"),
        Try {
            key: Some(("trader", KEY)),
            seen: &[("x-subscriber", "trader")],
            ..Try::new("product", "/news/sea", "/?topic=sea")
        },
        Try {
            key: Some(("worker", "api-key")),
            ..Try::new(
                "realtime",
                "/openai/v1/realtime?model=m",
                "/openai/v1/realtime?model=m",
            )
        },
        Try::new(
            "signalr",
            "/chat",
            "/client/?hub=echo&id=echo&access_token=echo",
        ),
        Try {
            gateway: "public",
            ..Try::new("two-gateways", "/quotes", "/")
        },
        Try {
            key: Some(("chat", KEY)),
            ..Try::new(
                "web-pubsub",
                "/client/hubs/chat?access_token=a",
                "/client/hubs/chat?access_token=a",
            )
        },
    ]
}

#[test]
fn every_example_runs_as_it_stands_with_echo_servers() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
    let tries = tries();
    let mut names: Vec<_> = fs::read_dir(&examples)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    let tried: Vec<_> = tries.iter().map(|try_| try_.example).collect();
    assert_eq!(names, tried);
    for try_ in tries {
        let mut run = Run::start(&examples, &["--echo=headers", try_.example], "");
        let host = run.host(try_.gateway);
        let key = try_
            .key
            .map(|(subscription, header)| (header, run.key(subscription)));
        let headers = try_.headers.iter().chain(&key);
        let headers: Vec<_> = headers
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        let url = format!("ws://{host}{}", try_.target);
        let mut socket = open(&url, &headers).unwrap_or_else(|status| panic!("{url}: {status}"));
        let greeting = socket.read().unwrap().into_text().unwrap();
        let greeting: Value = serde_json::from_str(&greeting).unwrap();
        assert_eq!(greeting["target"], try_.backend_target, "{url}: {greeting}");
        for (name, value) in try_.seen {
            assert_eq!(greeting["headers"][name], *value, "{url}: {greeting}");
        }
        socket.send("hello".into()).unwrap();
        assert_eq!(
            socket.read().unwrap().into_text().unwrap(),
            "hello",
            "{url}"
        );
    }
}

#[test]
fn what_does_not_run_with_echo_servers_is_said() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
    let mut run = Run::start(&examples, &["--echo", "realtime"], "");
    for wanted in [
        "echo server for wss://east.openai.azure.com: ws://127.0.0.1:",
        "echo server for wss://west.openai.azure.com: ws://127.0.0.1:",
        "spec.onHandshake.inbound[0].backendAuth: warning: is not run with --echo",
    ] {
        run.line(wanted, |line| line.contains(wanted).then_some(()));
    }
}
