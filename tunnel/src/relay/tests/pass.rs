//! What passes, passes as it came.

use std::time::Duration;

use tokio::io::AsyncWriteExt;

use super::peer::{BINARY, CONTINUATION, MORE, PING, PONG, TEXT};
use super::*;

/// Frames of all kinds and sizes, as a client sends them.
fn traffic(peer: &Peer) -> Vec<u8> {
    let sizes = [0, 1, 5, 125, 126, 127, 200, 65_535, 65_536, 100_000];
    let mut stream = Vec::new();
    for (round, size) in sizes.into_iter().enumerate() {
        let payload: Vec<u8> = (0..size).map(|at| (at * 7 + round) as u8).collect();
        stream.extend(peer.frame(TEXT, &payload));
        stream.extend(peer.frame(BINARY & !MORE, &payload));
        stream.extend(peer.frame(PING, b"between"));
        stream.extend(peer.frame(CONTINUATION & !MORE, b""));
        stream.extend(peer.frame(CONTINUATION, &payload));
        stream.extend(peer.frame(PONG, b"unasked"));
    }
    stream
}

/// Sends both streams in pieces of `size` bytes; returns what arrived at the backend and at the
/// client.
async fn exchange(mut bench: Bench, up: &[u8], down: &[u8], size: usize) -> (Vec<u8>, Vec<u8>) {
    async fn one_way(from: &mut DuplexStreamHalf<'_>, stream: &[u8], size: usize) {
        for piece in stream.chunks(size) {
            from.write_all(piece).await.unwrap();
            tokio::task::yield_now().await;
        }
    }
    type DuplexStreamHalf<'a> = tokio::io::WriteHalf<&'a mut DuplexStream>;
    let (mut client_in, mut client_out) = tokio::io::split(&mut bench.client.io);
    let (mut backend_in, mut backend_out) = tokio::io::split(&mut bench.backend.io);
    let (mut at_client, mut at_backend) = (vec![0; down.len()], vec![0; up.len()]);
    let all = async {
        tokio::join!(
            one_way(&mut client_out, up, size),
            one_way(&mut backend_out, down, size),
            async {
                tokio::io::AsyncReadExt::read_exact(&mut client_in, &mut at_client)
                    .await
                    .unwrap()
            },
            async {
                tokio::io::AsyncReadExt::read_exact(&mut backend_in, &mut at_backend)
                    .await
                    .unwrap()
            },
        )
    };
    let all = tokio::time::timeout(Duration::from_secs(60), all).await;
    all.expect("not everything arrived");
    (at_backend, at_client)
}

