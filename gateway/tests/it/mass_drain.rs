//! A drain of thousands of tunnels that are in the middle of frames.
//!
//! No bound of the gateway's is shorter than the test's own: on a machine that is too slow the test
//! says so, instead of seeing what a gateway rightly does with peers that take too long. And of the
//! spread only what load cannot change is looked at: that no Close comes early.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tidegate_wire::frame::encode;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::support::client::handshake;
use crate::support::config::Config;
use crate::support::gateway::TestGateway;
use crate::support::until;

/// As many as the descriptors of this process allow, four for each.
const TUNNELS: usize = 2000;

/// Closes are spread over this time.
const WINDOW: Duration = Duration::from_secs(8);

/// When the second halves of the frames are sent: those whose turn comes before must wait for it.
const RELEASE: Duration = Duration::from_secs(2);

/// A loaded machine needs its time for all of them; only failures wait for it.
const TEST_TIMEOUT: Duration = Duration::from_secs(300);

/// What the gateway allows its peers: longer than they are waited for here.
const LONGER: u64 = 600;

/// Bytes of each half of a frame's payload.
const HALF: usize = 300;

const MASK: [u8; 4] = [1, 2, 3, 4];

fn tunnels() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
    let line = limits
        .lines()
        .find(|line| line.starts_with("Max open files"));
    let soft = line.unwrap().split_whitespace().nth(3).unwrap();
    // Other tests run beside this one.
    let usable = soft.parse().unwrap_or(usize::MAX).saturating_sub(600) / 4;
    assert!(usable >= 100, "too few descriptors: {soft}");
    TUNNELS.min(usable)
}

/// A binary frame of two halves, masked for the client's side.
fn frame(masked: bool) -> (Vec<u8>, Vec<u8>) {
    let payload = (0..2 * HALF).map(|i| u8::try_from(i % 251).unwrap());
    let payload: Vec<u8> = payload.collect();
    let mut first = encode(0x82, &payload, masked.then_some(MASK));
    let second = first.split_off(first.len() - HALF);
    (first, second)
}

/// What the peers of all tunnels share.
#[derive(Clone)]
struct Script {
    /// When to send the second halves.
    go_on: watch::Receiver<bool>,
    /// How many of them have heard the first half that the one across sends.
    halves: Arc<AtomicUsize>,
}

/// What one peer does: half a frame, the other half once it is told, then whatever comes.
async fn talk(mut stream: TcpStream, masked: bool, mut script: Script) -> Heard {
    let (first, second) = frame(masked);
    stream.write_all(&first).await.unwrap();
    let half = frame(!masked).0.len();
    let (mut reader, mut writer) = stream.into_split();
    let speak = async {
        script.go_on.wait_for(|on| *on).await.unwrap();
        writer.write_all(&second).await.unwrap();
        writer
    };
    let listen = async {
        let mut heard = Vec::new();
        let mut closed_at = None;
        loop {
            if closed_at.is_none() && close_at(&heard).is_some() {
                closed_at = Some(Instant::now());
                return (heard, closed_at, reader);
            }
            let before = heard.len();
            if reader.read_buf(&mut heard).await.unwrap_or(0) == 0 {
                return (heard, closed_at, reader);
            }
            if before < half && heard.len() >= half {
                script.halves.fetch_add(1, Ordering::Relaxed);
            }
        }
    };
    let (mut writer, (mut bytes, closed_at, mut reader)) = tokio::join!(speak, listen);
    let mut close = vec![0x88, if masked { 0x82 } else { 2 }];
    close.extend(if masked { &MASK[..] } else { &[] });
    close.extend([
        0x03 ^ if masked { 1 } else { 0 },
        0xe9 ^ if masked { 2 } else { 0 },
    ]);
    // The gateway may have left already.
    let _ = writer.write_all(&close).await;
    let _ = reader.read_to_end(&mut bytes).await;
    Heard { bytes, closed_at }
}

struct Heard {
    bytes: Vec<u8>,
    closed_at: Option<Instant>,
}

/// Where the Close after the one data frame begins; `None` as long as it is not here whole. One without
/// the frame is found as well: `check` then says so, and nobody waits for what never comes.
fn close_at(bytes: &[u8]) -> Option<usize> {
    if bytes.first() == Some(&0x88) {
        return Some(0);
    }
    let masked = bytes.get(1)? & 0x80 != 0;
    let at = 4 + if masked { 4 } else { 0 } + 2 * HALF;
    let end = at + 4 + if masked { 4 } else { 0 };
    (bytes.len() >= end).then_some(at)
}

