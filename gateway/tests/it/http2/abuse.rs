//! What a client of HTTP/2 can do to a server: each is bounded.

use std::net::SocketAddr;

use h2::Reason;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;
use crate::support::http2::web_socket;

fn refused(reason: &str, result: &str) -> String {
    format!("tidegate_handshakes_total{{api=\"-\",reason=\"{reason}\",result=\"{result}\"}}")
}

/// A frame's header and payload.
pub(super) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Writes bytes behind a valid beginning until the other side closes; the GOAWAY's reason.
pub(super) async fn goaway(
    gateway: &TestGateway,
    frames: impl Iterator<Item = Vec<u8>>,
) -> Option<Reason> {
    let mut stream = TcpStream::connect(gateway.address("plain")).await.unwrap();
    let begin = [PREFACE, &frame(4, 0, 0, &[])].concat();
    stream.write_all(&begin).await.unwrap();
    let (mut reader, mut writer) = stream.into_split();
    let writing = async {
        for frame in frames {
            if writer.write_all(&frame).await.is_err() {
                break;
            }
        }
        writer
    };
    let mut all = Vec::new();
    let reading = async {
        let _ = reader.read_to_end(&mut all).await;
    };
    let both = futures::future::join(writing, reading);
    within("the connection to be closed", both).await;
    let mut rest = &all[..];
    while let Some((header, behind)) = rest.split_first_chunk::<9>() {
        let length = u32::from_be_bytes([0, header[0], header[1], header[2]]) as usize;
        if header[3] == 7 {
            let code = behind[4..8].try_into().unwrap();
            return Some(u32::from_be_bytes(code).into());
        }
        rest = behind.get(length..)?;
    }
    None
}

/// CVE-2023-44487: streams that are reset as soon as they are opened.
#[tokio::test]
async fn rapid_resets_end_the_connection() {
    let (backend, config) = chat().await;
    let gateway = TestGateway::start(&config).await;
    // :method CONNECT, :scheme http, :path /, :authority a, :protocol websocket.
    let fields = b"\x02\x07CONNECT\x86\x84\x01\x01a\x00\x09:protocol\x09websocket";
    let frames = (0..100_000_u32).map(|n| {
        let stream = 2 * n + 1;
        [
            frame(1, 4, stream, fields),
            frame(3, 0, stream, &[0, 0, 0, 8]),
        ]
        .concat()
    });
    let reason = goaway(&gateway, frames).await;
    assert!(
        matches!(
            reason,
            Some(Reason::ENHANCE_YOUR_CALM | Reason::NO_ERROR) | None
        ),
        "{reason:?}"
    );
    assert!(backend.heads().is_empty());
}

/// CVE-2024-27316 and its like: a head that never ends.
#[tokio::test]
async fn a_flood_of_continuations_ends_the_connection() {
    let (_backend, config) = chat().await;
    let gateway = TestGateway::start(&config).await;
    let begin = std::iter::once(frame(1, 0, 1, b"\x82"));
    let more = std::iter::repeat_with(|| {
        frame(
            9,
            0,
            1,
            &[&b"\x00\x01x\x7f\x81\x7f"[..], &[b'y'; 256]].concat(),
        )
    });
    let reason = goaway(&gateway, begin.chain(more.take(100_000))).await;
    assert_ne!(reason, Some(Reason::NO_ERROR), "{reason:?}");
}

#[tokio::test]
async fn what_is_no_http_2_is_recorded_and_closed() {
    let (_backend, config) = chat().await;
    let gateway = TestGateway::start(&config).await;
    // DATA on a stream that nobody opened.
    let frames = std::iter::once(frame(0, 0, 1, b"x"));
    let reason = goaway(&gateway, frames).await;
    assert_eq!(reason, Some(Reason::PROTOCOL_ERROR));
    gateway
        .metric_is(&refused("invalid_request", "refused"), 1.0)
        .await;
}

#[tokio::test]
async fn no_more_streams_are_allowed_at_a_time_than_a_hundred() {
    let (_backend, config) = chat().await;
    let gateway = TestGateway::start(&config).await;
    let mut client = Http2::plain(gateway.address("plain")).await;
    assert!(client.is_offered().await);
    assert_eq!(client.requests.current_max_send_streams(), 100);
}

#[tokio::test]
async fn a_connection_that_nobody_uses_is_closed() {
    let (_backend, config) = chat().await;
    let config = config.settings(|settings| {
        settings.timeouts.handshake = tidegate_config::Duration::from_millis(200);
    });
    let gateway = TestGateway::start(&config).await;
    let address = gateway.address("plain");
    let timeouts = refused("handshake_timeout", "failed");
    silence(address).await;
    gateway.metric_is(&timeouts, 1.0).await;

    let (used, mut socket) = used(address).await;
    // Each began later than the tunnel, and was given the whole time.
    for _ in 0..4 {
        silence(address).await;
    }
    echo(&mut socket, "a tunnel keeps its connection").await;
    let told = gateway.metric(&timeouts);
    socket.close(None).await.unwrap();
    while socket.next().await.is_some() {}
    let end = within("the unused connection's end", used.end)
        .await
        .unwrap();
    assert!(end.is_ok(), "{end:?}");
    let then = gateway.metric(&timeouts);
    assert_eq!(then, told, "a connection that was used is no failure");
}

/// Connects, asks for nothing, and waits to be sent away.
async fn silence(address: SocketAddr) {
    let silent = Http2::plain(address).await;
    // On a slow machine not even the preface was there in time; then there is no GOAWAY.
    let _ = within("the silent connection's end", silent.end).await;
}

/// A connection with a tunnel: the first one on which that was there in time.
async fn used(address: SocketAddr) -> (Http2, Socket) {
    within("a tunnel", async {
        loop {
            let mut client = Http2::plain(address).await;
            if let Ok(opened) = client.try_connect("/chat", &[]).await {
                let (stream, _) = opened.unwrap();
                return (client, web_socket(stream).await);
            }
        }
    })
    .await
}

/// Half a preface, byte by byte, and then nothing.
#[tokio::test]
async fn a_preface_that_does_not_come_is_not_waited_for() {
    let (_backend, config) = chat().await;
    let config = config.settings(|settings| {
        settings.timeouts.handshake = tidegate_config::Duration::from_millis(100);
    });
    let gateway = TestGateway::start(&config).await;
    let answer = raw(gateway.address("plain"), &PREFACE[..10]).await;
    assert_eq!(answer, "");
    gateway
        .metric_is(&refused("handshake_timeout", "failed"), 1.0)
        .await;
}
