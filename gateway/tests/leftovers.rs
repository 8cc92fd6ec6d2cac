//! What thousands of tunnels leave behind, and what readers cost that do not read: bytes that are
//! allocated in this process and not given back. A binary of its own: the counting allocator counts
//! what all threads do, so its tests take turns.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "the lint's exemption for tests does not reach their helpers"
)]

use std::alloc::System;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::future::join_all;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::Mutex;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

mod it {
    pub(crate) mod support;
}
use it::support;
use support::client::handshake;
use support::config::Config;
use support::gateway::TestGateway;
use support::{stands_still, until};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

static TURN: Mutex<()> = Mutex::const_new(());

const CYCLES: usize = 10;

/// Tunnels of each cycle.
const COUNT: usize = 1000;

/// How many of them live at once: four descriptors each, and a thousand is what some machines allow.
const AT_ONCE: usize = 100;

/// What ten cycles may leave. Tables and queues keep the size that they once had, which differs a
/// little from cycle to cycle; a single `u64` for each tunnel would be eight times as much.
const LEFT: isize = 8 * 1024;

/// What is allocated and not given back since `region` began.
fn level(region: &Region<'_, System>) -> isize {
    let change = region.change();
    change.bytes_allocated as isize - change.bytes_deallocated as isize
}

/// Reads a head and nothing behind it.
async fn head(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        bytes.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(bytes).unwrap()
}

/// Where a backend listens that opens every tunnel and then runs `talk` on it.
async fn backend<F>(talk: impl Fn(TcpStream) -> F + Send + Sync + 'static) -> SocketAddr
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let talk = Arc::new(talk);
    Handle::current().spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let talk = Arc::clone(&talk);
            Handle::current().spawn(async move {
                let head = head(&mut stream).await;
                let mut lines = head.lines();
                let key = lines.find_map(|line| line.strip_prefix("Sec-WebSocket-Key: "));
                let accept = derive_accept_key(key.unwrap().as_bytes());
                let answer = format!(
                    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
                     Connection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
                );
                stream.write_all(answer.as_bytes()).await.unwrap();
                talk(stream).await;
            });
        }
    });
    address
}

async fn open(address: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = handshake("/chat", "");
    stream.write_all(request.as_bytes()).await.unwrap();
    let answer = head(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 101"), "{answer}");
    stream
}

/// One message there and its echo back; then every second one sends a Close, and the others are gone
/// without a word.
async fn visit(address: SocketAddr, politely: bool) {
    let mut stream = open(address).await;
    stream
        .write_all(b"\x82\x83\x00\x00\x00\x00abc")
        .await
        .unwrap();
    let mut echo = [0; 5];
    stream.read_exact(&mut echo).await.unwrap();
    assert_eq!(&echo, b"\x82\x03abc");
    if politely {
        stream
            .write_all(b"\x88\x82\x00\x00\x00\x00\x03\xe8")
            .await
            .unwrap();
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).await.unwrap();
        assert_eq!(rest, b"\x88\x02\x03\xe8");
    }
}

/// Echoes the message, answers the Close.
async fn echo(mut stream: TcpStream) {
    let mut frame = [0; 9];
    let _ = stream.read_exact(&mut frame).await;
    let _ = stream.write_all(b"\x82\x03abc").await;
    let mut close = [0; 8];
    if stream.read_exact(&mut close).await.is_ok() {
        let _ = stream.write_all(b"\x88\x02\x03\xe8").await;
    }
}

#[tokio::test]
async fn ten_cycles_of_a_thousand_tunnels_leave_nothing_behind() {
    let _turn = TURN.lock().await;
    let backend = backend(echo).await;
    let gateway = TestGateway::start(&Config::new().api("chat", backend)).await;
    let address = gateway.address("plain");
    let region = Region::new(ALLOCATOR);
    let mut base = None;
    for cycle in 0..CYCLES {
        for _ in 0..COUNT / AT_ONCE {
            join_all((0..AT_ONCE).map(|place| visit(address, place % 2 == 0))).await;
            until("the tunnels to end", || gateway.gateway.tunnels() == 0).await;
        }
        gateway.metric_is("tidegate_connections_active", 0.0).await;
        match base {
            // The first ones fill caches and tables; so does the second cycle a little.
            None if cycle > 0 => base = Some(level(&region)),
            None => {}
            Some(base) => {
                let what = format!("memory to return to {base} bytes after cycle {cycle}");
                until(&what, || level(&region) <= base + LEFT).await;
            }
        }
    }
}

/// Tunnels whose clients do not read.
const DEAF: usize = 20;

/// What such a tunnel may cost: one read of the relay that found no taker (64 KiB), and its task.
const MOST: isize = 80 * 1024;

#[tokio::test]
async fn a_client_that_does_not_read_costs_one_buffer_however_much_is_sent() {
    let _turn = TURN.lock().await;
    let sent = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&sent);
    let backend = backend(move |mut stream| {
        let counter = Arc::clone(&counter);
        async move {
            // Binary messages of 16 KiB, without end.
            const FRAME: &[u8] = &{
                let mut frame = [7; 4 + 16 * 1024];
                (frame[0], frame[1], frame[2], frame[3]) = (0x82, 126, 0x40, 0);
                frame
            };
            while let Ok(()) = stream.write_all(FRAME).await {
                counter.fetch_add(FRAME.len(), Ordering::Relaxed);
            }
        }
    })
    .await;
    let gateway = TestGateway::start(&Config::new().api("chat", backend)).await;
    let address = gateway.address("plain");
    drop(open(address).await);
    until("the first tunnel to end", || gateway.gateway.tunnels() == 0).await;
    let region = Region::new(ALLOCATOR);
    let clients = join_all((0..DEAF).map(|_| open(address))).await;
    stands_still("the flood to stand still", || sent.load(Ordering::Relaxed)).await;
    let each = level(&region) / DEAF as isize;
    assert!(each <= MOST, "{each} bytes for each of {DEAF}");
    drop(clients);
    until("the tunnels to end", || gateway.gateway.tunnels() == 0).await;
}
