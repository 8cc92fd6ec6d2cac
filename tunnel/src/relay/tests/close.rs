//! One test per row of the table of close codes, and how long is waited for whom.

use std::time::Duration;

use tidegate_config::CloseCode;
use tokio::io::AsyncWriteExt;
use tokio::time::{Instant, sleep};

use super::peer::{BINARY, CLOSE, CONTINUATION, MORE, TEXT, close_payload};
use super::*;

#[tokio::test(start_paused = true)]
async fn a_close_of_the_client_passes_with_code_and_reason_and_is_answered_by_the_backend() {
    let mut bench = Bench::start();
    bench.client.close(4001, "see you").await;
    let frame = bench.backend.expect().await;
    assert_eq!(frame.close(), (Some(4001), "see you".to_owned()));
    assert!(frame.masked);
    bench.backend.send(TEXT, b"a last word").await;
    bench.backend.close(4001, "me too").await;
    assert_eq!(bench.client.expect().await.payload, b"a last word");
    assert_eq!(
        bench.client.expect_close().await,
        (Some(4001), "me too".to_owned())
    );
    bench.client.expect_end().await;
    bench.backend.expect_end().await;
    let outcome = bench.outcome().await;
    assert_eq!(outcome.initiator, Initiator::Client);
    assert_eq!(outcome.cause, CloseCause::ClientClosed);
    assert_eq!(
        (outcome.client_code, outcome.backend_code),
        (Some(4001), Some(4001))
    );
    assert_eq!(outcome.reason, "see you");
}

#[tokio::test(start_paused = true)]
async fn a_close_of_the_backend_passes_with_code_and_reason_and_is_answered_by_the_client() {
    let mut bench = Bench::start();
    bench.backend.close(1011, "broken").await;
    let frame = bench.client.expect().await;
    assert_eq!(frame.close(), (Some(1011), "broken".to_owned()));
    assert!(!frame.masked);
    bench.client.close(1011, "").await;
    assert_eq!(
        bench.backend.expect_close().await,
        (Some(1011), String::new())
    );
    bench.backend.expect_end().await;
    let outcome = bench.outcome().await;
    assert_eq!(outcome.initiator, Initiator::Backend);
    assert_eq!(outcome.cause, CloseCause::BackendClosed);
}

#[tokio::test(start_paused = true)]
async fn an_empty_close_passes_empty() {
    let mut bench = Bench::start();
    bench.client.send(CLOSE, b"").await;
    assert_eq!(bench.backend.expect_close().await.0, None);
    bench.backend.send(CLOSE, b"").await;
    assert_eq!(bench.client.expect_close().await.0, None);
    assert_eq!(bench.outcome().await.client_code, None);
}

#[tokio::test(start_paused = true)]
async fn closes_that_cross_both_pass() {
    let mut bench = Bench::start();
    bench.client.close(4001, "c").await;
    bench.backend.close(4002, "b").await;
    assert_eq!(bench.backend.expect_close().await.0, Some(4001));
    assert_eq!(bench.client.expect_close().await.0, Some(4002));
    bench.client.expect_end().await;
    bench.backend.expect_end().await;
    bench.outcome().await;
}

#[tokio::test(start_paused = true)]
async fn a_close_that_comes_byte_by_byte_passes() {
    let mut bench = Bench::start();
    for byte in bench.client.frame(CLOSE, &close_payload(1000, "slowly")) {
        bench.client.write(&[byte]).await;
        tokio::task::yield_now().await;
    }
    assert_eq!(
        bench.backend.expect_close().await,
        (Some(1000), "slowly".to_owned())
    );
}

#[tokio::test(start_paused = true)]
async fn nothing_passes_behind_a_close() {
    let mut bench = Bench::start();
    let mut both = bench.client.frame(CLOSE, b"");
    both.extend(bench.client.frame(TEXT, b"too late"));
    bench.client.write(&both).await;
    assert_eq!(bench.backend.expect_close().await.0, None);
    bench.client.send(TEXT, b"much too late").await;
    bench.backend.send(CLOSE, b"").await;
    bench.backend.expect_end().await;
    bench.outcome().await;
}

