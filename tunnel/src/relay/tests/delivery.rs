//! What a peer has taken, as its kernel tells: who is alive behind a slow line, and who is not.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use tidegate_config::CloseCode;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::{Instant, advance, sleep, timeout};

use super::peer::{BINARY, CLOSE, PING, TEXT, close_payload, frame};
use super::*;
use crate::transport::Delivery;

const MINUTE: Duration = Duration::from_secs(60);

/// As long as anybody waits in these tests.
const TEST_TIMEOUT: Duration = Duration::from_secs(3600);

/// Everything fits into it, as into a kernel's buffer.
const ROOM: usize = 1 << 20;

/// What a kernel says, until it is told to say something else.
#[derive(Clone)]
struct Kernel(Arc<Mutex<(Delivery, Instant)>>);

impl Kernel {
    fn new() -> Self {
        let delivery = Delivery {
            taken: 0,
            unsent: false,
            complete: true,
            quiet: Duration::ZERO,
        };
        Self(Arc::new(Mutex::new((delivery, Instant::now()))))
    }

    /// Something is on the way from now on, and has left or not.
    fn holds(&self, unsent: bool) {
        let mut state = self.0.lock().unwrap();
        (state.0.unsent, state.0.complete) = (unsent, false);
    }

    /// The peer takes some of it.
    fn some(&self) {
        let mut state = self.0.lock().unwrap();
        state.0.taken += 1;
        state.1 = Instant::now();
    }

    /// The peer takes all of it.
    fn all(&self) {
        self.some();
        let mut state = self.0.lock().unwrap();
        (state.0.unsent, state.0.complete) = (false, true);
    }

    fn says(&self) -> Delivery {
        let state = self.0.lock().unwrap();
        Delivery {
            quiet: state.1.elapsed(),
            ..state.0
        }
    }

    /// The peer takes something now and then, for ten minutes.
    async fn takes_slowly(&self, pause: Duration) {
        let start = Instant::now();
        while start.elapsed() < 10 * MINUTE {
            sleep(pause).await;
            self.some();
        }
    }
}

/// A leg whose kernel takes everything at once.
struct Line(DuplexStream, Kernel);

