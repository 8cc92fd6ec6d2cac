//! Connections that are older than the configuration: what is revoked, closed or limited meanwhile holds for
//! their requests too, however far they had come.

use std::net::SocketAddr;
use std::sync::Arc;

use serde_json::json;
use tidegate_config::{ClientAuthConfig, ClientCertificates, SecretDataId, SubscriptionScope};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Notify;

use crate::handshake::parts;
use crate::policies::steps;
use crate::support::backend::{Backend, upgrade};
use crate::support::client::{connect, handshake, read_to_end};
use crate::support::config::{Config, NAMESPACE};
use crate::support::gateway::TestGateway;
use crate::support::http2::Http2;
use crate::support::tls::{Authority, tls_connect};
use crate::support::until;

const KEY: &str = "X-Harbour-Key: white-whale\r\n";

/// A tunnel that is opened stays, whatever happens to its key.
fn keyed(backend: SocketAddr) -> Config {
    let config = Config::new().api_with("chat", backend, |api| {
        api.subscription_required = true;
        api.live_access.enforce = false;
    });
    config.subscription("ahab", SubscriptionScope::Gateway, "white-whale")
}

/// The status of the answer to what `stream` has sent.
async fn status(stream: &mut TcpStream) -> u16 {
    let mut answer = [0; 12];
    let read = crate::support::within("an answer", stream.read_exact(&mut answer)).await;
    read.map_or(0, |_| parts(&String::from_utf8_lossy(&answer)).0)
}

#[tokio::test]
#[allow(clippy::too_many_lines, reason = "a row for each change")]
async fn a_handshake_is_decided_by_the_configuration_of_its_head() {
    let backend = Backend::echo().await;
    let open = || Config::new().api("chat", backend.address);
    let v1 = "PROXY TCP4 192.0.2.7 10.0.0.1 49153 80\r\n";
    let balanced = |trusted: &str| {
        let forbid = json!({"inbound": [{"ipFilter": {"forbid": ["192.0.2.7"]}}]});
        open()
            .edit_api("chat", |api| api.on_handshake = steps(forbid))
            .settings(|settings| {
                settings.trusted_proxies = vec![trusted.to_owned()];
                settings.listeners[0].proxy_protocol = true;
            })
    };
    let filter = json!({"inbound": [{"ipFilter": {"allow": ["10.0.0.1"]}}]});
    let long = format!("X-Long: {}\r\n", "x".repeat(2000));
    for (name, before, after, begun, lines, expected) in [
        (
            "a key that is revoked",
            keyed(backend.address),
            keyed(backend.address).without_subscription("ahab"),
            "",
            KEY,
            401,
        ),
        (
            "a key that is granted",
            keyed(backend.address).without_subscription("ahab"),
            keyed(backend.address),
            "",
            KEY,
            101,
        ),
        (
            "a filter",
            open(),
            open().edit_api("chat", |api| api.on_handshake = steps(filter)),
            "",
            "",
            403,
        ),
        (
            "an API that goes",
            open(),
            open().without_api("chat"),
            "",
            "",
            404,
        ),
        (
            "an API that leaves the listener",
            open(),
            open().edit_api("chat", |api| api.listeners.clear()),
            "",
            "",
            404,
        ),
        (
            "a head that is too large by now",
            open(),
            open().settings(|settings| settings.limits.max_header_bytes = 1024),
            "",
            &*long,
            431,
        ),
        (
            "a proxy that is trusted by now",
            balanced("10.0.0.0/8"),
            balanced("127.0.0.0/8"),
            v1,
            "",
            403,
        ),
        (
            "a proxy that is trusted no longer",
            balanced("127.0.0.0/8"),
            balanced("10.0.0.0/8"),
            v1,
            "",
            101,
        ),
        (
            "a port that wants PROXY headers by now",
            open(),
            balanced("127.0.0.0/8"),
            "",
            "",
            421,
        ),
    ] {
        let mut gateway = TestGateway::start(&before).await;
        let address = gateway.address("plain");
        let head = handshake("/chat", lines);
        let (first, rest) = head.split_at(20);
        let mut silent = TcpStream::connect(address).await.unwrap();
        silent.write_all(begun.as_bytes()).await.unwrap();
        let mut halfway = TcpStream::connect(address).await.unwrap();
        let start = [begun, first].concat();
        halfway.write_all(start.as_bytes()).await.unwrap();
        gateway.metric_is("tidegate_connections_active", 2.0).await;
        gateway.apply(&after).await;
        silent.write_all(head.as_bytes()).await.unwrap();
        assert_eq!(status(&mut silent).await, expected, "{name}");
        halfway.write_all(rest.as_bytes()).await.unwrap();
        assert_eq!(status(&mut halfway).await, expected, "{name}, halfway");
    }
}

