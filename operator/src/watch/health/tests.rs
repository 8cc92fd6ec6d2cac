use super::*;

const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test(start_paused = true)]
async fn readiness_needs_every_list_and_then_an_event_now_and_then() {
    let health = WatchHealth::default();
    health.register("Gateway");
    health.register("Secret");
    health.received("Gateway", true);
    health.received("Secret", false);
    assert!(!health.all_listed(), "the list of Secrets has only begun");
    assert!(health.failed("Secret", "forbidden"));
    assert!(
        !health.failed("Secret", "forbidden"),
        "the same error again is not new"
    );
    assert_eq!(health.not_ready(MINUTE), ["Secret: no list yet: forbidden"]);
    health.received("Secret", true);
    assert!(health.all_listed());
    health.failed("Gateway", "gone away");
    assert_eq!(
        health.not_ready(MINUTE),
        [""; 0],
        "what was listed still holds"
    );
    tokio::time::advance(MINUTE * 2).await;
    assert_eq!(
        health.not_ready(MINUTE),
        [
            "Gateway: no event for 120 s: gone away",
            "Secret: no event for 120 s: no answer yet"
        ]
    );
    assert!(health.all_listed(), "what was listed is not forgotten");
}