#[tokio::test]
async fn every_byte_passes_in_both_directions_however_it_is_cut() {
    for size in [1, 2, 3, 7, 13, 64, 1000, 4096, 100_000] {
        let bench = Bench::start();
        let (up, down) = (traffic(&bench.client), traffic(&bench.backend));
        // One byte at a time takes long for large frames.
        let share = if size == 1 { 3000 } else { up.len() };
        let (up, down) = (&up[..share.min(up.len())], &down[..share.min(down.len())]);
        let (at_backend, at_client) = exchange(bench, up, down, size).await;
        assert!(at_backend == up, "client to backend in pieces of {size}");
        assert!(at_client == down, "backend to client in pieces of {size}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_payload_of_16_mib_passes() {
    let bench = Bench::start();
    let payload: Vec<u8> = (0..16 << 20).map(|at: u32| (at >> 8) as u8).collect();
    let up = bench.client.frame(BINARY, &payload);
    let down = bench.backend.frame(BINARY, &payload);
    let (at_backend, at_client) = exchange(bench, &up, &down, 1 << 20).await;
    assert!(at_backend == up);
    assert!(at_client == down);
}

#[tokio::test(start_paused = true)]
async fn what_was_read_with_the_handshakes_comes_first() {
    let mut bench = Setup {
        // "hi" of a client whose mask is zero; "yo" of a server, and the first byte of a ping.
        from_client: b"\x81\x82\0\0\0\0hi",
        from_backend: b"\x81\x02yo\x89",
        ..Setup::default()
    }
    .start();
    bench.client.send(TEXT, b"next").await;
    bench.backend.write(b"\x00").await;
    assert_eq!(bench.backend.expect().await.payload, b"hi");
    assert_eq!(bench.backend.expect().await.payload, b"next");
    assert_eq!(bench.client.expect().await.payload, b"yo");
    assert_eq!(bench.client.expect().await.first, PING);
}

#[tokio::test(start_paused = true)]
async fn reserved_bits_pass_when_an_extension_was_agreed_on() {
    let mut bench = Setup {
        extensions: true,
        ..Setup::default()
    }
    .start();
    bench.client.send(TEXT | 0x40, b"deflated").await;
    let frame = bench.backend.expect().await;
    assert_eq!(
        (frame.first, &*frame.payload),
        (TEXT | 0x40, &b"deflated"[..])
    );
}

#[tokio::test(start_paused = true)]
async fn what_passes_is_counted() {
    let mut bench = Bench::start();
    bench.client.send(TEXT & !MORE, b"a").await;
    bench.client.send(CONTINUATION, b"b").await;
    bench.client.send(BINARY & !MORE, b"c").await;
    bench.client.send(PING, b"").await;
    bench.client.send(CONTINUATION & !MORE, b"d").await;
    bench.client.send(CONTINUATION, b"e").await;
    bench.backend.send(PONG, b"").await;
    for _ in 0..6 {
        bench.backend.expect().await;
    }
    assert_eq!(bench.client.expect().await.first, PONG);
    bench.client.close(1000, "").await;
    bench.backend.expect_close().await;
    bench.backend.close(1000, "").await;
    bench.client.expect_close().await;
    let outcome = bench.outcome().await;
    let client = Counts {
        frames: [
            (FrameKind::Text, 1),
            (FrameKind::Binary, 1),
            (FrameKind::TextFragment, 1),
            (FrameKind::BinaryFragment, 2),
            (FrameKind::Ping, 1),
            (FrameKind::Close, 1),
        ]
        .into(),
        bytes: [
            (FrameKind::Text, 7),
            (FrameKind::Binary, 7),
            (FrameKind::TextFragment, 7),
            (FrameKind::BinaryFragment, 7 + 7),
            (FrameKind::Ping, 6),
            (FrameKind::Close, 8),
        ]
        .into(),
    };
    let backend = Counts {
        frames: [(FrameKind::Pong, 1), (FrameKind::Close, 1)].into(),
        bytes: [(FrameKind::Pong, 2), (FrameKind::Close, 4)].into(),
    };
    assert_eq!(
        (outcome.from_client, outcome.from_backend),
        (client, backend)
    );
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_costs_one_buffer_and_the_sender_waits() {
    let mut bench = Bench::start();
    let flood = bench.backend.frame(BINARY, &vec![7; 4 << 20]);
    let mut accepted = 0;
    let stalled = async {
        while accepted < flood.len() {
            accepted += bench.backend.io.write(&flood[accepted..]).await.unwrap();
        }
    };
    let stalled = tokio::time::timeout(Duration::from_secs(1), stalled).await;
    assert!(
        stalled.is_err(),
        "4 MiB were taken for a client that reads nothing"
    );
    let most = SCRATCH + 2 * PIPE;
    assert!(
        accepted <= most,
        "{accepted} bytes were taken, {most} at most"
    );
    // The other direction is not held up.
    bench.client.send(TEXT, b"still here").await;
    assert_eq!(bench.backend.expect().await.payload, b"still here");
}

#[tokio::test(start_paused = true)]
async fn both_directions_have_their_turns() {
    let mut bench = Bench::start();
    let flood = bench.backend.frame(BINARY, &vec![7; 8 << 20]);
    let (mut client_in, mut client_out) = tokio::io::split(&mut bench.client.io);
    let (mut backend_in, mut backend_out) = tokio::io::split(&mut bench.backend.io);
    let small = peer::frame(TEXT, b"small", Some([0; 4]));
    let mut arrived = vec![0; small.len()];
    let mut flooded = 0;
    let mut sink = vec![0; 1 << 16];
    let flooding = async {
        tokio::join!(backend_out.write_all(&flood), async {
            loop {
                flooded += tokio::io::AsyncReadExt::read(&mut client_in, &mut sink)
                    .await
                    .unwrap();
            }
        })
    };
    let answer = async {
        client_out.write_all(&small).await.unwrap();
        tokio::io::AsyncReadExt::read_exact(&mut backend_in, &mut arrived)
            .await
            .unwrap();
    };
    tokio::select! {
        _ = flooding => panic!("the flood went through first"),
        () = answer => {}
    }
    assert_eq!(arrived, small);
    assert!(flooded < 2 << 20, "{flooded} bytes went first");
}
