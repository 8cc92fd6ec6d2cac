//! Over real sockets, with tungstenite at both ends: what a kernel does at the end of a connection
//! cannot be seen in a pipe.

use std::time::Duration;

use futures::{SinkExt, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role};

use super::peer::{BINARY, CLOSE, close_payload, frame};
use super::*;

pub(super) const LIMIT: Duration = Duration::from_secs(20);

/// Both ends of a loopback connection.
pub(super) async fn connection() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (near, far) = tokio::join!(TcpStream::connect(address), listener.accept());
    (near.unwrap(), far.unwrap().0)
}

/// The client's end, the backend's end, and the relay between them.
async fn tunnel(rules: Rules) -> (TcpStream, TcpStream, JoinHandle<Outcome>) {
    let (client, client_leg) = connection().await;
    let (backend, backend_leg) = connection().await;
    let relay = relay_between(client_leg, backend_leg, rules, &Sessions::new());
    (client, backend, relay)
}

/// The relay between two sockets, on the real clock.
pub(super) fn relay_between(
    client: TcpStream,
    backend: TcpStream,
    rules: Rules,
    sessions: &Arc<Sessions>,
) -> JoinHandle<Outcome> {
    let (_trigger, drain) = Drain::pair();
    drain.spawn(relay(Tunnel {
        client: Transport::Plain(client),
        backend: Transport::Plain(backend),
        from_client: Bytes::new(),
        from_backend: Bytes::new(),
        extensions: false,
        rules: Arc::new(Rules {
            close_timeout: Duration::from_millis(500),
            ..rules
        }),
        session: sessions.register(&info()),
        meter: None,
    }))
}

pub(super) async fn outcome(relay: JoinHandle<Outcome>) -> Outcome {
    timeout(LIMIT, relay)
        .await
        .expect("the relay did not end")
        .unwrap()
}

#[tokio::test]
async fn two_tungstenites_talk_and_part() {
    let (client, backend, relay) = tunnel(lax()).await;
    let mut client = WebSocketStream::from_raw_socket(client, Role::Client, None).await;
    let mut backend = WebSocketStream::from_raw_socket(backend, Role::Server, None).await;
    let echo = async {
        while let Some(message) = backend.next().await {
            match message.unwrap() {
                message @ (Message::Text(_) | Message::Binary(_)) => {
                    backend.send(message).await.unwrap();
                }
                Message::Ping(_) | Message::Pong(_) | Message::Close(_) | Message::Frame(_) => {}
            }
        }
    };
    let talk = async {
        for size in [0, 1, 125, 126, 65_535, 65_536, 3 << 20] {
            let message = Message::binary(vec![size as u8; size]);
            client.send(message.clone()).await.unwrap();
            assert_eq!(client.next().await.unwrap().unwrap(), message);
        }
        let bye = CloseFrame {
            code: CloseCode::Library(4007),
            reason: "that was all".into(),
        };
        client.close(Some(bye.clone())).await.unwrap();
        assert_eq!(
            client.next().await.unwrap().unwrap(),
            Message::Close(Some(bye))
        );
        assert!(client.next().await.is_none(), "the connection ends cleanly");
    };
    let both = async { tokio::join!(talk, echo) };
    timeout(LIMIT, both).await.expect("somebody waits for ever");
    let outcome = outcome(relay).await;
    assert_eq!(
        (outcome.client_code, outcome.backend_code),
        (Some(4007), Some(4007))
    );
    assert_eq!(outcome.from_client.frames[FrameKind::Binary], 7);
    assert_eq!(outcome.from_backend.frames[FrameKind::Binary], 7);
}

#[tokio::test]
async fn our_close_is_read_by_a_client_that_goes_on_sending() {
    let rules = Rules {
        max_message_bytes: Some(1000),
        ..lax()
    };
    let (client, _backend, relay) = tunnel(rules).await;
    let (mut read, mut write) = client.into_split();
    let (_trigger, drain) = Drain::pair();
    let flood = drain.spawn(async move {
        let message = frame(BINARY, &[7; 5000], Some([0; 4]));
        // Until the kernel says that nobody reads any more, or for 50 MB.
        for _ in 0..10_000 {
            if write.write_all(&message).await.is_err() {
                break;
            }
        }
        write
    });
    let mut close = vec![0; frame(CLOSE, &close_payload(1009, "message too big"), None).len()];
    let heard = timeout(LIMIT, read.read_exact(&mut close)).await;
    heard
        .expect("no Close")
        .expect("a reset came before the Close");
    assert_eq!(
        close,
        frame(CLOSE, &close_payload(1009, "message too big"), None)
    );
    drop(flood.await.unwrap());
    drop(read);
    assert_eq!(outcome(relay).await.cause, CloseCause::MessageTooBig);
}

#[tokio::test]
async fn a_reset_of_the_backend_is_1014_for_the_client() {
    // Read by hand: tungstenite does not know 1014.
    let (mut client, backend, relay) = tunnel(lax()).await;
    backend.set_zero_linger().unwrap();
    drop(backend);
    let expected = frame(CLOSE, &close_payload(1014, "backend lost"), None);
    let mut heard = vec![0; expected.len()];
    let close = timeout(LIMIT, client.read_exact(&mut heard)).await;
    close.expect("no Close").unwrap();
    assert_eq!(heard, expected);
    let answer = frame(CLOSE, &close_payload(1014, ""), Some([1; 4]));
    client.write_all(&answer).await.unwrap();
    let rest = timeout(LIMIT, client.read(&mut heard)).await;
    assert_eq!(rest.expect("the socket stays open").unwrap(), 0);
    drop(client);
    assert_eq!(outcome(relay).await.cause, CloseCause::BackendLost);
}

#[tokio::test]
async fn a_reset_of_the_client_is_1001_for_the_backend() {
    let (client, backend, relay) = tunnel(lax()).await;
    let mut backend = WebSocketStream::from_raw_socket(backend, Role::Server, None).await;
    client.set_zero_linger().unwrap();
    drop(client);
    let close = timeout(LIMIT, backend.next())
        .await
        .expect("no Close")
        .unwrap()
        .unwrap();
    let Message::Close(Some(close)) = close else {
        panic!("not a Close: {close:?}")
    };
    assert_eq!(close.code, CloseCode::Away);
    assert!(
        timeout(LIMIT, backend.next())
            .await
            .expect("the socket stays open")
            .is_none()
    );
    assert_eq!(outcome(relay).await.cause, CloseCause::ClientLost);
}

#[tokio::test]
async fn a_close_that_was_sent_before_a_reset_is_still_a_close() {
    let (client, mut backend, relay) = tunnel(lax()).await;
    let mut client = WebSocketStream::from_raw_socket(client, Role::Client, None).await;
    backend
        .write_all(&frame(CLOSE, &close_payload(1000, "done"), None))
        .await
        .unwrap();
    // Servers that do not wait for the answer.
    drop(backend);
    let close = timeout(LIMIT, client.next())
        .await
        .expect("no Close")
        .unwrap()
        .unwrap();
    let Message::Close(Some(close)) = close else {
        panic!("not a Close: {close:?}")
    };
    assert_eq!(
        (close.code, close.reason.as_str()),
        (CloseCode::Normal, "done")
    );
    while timeout(LIMIT, client.next())
        .await
        .expect("the socket stays open")
        .is_some()
    {}
    let outcome = outcome(relay).await;
    assert_eq!(
        (outcome.cause, outcome.reason.as_str()),
        (CloseCause::BackendClosed, "done")
    );
}
