//! A tunnel with TLS on both legs: the relay must flush what a TLS session holds back, and part
//! with the alert that tells an end from an attack.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use rustls_pki_types::{PrivatePkcs8KeyDer, ServerName};
use tidegate_config::{LiveAccess, ObjectKey};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::{TlsAcceptor, TlsConnector};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role};

use super::*;
use crate::close_cause::CloseCause;
use crate::drain::Drain;
use crate::relay::{Outcome, Rules, Tunnel, relay};
use crate::session::{SessionInfo, Sessions};

const LIMIT: Duration = Duration::from_secs(20);

/// Both ends of a TLS connection: who connected, who accepted.
async fn connection() -> (client::TlsStream<TcpStream>, server::TlsStream<TcpStream>) {
    connection_from(TcpSocket::new_v4().unwrap()).await
}

async fn connection_from(
    socket: TcpSocket,
) -> (client::TlsStream<TcpStream>, server::TlsStream<TcpStream>) {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(["peer.test".to_owned()]).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(cert.der().clone()).unwrap();
    let key = PrivatePkcs8KeyDer::from(signing_key.serialize_der());
    let provider = Arc::new(default_provider());
    let server = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key.into())
        .unwrap();
    let client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (near, far) = tokio::join!(socket.connect(address), listener.accept());
    let name = ServerName::try_from("peer.test").unwrap();
    let connector = TlsConnector::from(Arc::new(client));
    let acceptor = TlsAcceptor::from(Arc::new(server));
    let (near, far) = tokio::join!(
        connector.connect(name, near.unwrap()),
        acceptor.accept(far.unwrap().0)
    );
    (near.unwrap(), far.unwrap())
}

type ClientEnd = client::TlsStream<TcpStream>;
type BackendEnd = server::TlsStream<TcpStream>;

async fn tunnel() -> (ClientEnd, BackendEnd, JoinHandle<Outcome>) {
    tunnel_of(connection().await).await
}

async fn tunnel_of(
    (client, client_leg): (ClientEnd, BackendEnd),
) -> (ClientEnd, BackendEnd, JoinHandle<Outcome>) {
    let (backend_leg, backend) = connection().await;
    let (_trigger, drain) = Drain::pair();
    let relay = drain.spawn(relay(Tunnel {
        client: Transport::TlsServer(Box::new(client_leg)),
        backend: Transport::TlsClient(Box::new(backend_leg)),
        from_client: Bytes::new(),
        from_backend: Bytes::new(),
        extensions: false,
        rules: Arc::new(Rules {
            max_message_bytes: None,
            messages: None,
            bytes: None,
            idle: None,
            max_duration: None,
            ping_interval: None,
            pong_timeout: LIMIT,
            write_stall: Some(LIMIT),
            close_timeout: Duration::from_millis(500),
        }),
        session: Sessions::new().register(&SessionInfo {
            id: "1".to_owned(),
            client: std::net::IpAddr::from([192, 0, 2, 7]),
            api: ObjectKey::new("shop", "commands"),
            api_version: 1,
            listener: "wss".to_owned(),
            product: None,
            subscription: None,
            key_hash: None,
            subscription_expires_at: None,
            token_expires_at: None,
            live_access: LiveAccess::default(),
        }),
        meter: None,
    }));
    (client, backend, relay)
}

#[tokio::test]
async fn messages_and_a_close_pass_through_tls_on_both_legs() {
    let (client, backend, relay) = tunnel().await;
    let mut client = WebSocketStream::from_raw_socket(client, Role::Client, None).await;
    let mut backend = WebSocketStream::from_raw_socket(backend, Role::Server, None).await;
    let echo = async {
        while let Some(message) = backend.next().await {
            let message = message.unwrap();
            if message.is_binary() {
                backend.send(message).await.unwrap();
            }
        }
    };
    let talk = async {
        for size in [0, 64, 16 * 1024, 100_000, 3 << 20] {
            let message = Message::binary(vec![size as u8; size]);
            client.send(message.clone()).await.unwrap();
            assert_eq!(client.next().await.unwrap().unwrap(), message);
        }
        let bye = CloseFrame {
            code: CloseCode::Normal,
            reason: "done".into(),
        };
        client.close(Some(bye.clone())).await.unwrap();
        let answer = client.next().await.unwrap().unwrap();
        assert_eq!(answer, Message::Close(Some(bye)));
        // Without the alert this would be an error.
        assert!(client.next().await.is_none());
    };
    let both = async { tokio::join!(talk, echo) };
    timeout(LIMIT, both).await.expect("somebody waits for ever");
    let outcome = timeout(LIMIT, relay).await.expect("no end").unwrap();
    assert_eq!(outcome.cause, CloseCause::ClientClosed);
}

#[tokio::test]
async fn a_reader_that_was_slow_gets_everything_over_tls() {
    let (mut client, mut backend, _relay) = tunnel().await;
    let size = 8_u32 << 20;
    let mut frame = vec![0x82, 127, 0, 0, 0, 0];
    frame.extend(size.to_be_bytes());
    frame.extend((0..size).map(|at| (at >> 10) as u8));
    let mut heard = vec![0; frame.len()];
    let send = async {
        backend.write_all(&frame).await.unwrap();
        backend.flush().await.unwrap();
    };
    let read = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        client.read_exact(&mut heard).await.unwrap();
    };
    let both = async { tokio::join!(send, read) };
    timeout(LIMIT, both).await.expect("somebody waits for ever");
    assert!(heard == frame);
}

#[tokio::test]
async fn a_peer_that_ends_without_the_alert_is_lost() {
    let (mut client, backend, relay) = tunnel().await;
    drop(backend.into_inner().0);
    let mut heard = vec![0; 16];
    timeout(LIMIT, client.read_exact(&mut heard))
        .await
        .expect("no Close")
        .unwrap();
    assert_eq!(heard, b"\x88\x0E\x03\xF6backend lost");
    drop(client);
    let outcome = timeout(LIMIT, relay).await.expect("no end").unwrap();
    assert_eq!(outcome.cause, CloseCause::BackendLost);
}

#[tokio::test]
async fn a_slow_reader_gets_the_last_words_and_the_close_over_tls() {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(16 * 1024).unwrap();
    let (mut client, mut backend, relay) = tunnel_of(connection_from(socket).await).await;
    let size = 2_u32 << 20;
    let mut sent = vec![0x82, 127, 0, 0, 0, 0];
    sent.extend(size.to_be_bytes());
    sent.resize(sent.len() + size as usize, 7);
    sent.extend(b"\x88\x02\x0f\xa0");
    let send = async {
        backend.write_all(&sent).await.unwrap();
        backend.flush().await.unwrap();
    };
    // Slower than `closeTimeout` and all that comes behind it.
    let read = async {
        let mut heard = Vec::new();
        let mut piece = vec![0; 8 * 1024];
        while heard.len() < sent.len() {
            match client.read(&mut piece).await {
                Ok(count) if count > 0 => heard.extend_from_slice(&piece[..count]),
                _ => break,
            }
            tokio::time::sleep(Duration::from_millis(15)).await;
        }
        heard
    };
    let both = async { tokio::join!(read, send) };
    let (heard, ()) = timeout(3 * LIMIT, both).await.expect("no end");
    assert_eq!(heard.len(), sent.len());
    assert!(heard == sent);
    drop((client, backend));
    let outcome = timeout(LIMIT, relay).await.expect("no end").unwrap();
    assert_eq!(outcome.cause, CloseCause::BackendClosed);
}
