//! Peers on slow lines, over real sockets: what waits for them waits in kernels.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tidegate_config::CloseCode;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::{advance, sleep, timeout};

use super::peer::{BINARY, CLOSE, close_payload, frame};
use super::socket::{LIMIT, connection, outcome, relay_between};
use super::*;

/// What a slow line takes at once.
const SIP: usize = 8 * 1024;

/// Bytes of a message. Two of them take longer to read than all timeouts of these tunnels.
const MESSAGE: usize = 1 << 20;

/// An unmasked Close 4000, and one that is masked with zeros.
const CLOSE_DOWN: [u8; 4] = [0x88, 2, 0x0f, 0xa0];
const CLOSE_UP: [u8; 8] = [0x88, 0x82, 0, 0, 0, 0, 0x0f, 0xa0];

/// The client's end, the backend's end, and the relay between them.
struct Ends {
    client: TcpStream,
    backend: TcpStream,
    sessions: Arc<Sessions>,
    relay: JoinHandle<Outcome>,
}

/// Both ends of a loopback connection. The kernel of the first holds little from the beginning: one that
/// holds less only later does not tell when it has room.
async fn narrow() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(16 * 1024).unwrap();
    let connecting = socket.connect(listener.local_addr().unwrap());
    let (near, far) = tokio::join!(connecting, listener.accept());
    (near.unwrap(), far.unwrap().0)
}

/// The line of `slow` is narrow.
async fn tunnel(slow: Side, rules: Rules) -> Ends {
    let (narrow, wide) = tokio::join!(narrow(), connection());
    let ((client, client_leg), (backend, backend_leg)) = match slow {
        Side::Client => (narrow, wide),
        Side::Backend => (wide, narrow),
    };
    let sessions = Sessions::new();
    let relay = relay_between(client_leg, backend_leg, rules, &sessions);
    Ends {
        client,
        backend,
        sessions,
        relay,
    }
}

/// Two messages, and a Close behind them.
fn last_words(mask: Option<[u8; 4]>, close: &[u8]) -> Vec<u8> {
    let mut bytes = frame(BINARY, &[7; MESSAGE], mask);
    bytes.extend(frame(BINARY, &[8; MESSAGE], mask));
    bytes.extend(close);
    bytes
}

/// Reads as many bytes slowly; less when the stream ends before.
async fn sip(from: &mut (impl AsyncRead + Unpin), size: usize) -> Vec<u8> {
    let mut heard = Vec::new();
    let mut piece = vec![0; SIP];
    while heard.len() < size {
        let read = timeout(LIMIT, from.read(&mut piece)).await;
        match read.expect("nothing comes any more") {
            Ok(count) if count > 0 => heard.extend_from_slice(&piece[..count]),
            _ => break,
        }
        sleep(Duration::from_millis(15)).await;
    }
    heard
}

