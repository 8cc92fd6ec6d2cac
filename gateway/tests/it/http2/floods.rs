//! Frames without end, and frames that HTTP/2 forbids: what breaks the rules ends the connection with
//! its code; what is only much is bounded, and harms nobody besides.

use std::time::Duration;

use h2::Reason;
use tokio::io::AsyncWriteExt as _;

use super::abuse::{PREFACE, frame, goaway};
use super::*;
use crate::support::until;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PUSH_PROMISE: u8 = 5;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

/// An extended CONNECT for `/chat`: fields that the static table has, and literal ones.
const CONNECT: &[u8] = b"\x02\x07CONNECT\x86\x04\x05/chat\x01\x01a\x00\x09:protocol\x09websocket\
      \x00\x15sec-websocket-version\x0213";

/// Of each flood: far more frames than a connection needs.
const BYTES: usize = 1 << 20;

fn open(stream: u32) -> Vec<u8> {
    frame(HEADERS, 4, stream, CONNECT)
}

fn window(stream: u32, by: u32) -> Vec<u8> {
    frame(WINDOW_UPDATE, 0, stream, &by.to_be_bytes())
}

fn setting(id: u16, value: u32) -> Vec<u8> {
    let payload = [&id.to_be_bytes()[..], &value.to_be_bytes()].concat();
    frame(SETTINGS, 0, 0, &payload)
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
async fn a_broken_rule_ends_the_connection_with_its_code() {
    let (_backend, config) = chat().await;
    let gateway = TestGateway::start(&config).await;
    let (protocol, size, flow) = (
        Reason::PROTOCOL_ERROR,
        Reason::FRAME_SIZE_ERROR,
        Reason::FLOW_CONTROL_ERROR,
    );
    for (name, frames, code) in [
        ("a window made larger by nothing", window(0, 0), protocol),
        (
            "a window over 2^31",
            [window(0, 0x7fff_ffff), window(0, 1)].concat(),
            flow,
        ),
        (
            "a window update of three bytes",
            frame(WINDOW_UPDATE, 0, 0, &[0; 3]),
            size,
        ),
        ("settings on a stream", frame(SETTINGS, 0, 1, &[]), protocol),
        (
            "settings of five bytes",
            frame(SETTINGS, 0, 0, &[0; 5]),
            size,
        ),
        (
            "an acknowledgement with settings",
            frame(SETTINGS, 1, 0, &[0; 6]),
            size,
        ),
        ("push neither on nor off", setting(2, 2), protocol),
        ("a first window over 2^31", setting(4, 0x8000_0000), flow),
        ("frames of less than 16 KiB", setting(5, 1), protocol),
        ("a ping on a stream", frame(PING, 0, 1, &[0; 8]), protocol),
        ("a ping of seven bytes", frame(PING, 0, 0, &[0; 7]), size),
        (
            "a push of a client",
            frame(PUSH_PROMISE, 4, 1, &[0; 8]),
            protocol,
        ),
        ("data on no stream", frame(DATA, 0, 0, b"x"), protocol),
        ("data before a head", frame(DATA, 0, 1, b"x"), protocol),
        (
            "padding longer than its frame",
            [open(1), frame(DATA, 8, 1, &[9, 0])].concat(),
            protocol,
        ),
        ("a head on no stream", open(0), protocol),
        ("a head on an even stream", open(2), protocol),
        (
            "a head on a lower stream",
            [open(5), open(3)].concat(),
            protocol,
        ),
        (
            "another frame within a head",
            [frame(HEADERS, 0, 1, b"\x82"), frame(PING, 0, 0, &[0; 8])].concat(),
            protocol,
        ),
        (
            "a continuation of nothing",
            frame(CONTINUATION, 4, 1, b"\x82"),
            protocol,
        ),
        (
            "an end of a stream that never began",
            frame(RST_STREAM, 0, 1, &[0; 4]),
            protocol,
        ),
        ("a frame over 16 KiB", frame(DATA, 0, 1, &[0; 16_385]), size),
        (
            "an index out of the table",
            frame(HEADERS, 4, 1, b"\xff\xff\xff\x7f"),
            Reason::COMPRESSION_ERROR,
        ),
        (
            "a table larger than allowed",
            frame(HEADERS, 4, 1, b"\x3f\xff\xff\xff\x7f"),
            Reason::COMPRESSION_ERROR,
        ),
    ] {
        let reason = goaway(&gateway, std::iter::once(frames)).await;
        // Some codes are the library's choice; that the connection ends is not.
        let fits = reason == Some(code) || reason == Some(protocol);
        assert!(fits, "{name}: {reason:?}");
    }
}

/// What is sent again and again, numbered.
type Flood = (&'static str, Box<dyn Fn(u32) -> Vec<u8> + Send>);

#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn floods() -> Vec<Flood> {
    let flood = |name, frames: fn(u32) -> Vec<u8>| -> Flood { (name, Box::new(frames)) };
    vec![
        flood("SETTINGS", |_| setting(3, 100)),
        flood("SETTINGS that say nothing", |_| frame(SETTINGS, 0, 0, &[])),
        flood("PING", |n| frame(PING, 0, 0, &u64::from(n).to_be_bytes())),
        flood("answers to no PING", |_| frame(PING, 1, 0, &[0; 8])),
        flood("PRIORITY", |n| {
            frame(PRIORITY, 0, 2 * n + 1, &[0, 0, 0, 0, 7])
        }),
        flood("a window by one", |_| window(0, 1)),
        flood("unknown frames", |n| frame(0xbe, 0, n, b"x")),
        flood("GOAWAY", |_| frame(GOAWAY, 0, 0, &[0; 8])),
        flood("empty DATA", |n| {
            if n == 0 {
                open(1)
            } else {
                frame(DATA, 0, 1, &[])
            }
        }),
        flood("padding", |n| {
            if n == 0 {
                open(1)
            } else {
                frame(DATA, 8, 1, &[0])
            }
        }),
        flood("empty CONTINUATION", |n| {
            if n == 0 {
                frame(HEADERS, 0, 1, b"\x82")
            } else {
                frame(CONTINUATION, 0, 1, &[])
            }
        }),
        flood("trailers", |n| {
            [
                open(2 * n + 1),
                frame(HEADERS, 5, 2 * n + 1, b"\x00\x01x\x01y"),
            ]
            .concat()
        }),
        flood("streams that are reset", |n| {
            [
                open(2 * n + 1),
                frame(RST_STREAM, 0, 2 * n + 1, &[0, 0, 0, 8]),
            ]
            .concat()
        }),
        // CVE-2025-8671: the server is made to reset the stream.
        flood("streams that the server must reset", |n| {
            [open(2 * n + 1), window(2 * n + 1, 0)].concat()
        }),
        flood("streams whose window overflows", |n| {
            [open(2 * n + 1), window(2 * n + 1, 0x7fff_ffff)].concat()
        }),
        flood("streams beyond the limit", |n| open(2 * n + 1)),
        flood("heads that are malformed", |n| {
            frame(HEADERS, 5, 2 * n + 1, b"\x82\x82")
        }),
        // Ten bytes name 4 KiB of the table, again and again.
        flood("one large field again and again", |n| {
            let field = [&b"\x40\x01x\x7f\x81\x1e"[..], &[b'y'; 4000]].concat();
            let block = if n == 0 { field } else { vec![0xbe; 8000] };
            frame(HEADERS, 5, 2 * n + 1, &block)
        }),
    ]
}

/// Writes until all is taken, the other side closes, or nothing more is taken.
async fn pour(gateway: &TestGateway, frames: impl Iterator<Item = Vec<u8>>) {
    let mut stream = TcpStream::connect(gateway.address("plain")).await.unwrap();
    let begin = [PREFACE, &frame(SETTINGS, 0, 0, &[])].concat();
    stream.write_all(&begin).await.unwrap();
    let (mut batch, mut poured) = (Vec::new(), 0);
    for frame in frames {
        batch.extend(frame);
        if batch.len() < 64 * 1024 {
            continue;
        }
        poured += batch.len();
        // Nothing is read here, so that answers stand in somebody's buffer.
        let write = tokio::time::timeout(Duration::from_millis(300), stream.write_all(&batch));
        match write.await {
            Ok(Ok(())) if poured < BYTES => batch.clear(),
            _ => return,
        }
    }
}

#[tokio::test]
async fn no_flood_of_one_connection_harms_another() {
    let (_backend, config) = chat().await;
    let gateway = TestGateway::start(&config).await;
    let mut bystanders = Vec::new();
    // One on each worker, at least.
    for _ in 0..8 {
        let mut client = Http2::plain(gateway.address("plain")).await;
        bystanders.push((client.open("/chat").await, client));
    }
    for (name, next) in floods() {
        let frames = (0..).map(next);
        let pouring = pour(&gateway, frames);
        let living = async {
            for round in 0..3 {
                for (socket, _) in &mut bystanders {
                    echo(socket, &format!("{name} {round}")).await;
                }
            }
        };
        within(name, futures::future::join(pouring, living)).await;
        for (socket, _) in &mut bystanders {
            echo(socket, &format!("after {name}")).await;
        }
    }
    drop(bystanders);
    gateway.metric_is("tidegate_connections_active", 0.0).await;
    until("their tunnels to end", || gateway.gateway.tunnels() == 0).await;
}
