//! Conversations of frames, direct and through the gateway: both sides must see the very same
//! bytes and the same end, whatever carries them.
//!
//! Only raw sockets and frames written here: no library decides which frames can be sent.

mod conversation;
mod play;

use std::sync::{Arc, LazyLock};

use proptest::test_runner::{Config as Cases, TestRunner};
use tidegate_config::SecretDataId;
use tidegate_config::{TrustAnchorKind, TrustAnchorRef};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use crate::http2::modern;
use crate::support::config::{Config, NAMESPACE};
use crate::support::gateway::TestGateway;
use crate::support::http2::Http2;
use crate::support::tls::{Authority, tls_connect};
use conversation::{Conversation, Side};
use play::{OFFER, Peer, Stream, Transcript};

/// Each is played eight times; every position at which a header can be cut occurs many times over.
const CASES: u32 = 48;

/// The ways from a client to a backend.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Legs {
    Direct,
    WsToWs,
    WssToWs,
    WsToWss,
    WssToWss,
    /// A stream of HTTP/2.
    H2ToWs,
    /// The same over TLS.
    H2sToWs,
    H2sToWss,
}

const THROUGH: [Legs; 7] = [
    Legs::WsToWs,
    Legs::WssToWs,
    Legs::WsToWss,
    Legs::WssToWss,
    Legs::H2ToWs,
    Legs::H2sToWs,
    Legs::H2sToWss,
];

/// A gateway before a plain and a TLS backend, with a plain and a TLS listener.
struct Stage {
    gateway: TestGateway,
    plain: Peer,
    secure: Peer,
    authority: Arc<Authority>,
}

static AUTHORITY: LazyLock<Arc<Authority>> = LazyLock::new(|| Arc::new(Authority::new()));

impl Stage {
    async fn set() -> Self {
        let authority = Arc::clone(&AUTHORITY);
        let plain = Peer::start(None).await;
        let server = authority.server_config("localhost");
        let secure = Peer::start(Some(TlsAcceptor::from(Arc::new(server)))).await;
        let anchor = TrustAnchorRef {
            kind: TrustAnchorKind::ConfigMap,
            name: "anchors".to_owned(),
            key: "ca.crt".to_owned(),
        };
        let port = secure.address.port();
        let mut config =
            Config::new()
                .api("plain", plain.address)
                .api_with("secure", secure.address, |api| {
                    api.backend_url = format!("wss://localhost:{port}/");
                    api.backend_tls.ca_refs = vec![anchor.clone()];
                });
        let id = SecretDataId::of_trust_anchor(NAMESPACE, &anchor);
        config.secret_data.insert(id, authority.pem().into_bytes());
        let (chain, key) = authority.issue("harbour.example");
        let config = modern(config.tls_listener(&chain, &key)).settings(|settings| {
            // What follows the first Close may be 16 MiB, on a loaded machine.
            settings.drain.close_timeout = tidegate_config::Duration::from_secs(20);
        });
        Self {
            gateway: TestGateway::start(&config).await,
            plain,
            secure,
            authority,
        }
    }

    /// Opens the client's end.
    async fn client(&self, legs: Legs, path: &str) -> Stream {
        let (plain, secure) = (
            self.gateway.address("plain"),
            self.gateway.address("secure"),
        );
        let (authority, name) = (&self.authority, "harbour.example");
        let stream = match legs {
            Legs::Direct => self.connect(self.plain.address).await,
            Legs::WsToWs | Legs::WsToWss => self.connect(plain).await,
            Legs::WssToWs | Legs::WssToWss => {
                let stream = tls_connect(secure, name, authority.client_config()).await;
                Box::new(stream.unwrap())
            }
            Legs::H2ToWs => return open_stream(Http2::plain(plain).await, path).await,
            Legs::H2sToWs | Legs::H2sToWss => {
                return open_stream(Http2::secure(secure, authority, name).await, path).await;
            }
        };
        play::open(stream, path).await
    }

    async fn connect(&self, address: std::net::SocketAddr) -> Stream {
        let socket = TcpStream::connect(address).await.unwrap();
        socket.set_nodelay(true).unwrap();
        Box::new(socket)
    }

    /// What both sides got to see.
    async fn play(&self, legs: Legs, conversation: &Conversation) -> Transcript {
        let (to_secure, path) = match legs {
            Legs::WsToWss | Legs::WssToWss | Legs::H2sToWss => (true, "/secure"),
            Legs::Direct | Legs::WsToWs | Legs::WssToWs | Legs::H2ToWs | Legs::H2sToWs => {
                (false, "/plain")
            }
        };
        let peer = if to_secure { &self.secure } else { &self.plain };
        peer.play(self.client(legs, path), conversation).await
    }
}

/// The connection ends with its only stream.
async fn open_stream(mut client: Http2, path: &str) -> Stream {
    let opened = client.connect(path, &[OFFER]).await;
    let (stream, answer) = opened.unwrap_or_else(|refused| panic!("{refused:?}"));
    let agreed = &answer.headers()["sec-websocket-extensions"];
    assert_eq!(agreed, OFFER.1);
    Box::new(stream)
}

/// Plays a conversation over every combination of legs and compares.
async fn compare(stage: &Stage, conversation: &Conversation) {
    let direct = stage.play(Legs::Direct, conversation).await;
    assert_eq!(
        direct.at_backend,
        conversation.bytes(Side::Client),
        "the comparison itself is broken: {conversation:?}"
    );
    assert_eq!(direct.at_client, conversation.bytes(Side::Backend));
    for legs in THROUGH {
        let through = stage.play(legs, conversation).await;
        assert_eq!(
            through.shape(),
            direct.shape(),
            "{legs:?}: {conversation:?}"
        );
        assert!(
            through == direct,
            "{legs:?}: the lengths agree, the bytes do not: {conversation:?}"
        );
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
}

#[test]
fn any_conversation_passes_as_if_nobody_stood_between() {
    let runtime = runtime();
    let stage = runtime.block_on(Stage::set());
    let mut runner = TestRunner::new(Cases::with_cases(CASES));
    let run = runner.run(&conversation::conversations(), |conversation| {
        runtime.block_on(compare(&stage, &conversation));
        Ok(())
    });
    run.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn every_close_code_and_reason_passes() {
    let stage = Stage::set().await;
    for closing in [Side::Client, Side::Backend] {
        for conversation in conversation::closes(closing) {
            compare(&stage, &conversation).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_length_at_which_a_header_changes_passes() {
    let stage = Stage::set().await;
    for conversation in conversation::lengths() {
        compare(&stage, &conversation).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sixteen_mebibytes_in_one_frame_pass_both_ways() {
    let stage = Stage::set().await;
    compare(&stage, &conversation::large(16 << 20)).await;
}