/// Says something all the time, or nothing at all.
async fn talk(to: &mut (impl tokio::io::AsyncWrite + Unpin), talks: bool) {
    if !talks {
        return std::future::pending().await;
    }
    let word = frame(BINARY, b"tick", Some([0; 4]));
    loop {
        to.write_all(&word).await.expect("it is not heard any more");
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_slow_reader_gets_the_last_words_and_the_close() {
    for talks in [false, true] {
        let mut ends = tunnel(Side::Client, lax()).await;
        let (mut read, mut write) = ends.client.into_split();
        let sent = last_words(None, &CLOSE_DOWN);
        let listen = async {
            let (heard, sending) =
                tokio::join!(sip(&mut read, sent.len()), ends.backend.write_all(&sent));
            sending.unwrap();
            heard
        };
        let heard = tokio::select! {
            heard = listen => heard,
            () = talk(&mut write, talks) => Vec::new(),
        };
        assert_eq!(heard.len(), sent.len(), "talks: {talks}");
        assert!(heard == sent, "talks: {talks}");
        write.write_all(&CLOSE_UP).await.unwrap();
        drop((read, write));
        let mut answer = Vec::new();
        let answered = timeout(LIMIT, ends.backend.read_to_end(&mut answer)).await;
        answered.expect("the backend waits for ever").unwrap();
        assert!(answer.ends_with(&[0x0f, 0xa0]), "{answer:?}");
        assert_eq!(outcome(ends.relay).await.cause, CloseCause::BackendClosed);
    }
}

#[tokio::test]
async fn a_slow_backend_gets_an_upload_and_its_close_though_the_client_is_gone() {
    let mut ends = tunnel(Side::Backend, lax()).await;
    let sent = last_words(Some([0; 4]), &CLOSE_UP);
    let listen = async {
        let (heard, sending) = tokio::join!(sip(&mut ends.backend, sent.len()), async {
            let sending = ends.client.write_all(&sent).await;
            ends.client.shutdown().await.unwrap();
            sending
        });
        sending.unwrap();
        heard
    };
    let heard = listen.await;
    assert_eq!(heard.len(), sent.len());
    assert!(heard == sent);
    drop((ends.client, ends.backend));
    assert_eq!(outcome(ends.relay).await.cause, CloseCause::ClientClosed);
}

#[tokio::test]
async fn a_drain_waits_for_a_slow_reader_and_the_message_that_it_is_in() {
    let mut ends = tunnel(Side::Client, lax()).await;
    let sent = last_words(None, &[]);
    let close = frame(CLOSE, &close_payload(1001, "gateway is going away"), None);
    let first = &sent[..sent.len() / 2];
    let (begin, rest) = sent.split_at(2 * SIP);
    ends.backend.write_all(begin).await.unwrap();
    // When something of a message has come to the client, the relay is in it.
    let mut heard = sip(&mut ends.client, 1).await;
    ends.sessions.drain(Duration::ZERO, CloseCode::GOING_AWAY);
    let size = first.len() + close.len() - heard.len();
    let (more, sending) = tokio::join!(sip(&mut ends.client, size), ends.backend.write_all(rest));
    sending.unwrap();
    heard.extend(more);
    assert!(heard.starts_with(first), "{} bytes", heard.len());
    assert!(heard[first.len()..] == close, "{:?}", &heard[first.len()..]);
    drop((ends.client, ends.backend));
    assert_eq!(outcome(ends.relay).await.cause, CloseCause::Drain);
}

/// Everybody's turn, a second later on a paused clock. Loopback carries bytes over while they are sent, so
/// there is nothing else to wait for.
async fn second() {
    advance(Duration::from_secs(1)).await;
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

/// The clock stands, and each second the client takes a little: no machine is too slow for this test.
#[tokio::test]
async fn a_ping_behind_a_slow_download_closes_nobody() {
    const PONG_TIMEOUT: usize = 20;
    let rules = Rules {
        ping_interval: Some(Duration::from_secs(5)),
        pong_timeout: Duration::from_secs(PONG_TIMEOUT as u64),
        ..lax()
    };
    let ends = tunnel(Side::Client, rules).await;
    ends.backend.writable().await.unwrap();
    tokio::time::pause();
    let sent = frame(BINARY, &[7; 300_000], None);
    let (mut rest, mut heard) = (&sent[..], Vec::new());
    let mut piece = [0; SIP / 2];
    let mut seconds = 0;
    while heard.len() < sent.len() {
        second().await;
        seconds += 1;
        while let Ok(count @ 1..) = ends.backend.try_write(rest) {
            rest = &rest[count..];
        }
        // So that the backend itself is not asked.
        if rest.is_empty() {
            ends.backend.try_write(&frame(BINARY, b"", None)).unwrap();
        }
        if let Ok(count @ 1..) = ends.client.try_read(&mut piece) {
            heard.extend_from_slice(&piece[..count]);
        }
        assert!(!ends.relay.is_finished(), "closed after {seconds} s");
    }
    assert!(heard.starts_with(&sent));
    assert!(
        seconds > 2 * PONG_TIMEOUT,
        "{seconds} s are no slow download"
    );
    tokio::time::resume();
    drop((ends.client, ends.backend));
    assert_ne!(outcome(ends.relay).await.cause, CloseCause::PongTimeout);
}

#[tokio::test]
async fn a_client_that_reads_nothing_is_stalled_though_its_kernel_has_room_for_all() {
    let rules = Rules {
        write_stall: Some(Duration::from_secs(1)),
        ..lax()
    };
    let mut ends = tunnel(Side::Client, rules).await;
    let message = frame(BINARY, &[7; 100_000], None);
    ends.backend.write_all(&message).await.unwrap();
    let end = timeout(LIMIT, ends.relay).await;
    assert_eq!(end.expect("no end").unwrap().cause, CloseCause::WriteStall);
}

/// Waits until all are waiting for the client: everybody has had a hundred turns, and nothing more was taken.
async fn stands_still(taken: &AtomicUsize) {
    let mut before = usize::MAX;
    loop {
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        let now = taken.load(Ordering::Relaxed);
        if now > 0 && now == before {
            return;
        }
        before = now;
    }
}

#[tokio::test]
async fn a_client_that_read_nothing_and_left_is_noticed_behind_a_flood() {
    for reset in [false, true] {
        let mut ends = tunnel(Side::Client, lax()).await;
        let (_trigger, drain) = Drain::pair();
        let taken = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&taken);
        let flood = drain.spawn(async move {
            let message = frame(BINARY, &[7; 100_000], None);
            while ends.backend.write_all(&message).await.is_ok() {
                counter.fetch_add(1, Ordering::Relaxed);
            }
        });
        let dammed = timeout(LIMIT, stands_still(&taken)).await;
        dammed.expect("it has room for everything");
        if reset {
            ends.client.set_zero_linger().unwrap();
        }
        drop(ends.client);
        assert_eq!(outcome(ends.relay).await.cause, CloseCause::ClientLost);
        timeout(LIMIT, flood).await.expect("it goes on").unwrap();
    }
}
