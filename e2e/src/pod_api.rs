//! An API server with one gateway pod, whose port it forwards to a process of ours: the part of a kubelet that our
//! clusters have none of. Everything else it knows nothing about.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{
    Callback, ErrorResponse, Request, Response,
};
use tokio_tungstenite::tungstenite::http::HeaderValue;

/// The subprotocol of port-forward.
const SUBPROTOCOL: &str = "v4.channel.k8s.io";

/// The server. It ends when this is dropped.
pub struct PodApi {
    kubeconfig: PathBuf,
    _directory: tempfile::TempDir,
    _tasks: JoinSet<()>,
}

/// What it serves.
struct Pod {
    gateway: String,
    admin: SocketAddr,
    token: String,
}

impl PodApi {
    /// One running pod `GATEWAY-0` of this Gateway in the namespace `default`, with the admin server of a process, and
    /// the Secret with its token.
    pub async fn start(gateway: &str, admin: SocketAddr, token: &str) -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let server = format!("http://{}", listener.local_addr()?);
        let directory = tempfile::tempdir()?;
        let kubeconfig = directory.path().join("kubeconfig");
        let named = |kind: &str, value: Value| json!([{"name": "it", kind: value}]);
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "it",
            "clusters": named("cluster", json!({"server": server})),
            "users": named("user", json!({})),
            "contexts": named("context", json!({"cluster": "it", "user": "it"})),
        });
        std::fs::write(&kubeconfig, config.to_string())?;
        let pod = Arc::new(Pod {
            gateway: gateway.to_owned(),
            admin,
            token: token.to_owned(),
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(serve(listener, pod));
        Ok(Self {
            kubeconfig,
            _directory: directory,
            _tasks: tasks,
        })
    }

    /// A kubeconfig for it.
    pub fn kubeconfig(&self) -> &std::path::Path {
        &self.kubeconfig
    }
}

async fn serve(listener: TcpListener, pod: Arc<Pod>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let pod = Arc::clone(&pod);
        connections.spawn(async move {
            // What goes wrong shows in what the command says.
            let _ = answer(stream, &pod).await;
        });
    }
}

async fn answer(mut stream: TcpStream, pod: &Pod) -> anyhow::Result<()> {
    let mut head = [0; 8192];
    let length = stream.peek(&mut head).await?;
    let head = String::from_utf8_lossy(&head[..length]).into_owned();
    let path = head.split(' ').nth(1).context("no path")?.to_owned();
    if path.contains("/portforward") {
        return forward(stream, pod).await;
    }
    let body = pod.object(path.split('?').next().unwrap_or_default());
    let (status, body) = match body {
        Some(body) => ("200 OK", body),
        None => (
            "404 Not Found",
            json!({"kind": "Status", "code": 404, "message": path}),
        ),
    };
    let body = body.to_string();
    let answer = format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(answer.as_bytes()).await?;
    // The request is read to its end, or closing would reset the answer away.
    let mut rest = [0; 8192];
    let _ = stream.read(&mut rest).await?;
    Ok(stream.shutdown().await?)
}

impl Pod {
    fn object(&self, path: &str) -> Option<Value> {
        let gateway = &self.gateway;
        match path.strip_prefix("/api/v1/namespaces/default/")? {
            "pods" => Some(
                json!({"apiVersion": "v1", "kind": "PodList", "metadata": {}, "items": [{
                    "metadata": {"name": format!("{gateway}-0"), "namespace": "default",
                        "labels": {"tidegate.dev/gateway": gateway}},
                    "spec": {"containers": [{"name": "gateway",
                        "ports": [{"name": "admin", "containerPort": self.admin.port()}]}]},
                    "status": {"phase": "Running"},
                }]}),
            ),
            name if *name == format!("secrets/{gateway}-admin") => {
                use base64::Engine;
                let token = base64::engine::general_purpose::STANDARD.encode(&self.token);
                Some(
                    json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": format!("{gateway}-admin"),
                    "namespace": "default"}, "data": {"token": token}}),
                )
            }
            _ => None,
        }
    }
}

struct Choose;

impl Callback for Choose {
    fn on_request(self, _: &Request, mut response: Response) -> Result<Response, ErrorResponse> {
        let value = HeaderValue::from_static(SUBPROTOCOL);
        response
            .headers_mut()
            .insert("Sec-WebSocket-Protocol", value);
        Ok(response)
    }
}

/// The kubelet's side: two channels for the one port, data and error; the first frame of each names the port.
async fn forward(stream: TcpStream, pod: &Pod) -> anyhow::Result<()> {
    let mut socket = tokio_tungstenite::accept_hdr_async(stream, Choose).await?;
    let port = pod.admin.port().to_le_bytes();
    for channel in [0, 1] {
        let frame = vec![channel, port[0], port[1]];
        socket.send(Message::binary(frame)).await?;
    }
    let mut far = TcpStream::connect(pod.admin).await?;
    let mut buffer = [0; 4096];
    loop {
        tokio::select! {
            message = socket.next() => match message {
                Some(Ok(Message::Binary(bytes))) if bytes.first() == Some(&0) => {
                    far.write_all(&bytes[1..]).await?;
                }
                Some(Ok(Message::Close(_)) | Err(_)) | None => return Ok(()),
                Some(Ok(_)) => {}
            },
            read = far.read(&mut buffer) => match read? {
                0 => {
                    let _ = socket.close(None).await;
                    return Ok(());
                }
                length => {
                    let frame = [&[0], &buffer[..length]].concat();
                    socket.send(Message::binary(frame)).await?;
                }
            },
        }
    }
}
