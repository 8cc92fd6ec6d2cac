//! A tunnel in steady state allocates nothing per message. An own binary with one test: the
//! counting allocator counts what all threads do.

#![expect(clippy::unwrap_used, reason = "a test")]

use std::alloc::System;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use tidegate_config::{LiveAccess, ObjectKey, OnExceed, Rate};
use tidegate_tunnel::drain::Drain;
use tidegate_tunnel::relay::{Rules, Tunnel, relay};
use tidegate_tunnel::session::{SessionInfo, Sessions};
use tidegate_tunnel::transport::Transport;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const ROUND_TRIPS: usize = 500;

/// The test harness has a thread of its own, which may allocate a few times while it sees its test
/// start. What a message costs shows in every attempt, what the harness does in one at most.
const ATTEMPTS: usize = 4;

/// Limits and timers on: none of them may cost memory per message.
fn rules() -> Rules {
    let plenty = Some(Rate {
        rate: u32::MAX,
        burst: None,
        on_exceed: OnExceed::Delay,
    });
    Rules {
        max_message_bytes: Some(1 << 20),
        messages: plenty,
        bytes: plenty,
        idle: Some(Duration::from_secs(60)),
        max_duration: Some(Duration::from_secs(3600)),
        ping_interval: Some(Duration::from_secs(30)),
        pong_timeout: Duration::from_secs(20),
        write_stall: Some(Duration::from_secs(60)),
        close_timeout: Duration::from_secs(5),
    }
}

fn info() -> SessionInfo {
    SessionInfo {
        id: "1".to_owned(),
        client: std::net::IpAddr::from([192, 0, 2, 7]),
        api: ObjectKey::new("shop", "orders"),
        api_version: 1,
        listener: "ws".to_owned(),
        product: None,
        subscription: None,
        key_hash: None,
        subscription_expires_at: None,
        token_expires_at: None,
        live_access: LiveAccess::default(),
    }
}

/// Both ends of a loopback connection.
async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (near, far) = tokio::join!(TcpStream::connect(address), listener.accept());
    let (near, far) = (near.unwrap(), far.unwrap().0);
    near.set_nodelay(true).unwrap();
    far.set_nodelay(true).unwrap();
    (near, far)
}

/// A binary frame with so many bytes of zeros, masked (with zeros) or not.
fn frame(size: usize, masked: bool) -> Vec<u8> {
    let bit = if masked { 0x80 } else { 0 };
    let mut frame = vec![0x82];
    match u8::try_from(size) {
        Ok(size) if size < 126 => frame.push(bit | size),
        _ => {
            frame.push(bit | 126);
            frame.extend(u16::try_from(size).unwrap().to_be_bytes());
        }
    }
    frame.resize(frame.len() + size + if masked { 4 } else { 0 }, 0);
    frame
}

/// Two frames: in one segment, or cut inside a header or a payload.
struct Case {
    name: &'static str,
    size: usize,
    cut: usize,
}

const CASES: [Case; 4] = [
    Case {
        name: "small, whole",
        size: 64,
        cut: 0,
    },
    Case {
        name: "small, cut inside the header",
        size: 64,
        cut: 1,
    },
    Case {
        name: "large, cut inside the header",
        size: 16 * 1024,
        cut: 3,
    },
    Case {
        name: "large, cut inside the payload",
        size: 16 * 1024,
        cut: 1000,
    },
];

struct Ends {
    client: TcpStream,
    backend: TcpStream,
    buffer: Vec<u8>,
}

impl Ends {
    /// Sends `up` to the backend and `down` to the client, each in two pieces.
    async fn round_trip(&mut self, up: &[u8], down: &[u8], cut: usize) {
        let (client, backend) = (&mut self.client, &mut self.backend);
        for (from, to, bytes) in [(0, 1, up), (1, 0, down)] {
            let ends = [&mut *client, &mut *backend];
            ends[from].write_all(&bytes[..cut]).await.unwrap();
            tokio::task::yield_now().await;
            tokio::task::yield_now().await;
            ends[from].write_all(&bytes[cut..]).await.unwrap();
            let buffer = &mut self.buffer[..bytes.len()];
            ends[to].read_exact(buffer).await.unwrap();
            assert!(buffer == bytes);
        }
    }
}

#[tokio::test(flavor = "current_thread")]
async fn a_message_allocates_nothing() {
    let (client, client_leg) = pair().await;
    let (backend, backend_leg) = pair().await;
    let sessions = Sessions::new();
    let (_trigger, drain) = Drain::pair();
    let tunnel = Tunnel {
        client: Transport::Plain(client_leg),
        backend: Transport::Plain(backend_leg),
        from_client: Bytes::new(),
        from_backend: Bytes::new(),
        extensions: false,
        rules: Arc::new(rules()),
        session: sessions.register(&info()),
        meter: None,
    };
    let relay = drain.spawn(relay(tunnel));
    let mut ends = Ends {
        client,
        backend,
        buffer: vec![0; 1 << 16],
    };
    for Case { name, size, cut } in CASES {
        let (up, down) = (frame(size, true), frame(size, false));
        // The first ones set the timer and get the scratch buffer.
        for _ in 0..10 {
            ends.round_trip(&up, &down, cut).await;
        }
        let mut counted = Vec::new();
        for _ in 0..ATTEMPTS {
            let region = Region::new(ALLOCATOR);
            for _ in 0..ROUND_TRIPS {
                ends.round_trip(&up, &down, cut).await;
            }
            let change = region.change();
            counted.push(change.allocations + change.reallocations);
        }
        assert_eq!(counted.iter().min(), Some(&0), "{name}: {counted:?}");
    }
    drop(ends);
    relay.await.unwrap();
}
