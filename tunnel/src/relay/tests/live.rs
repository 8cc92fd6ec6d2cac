//! What others say of a live tunnel: its token, its subscription, the drain.

use std::time::{Duration, SystemTime};

use tidegate_config::CloseCode;
use tokio::time::Instant;

use super::peer::TEXT;
use super::*;

fn in_seconds(seconds: i64) -> i64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.unwrap().as_secs() as i64 + seconds
}

#[tokio::test(start_paused = true)]
async fn the_client_gets_the_configured_code_when_its_token_expires() {
    let mut setup = Setup::default();
    setup.info.token_expires_at = Some(in_seconds(100));
    setup.info.subscription_expires_at = Some(in_seconds(200));
    setup.info.live_access.close_code = CloseCode::try_from(4001).unwrap();
    let start = Instant::now();
    let mut bench = setup.start();
    assert_eq!(
        bench.client.expect_close().await,
        (Some(4001), "token expired".to_owned())
    );
    assert_eq!(bench.backend.expect_close().await.0, Some(1001));
    // The wall clock goes on while the test runs, and expiry is in whole seconds.
    assert!((98..=100).contains(&start.elapsed().as_secs()));
    assert_eq!(bench.outcome().await.cause, CloseCause::TokenExpired);
}

#[tokio::test(start_paused = true)]
async fn the_client_gets_1008_when_its_subscription_expires() {
    let mut setup = Setup::default();
    setup.info.subscription_expires_at = Some(in_seconds(100));
    let mut bench = setup.start();
    assert_eq!(bench.client.expect_close().await.0, Some(1008));
    assert_eq!(bench.outcome().await.cause, CloseCause::SubscriptionExpired);
}

#[tokio::test(start_paused = true)]
async fn an_expiry_in_the_past_is_an_expiry_now() {
    let mut setup = Setup::default();
    setup.info.token_expires_at = Some(-1);
    let mut bench = setup.start();
    let start = Instant::now();
    assert_eq!(bench.client.expect_close().await.0, Some(1008));
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn expiry_does_not_matter_where_live_access_is_not_enforced() {
    let mut setup = Setup::default();
    setup.info.token_expires_at = Some(in_seconds(10));
    setup.info.live_access.enforce = false;
    let mut bench = setup.start();
    bench.client.expect_silence(Duration::from_secs(1000)).await;
    bench.client.send(TEXT, b"still here").await;
    assert_eq!(bench.backend.expect().await.payload, b"still here");
}

#[tokio::test(start_paused = true)]
async fn a_drain_closes_every_tunnel_within_the_window_with_its_code() {
    let mut benches: Vec<_> = (0..10).map(|_| Setup::default()).collect();
    let sessions = Sessions::new();
    let (_trigger, drain) = Drain::pair();
    let mut peers = Vec::new();
    for setup in benches.drain(..) {
        let info = setup.info.clone();
        let (mut tunnel, client, backend, _) = setup.tunnel(Arc::default());
        tunnel.session = sessions.register(&info);
        let relay = drain.spawn(relay(tunnel));
        peers.push((client, backend, relay));
    }
    tokio::task::yield_now().await;
    let start = Instant::now();
    sessions.drain(Duration::from_secs(30), CloseCode::try_from(1012).unwrap());
    let mut times = Vec::new();
    for (client, backend, _) in &mut peers {
        let at_client = async {
            let close = client.expect_close().await;
            client.close(1012, "").await;
            (close, start.elapsed().as_secs())
        };
        let at_backend = async {
            let close = backend.expect_close().await;
            backend.close(1001, "").await;
            close
        };
        times.push(async move { tokio::join!(at_client, at_backend) });
    }
    let mut seconds = Vec::new();
    for ((at_client, second), at_backend) in futures::future::join_all(times).await {
        assert_eq!(at_client, (Some(1012), "gateway is going away".to_owned()));
        assert_eq!(at_backend.0, Some(1001));
        seconds.push(second);
    }
    seconds.sort_unstable();
    assert_eq!(seconds, [0, 3, 6, 9, 12, 15, 18, 21, 24, 27]);
    for (client, backend, relay) in peers {
        drop((client, backend));
        assert_eq!(relay.await.unwrap().cause, CloseCause::Drain);
    }
    assert!(sessions.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_cut_ends_the_tunnel_at_once() {
    let mut bench = Bench::start();
    bench.client.send(TEXT, b"hi").await;
    bench.backend.expect().await;
    bench.sessions.cut();
    let start = Instant::now();
    bench.client.expect_end().await;
    assert_eq!(start.elapsed(), Duration::ZERO);
    let outcome = bench.outcome().await;
    assert_eq!(outcome.cause, CloseCause::Cut);
    assert_eq!(outcome.from_client.frames[FrameKind::Text], 1);
}

#[tokio::test(start_paused = true)]
async fn a_cut_during_a_close_keeps_the_cause_of_the_close() {
    let mut bench = Bench::start();
    bench.client.close(1000, "").await;
    bench.backend.expect_close().await;
    bench.sessions.cut();
    assert_eq!(bench.outcome().await.cause, CloseCause::ClientClosed);
}

#[tokio::test(start_paused = true)]
async fn every_command_reaches_a_quiet_tunnel_and_not_the_first_alone() {
    const HOUR: Duration = Duration::from_secs(3600);
    let (tunnel, mut client, mut backend, sessions) = Setup::default().tunnel(Arc::default());
    let closer = tunnel.session.closer();
    let (_trigger, drain) = Drain::pair();
    let relay = drain.spawn(relay(tunnel));
    client.expect_silence(Duration::from_secs(1)).await;
    let start = Instant::now();
    closer.close(CloseCause::ApiChanged, start + HOUR);
    client.expect_silence(Duration::from_secs(1)).await;
    closer.close(CloseCause::ApiRemoved, Instant::now());
    assert_eq!(client.expect_close().await.1, "API removed");
    backend.expect_close().await;
    // Neither of them answers.
    sessions.cut();
    assert_eq!(relay.await.unwrap().cause, CloseCause::ApiRemoved);
    assert_eq!(start.elapsed(), Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn an_administrator_closes_a_tunnel_with_a_code_and_a_reason() {
    for (reason, said) in [
        (Some("moved"), "moved"),
        (None, "closed by an administrator"),
    ] {
        let mut bench = Setup::default().start();
        let code = CloseCode::try_from(4001).unwrap();
        let closed = bench.sessions.close(&TunnelFilter::default(), code, reason);
        assert_eq!(closed, 1);
        let close = (Some(4001), said.to_owned());
        assert_eq!(bench.client.expect_close().await, close);
        let backend = (Some(1001), said.to_owned());
        assert_eq!(bench.backend.expect_close().await, backend);
        let outcome = bench.outcome().await;
        assert_eq!(outcome.cause, CloseCause::AdminClosed);
        assert_eq!(outcome.reason, said);
    }
}

#[tokio::test(start_paused = true)]
async fn a_tunnel_that_ends_already_keeps_its_cause() {
    let mut bench = Setup::default().start();
    bench.backend.close(1000, "done").await;
    assert_eq!(bench.client.expect_close().await.0, Some(1000));
    let any = TunnelFilter::default();
    bench
        .sessions
        .close(&any, CloseCode::GOING_AWAY, Some("moved"));
    bench.client.close(1000, "").await;
    let outcome = bench.outcome().await;
    assert_eq!(outcome.cause, CloseCause::BackendClosed);
    assert_eq!(outcome.reason, "done");
}
