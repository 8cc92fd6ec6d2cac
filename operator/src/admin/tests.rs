use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;

async fn get(address: SocketAddr, path: &str) -> String {
    let exchange = async {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    };
    let answer = tokio::time::timeout(Duration::from_secs(10), exchange).await;
    answer.expect("no answer within 10 s")
}

#[tokio::test]
async fn readiness_needs_every_list_and_liveness_does_not() {
    let drain = Drain::default();
    let admin = Admin {
        health: WatchHealth::default(),
        heartbeat: Heartbeat::new(),
        metrics: Metrics::new().unwrap(),
    };
    let health = admin.health.clone();
    let address = admin
        .serve("127.0.0.1:0".parse().unwrap(), &drain)
        .await
        .unwrap();
    health.register("Gateway");
    assert!(get(address, "/livez").await.starts_with("HTTP/1.1 200"));
    let waiting = get(address, "/readyz").await;
    assert!(waiting.starts_with("HTTP/1.1 503"), "{waiting}");
    assert!(
        waiting.ends_with("Gateway: no list yet: no answer yet\n"),
        "{waiting}"
    );
    health.received("Gateway", true);
    assert!(get(address, "/readyz").await.starts_with("HTTP/1.1 200"));
    let metrics = get(address, "/metrics").await;
    assert!(metrics.contains(r#"tidegate_operator_watch_age_seconds{watch="Gateway"}"#));
    assert!(get(address, "/else").await.starts_with("HTTP/1.1 404"));
    drain.ask();
    assert!(
        drain.finished(Duration::from_secs(10)).await,
        "the endpoints did not stop in 10 s"
    );
}

#[tokio::test]
async fn idle_connections_and_scrapes_do_not_keep_probes_from_their_answer() {
    let drain = Drain::default();
    let admin = Admin {
        health: WatchHealth::default(),
        heartbeat: Heartbeat::new(),
        metrics: Metrics::new().unwrap(),
    };
    let local = "127.0.0.1:0".parse().unwrap();
    let address = admin.serve(local, &drain).await.unwrap();
    let mut idle = Vec::new();
    for _ in 0..300 {
        idle.push(TcpStream::connect(address).await.unwrap());
    }
    assert!(get(address, "/livez").await.starts_with("HTTP/1.1 200"));
    drain.ask();
    assert!(
        drain.finished(Duration::from_secs(10)).await,
        "they end when asked"
    );
}

#[tokio::test(start_paused = true)]
async fn the_operator_is_not_live_when_the_loop_is_stuck() {
    let admin = Admin {
        health: WatchHealth::default(),
        heartbeat: Heartbeat::new(),
        metrics: Metrics::new().unwrap(),
    };
    assert_eq!(admin.live().0, StatusCode::OK);
    tokio::time::advance(LIVENESS_TIMEOUT).await;
    assert_eq!(admin.live().0, StatusCode::SERVICE_UNAVAILABLE);
    admin.heartbeat.beat();
    assert_eq!(admin.live().0, StatusCode::OK);
}
