//! Conversations of frames, direct and through the gateway: both sides must see the very same
//! bytes and the same end, whatever carries them.
//!
//! Only raw sockets and frames written here: no library decides which frames can be sent.

mod conversation;
mod play;

use std::sync::{Arc, LazyLock};

use proptest::test_runner::{Config as Cases, TestRunner};
use tidegate_config::MaterialId;
use tidegate_config::{TrustAnchorKind, TrustAnchorRef};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use crate::support::config::{Config, NAMESPACE};
use crate::support::gateway::TestGateway;
use crate::support::tls::{Authority, tls_connect};
use conversation::{Conversation, Side};
use play::{Peer, Stream, Transcript};

/// Each is played five times; every way a header can be cut occurs many times over.
const CASES: u32 = 48;

/// The ways from a client to a backend.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    Direct,
    WsToWs,
    WssToWs,
    WsToWss,
    WssToWss,
}

const THROUGH: [Way; 4] = [Way::WsToWs, Way::WssToWs, Way::WsToWss, Way::WssToWss];

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
        let id = MaterialId::of_trust_anchor(NAMESPACE, &anchor);
        config.material.insert(id, authority.pem().into_bytes());
        let (chain, key) = authority.issue("harbour.example");
        let config = config.tls_listener(&chain, &key);
        Self {
            gateway: TestGateway::start(&config).await,
            plain,
            secure,
            authority,
        }
    }

    async fn client(&self, way: Way) -> Stream {
        let (listener, name) = match way {
            Way::Direct => return self.connect(self.plain.address).await,
            Way::WsToWs | Way::WsToWss => return self.connect(self.gateway.address("plain")).await,
            Way::WssToWs | Way::WssToWss => ("secure", "harbour.example"),
        };
        let address = self.gateway.address(listener);
        let config = self.authority.client_config();
        Box::new(tls_connect(address, name, config).await.unwrap())
    }

    async fn connect(&self, address: std::net::SocketAddr) -> Stream {
        let socket = TcpStream::connect(address).await.unwrap();
        socket.set_nodelay(true).unwrap();
        Box::new(socket)
    }

    /// What both sides got to see.
    async fn play(&mut self, way: Way, conversation: &Conversation) -> Transcript {
        let client = self.client(way).await;
        let (peer, path) = match way {
            Way::WsToWss | Way::WssToWss => (&mut self.secure, "/secure"),
            Way::Direct | Way::WsToWs | Way::WssToWs => (&mut self.plain, "/plain"),
        };
        peer.play(client, path, conversation).await
    }
}

/// Plays a conversation on every way and compares.
async fn compare(stage: &mut Stage, conversation: &Conversation) {
    let direct = stage.play(Way::Direct, conversation).await;
    assert_eq!(
        direct.at_backend,
        conversation.bytes(Side::Client),
        "the comparison itself is broken: {conversation:?}"
    );
    assert_eq!(direct.at_client, conversation.bytes(Side::Backend));
    for way in THROUGH {
        let through = stage.play(way, conversation).await;
        assert_eq!(through.shape(), direct.shape(), "{way:?}: {conversation:?}");
        assert!(
            through == direct,
            "{way:?}: the lengths agree, the bytes do not: {conversation:?}"
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
    let stage = tokio::sync::Mutex::new(runtime.block_on(Stage::set()));
    let mut runner = TestRunner::new(Cases::with_cases(CASES));
    let run = runner.run(&conversation::conversations(), |conversation| {
        runtime.block_on(async { compare(&mut *stage.lock().await, &conversation).await });
        Ok(())
    });
    run.unwrap();
    drop(stage.into_inner());
}

#[tokio::test(flavor = "multi_thread")]
async fn every_close_code_and_reason_passes() {
    let mut stage = Stage::set().await;
    for closing in [Side::Client, Side::Backend] {
        for conversation in conversation::closes(closing) {
            compare(&mut stage, &conversation).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_length_at_which_a_header_changes_passes() {
    let mut stage = Stage::set().await;
    for conversation in conversation::lengths() {
        compare(&mut stage, &conversation).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sixteen_mebibytes_in_one_frame_pass_both_ways() {
    let mut stage = Stage::set().await;
    compare(&mut stage, &conversation::large(16 << 20)).await;
}
