use serde_json::json;
use tidegate_api::Reason::{Invalid, NoPods, NotServed, Pending, Programmed, Rejected};

use super::*;
use crate::objects::CustomKind;
use crate::testing::{pods, published};

fn key(name: &str) -> ObjectKey {
    ObjectKey::new("shop", name)
}

fn chat() -> ObjectRef {
    ObjectRef::new(CustomKind::WebSocketApi, &key("chat"))
}

fn programmed(
    published: Option<&Published>,
    pods: &Pods,
    failure: Option<&str>,
    serving: Serving,
) -> (bool, Reason, String) {
    let gateway = key("edge");
    let mut progress = Progress::new(Outages::default());
    progress.add(&gateway, published, pods, failure);
    let served = ServedOn {
        gateway: &gateway,
        serving,
    };
    let state = progress.programmed(&chat(), [served]);
    (state.status, state.reason, state.message)
}

#[tokio::test(start_paused = true)]
async fn an_object_is_programmed_when_every_live_pod_serves_it() {
    let mut changed = published(5);
    changed
        .history
        .record(6, [chat()].into(), tokio::time::Instant::now());
    let same = published(5);
    let cases = [
        (
            "nobody",
            &changed,
            &[][..],
            NoPods,
            "shop/edge has no live pod",
        ),
        (
            "one of two",
            &changed,
            &[6, 5],
            Pending,
            "1/2, waiting for b",
        ),
        (
            "an older pod",
            &changed,
            &[4, 5, 6, 5, 5],
            Pending,
            "1/5, waiting for a, b, d and 1 more",
        ),
        ("all", &changed, &[6, 7], Programmed, "served by every pod"),
        (
            "all, the change was another's",
            &same,
            &[5, 5],
            Programmed,
            "served by every pod",
        ),
    ];
    for (name, published, revisions, reason, message) in cases {
        let condition = programmed(Some(published), &pods(revisions), None, Serving::Current);
        assert_eq!(
            (condition.0, condition.1),
            (reason == Programmed, reason),
            "{name}: {condition:?}"
        );
        assert!(condition.2.contains(message), "{name}: {condition:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_rejects_an_object_is_named_with_its_reason() {
    let rejected = json!([{
        "kind": "WebSocketApi",
        "key": { "namespace": "shop", "name": "chat" },
        "generation": 2,
        "message": "bad pattern",
    }]);
    let ack = crate::watch::Ack::of(
        crate::testing::lease(5, &rejected),
        None,
        tokio::time::Instant::now(),
    );
    let pods = Pods::new(vec![("pod-r".to_owned(), std::sync::Arc::new(ack))]);
    let condition = programmed(Some(&published(5)), &pods, None, Serving::Current);
    assert_eq!(condition.1, Rejected);
    assert_eq!(
        condition.2,
        "Gateway shop/edge: 0/1, pod-r rejected it: bad pattern"
    );
    // A rejection of an older revision says nothing about this one.
    let mut changed = published(5);
    changed
        .history
        .record(6, [chat()].into(), tokio::time::Instant::now());
    assert_eq!(
        programmed(Some(&changed), &pods, None, Serving::Current).1,
        Pending
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_not_served_as_written_is_not_programmed() {
    let all = pods(&[5]);
    let here = published(5);
    for (serving, reason) in [(Serving::LastGood, Invalid), (Serving::Blocked, Invalid)] {
        let condition = programmed(Some(&here), &all, None, serving);
        assert_eq!((condition.0, condition.1), (false, reason), "{serving:?}");
    }
    let failed = programmed(Some(&here), &all, Some("no room"), Serving::Current);
    assert_eq!(
        (failed.1, failed.2.as_str()),
        (Pending, "Gateway shop/edge: no room")
    );
    assert_eq!(programmed(None, &all, None, Serving::Current).1, Pending);
    let mut withdrawn = published(5);
    withdrawn
        .history
        .record(6, [chat()].into(), tokio::time::Instant::now());
    let (gateway, late) = (key("edge"), pods(&[6, 5]));
    let mut progress = Progress::new(Outages::default());
    progress.add(&gateway, Some(&withdrawn), &late, None);
    let going = progress.programmed(&chat(), []);
    assert_eq!(going.reason, NotServed);
    assert_eq!(
        going.message,
        "being withdrawn from Gateway shop/edge: waiting for b"
    );
    let nowhere = Progress::new(Outages::default()).programmed(&chat(), []);
    assert_eq!((nowhere.status, nowhere.reason), (false, NotServed));
}
