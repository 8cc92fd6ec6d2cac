use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::cluster::ClusterArgs;
use crate::testing::{Requests, client, refusal};

const PATH: &str = "/apis/tidegate.dev/v1alpha1/namespaces/shop/subscriptions/ann";

/// The Subscription in its version `version`; the status is about version `observed`.
fn ann(version: i64, observed: i64, spec: Value) -> Value {
    let mut whole = json!({"scope": {"product": "gold"}});
    for (name, value) in spec.as_object().unwrap() {
        whole[name] = value.clone();
    }
    json!({"apiVersion": "tidegate.dev/v1alpha1", "kind": "Subscription",
        "metadata": {"name": "ann", "namespace": "shop", "generation": version, "resourceVersion": version.to_string()},
        "spec": whole,
        "status": {"observedGeneration": observed, "state": "Active", "conditions": [{"type": "Programmed",
            "status": "True", "reason": "Programmed", "message": "", "observedGeneration": observed,
            "lastTransitionTime": "2026-01-01T00:00:00Z"}]}})
}

async fn run(
    action: Action,
    answer: impl Fn(&str, &Value) -> (u16, Value) + Send + Sync + 'static,
) -> (anyhow::Result<u8>, Requests) {
    let (client, requests) = client(answer);
    let cluster = Cluster::of(client, &ClusterArgs::default());
    let change = Change {
        action,
        names: &["shop/ann".to_owned()],
        timeout: Duration::from_secs(5),
        output: Format::Json,
    };
    (in_cluster(&change, &cluster).await, requests)
}

fn lines(requests: &Requests) -> Vec<String> {
    let seen = requests.lock().unwrap();
    let line = |line: &String| {
        line.split('?')
            .next()
            .unwrap_or_default()
            .replace(PATH, "ann")
    };
    seen.iter().map(|(request, _)| line(request)).collect()
}

#[tokio::test(start_paused = true)]
async fn a_change_patches_what_was_read_and_waits_until_it_is_in_effect() {
    let reads = AtomicUsize::new(0);
    let (status, requests) = run(Action::Suspend, move |line, _| {
        let suspended = json!({"state": "Suspended"});
        if line.starts_with("PATCH") {
            return (200, ann(8, 7, suspended));
        }
        match reads.fetch_add(1, Ordering::Relaxed) {
            0 => (200, ann(7, 7, json!({}))),
            1 => (200, ann(8, 7, suspended)),
            _ => (200, ann(8, 8, suspended)),
        }
    })
    .await;
    assert_eq!(status.unwrap(), 0);
    assert_eq!(
        lines(&requests),
        ["GET ann", "PATCH ann", "GET ann", "GET ann"]
    );
    let sent = requests.lock().unwrap()[1].clone();
    assert!(sent.0.contains("fieldManager=tidegate-cli"), "{}", sent.0);
    let patch = json!({"metadata": {"resourceVersion": "7"}, "spec": {"state": "Suspended"}});
    assert_eq!(sent.1, patch);
}

#[tokio::test(start_paused = true)]
async fn a_change_that_comes_between_is_looked_at_before_it_is_tried_again() {
    let patches = AtomicUsize::new(0);
    let (status, requests) = run(Action::Approve, move |line, _| match line {
        line if line.starts_with("PATCH") && patches.fetch_add(1, Ordering::Relaxed) == 0 => {
            refusal(409, "ann", "the object has been modified")
        }
        line if line.starts_with("PATCH") => (200, ann(8, 8, json!({"approval": "Approved"}))),
        _ => (200, ann(7, 7, json!({}))),
    })
    .await;
    assert_eq!(status.unwrap(), 0);
    assert_eq!(
        lines(&requests),
        ["GET ann", "PATCH ann", "GET ann", "PATCH ann"]
    );
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_done_is_not_tried_and_has_its_own_exit_status() {
    let (status, requests) = run(Action::Resume, |_, _| {
        (200, ann(7, 7, json!({"state": "Cancelled"})))
    })
    .await;
    assert_eq!(status.unwrap(), NOT_DONE);
    assert_eq!(lines(&requests), ["GET ann"]);
    let (status, requests) = run(Action::Resume, |_, _| (200, ann(7, 7, json!({})))).await;
    assert_eq!(status.unwrap(), 0, "it is as it was asked to be");
    assert_eq!(lines(&requests), ["GET ann"]);
}

#[tokio::test(start_paused = true)]
async fn without_an_operator_a_change_is_not_in_effect_in_time() {
    let reads = AtomicUsize::new(0);
    let (status, _) = run(Action::Suspend, move |line, _| {
        let is_first = !line.starts_with("PATCH") && reads.fetch_add(1, Ordering::Relaxed) == 0;
        match is_first {
            true => (200, ann(7, 7, json!({}))),
            false => (200, ann(8, 7, json!({"state": "Suspended"}))),
        }
    })
    .await;
    assert_eq!(status.unwrap(), NOT_DONE);
}

#[tokio::test]
async fn a_refusal_of_the_api_server_is_an_error_that_says_what_was_tried() {
    for (name, forbidden, expected) in [
        (
            "reading",
            "GET",
            "you may not read Subscription shop/ann: because",
        ),
        (
            "writing",
            "PATCH",
            "you may not change Subscription shop/ann: because",
        ),
    ] {
        let (status, _) = run(Action::Approve, move |line, _| {
            match line.starts_with(forbidden) {
                true => refusal(403, "ann", "because"),
                false => (200, ann(7, 7, json!({}))),
            }
        })
        .await;
        assert_eq!(status.unwrap_err().to_string(), expected, "{name}");
    }
}