impl AsyncRead for Line {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Line {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

impl Wire for Line {
    fn delivery(&mut self) -> Option<Delivery> {
        Some(self.1.says())
    }
}

struct Lines {
    client: Peer,
    backend: Peer,
    /// The kernels that hold what is for the client, and for the backend.
    to_client: Kernel,
    to_backend: Kernel,
    sessions: Arc<Sessions>,
    relay: JoinHandle<Outcome>,
}

fn start(rules: Rules, info: &SessionInfo) -> Lines {
    let (client, client_leg) = duplex(ROOM);
    let (backend, backend_leg) = duplex(ROOM);
    let (to_client, to_backend) = (Kernel::new(), Kernel::new());
    let sessions = Sessions::new();
    let (_trigger, drain) = Drain::pair();
    let relay = drain.spawn(relay(Tunnel {
        client: Line(client_leg, to_client.clone()),
        backend: Line(backend_leg, to_backend.clone()),
        from_client: Bytes::new(),
        from_backend: Bytes::new(),
        extensions: false,
        rules: Arc::new(rules),
        session: sessions.register(info),
        meter: None,
    }));
    Lines {
        client: Peer::client(client),
        backend: Peer::backend(backend),
        to_client,
        to_backend,
        sessions,
        relay,
    }
}

fn pinging() -> Rules {
    Rules {
        ping_interval: Some(MINUTE),
        pong_timeout: Duration::from_secs(20),
        ..lax()
    }
}

fn stalling() -> Rules {
    Rules {
        write_stall: Some(MINUTE),
        ..lax()
    }
}

/// The backend goes on speaking, so that only the client is pinged.
async fn speak(backend: &mut Peer) {
    loop {
        backend.send(TEXT, b"more").await;
        sleep(Duration::from_secs(10)).await;
    }
}

async fn cause(relay: JoinHandle<Outcome>) -> CloseCause {
    let outcome = timeout(TEST_TIMEOUT, relay).await;
    outcome.expect("it does not end").unwrap().cause
}

#[tokio::test(start_paused = true)]
async fn the_time_for_a_pong_begins_when_the_ping_has_left() {
    let mut lines = start(pinging(), &info());
    lines.to_client.holds(true);
    let wait = async {
        sleep(5 * MINUTE).await;
        assert!(!lines.relay.is_finished(), "the ping is still here");
        // It leaves when the peer makes room.
        lines.to_client.holds(false);
        lines.to_client.some();
        let left = Instant::now();
        while !lines.relay.is_finished() {
            sleep(Duration::from_secs(1)).await;
        }
        left.elapsed().as_secs()
    };
    let took = tokio::select! {
        took = wait => took,
        () = speak(&mut lines.backend) => 0,
    };
    // At most one more `pongTimeout` until it was noticed, and what the closing handshake takes.
    assert!((20..=50).contains(&took), "{took} s");
    assert_eq!(cause(lines.relay).await, CloseCause::PongTimeout);
}

#[tokio::test(start_paused = true)]
async fn what_a_peer_acknowledges_is_life_like_what_it_sends() {
    let mut lines = start(pinging(), &info());
    lines.to_client.holds(false);
    let wait = async {
        lines.to_client.takes_slowly(Duration::from_secs(15)).await;
        assert!(!lines.relay.is_finished(), "it took something all the time");
        let last = Instant::now();
        while !lines.relay.is_finished() {
            sleep(Duration::from_secs(1)).await;
        }
        last.elapsed().as_secs()
    };
    let took = tokio::select! {
        took = wait => took,
        () = speak(&mut lines.backend) => 0,
    };
    assert!((20..=30).contains(&took), "{took} s");
    assert_eq!(cause(lines.relay).await, CloseCause::PongTimeout);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_has_our_ping_and_is_silent_is_lost_in_time() {
    let mut lines = start(pinging(), &info());
    let begin = Instant::now();
    let wait = async {
        assert_eq!(lines.client.expect().await.first, TEXT);
        while lines.client.expect().await.first != PING {}
        lines.to_client.all();
        while lines.client.expect().await.first == TEXT {}
        begin.elapsed().as_secs()
    };
    let took = tokio::select! {
        took = wait => took,
        () = speak(&mut lines.backend) => 0,
    };
    assert_eq!(took, 80, "a ping after 60 s, and 20 s for the pong");
    drop((lines.client, lines.backend));
    assert_eq!(cause(lines.relay).await, CloseCause::PongTimeout);
}

#[tokio::test(start_paused = true)]
async fn who_acknowledges_nothing_is_stalled_though_every_write_was_taken() {
    for upwards in [false, true] {
        let mut lines = start(stalling(), &info());
        let begin = Instant::now();
        if upwards {
            lines.client.send(TEXT, b"for the kernel").await;
            lines.to_backend.holds(true);
            assert_eq!(lines.client.expect_close().await.0, Some(1001));
        } else {
            lines.backend.send(TEXT, b"for the kernel").await;
            lines.to_client.holds(true);
            assert_eq!(lines.backend.expect_close().await.0, Some(1001));
        }
        assert_eq!(begin.elapsed().as_secs(), 60);
        assert_eq!(cause(lines.relay).await, CloseCause::WriteStall);
    }
}

#[tokio::test(start_paused = true)]
async fn who_acknowledges_slowly_is_not_stalled() {
    let mut lines = start(stalling(), &info());
    lines.backend.send(TEXT, b"for the kernel").await;
    lines.to_client.holds(true);
    lines.to_client.takes_slowly(Duration::from_secs(40)).await;
    lines.to_client.all();
    lines.client.send(TEXT, b"still here").await;
    assert_eq!(lines.backend.expect().await.payload, b"still here");
    sleep(5 * MINUTE).await;
    assert!(!lines.relay.is_finished());
}

#[tokio::test(start_paused = true)]
async fn a_tunnel_whose_kernel_delivers_is_not_idle() {
    let mut lines = start(
        Rules {
            idle: Some(MINUTE),
            ..lax()
        },
        &info(),
    );
    lines.backend.send(TEXT, b"for the kernel").await;
    lines.to_client.holds(true);
    lines.to_client.takes_slowly(Duration::from_secs(20)).await;
    sleep(Duration::from_secs(1)).await;
    assert!(!lines.relay.is_finished(), "bytes moved all the time");
    lines.to_client.all();
    drop((lines.client, lines.backend));
    assert_ne!(cause(lines.relay).await, CloseCause::Idle);
}

/// How a tunnel comes to its end.
#[derive(Clone, Copy, Debug)]
enum End {
    /// The other peer sends a Close.
    Close,
    /// The other peer is gone.
    Lost,
    Drain,
    TokenExpires,
    /// The other peer breaks the protocol.
    Violation,
}

/// The table of docs/gateway.md: how it ends, for whom something waits, and how many seconds this peer
/// may take nothing of it.
const ENDS: [(End, Side, u64); 10] = [
    (End::Close, Side::Client, 60),
    (End::Close, Side::Backend, 60),
    (End::Drain, Side::Client, 60),
    (End::Drain, Side::Backend, 60),
    (End::Lost, Side::Client, 60),
    (End::Lost, Side::Backend, 5),
    (End::TokenExpires, Side::Client, 5),
    (End::TokenExpires, Side::Backend, 5),
    (End::Violation, Side::Client, 5),
    (End::Violation, Side::Backend, 5),
];

/// A tunnel that ends with something on its way to `slow`, and the kernel that has it.
async fn ended(end: End, slow: Side) -> (Lines, Kernel) {
    let mut info = info();
    if matches!(end, End::TokenExpires) {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        info.token_expires_at = Some(now.unwrap().as_secs() as i64 + 10);
    }
    let mut lines = start(stalling(), &info);
    let (to_slow, other) = match slow {
        Side::Client => (lines.to_client.clone(), &mut lines.backend),
        Side::Backend => (lines.to_backend.clone(), &mut lines.client),
    };
    other.send(TEXT, b"the last words").await;
    to_slow.holds(true);
    sleep(Duration::from_secs(1)).await;
    match end {
        End::Close => other.close(1000, "that was all").await,
        End::Lost => other.io.shutdown().await.unwrap(),
        End::Drain => lines.sessions.drain(Duration::ZERO, CloseCode::GOING_AWAY),
        // The wall clock goes on too, so this comes a little before.
        End::TokenExpires => sleep(Duration::from_secs(8)).await,
        End::Violation => other.write(&[0xff; 14]).await,
    }
    (lines, to_slow)
}

#[tokio::test(start_paused = true)]
async fn whoever_takes_what_was_sent_before_the_end_gets_all_of_it() {
    for (end, slow, _) in ENDS {
        let (mut lines, to_slow) = ended(end, slow).await;
        to_slow.takes_slowly(Duration::from_secs(4)).await;
        assert!(!lines.relay.is_finished(), "{end:?} {slow:?}");
        to_slow.all();
        let peer = match slow {
            Side::Client => &mut lines.client,
            Side::Backend => &mut lines.backend,
        };
        assert_eq!(peer.expect().await.payload, b"the last words", "{end:?}");
        peer.expect_close().await;
        peer.close(1000, "").await;
        let rest = timeout(TEST_TIMEOUT, lines.relay).await;
        rest.expect("it does not end").unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_takes_nothing_at_the_end_is_left_in_time() {
    for (end, slow, seconds) in ENDS {
        let (lines, _) = ended(end, slow).await;
        let start = Instant::now();
        timeout(TEST_TIMEOUT, lines.relay)
            .await
            .expect("no end")
            .unwrap();
        let took = start.elapsed().as_secs();
        // Two more seconds for the socket, and one because it is only looked once a second.
        let expected = seconds - 2..=seconds + 6;
        assert!(expected.contains(&took), "{end:?} {slow:?}: {took} s");
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_has_its_time_from_when_the_close_was_delivered() {
    let (mut lines, to_client) = ended(End::Close, Side::Client).await;
    to_client.takes_slowly(Duration::from_secs(4)).await;
    to_client.all();
    sleep(Duration::from_secs(4)).await;
    lines.client.close(1000, "thanks").await;
    let answer = lines.backend.expect_close().await;
    assert_eq!(answer, (Some(1000), "thanks".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_command_ends_what_a_close_leaves_time() {
    let mut info = info();
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    info.token_expires_at = Some(now.unwrap().as_secs() as i64 + 60);
    let setup = Setup {
        rules: stalling(),
        info,
        ..Setup::default()
    };
    let bench = setup.start();
    let (mut client, mut backend) = (bench.client, bench.backend);
    client.close(1000, "").await;
    // The backend has much to say before it answers, and the client takes it slowly, for ever.
    let message = frame(BINARY, &[7; 1000], None);
    let flood = async {
        while backend.io.write_all(&message).await.is_ok() {}
        std::future::pending::<()>().await
    };
    let read = async {
        let mut heard = Vec::new();
        let mut piece = [0; 8000];
        loop {
            sleep(Duration::from_secs(1)).await;
            match tokio::io::AsyncReadExt::read(&mut client.io, &mut piece).await {
                Ok(count) if count > 0 => heard.extend_from_slice(&piece[..count]),
                _ => return heard,
            }
        }
    };
    let begin = Instant::now();
    let heard = tokio::select! {
        heard = timeout(TEST_TIMEOUT, read) => heard.expect("it goes on for ever"),
        () = flood => Vec::new(),
    };
    let close = frame(CLOSE, &close_payload(1008, "token expired"), None);
    assert!(
        heard.ends_with(&close),
        "no Close behind {} bytes",
        heard.len()
    );
    assert!(begin.elapsed() > MINUTE / 2, "it was over before");
}

/// A peer that always has something to say and takes everything.
struct Endless(Vec<u8>);

impl AsyncRead for Endless {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        buf.put_slice(&self.0);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Endless {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl Wire for Endless {}

#[tokio::test(start_paused = true)]
async fn a_tunnel_that_never_rests_has_its_timers_all_the_same() {
    let rules = Rules {
        max_duration: Some(MINUTE),
        ..lax()
    };
    let mut relay = relay(Tunnel {
        client: Endless(frame(BINARY, &[1; 100], Some([0; 4]))),
        backend: Endless(frame(BINARY, &[1; 100], None)),
        from_client: Bytes::new(),
        from_backend: Bytes::new(),
        extensions: false,
        rules: Arc::new(rules),
        session: Sessions::new().register(&info()),
        meter: None,
    });
    // Time passes only when this test says so: each poll finds more to do than it may.
    for second in 0..90 {
        if let Poll::Ready(outcome) = futures::poll!(&mut relay) {
            assert_eq!(outcome.cause, CloseCause::MaxDuration);
            assert!(second >= 50, "{second}");
            return;
        }
        advance(Duration::from_secs(1)).await;
    }
    panic!("it does not end");
}
