//! Everything that happens because nothing happens.

use std::time::Duration;

use tokio::time::{Instant, advance, sleep};

use super::peer::{BINARY, PING, PONG, TEXT};
use super::*;

const MINUTE: Duration = Duration::from_secs(60);

/// Whole seconds since.
fn seconds(start: Instant) -> u64 {
    start.elapsed().as_secs()
}

#[tokio::test(start_paused = true)]
async fn an_idle_tunnel_gets_1001_on_both_sides() {
    let mut bench = Setup::rules(|rules| rules.idle = Some(MINUTE)).start();
    let start = Instant::now();
    sleep(Duration::from_secs(40)).await;
    bench.backend.send(TEXT, b"alive").await;
    bench.client.expect().await;
    sleep(Duration::from_secs(40)).await;
    bench.client.send(TEXT, b"alive").await;
    bench.backend.expect().await;
    assert_eq!(
        bench.client.expect_close().await,
        (Some(1001), "idle".to_owned())
    );
    assert_eq!(bench.backend.expect_close().await.0, Some(1001));
    assert_eq!(seconds(start), 140);
    assert_eq!(bench.outcome().await.cause, CloseCause::Idle);
}

#[tokio::test(start_paused = true)]
async fn our_own_pings_do_not_keep_an_idle_tunnel_alive() {
    let mut bench = Setup::rules(|rules| {
        rules.idle = Some(MINUTE);
        rules.ping_interval = Some(Duration::from_secs(25));
    })
    .start();
    let start = Instant::now();
    for _ in 0..2 {
        let (at_client, at_backend) = (bench.client.expect().await, bench.backend.expect().await);
        assert_eq!((at_client.first, at_backend.first), (PING, PING));
        bench.client.send(PONG, &at_client.payload).await;
        bench.backend.send(PONG, &at_backend.payload).await;
    }
    assert_eq!(bench.client.expect_close().await.0, Some(1001));
    assert_eq!(seconds(start), 60);
    assert_eq!(bench.outcome().await.cause, CloseCause::Idle);
}

#[tokio::test(start_paused = true)]
async fn an_old_tunnel_gets_1001_up_to_a_tenth_before_its_maximum() {
    let mut ages = Vec::new();
    for _ in 0..10 {
        let mut bench = Setup::rules(|rules| rules.max_duration = Some(100 * MINUTE)).start();
        let start = Instant::now();
        sleep(89 * MINUTE).await;
        bench.client.send(TEXT, b"busy").await;
        assert_eq!(bench.backend.expect().await.payload, b"busy");
        assert_eq!(bench.client.expect_close().await.0, Some(1001));
        ages.push(start.elapsed());
        assert_eq!(bench.backend.expect_close().await.0, Some(1001));
        assert_eq!(bench.outcome().await.cause, CloseCause::MaxDuration);
    }
    let last = 100 * MINUTE + Duration::from_millis(1);
    assert!(
        ages.iter().all(|&age| age >= 90 * MINUTE && age <= last),
        "{ages:?}"
    );
    ages.dedup();
    assert!(ages.len() > 1, "all at the same age: {ages:?}");
}

#[tokio::test(start_paused = true)]
async fn silent_sides_are_pinged_and_our_pongs_are_swallowed() {
    let mut bench = Setup::rules(|rules| rules.ping_interval = Some(MINUTE)).start();
    let start = Instant::now();
    let ping = bench.client.expect().await;
    assert_eq!((ping.first, ping.masked), (PING, false));
    let at_backend = bench.backend.expect().await;
    assert_eq!((at_backend.first, at_backend.masked), (PING, true));
    assert_eq!(seconds(start), 60);
    // A pong of the client's own passes, ours does not.
    bench.client.send(PONG, b"mine").await;
    bench.client.send(PONG, b"8 bytes!").await;
    bench.client.send(PONG, &ping.payload).await;
    bench.client.send(TEXT, b"after").await;
    assert_eq!(bench.backend.expect().await.payload, b"mine");
    assert_eq!(bench.backend.expect().await.payload, b"8 bytes!");
    assert_eq!(bench.backend.expect().await.payload, b"after");
    // Swallowed once: the same bytes are the client's own now.
    bench.client.send(PONG, &ping.payload).await;
    assert_eq!(bench.backend.expect().await.first, PONG);
    let outcome = bench.outcome().await;
    assert_eq!(outcome.from_client.frames[FrameKind::Pong], 3);
}

#[tokio::test(start_paused = true)]
async fn a_pong_of_ours_is_swallowed_when_it_comes_byte_by_byte() {
    let mut bench = Setup::rules(|rules| rules.ping_interval = Some(MINUTE)).start();
    let ping = bench.client.expect().await;
    for byte in bench.client.frame(PONG, &ping.payload) {
        bench.client.write(&[byte]).await;
        tokio::task::yield_now().await;
    }
    bench.client.send(TEXT, b"after").await;
    assert_eq!(bench.backend.expect().await.first, PING);
    assert_eq!(bench.backend.expect().await.payload, b"after");
}

#[tokio::test(start_paused = true)]
async fn a_side_that_does_not_answer_a_ping_is_lost() {
    for side in [Side::Client, Side::Backend] {
        let mut bench = Setup::rules(|rules| rules.ping_interval = Some(MINUTE)).start();
        let start = Instant::now();
        let (at_client, at_backend) = (bench.client.expect().await, bench.backend.expect().await);
        match side {
            Side::Client => bench.backend.send(PONG, &at_backend.payload).await,
            Side::Backend => bench.client.send(PONG, &at_client.payload).await,
        }
        assert_eq!(bench.client.expect_close().await.0, Some(1001), "{side:?}");
        assert_eq!(bench.backend.expect_close().await.0, Some(1001), "{side:?}");
        assert_eq!(seconds(start), 80, "{side:?}");
        assert_eq!(bench.outcome().await.cause, CloseCause::PongTimeout);
    }
}

