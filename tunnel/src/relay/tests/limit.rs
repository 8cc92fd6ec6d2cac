//! Message size, message rate, byte rate.

use std::time::Duration;

use tidegate_config::{OnExceed, Rate};
use tokio::time::Instant;

use super::peer::{BINARY, CONTINUATION, MORE, PING, TEXT};
use super::*;

fn rate(rate: u32, burst: u32, on_exceed: OnExceed) -> Option<Rate> {
    Some(Rate {
        rate,
        burst: Some(burst),
        on_exceed,
    })
}

#[tokio::test(start_paused = true)]
async fn a_message_at_the_limit_passes() {
    let mut bench = Setup::rules(|rules| rules.max_message_bytes = Some(10)).start();
    for _ in 0..3 {
        bench.client.send(TEXT, &[b'a'; 10]).await;
        bench.client.send(BINARY & !MORE, &[1; 5]).await;
        bench.client.send(PING, &[2; 100]).await;
        bench.client.send(CONTINUATION, &[1; 5]).await;
    }
    for _ in 0..12 {
        bench.backend.expect().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_whose_message_is_too_big_gets_1009_and_the_backend_1001() {
    let mut bench = Setup::rules(|rules| rules.max_message_bytes = Some(10)).start();
    bench.client.send(TEXT, &[b'a'; 11]).await;
    assert_eq!(
        bench.client.expect_close().await,
        (Some(1009), "message too big".to_owned())
    );
    assert_eq!(
        bench.backend.expect_close().await.0,
        Some(1001),
        "nothing of it before"
    );
    bench.client.close(1009, "").await;
    bench.client.expect_end().await;
    bench.backend.close(1001, "").await;
    bench.backend.expect_end().await;
    assert_eq!(bench.outcome().await.cause, CloseCause::MessageTooBig);
}

#[tokio::test(start_paused = true)]
async fn a_backend_whose_message_is_too_big_gets_1009_and_the_client_1001() {
    let mut bench = Setup::rules(|rules| rules.max_message_bytes = Some(10)).start();
    bench.backend.send(BINARY, &[1; 11]).await;
    assert_eq!(bench.backend.expect_close().await.0, Some(1009));
    assert_eq!(bench.client.expect_close().await.0, Some(1001));
}

#[tokio::test(start_paused = true)]
async fn fragments_count_together_for_the_size_of_a_message() {
    let mut bench = Setup::rules(|rules| rules.max_message_bytes = Some(10)).start();
    bench.client.send(TEXT & !MORE, &[b'a'; 6]).await;
    bench.client.send(CONTINUATION, &[b'a'; 5]).await;
    assert_eq!(bench.backend.expect().await.payload.len(), 6);
    assert_eq!(bench.backend.expect_close().await.0, Some(1001));
    assert_eq!(bench.client.expect_close().await.0, Some(1009));
}

#[tokio::test(start_paused = true)]
async fn the_answer_of_a_sender_is_found_behind_its_message_that_was_too_big() {
    let mut bench = Setup::rules(|rules| rules.max_message_bytes = Some(10)).start();
    let start = Instant::now();
    bench.client.send(BINARY, &[b'a'; 5000]).await;
    bench.client.expect_close().await;
    bench.client.close(1009, "").await;
    bench.client.expect_end().await;
    assert!(
        start.elapsed() < Duration::from_secs(1),
        "not after the close timeout"
    );
}

#[tokio::test(start_paused = true)]
async fn messages_above_the_rate_are_delayed_one_by_one() {
    let messages = rate(10, 3, OnExceed::Delay);
    let mut bench = Setup::rules(|rules| rules.messages = messages).start();
    let start = Instant::now();
    // All in one segment: the burst is exact all the same.
    let all: Vec<u8> = (0..13_u8)
        .flat_map(|n| bench.client.frame(TEXT, &[b'a' + n]))
        .collect();
    bench.client.write(&all).await;
    for n in 0..13_u64 {
        let frame = bench.backend.expect().await;
        assert_eq!(frame.payload, [b'a' + n as u8]);
        let due = Duration::from_millis(100 * n.saturating_sub(2));
        let slack = Duration::from_millis(20);
        let at = start.elapsed();
        assert!(
            at >= due && at <= due + slack,
            "message {n} at {at:?}, due at {due:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_delayed_client_does_not_delay_the_backend() {
    let messages = rate(1, 1, OnExceed::Delay);
    let mut bench = Setup::rules(|rules| rules.messages = messages).start();
    bench.client.send(TEXT, b"1").await;
    bench.client.send(TEXT, b"2").await;
    bench.backend.expect().await;
    let start = Instant::now();
    bench.backend.send(TEXT, b"hi").await;
    assert_eq!(bench.client.expect().await.payload, b"hi");
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_client_above_the_message_rate_gets_1008_when_so_configured() {
    let messages = rate(10, 2, OnExceed::Close);
    let mut bench = Setup::rules(|rules| rules.messages = messages).start();
    for _ in 0..3 {
        bench.client.send(TEXT, b"x").await;
    }
    assert_eq!(bench.client.expect_close().await.0, Some(1008));
    bench.backend.expect().await;
    bench.backend.expect().await;
    assert_eq!(bench.backend.expect_close().await.0, Some(1001));
    assert_eq!(bench.outcome().await.cause, CloseCause::MessageRate);
}

#[tokio::test(start_paused = true)]
async fn fragments_and_pings_are_not_messages() {
    let messages = rate(1, 1, OnExceed::Close);
    let mut bench = Setup::rules(|rules| rules.messages = messages).start();
    bench.client.send(TEXT & !MORE, b"x").await;
    for _ in 0..5 {
        bench.client.send(CONTINUATION & !MORE, b"x").await;
        bench.client.send(PING, b"x").await;
    }
    for _ in 0..11 {
        assert_eq!(bench.backend.expect().await.payload, b"x");
    }
}

#[tokio::test(start_paused = true)]
async fn bytes_above_the_rate_are_delayed() {
    let bytes = rate(1000, 1000, OnExceed::Delay);
    let mut bench = Setup::rules(|rules| rules.bytes = bytes).start();
    let start = Instant::now();
    bench.client.send(BINARY, &[1; 4000]).await;
    assert_eq!(bench.backend.expect().await.payload.len(), 4000);
    let (at, due) = (start.elapsed(), Duration::from_millis(3008));
    assert!(
        at >= due && at < due + Duration::from_millis(200),
        "after {at:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_backend_above_the_byte_rate_gets_1008_when_so_configured() {
    let bytes = rate(1000, 1000, OnExceed::Close);
    let mut bench = Setup::rules(|rules| rules.bytes = bytes).start();
    for _ in 0..10 {
        bench.backend.send(BINARY, &[1; 98]).await;
    }
    for _ in 0..10 {
        bench.client.expect().await;
    }
    bench.backend.send(BINARY, &[1; 98]).await;
    assert_eq!(bench.backend.expect_close().await.0, Some(1008));
    assert_eq!(bench.client.expect_close().await.0, Some(1001));
    assert_eq!(bench.outcome().await.cause, CloseCause::ByteRate);
}
