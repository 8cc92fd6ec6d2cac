//! Spans of handshakes and tunnels: what the backend is told, and what a receiver of OTLP gets.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tidegate_config::TraceExport;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::support::backend::Backend;
use crate::support::client::{connect, echo};
use crate::support::config::Config;
use crate::support::gateway::TestGateway;
use crate::support::port::FreePort;
use crate::support::until;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const SPAN: &str = "b7ad6b7169203331";

/// Takes whatever is posted.
struct Receiver {
    address: SocketAddr,
    bodies: Arc<Mutex<Vec<u8>>>,
    _task: JoinSet<()>,
}

impl Receiver {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let bodies = Arc::new(Mutex::new(Vec::new()));
        let mut task = JoinSet::new();
        let kept = Arc::clone(&bodies);
        task.spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let body = post(&mut stream).await;
                kept.lock().unwrap().extend_from_slice(&body);
            }
        });
        Self {
            address,
            bodies,
            _task: task,
        }
    }

    /// Do these bytes stand in what was posted?
    fn has(&self, bytes: &[u8]) -> bool {
        let bodies = self.bodies.lock().unwrap();
        bodies.windows(bytes.len()).any(|window| window == bytes)
    }
}

/// The body of the request, which is then answered.
async fn post(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
            assert!(head.starts_with("post /v1/traces "), "{head}");
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "));
            let length: usize = length.expect("a length").parse().unwrap();
            if bytes.len() >= end + 4 + length {
                let answer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
                let _ = stream.write_all(answer.as_bytes()).await;
                return bytes.split_off(end + 4);
            }
        }
        match stream.read(&mut chunk).await.unwrap_or(0) {
            0 => return Vec::new(),
            count => bytes.extend_from_slice(&chunk[..count]),
        }
    }
}

fn config(backend: SocketAddr, receiver: SocketAddr, sample_percent: u8) -> Config {
    Config::new().api("chat", backend).settings(|settings| {
        settings.telemetry.traces = Some(TraceExport {
            endpoint: format!("http://{receiver}/v1/traces"),
            sample_percent,
        });
    })
}

const EXPORTED: &str = r#"tidegate_spans_total{result="exported"}"#;

#[tokio::test]
async fn a_handshake_and_its_tunnel_are_spans_of_the_clients_trace() {
    let (backend, receiver) = (Backend::echo().await, Receiver::start().await);
    let gateway = TestGateway::start(&config(backend.address, receiver.address, 0)).await;
    let parent = format!("00-{TRACE}-{SPAN}-01");
    let headers = [("traceparent", &*parent), ("tracestate", "a=b")];
    let mut socket = connect(&gateway.url("/chat?token=hush"), &headers)
        .await
        .unwrap();
    echo(&mut socket, "hello").await;
    let head = backend.head().await;
    assert_eq!(head.header("tracestate"), ["a=b"]);
    let told = head.header("traceparent")[0];
    assert!(
        told.starts_with(&format!("00-{TRACE}-")) && told.ends_with("-01"),
        "{told}"
    );
    let own = told.split('-').nth(2).unwrap();
    assert_ne!(own, SPAN);
    socket.close(None).await.unwrap();
    gateway.metric_is(EXPORTED, 2.0).await;
    for (name, bytes) in [
        ("the trace", hex::decode(TRACE).unwrap()),
        ("the client's span", hex::decode(SPAN).unwrap()),
        ("our span", hex::decode(own).unwrap()),
        ("the handshake", b"websocket handshake".to_vec()),
        ("the tunnel", b"websocket tunnel".to_vec()),
        ("the API", b"harbour/chat".to_vec()),
        ("the gateway", b"harbour/edge".to_vec()),
        ("the cause", b"client_closed".to_vec()),
    ] {
        assert!(receiver.has(&bytes), "{name} is missing");
    }
    assert!(!receiver.has(b"hush"));
}

#[tokio::test]
async fn who_samples_decides_and_the_backend_is_told() {
    let (backend, receiver) = (Backend::echo().await, Receiver::start().await);
    let unsampled = format!("00-{TRACE}-{SPAN}-00");
    for (name, percent, parent, flags) in [
        ("the client said no", 100, Some(&*unsampled), "-00"),
        ("none are sampled", 0, None, "-00"),
        (
            "what the client says is nonsense",
            0,
            Some("00-1-2-01"),
            "-00",
        ),
        ("all are sampled", 100, None, "-01"),
    ] {
        let gateway = TestGateway::start(&config(backend.address, receiver.address, percent)).await;
        let mut headers = vec![("tracestate", "a=b")];
        headers.extend(parent.map(|parent| ("traceparent", parent)));
        let before = backend.heads().len();
        let socket = connect(&gateway.url("/chat"), &headers).await.unwrap();
        until("the backend's request", || backend.heads().len() > before).await;
        let head = backend.heads().pop().unwrap();
        let told = head.header("traceparent");
        assert!(
            told.len() == 1 && told[0].ends_with(flags),
            "{name}: {told:?}"
        );
        let joins = parent == Some(&*unsampled);
        assert_eq!(told[0].contains(SPAN), joins, "{name}");
        assert_eq!(head.header("tracestate").is_empty(), !joins, "{name}");
        drop(socket);
        if flags == "-01" {
            gateway.metric_is(EXPORTED, 2.0).await;
        }
    }
}

#[tokio::test]
async fn a_gateway_that_ends_sends_what_it_has() {
    let (backend, receiver) = (Backend::echo().await, Receiver::start().await);
    let gateway = TestGateway::start(&config(backend.address, receiver.address, 100)).await;
    let _socket = connect(&gateway.url("/chat"), &[]).await.unwrap();
    gateway.gateway.shutdown().await;
    assert!(receiver.has(b"websocket tunnel") && receiver.has(b"drain"));
}

#[tokio::test]
async fn a_receiver_that_is_away_costs_spans_and_nothing_else() {
    let backend = Backend::echo().await;
    let nobody = FreePort::new();
    let gateway = TestGateway::start(&config(backend.address, nobody.address, 100)).await;
    let mut socket = connect(&gateway.url("/chat"), &[]).await.unwrap();
    echo(&mut socket, "hello").await;
    socket.close(None).await.unwrap();
    gateway
        .metric_is(r#"tidegate_spans_total{result="failed"}"#, 2.0)
        .await;
}
