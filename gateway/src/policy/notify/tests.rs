use std::time::Duration;

use serde_json::{Value, json};
use tidegate_config::SecretData;
use tokio::time::{sleep, timeout};

use super::{MAX_QUEUED, MAX_QUEUED_KIB};
use crate::policy::Services;
use crate::policy::call::testing::{Answer, Server, json as answer};
use crate::policy::tests::{exchange, pipeline, refused, services};
use crate::refusal::Reason;
use crate::telemetry::metrics::ServiceCounts as _;
use tidegate_tunnel::drain::Drain;
use tidegate_tunnel::session::Sessions;

fn steps(fields: Value) -> Value {
    json!({"inbound": [{ "notify": fields }]})
}

async fn counts(services: &Services, expected: [u64; 3]) {
    let reached = async {
        while services.notice_counts() != expected {
            sleep(Duration::from_millis(5)).await;
        }
    };
    let reached = timeout(Duration::from_secs(10), reached).await;
    assert!(
        reached.is_ok(),
        "{expected:?} awaited, not {:?}",
        services.notice_counts()
    );
}

#[tokio::test]
async fn the_handshake_goes_on_and_the_request_arrives() {
    let server = Server::start(|_, _| answer(500, "{}")).await;
    let services = services();
    for (url, expected) in [
        (&*server.url, [1, 0, 0]),
        ("http://127.0.0.1:1/", [1, 1, 0]),
    ] {
        let on = steps(json!({"url": url, "body": "${client.ip}"}));
        let pipeline = pipeline(on, &SecretData::default(), &services);
        pipeline
            .inbound(&mut exchange(&[]), &services)
            .await
            .unwrap();
        counts(&services, expected).await;
    }
    let asked = &server.asked()[0];
    assert!(asked.head.starts_with("POST / "), "{}", asked.head);
    assert_eq!(asked.body, "192.0.2.7");
}

/// On a paused clock no request ends before all are queued.
#[tokio::test(start_paused = true)]
async fn what_does_not_fit_is_dropped_and_counted() {
    let server = Server::start(|_, _| Answer::Silence).await;
    let services = services();
    let on = steps(json!({"url": server.url, "timeout": "200ms"}));
    let pipeline = pipeline(on, &SecretData::default(), &services);
    for _ in 0..MAX_QUEUED + 7 {
        pipeline
            .inbound(&mut exchange(&[]), &services)
            .await
            .unwrap();
    }
    assert_eq!(services.notice_counts(), [0, 0, 7]);
    counts(&services, [0, MAX_QUEUED as u64, 7]).await;
}

/// On a paused clock no request ends before all are queued.
#[tokio::test(start_paused = true)]
async fn what_takes_too_much_memory_is_dropped_and_counted() {
    let server = Server::start(|_, _| Answer::Silence).await;
    let services = services();
    let body = "${vars.half}";
    let on = steps(json!({"url": server.url, "timeout": "200ms", "body": body}));
    let pipeline = pipeline(on, &SecretData::default(), &services);
    // Each takes 512 KiB, and its URL some bytes.
    for _ in 0..MAX_QUEUED_KIB / 513 + 8 {
        let mut exchange = exchange(&[]);
        exchange.set_var("half", tidegate_expr::Value::from("x".repeat(512 * 1024)));
        pipeline.inbound(&mut exchange, &services).await.unwrap();
    }
    assert_eq!(services.notice_counts(), [0, 0, 8]);
}

#[tokio::test]
async fn a_fault_in_an_expression_is_one_of_the_handshake() {
    let services = services();
    let on = steps(json!({"url": "http://a/${vars.missing}"}));
    let pipeline = pipeline(on, &SecretData::default(), &services);
    let refusal = refused(pipeline.inbound(&mut exchange(&[]), &services).await);
    assert_eq!(
        (refusal.status, refusal.reason),
        (500, Reason::ExpressionFailed)
    );
}

#[tokio::test]
async fn a_shutdown_waits_for_what_is_under_way() {
    let server = Server::start(|_, _| answer(200, "{}")).await;
    let (_, control) = Drain::pair();
    let (trigger, connections) = Drain::pair();
    let runtime = tokio::runtime::Handle::current();
    let services = Services::new((control, connections), runtime, Sessions::new());
    let pipeline = pipeline(
        steps(json!({"url": server.url})),
        &SecretData::default(),
        &services,
    );
    pipeline
        .inbound(&mut exchange(&[]), &services)
        .await
        .unwrap();
    trigger.ask();
    let finished = timeout(Duration::from_secs(10), trigger.finished()).await;
    assert!(finished.is_ok(), "the request ends");
    assert_eq!(services.notice_counts(), [1, 0, 0]);
}