/// Everything that a peer must have heard: the other side's frame unharmed, a Close 1001, no more.
fn check(heard: &Heard, masked: bool) {
    let (first, second) = frame(masked);
    let expected = [first, second].concat();
    let bytes = &heard.bytes;
    assert!(
        bytes.starts_with(&expected),
        "a frame was harmed: {bytes:?}"
    );
    let close = &bytes[expected.len()..];
    let size = if masked { 6 } else { 2 };
    assert!(close.len() > size, "no Close: {close:?}");
    let (header, payload) = close.split_at(size);
    assert_eq!(header[0], 0x88, "no Close behind the frame: {close:?}");
    let length = usize::from(header[1] & 0x7f);
    assert_eq!(
        (header[1] & 0x80 != 0, length),
        (masked, payload.len()),
        "{close:?}"
    );
    let mut code = [payload[0], payload[1]];
    if masked {
        code = [code[0] ^ header[2], code[1] ^ header[3]];
    }
    assert_eq!(u16::from_be_bytes(code), 1001, "{close:?}");
}

async fn head(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        bytes.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(bytes).unwrap()
}

/// Accepts handshakes and talks; gives what each heard.
async fn backend(listener: TcpListener, count: usize, script: Script) -> Vec<Heard> {
    let mut talks = JoinSet::new();
    for _ in 0..count {
        let (mut stream, _) = listener.accept().await.unwrap();
        let script = script.clone();
        talks.spawn(async move {
            let head = head(&mut stream).await;
            let key = head
                .lines()
                .find_map(|line| line.strip_prefix("Sec-WebSocket-Key: "));
            let accept = derive_accept_key(key.unwrap().trim().as_bytes());
            let answer = format!(
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                 Sec-WebSocket-Accept: {accept}\r\n\r\n"
            );
            stream.write_all(answer.as_bytes()).await.unwrap();
            talk(stream, false, script).await
        });
    }
    talks.join_all().await
}

async fn client(address: SocketAddr, script: Script) -> Heard {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream
        .write_all(handshake("/chat", "").as_bytes())
        .await
        .unwrap();
    let answer = head(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 101"), "{answer}");
    talk(stream, true, script).await
}

/// Turns come evenly over the window, and nobody's frame is whole before the release.
fn are_spread(mut closes: Vec<Duration>, took: Duration) {
    closes.sort_unstable();
    let step = WINDOW / u32::try_from(closes.len()).unwrap();
    for (place, at) in closes.iter().enumerate() {
        let turn = WINDOW.mul_f64(place as f64 / closes.len() as f64);
        assert!(
            *at + step >= turn,
            "the {place}. Close after {at:?} already"
        );
        assert!(*at >= RELEASE, "a Close inside a frame, after {at:?}");
    }
    assert!(took + step >= WINDOW, "drained after {took:?}");
}

#[tokio::test]
async fn thousands_of_tunnels_in_the_middle_of_frames_get_a_close_each_at_their_boundary() {
    let count = tunnels();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let config = Config::new().api("chat", listener.local_addr().unwrap());
    let config = config.settings(|settings| {
        settings.drain.window = tidegate_config::Duration::from_secs(WINDOW.as_secs());
        settings.drain.close_timeout = tidegate_config::Duration::from_secs(LONGER);
        settings.drain.hard_stop = tidegate_config::Duration::from_secs(LONGER);
    });
    let gateway = TestGateway::start(&config).await;
    let address = gateway.address("plain");
    let (go, go_on) = watch::channel(false);
    let script = Script {
        go_on,
        halves: Arc::default(),
    };
    let backends = Handle::current().spawn(backend(listener, count, script.clone()));
    let mut clients = JoinSet::new();
    for opened in 1..=count {
        clients.spawn(client(address, script.clone()));
        if opened % 50 == 0 || opened == count {
            // A tunnel counts before its first bytes are through, and is closed at the boundary it is at.
            let heard = || script.halves.load(Ordering::Relaxed) == 2 * opened;
            until("the first halves of frames", heard).await;
        }
    }
    assert_eq!(gateway.gateway.tunnels(), count);
    let metrics = Arc::clone(&gateway.metrics);
    let asked = Instant::now();
    let drained = async {
        gateway.gateway.shutdown().await;
        asked.elapsed()
    };
    let release = async {
        tokio::time::sleep(RELEASE).await;
        go.send_replace(true);
    };
    let all = async { tokio::join!(drained, release, clients.join_all(), backends) };
    let (took, (), clients, backends) = tokio::time::timeout(TEST_TIMEOUT, all)
        .await
        .expect("a drain of all tunnels");
    let backends = backends.unwrap();
    for heard in &backends {
        check(heard, true);
    }
    let mut closes = Vec::new();
    for heard in &clients {
        check(heard, false);
        closes.push(heard.closed_at.unwrap() - asked);
    }
    assert_eq!((clients.len(), backends.len()), (count, count));
    are_spread(closes, took);
    let text = metrics.render();
    let line =
        "tidegate_tunnels_closed_total{api=\"harbour/chat\",code=\"1001\",initiator=\"gateway\"}";
    assert!(text.contains(&format!("{line} {count}\n")), "{text}");
    assert!(text.contains("\ntidegate_connections_active 0\n"), "{text}");
}