#[tokio::test(start_paused = true)]
async fn the_client_is_answered_when_the_backend_just_hangs_up_on_its_close() {
    let mut bench = Bench::start();
    bench.client.close(4001, "bye").await;
    bench.backend.expect_close().await;
    bench.backend.io.shutdown().await.unwrap();
    assert_eq!(
        bench.client.expect_close().await,
        (Some(4001), String::new())
    );
    bench.client.expect_end().await;
    assert_eq!(bench.outcome().await.cause, CloseCause::ClientClosed);
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_sent_its_close_may_close_first_for_a_moment() {
    let mut bench = Bench::start();
    bench.client.close(1000, "").await;
    bench.backend.expect_close().await;
    bench.backend.close(1000, "").await;
    bench.client.expect_close().await;
    let start = Instant::now();
    bench.client.expect_end().await;
    assert_eq!(start.elapsed().as_secs(), 0, "the client waits for nobody");
    bench.backend.expect_end().await;
    assert_eq!(start.elapsed().as_secs(), 2);
    assert_eq!(bench.outcome().await.cause, CloseCause::ClientClosed);
}

#[tokio::test(start_paused = true)]
async fn the_client_is_answered_when_the_backend_ignores_its_close() {
    let mut bench = Bench::start();
    let start = Instant::now();
    bench.client.close(1000, "").await;
    bench.backend.expect_close().await;
    assert_eq!(bench.client.expect_close().await.0, Some(1000));
    assert_eq!(start.elapsed().as_secs(), CLOSE_TIMEOUT.as_secs());
    bench.backend.expect_end().await;
}

#[tokio::test(start_paused = true)]
async fn the_client_gets_1014_when_the_backend_is_lost() {
    let mut bench = Bench::start();
    bench.backend.send(TEXT, b"whole").await;
    drop(bench.backend.io);
    assert_eq!(bench.client.expect().await.payload, b"whole");
    assert_eq!(bench.client.expect_close().await.0, Some(1014));
    bench.client.close(1014, "").await;
    bench.client.expect_end().await;
    let (trigger, relay) = (bench.client, bench.relay);
    drop(trigger);
    let outcome = relay.await.unwrap();
    assert_eq!(outcome.cause, CloseCause::BackendLost);
    assert_eq!(outcome.initiator, Initiator::Backend);
    assert_eq!(
        (outcome.client_code, outcome.backend_code),
        (Some(1014), None)
    );
}

#[tokio::test(start_paused = true)]
async fn a_frame_that_the_lost_backend_only_began_does_not_keep_the_client_from_1014() {
    let mut bench = Bench::start();
    // Half a header is held back, so the client stands between two frames.
    bench.backend.write(&[BINARY, 126, 1]).await;
    bench.backend.io.shutdown().await.unwrap();
    assert_eq!(bench.client.expect_close().await.0, Some(1014));
}

#[tokio::test(start_paused = true)]
async fn the_client_gets_1014_between_the_fragments_of_a_lost_backend() {
    let mut bench = Bench::start();
    bench.backend.send(TEXT & !MORE, b"first").await;
    bench.backend.io.shutdown().await.unwrap();
    assert_eq!(bench.client.expect().await.payload, b"first");
    assert_eq!(bench.client.expect_close().await.0, Some(1014));
}

#[tokio::test(start_paused = true)]
async fn the_client_is_cut_when_the_backend_is_lost_inside_a_frame() {
    let mut bench = Bench::start();
    let frame = bench.backend.frame(BINARY, b"never whole");
    bench.backend.write(&frame[..6]).await;
    bench.backend.io.shutdown().await.unwrap();
    assert_eq!(
        bench.client.drain().await,
        &frame[..6],
        "nothing may follow half a frame"
    );
    let outcome = bench.outcome().await;
    assert_eq!(
        (outcome.cause, outcome.client_code),
        (CloseCause::BackendLost, None)
    );
}

#[tokio::test(start_paused = true)]
async fn the_backend_gets_1001_when_the_client_is_lost() {
    let mut bench = Bench::start();
    bench.client.send(TEXT, b"whole").await;
    bench.client.io.shutdown().await.unwrap();
    assert_eq!(bench.backend.expect().await.payload, b"whole");
    let frame = bench.backend.expect().await;
    assert_eq!(frame.close().0, Some(1001));
    assert!(frame.masked, "what goes to a backend is masked");
    bench.backend.close(1001, "").await;
    bench.backend.expect_end().await;
    let outcome = bench.outcome().await;
    assert_eq!(outcome.cause, CloseCause::ClientLost);
    assert_eq!(outcome.initiator, Initiator::Client);
    assert_eq!(
        (outcome.client_code, outcome.backend_code),
        (None, Some(1001))
    );
}

#[tokio::test(start_paused = true)]
async fn the_backend_is_cut_when_the_client_is_lost_inside_a_frame() {
    let mut bench = Bench::start();
    let frame = bench.client.frame(BINARY, b"never whole");
    bench.client.write(&frame[..9]).await;
    bench.client.io.shutdown().await.unwrap();
    assert_eq!(bench.backend.drain().await, &frame[..9]);
    assert_eq!(bench.outcome().await.cause, CloseCause::ClientLost);
}

#[tokio::test(start_paused = true)]
async fn our_close_waits_for_the_end_of_the_frame() {
    let mut bench = Bench::start();
    let frame = bench.backend.frame(BINARY, b"in two parts");
    bench.backend.write(&frame[..5]).await;
    tokio::task::yield_now().await;
    bench.sessions.drain(Duration::ZERO, CloseCode::GOING_AWAY);
    // The backend stands between frames, the client does not.
    assert_eq!(bench.backend.expect_close().await.0, Some(1001));
    let mut rest = frame[5..].to_vec();
    rest.extend(bench.backend.frame(TEXT, b"too late"));
    bench.backend.write(&rest).await;
    assert_eq!(bench.client.expect().await.payload, b"in two parts");
    assert_eq!(bench.client.expect_close().await.0, Some(1001));
    bench.client.close(1001, "").await;
    bench.client.expect_end().await;
}

#[tokio::test(start_paused = true)]
async fn a_frame_that_does_not_end_is_cut_after_the_close_timeout() {
    let mut bench = Bench::start();
    let frame = bench.backend.frame(BINARY, b"never whole");
    bench.backend.write(&frame[..5]).await;
    tokio::task::yield_now().await;
    let start = Instant::now();
    bench.sessions.drain(Duration::ZERO, CloseCode::GOING_AWAY);
    assert_eq!(bench.client.drain().await, &frame[..5]);
    assert_eq!(start.elapsed().as_secs(), CLOSE_TIMEOUT.as_secs());
    assert_eq!(bench.outcome().await.client_code, None);
}

#[tokio::test(start_paused = true)]
async fn a_frame_that_was_cut_gets_no_close_behind_it_however_its_sender_ends() {
    let stall = Duration::from_secs(20);
    let mut bench = Setup::rules(|rules| rules.write_stall = Some(stall)).start();
    bench.backend.close(1000, "").await;
    assert_eq!(bench.client.expect_close().await.0, Some(1000));
    // More than the backend's pipe takes: when time is up, some of it still waits for the backend.
    let frame = bench.client.frame(BINARY, &[7; 3 * PIPE]);
    bench.client.write(&frame[..2 * PIPE]).await;
    sleep(stall + Duration::from_secs(1)).await;
    bench.client.write(&frame[2 * PIPE..]).await;
    bench.client.io.shutdown().await.unwrap();
    tokio::task::yield_now().await;
    let heard = bench.backend.drain().await;
    assert!(heard.len() < frame.len(), "it was not cut");
    assert!(frame.starts_with(&heard), "something follows the cut");
}

#[tokio::test(start_paused = true)]
async fn our_close_may_stand_between_fragments() {
    let mut bench = Bench::start();
    bench.backend.send(TEXT & !MORE, b"first").await;
    assert_eq!(bench.client.expect().await.payload, b"first");
    bench.sessions.drain(Duration::ZERO, CloseCode::GOING_AWAY);
    bench.backend.expect_close().await;
    bench.backend.send(CONTINUATION, b"second").await;
    assert_eq!(bench.client.expect_close().await.0, Some(1001));
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_does_not_answer_our_close_is_left_after_the_close_timeout() {
    let mut bench = Bench::start();
    let start = Instant::now();
    bench.sessions.drain(Duration::ZERO, CloseCode::GOING_AWAY);
    bench.client.expect_close().await;
    bench.backend.expect_close().await;
    bench.client.expect_end().await;
    assert_eq!(start.elapsed().as_secs(), CLOSE_TIMEOUT.as_secs());
    // It never closes its side either.
    let outcome = tokio::time::timeout(CLOSE_TIMEOUT, bench.relay).await;
    assert_eq!(
        outcome.expect("lingers for ever").unwrap().cause,
        CloseCause::Drain
    );
}

#[tokio::test(start_paused = true)]
async fn our_close_can_be_read_by_who_still_sends() {
    let mut bench = Bench::start();
    bench.sessions.drain(Duration::ZERO, CloseCode::GOING_AWAY);
    bench.backend.expect_close().await;
    for _ in 0..100 {
        bench.client.send(BINARY, &[1; 1000]).await;
    }
    assert_eq!(bench.client.expect_close().await.0, Some(1001));
    bench.client.close(1001, "").await;
    bench.client.expect_end().await;
    bench.backend.close(1001, "").await;
    bench.backend.expect_end().await;
    assert_eq!(
        bench.outcome().await.from_client.bytes.sum(),
        0,
        "nothing of it was passed on"
    );
}

#[tokio::test(start_paused = true)]
async fn both_get_the_code_of_a_gateway_fault() {
    let setup = Setup::default();
    let (tunnel, mut client, mut backend, _sessions) = setup.tunnel(Arc::default());
    let mut relay = relay(tunnel);
    relay.begin(CloseCause::Fault, None, Instant::now());
    let (_trigger, drain) = Drain::pair();
    let relay = drain.spawn(relay);
    assert_eq!(client.expect_close().await.0, Some(1011));
    assert_eq!(backend.expect_close().await.0, Some(1011));
    drop((client, backend));
    assert_eq!(relay.await.unwrap().cause, CloseCause::Fault);
}