#[tokio::test]
async fn tls_that_was_agreed_on_before_authorities_changed_opens_nothing() {
    let backend = Backend::echo().await;
    let (edge, old, new) = (Authority::new(), Authority::new(), Authority::new());
    let (chain, key) = edge.issue("harbour.example");
    let demanding = |partners: &Authority| {
        let mut config = Config::new()
            .api("chat", backend.address)
            .tls_listener(&chain, &key);
        let ca = SecretDataId::secret(NAMESPACE, "partners", "ca.crt");
        let pem = partners.pem().into_bytes();
        config.secret_data.insert(ca.clone(), pem);
        let listener = config.config.settings.listeners.last_mut().unwrap();
        listener.tls.as_mut().unwrap().client_auth = Some(ClientAuthConfig {
            mode: ClientCertificates::Required,
            ca,
        });
        config
    };
    let mut gateway = TestGateway::start(&demanding(&old)).await;
    let client = edge.client_config_with(&old, "partner.example");
    let mut stream = tls_connect(gateway.address("secure"), "harbour.example", client)
        .await
        .unwrap();
    gateway.apply(&demanding(&new)).await;
    let head = handshake("/chat", "");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(parts(&String::from_utf8_lossy(&answer)).0, 421);
    assert!(backend.heads().is_empty());
}

/// The head came before, the answer would come after.
#[tokio::test]
async fn a_key_revoked_while_the_backend_is_asked_opens_no_tunnel() {
    let answer = Arc::new(Notify::new());
    let go = Arc::clone(&answer);
    let backend = Backend::scripted(move |head, stream| {
        let go = Arc::clone(&go);
        async move {
            go.notified().await;
            let _socket = upgrade(&head, stream, "").await;
            std::future::pending::<()>().await;
        }
    })
    .await;
    let removed = || keyed(backend.address).without_api("chat");
    for (name, after, expected) in [
        (
            "key",
            keyed(backend.address).without_subscription("ahab"),
            401,
        ),
        ("API", removed(), 404),
        (
            "nothing of this",
            keyed(backend.address).api("late", backend.address),
            101,
        ),
    ] {
        let asked = backend.heads().len();
        let mut gateway = TestGateway::start(&keyed(backend.address)).await;
        let mut stream = TcpStream::connect(gateway.address("plain")).await.unwrap();
        let head = handshake("/chat", KEY);
        stream.write_all(head.as_bytes()).await.unwrap();
        until("the backend to be asked", || backend.heads().len() > asked).await;
        gateway.apply(&after).await;
        answer.notify_one();
        assert_eq!(status(&mut stream).await, expected, "{name}");
        let tunnels = usize::from(expected == 101);
        assert_eq!(gateway.gateway.tunnels(), tunnels, "{name}");
    }
}

/// The streams of one connection, which may be older than any of them.
#[tokio::test]
async fn each_stream_has_the_configuration_of_its_own_head() {
    let backend = Backend::echo().await;
    let http2 = |config: Config| config.settings(|settings| settings.listeners[0].http2 = true);
    let mut gateway = TestGateway::start(&http2(keyed(backend.address))).await;
    let mut client = Http2::plain(gateway.address("plain")).await;
    let key = [("x-harbour-key", "white-whale")];
    let _tunnel = client
        .connect("/chat", &key)
        .await
        .map_err(|r| r.status)
        .unwrap();
    let revoked = keyed(backend.address).without_subscription("ahab");
    gateway.apply(&http2(revoked)).await;
    let refused = client.connect("/chat", &key).await.err().unwrap();
    assert_eq!(refused.status, 401);
    let other = http2(keyed(backend.address)).settings(|settings| {
        settings.listeners[0].proxy_protocol = true;
    });
    gateway.apply(&other).await;
    let refused = client.connect("/chat", &key).await.err().unwrap();
    assert_eq!(refused.status, 421, "it began without a PROXY header");
}

/// The accept itself is older than a limit that was set since.
#[tokio::test]
async fn a_limit_that_is_set_counts_connections_that_are_there() {
    let backend = Backend::echo().await;
    let chat = || Config::new().api("chat", backend.address);
    let mut gateway = TestGateway::start(&chat()).await;
    let mut first = TcpStream::connect(gateway.address("plain")).await.unwrap();
    gateway.metric_is("tidegate_connections_active", 1.0).await;
    let limited = chat().settings(|settings| settings.limits.max_connections_per_ip = 1);
    gateway.apply(&limited).await;
    let refused = connect(&gateway.url("/chat"), &[]).await.err().unwrap();
    assert_eq!(refused.status, 429);
    first
        .write_all(handshake("/none", "").as_bytes())
        .await
        .unwrap();
    assert_eq!(parts(&read_to_end(&mut first).await).0, 404);
}