#[tokio::test(start_paused = true)]
async fn a_side_that_sends_is_not_pinged() {
    let mut bench = Setup::rules(|rules| rules.ping_interval = Some(MINUTE)).start();
    for _ in 0..10 {
        sleep(Duration::from_secs(50)).await;
        bench.client.send(TEXT, b"a").await;
        bench.backend.send(TEXT, b"b").await;
        assert_eq!(bench.backend.expect().await.payload, b"a");
        assert_eq!(bench.client.expect().await.payload, b"b");
    }
}

#[tokio::test(start_paused = true)]
async fn a_ping_waits_for_the_end_of_the_frame() {
    let mut bench = Setup::rules(|rules| rules.ping_interval = Some(MINUTE)).start();
    let frame = bench.backend.frame(BINARY, b"in two parts");
    bench.backend.write(&frame[..4]).await;
    assert_eq!(bench.backend.expect().await.first, PING);
    sleep(Duration::from_secs(5)).await;
    bench.backend.write(&frame[4..]).await;
    assert_eq!(bench.client.expect().await.payload, b"in two parts");
    assert_eq!(bench.client.expect().await.first, PING);
}

#[tokio::test(start_paused = true)]
async fn a_side_that_is_not_read_is_not_blamed_for_silence() {
    let mut bench = Setup::rules(|rules| rules.ping_interval = Some(MINUTE)).start();
    // The client reads nothing, so the backend is not read, so its pong cannot be seen.
    let flood = bench.backend.frame(BINARY, &vec![1; 200_000]);
    let (mut client, backend) = (bench.client, &mut bench.backend);
    let talk = async {
        for _ in 0..10 {
            sleep(Duration::from_secs(50)).await;
            client.send(TEXT, b"I am here").await;
        }
        client
    };
    let (backend_in, mut backend_out) = tokio::io::split(&mut backend.io);
    let flooding = tokio::io::AsyncWriteExt::write_all(&mut backend_out, &flood);
    let talk = async {
        tokio::select! {
            client = talk => client,
            _ = flooding => panic!("the flood has no place to go"),
        }
    };
    let mut reading = Box::pin(swallow(backend_in));
    client = tokio::select! {
        client = talk => client,
        frames = &mut reading => panic!("the backend was closed: {frames:?}"),
    };
    assert!(!bench.relay.is_finished());
    drop(client);
}

/// Reads until the end.
async fn swallow(mut from: impl tokio::io::AsyncRead + Unpin) -> usize {
    let mut sink = tokio::io::sink();
    tokio::io::copy(&mut from, &mut sink).await.unwrap() as usize
}

#[tokio::test(start_paused = true)]
async fn a_client_that_reads_nothing_is_left_after_the_write_stall() {
    let mut bench = Setup::rules(|rules| rules.write_stall = Some(MINUTE)).start();
    let start = Instant::now();
    let flood = bench.backend.frame(BINARY, &vec![1; 20_000]);
    bench.backend.write(&flood).await;
    assert_eq!(bench.backend.expect_close().await.0, Some(1001));
    assert_eq!(seconds(start), 60);
    let outcome = tokio::time::timeout(MINUTE, bench.relay).await;
    let outcome = outcome.expect("waits for ever").unwrap();
    assert_eq!(outcome.cause, CloseCause::WriteStall);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_stalls_and_then_reads_gets_1008() {
    let mut bench = Setup::rules(|rules| rules.write_stall = Some(MINUTE)).start();
    let flood = bench.backend.frame(BINARY, &vec![1; 20_000]);
    bench.backend.write(&flood).await;
    bench.backend.expect_close().await;
    assert_eq!(bench.client.expect().await.payload.len(), 20_000);
    assert_eq!(bench.client.expect_close().await.0, Some(1008));
}

#[tokio::test(start_paused = true)]
async fn a_slow_client_that_takes_some_bytes_is_not_stalled() {
    let mut bench = Setup::rules(|rules| rules.write_stall = Some(MINUTE)).start();
    let flood = bench.backend.frame(BINARY, &vec![1; 60_000]);
    bench.backend.write(&flood[..20_000]).await;
    let mut read = 0;
    let (client, backend) = (&mut bench.client.io, &mut bench.backend.io);
    let slow = async {
        let mut piece = [0; 4000];
        while read < flood.len() {
            sleep(Duration::from_secs(30)).await;
            read += tokio::io::AsyncReadExt::read(client, &mut piece)
                .await
                .unwrap();
        }
    };
    let (_, rest) = tokio::join!(
        slow,
        tokio::io::AsyncWriteExt::write_all(backend, &flood[20_000..])
    );
    rest.unwrap();
    bench.client.send(TEXT, b"done").await;
    assert_eq!(bench.backend.expect().await.payload, b"done");
}

#[tokio::test(start_paused = true)]
async fn a_tunnel_without_timeouts_sets_no_timer() {
    let (tunnel, mut client, mut backend, _sessions) = Setup::default().tunnel(Arc::default());
    let mut relay = relay(tunnel);
    client.send(TEXT, b"hi").await;
    let pending = futures::poll!(&mut relay);
    assert!(pending.is_pending());
    assert_eq!(backend.expect().await.payload, b"hi");
    assert!(relay.alarm.is_unset());
    advance(MINUTE).await;
}
