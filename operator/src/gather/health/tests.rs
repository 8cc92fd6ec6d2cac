use super::*;

const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test(start_paused = true)]
async fn readiness_needs_every_list_and_then_only_a_sign_of_life() {
    let health = Health::default();
    health.register("Gateway");
    health.register("Secret");
    health.heard("Gateway", true);
    health.heard("Secret", false);
    assert!(!health.all_listed(), "the list of Secrets has only begun");
    assert!(health.failed("Secret", "forbidden"));
    assert!(
        !health.failed("Secret", "forbidden"),
        "the same again is no news"
    );
    assert_eq!(health.obstacles(MINUTE), ["Secret: not listed: forbidden"]);
    health.heard("Secret", true);
    assert!(health.all_listed());
    health.failed("Gateway", "gone away");
    assert_eq!(
        health.obstacles(MINUTE),
        [""; 0],
        "what is known still holds"
    );
    tokio::time::advance(MINUTE * 2).await;
    assert_eq!(
        health.obstacles(MINUTE),
        [
            "Gateway: silent: gone away",
            "Secret: silent: no answer yet"
        ]
    );
    assert!(health.all_listed(), "nothing is forgotten by silence");
}
