//! What a hostile or broken peer may send: each gets Close 1002, and the other side learns of it in
//! its own terms.

use std::time::Duration;

use super::peer::{BINARY, CLOSE, CONTINUATION, MORE, PING, TEXT, close_payload, frame};
use super::*;

const KEY: Option<[u8; 4]> = Some([9, 8, 7, 6]);

/// Bytes of a client that break RFC 6455, by name.
fn bad_client() -> Vec<(&'static str, Vec<u8>)> {
    let code = |code: u16| frame(CLOSE, &close_payload(code, ""), KEY);
    vec![
        ("unmasked frame", frame(TEXT, b"plain", None)),
        ("reserved bit", frame(TEXT | 0x40, b"x", KEY)),
        ("reserved data opcode", frame(0x83, b"x", KEY)),
        ("reserved control opcode", frame(0x8B, b"x", KEY)),
        ("fragmented ping", frame(PING & !MORE, b"x", KEY)),
        ("ping of 126 bytes", frame(PING, &[0; 126], KEY)),
        ("continuation of nothing", frame(CONTINUATION, b"x", KEY)),
        (
            "length with the highest bit",
            vec![BINARY, 0xFF, 0x80, 0, 0, 0, 0, 0, 0, 0],
        ),
        ("half a close code", frame(CLOSE, &[3], KEY)),
        (
            "close reason that is not UTF-8",
            frame(CLOSE, &[3, 0xE8, 0xFF], KEY),
        ),
        ("close code 0", code(0)),
        ("close code 999", code(999)),
        ("close code 1004", code(1004)),
        ("close code 1005", code(1005)),
        ("close code 1006", code(1006)),
        ("close code 1015", code(1015)),
        ("close code 2999", code(2999)),
        ("close code 5000", code(5000)),
        (
            "message inside a message",
            [frame(TEXT & !MORE, b"a", KEY), frame(TEXT, b"b", KEY)].concat(),
        ),
    ]
}

#[tokio::test(start_paused = true)]
async fn a_client_that_breaks_the_protocol_gets_1002_and_the_backend_1001() {
    for (name, bytes) in bad_client() {
        let mut bench = Bench::start();
        bench.client.send(TEXT, b"good").await;
        bench.client.write(&bytes).await;
        assert_eq!(bench.client.expect_close().await.0, Some(1002), "{name}");
        assert_eq!(bench.backend.expect().await.payload, b"good", "{name}");
        let mut last = bench.backend.expect().await;
        if last.payload == b"a" {
            last = bench.backend.expect().await;
        }
        assert_eq!(last.close().0, Some(1001), "{name}");
        bench.backend.close(1001, "").await;
        bench.client.expect_end().await;
        bench.backend.expect_end().await;
        let outcome = bench.outcome().await;
        assert_eq!(outcome.cause, CloseCause::ProtocolViolation, "{name}");
        assert_eq!(outcome.initiator, Initiator::Gateway, "{name}");
        assert_ne!(outcome.reason, "", "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_breaks_the_protocol_gets_1002_and_the_client_1014() {
    let cases = [
        ("masked frame", frame(TEXT, b"x", KEY)),
        ("reserved bit", frame(TEXT | 0x40, b"x", None)),
        ("reserved opcode", frame(0x8F, b"x", None)),
        (
            "close code 1005",
            frame(CLOSE, &close_payload(1005, ""), None),
        ),
        (
            "close code 1006",
            frame(CLOSE, &close_payload(1006, ""), None),
        ),
    ];
    for (name, bytes) in cases {
        let mut bench = Bench::start();
        bench.backend.write(&bytes).await;
        let frame = bench.backend.expect().await;
        assert_eq!(frame.close().0, Some(1002), "{name}");
        assert!(frame.masked, "{name}");
        assert_eq!(bench.client.expect_close().await.0, Some(1014), "{name}");
        bench.client.close(1014, "").await;
        bench.client.expect_end().await;
        assert_eq!(
            bench.outcome().await.cause,
            CloseCause::ProtocolViolation,
            "{name}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn the_backend_does_not_see_the_frame_that_breaks_the_protocol() {
    let mut bench = Bench::start();
    let mut bytes = bench.client.frame(TEXT, b"good");
    let good = bytes.clone();
    bytes.extend(frame(TEXT, b"smuggled", None));
    bench.client.write(&bytes).await;
    bench.client.expect_close().await;
    bench.backend.close(1000, "").await;
    let seen = bench.backend.drain().await;
    assert_eq!(&seen[..good.len()], good);
    assert_eq!(seen[good.len()], CLOSE, "only our Close follows");
    assert!(!seen.windows(8).any(|bytes| bytes == b"smuggled"));
}

#[tokio::test(start_paused = true)]
async fn a_length_costs_no_memory_before_its_bytes_come() {
    let mut bench = Bench::start();
    // 2^62 bytes announced, ten sent.
    let mut bytes = vec![BINARY, 0xFF, 0x40, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    bytes.extend([1; 10]);
    bench.client.write(&bytes).await;
    bench.client.expect_silence(Duration::from_secs(1)).await;
    tokio::io::AsyncWriteExt::shutdown(&mut bench.client.io)
        .await
        .unwrap();
    assert_eq!(bench.backend.drain().await, bytes);
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_empty_frames_does_not_keep_others_waiting() {
    let mut bench = Bench::start();
    let empty = bench.client.frame(PING, b"");
    let flood = empty.repeat(20_000);
    let (mut client_in, mut client_out) = tokio::io::split(&mut bench.client.io);
    let send = tokio::io::AsyncWriteExt::write_all(&mut client_out, &flood);
    let mut got = [0; 4];
    let answer = async {
        bench.backend.send(TEXT, b"hi").await;
        tokio::io::AsyncReadExt::read_exact(&mut client_in, &mut got)
            .await
            .unwrap();
    };
    let read = async {
        let (sent, ()) = tokio::join!(send, answer);
        sent
    };
    let read = tokio::time::timeout(Duration::from_secs(5), read);
    // The backend does not read the flood at all: its own word passes all the same.
    assert!(read.await.is_err(), "the flood has no place to go");
    assert_eq!(&got[2..], b"hi");
}
