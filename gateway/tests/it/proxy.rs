//! Backends behind an HTTP proxy, which is played here; a real one is asked in e2e.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tidegate_config::{BackendProxy, Duration, HealthCheck, SecretDataId};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::support::backend::Backend;
use crate::support::client::{connect, echo, open};
use crate::support::config::{Config, NAMESPACE};
use crate::support::gateway::TestGateway;
use crate::support::port::FreePort;
use crate::support::tls::{Authority, secure_echo};

const CREDENTIALS: &str = "Proxy-Authorization: Basic Z2F0ZTpodW50ZXIy\r\n";

/// A proxy that wants `gate:hunter2` for everything but `/`, and what it was asked.
struct Proxy {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    /// Tunnels to `backend`, whatever the name, or says no with this head.
    async fn start(backend: SocketAddr, no: Option<&'static str>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&asked);
        let serve = async move {
            let mut tunnels = tokio::task::JoinSet::new();
            loop {
                let (client, _) = listener.accept().await.unwrap();
                tunnels.spawn(tunnel(client, backend, no, Arc::clone(&seen)));
            }
        };
        // A test's runtime ends with the test, and this with it.
        tokio::runtime::Handle::current().spawn(serve);
        Self { address, asked }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

async fn tunnel(
    mut client: TcpStream,
    backend: SocketAddr,
    no: Option<&'static str>,
    seen: Arc<Mutex<Vec<String>>>,
) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if client.read_exact(&mut byte).await.is_err() {
            return;
        }
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let allowed = head.contains(CREDENTIALS);
    seen.lock().unwrap().push(head);
    let refused = "HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 2\r\n\r\nno";
    match no {
        None if allowed => {}
        other => {
            let _ = client.write_all(other.unwrap_or(refused).as_bytes()).await;
            return;
        }
    }
    let mut backend = TcpStream::connect(backend).await.unwrap();
    client
        .write_all(b"HTTP/1.0 200 OK\r\nVia: x\r\n\r\n")
        .await
        .unwrap();
    let _ = tokio::io::copy_bidirectional(&mut client, &mut backend).await;
}

/// `/chat` at `url` through the proxy, with these credentials.
fn through(proxy: SocketAddr, url: &str, password: Option<&str>) -> Config {
    let unused: SocketAddr = ([127, 0, 0, 1], 9).into();
    let mut config = Config::new().api_with("chat", unused, |api| {
        api.backend_url = url.to_owned();
        api.backend_tls.insecure_skip_verify = true;
        api.timeouts.connect = Some(Duration::from_secs(2));
        api.backend_proxy = Some(BackendProxy {
            url: format!("http://{proxy}"),
            credentials_ref: password.map(|_| "proxy".to_owned()),
        });
    });
    for (key, text) in [
        ("username", "gate"),
        ("password", password.unwrap_or_default()),
    ] {
        let id = SecretDataId::secret(NAMESPACE, "proxy", key);
        config.secret_data.insert(id, text.as_bytes().to_vec());
    }
    config
}

#[tokio::test]
async fn ws_and_wss_backends_are_reached_through_the_proxy_that_finds_them() {
    let backend = Backend::echo().await;
    let proxy = Proxy::start(backend.address, None).await;
    let config = through(proxy.address, "ws://chat.invalid/x", Some("hunter2"));
    let mut gateway = TestGateway::start(&config).await;
    echo(&mut open(&gateway.url("/chat")).await, "plain").await;
    assert_eq!(backend.heads()[0].header("Host"), ["chat.invalid"]);
    assert!(backend.heads()[0].header("Proxy-Authorization").is_empty());
    let expected =
        format!("CONNECT chat.invalid:80 HTTP/1.1\r\nHost: chat.invalid:80\r\n{CREDENTIALS}\r\n");
    assert_eq!(proxy.asked(), [expected]);

    let authority = Authority::new();
    let secure = secure_echo(authority.server_config("chat.invalid")).await;
    let proxy = Proxy::start(secure, None).await;
    let config = through(proxy.address, "wss://chat.invalid:8443/x", Some("hunter2"));
    gateway.apply(&config).await;
    echo(&mut open(&gateway.url("/chat")).await, "secret").await;
    assert!(proxy.asked()[0].starts_with("CONNECT chat.invalid:8443 HTTP/1.1\r\n"));
}

#[tokio::test]
async fn a_proxy_that_gives_no_tunnel_is_a_502_of_its_own() {
    let backend = Backend::echo().await;
    let filter = Proxy::start(backend.address, Some("HTTP/1.1 403 Filtered\r\n\r\n")).await;
    let good = Proxy::start(backend.address, None).await;
    let nobody = FreePort::new();
    for (name, proxy, password) in [
        ("refused", filter.address, Some("hunter2")),
        ("no credentials", good.address, None),
        ("other credentials", good.address, Some("hunter3")),
        ("nobody there", nobody.address, Some("hunter2")),
    ] {
        let config = through(proxy, "ws://chat.invalid/x", password);
        let gateway = TestGateway::start(&config).await;
        let refused = connect(&gateway.url("/chat"), &[]).await.unwrap_err();
        assert_eq!(
            (refused.status, refused.body.as_str()),
            (
                502,
                r#"{"statusCode":502,"message":"Backend proxy failed"}"#
            ),
            "{name}"
        );
        let reason = "tidegate_handshakes_total{api=\"harbour/chat\",reason=\"backend_proxy_failed\",result=\"failed\"}";
        assert_eq!(gateway.metric(reason), 1.0, "{name}");
    }
    assert!(backend.heads().is_empty(), "nobody got past");
}

#[tokio::test]
async fn a_silent_proxy_is_a_504() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = listener.local_addr().unwrap();
    let mut config = through(proxy, "ws://chat.invalid/x", Some("hunter2"));
    config = config.edit_api("chat", |api| {
        api.timeouts.connect = Some(Duration::from_millis(100));
    });
    let gateway = TestGateway::start(&config).await;
    let refused = connect(&gateway.url("/chat"), &[]).await.unwrap_err();
    assert_eq!(refused.status, 504);
}

#[tokio::test]
async fn health_checks_go_through_the_proxy_too() {
    let backend = Backend::echo().await;
    let proxy = Proxy::start(backend.address, None).await;
    let config = through(proxy.address, "ws://chat.invalid/x", Some("hunter2"));
    let config = config.edit_api("chat", |api| {
        let check = serde_json::json!({"active": {"type": "WebSocket"}});
        let check: HealthCheck = serde_json::from_value(check).unwrap();
        api.health_check = Some(check);
    });
    let gateway = TestGateway::start(&config).await;
    let good = "tidegate_backend_health_checks_total{api=\"harbour/chat\",result=\"succeeded\"}";
    gateway.metric_is(good, 1.0).await;
    assert!(proxy.asked()[0].starts_with("CONNECT chat.invalid:80 "));
    assert_eq!(backend.heads()[0].request_line(), "GET /x HTTP/1.1");
}
