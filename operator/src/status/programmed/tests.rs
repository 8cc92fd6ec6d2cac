use serde_json::json;
use tidegate_api::Reason::{Invalid, NoPods, NotServed, Pending, Programmed, Rejected};

use super::*;
use crate::objects::Kind;
use crate::testing::{pods, published};

fn key(name: &str) -> ObjectKey {
    ObjectKey::new("shop", name)
}

fn chat() -> ObjectRef {
    ObjectRef::new(Kind::WebSocketApi, &key("chat"))
}

fn judge(
    published: Option<&Published>,
    pods: &Pods,
    failure: Option<&str>,
    serving: Serving,
) -> (bool, Reason, String) {
    let gateway = key("edge");
    let mut progress = Progress::default();
    progress.add(&gateway, published, pods, failure);
    let serves = Serves {
        gateway: &gateway,
        serving,
    };
    let judgement = progress.judge(&chat(), [serves]);
    (judgement.status, judgement.reason, judgement.message)
}

#[tokio::test(start_paused = true)]
async fn programmed_is_what_every_live_pod_says() {
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
        let judged = judge(Some(published), &pods(revisions), None, Serving::Current);
        assert_eq!(
            (judged.0, judged.1),
            (reason == Programmed, reason),
            "{name}: {judged:?}"
        );
        assert!(judged.2.contains(message), "{name}: {judged:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_refuses_is_named_with_its_reason() {
    let refusal = json!([{
        "kind": "WebSocketApi",
        "key": { "namespace": "shop", "name": "chat" },
        "generation": 2,
        "message": "bad pattern",
    }]);
    let ack = crate::gather::Ack::of(
        crate::testing::lease(5, &refusal),
        None,
        tokio::time::Instant::now(),
    );
    let pods = Pods::new(vec![("pod-r".to_owned(), std::sync::Arc::new(ack))]);
    let judged = judge(Some(&published(5)), &pods, None, Serving::Current);
    assert_eq!(judged.1, Rejected);
    assert_eq!(
        judged.2,
        "Gateway shop/edge: 0/1, pod-r refused it: bad pattern"
    );
    // An older revision's refusal says nothing about this one.
    let mut changed = published(5);
    changed
        .history
        .record(6, [chat()].into(), tokio::time::Instant::now());
    assert_eq!(
        judge(Some(&changed), &pods, None, Serving::Current).1,
        Pending
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_not_served_as_written_is_not_programmed() {
    let all = pods(&[5]);
    let here = published(5);
    for (serving, reason) in [(Serving::LastGood, Invalid), (Serving::Blocked, Invalid)] {
        let judged = judge(Some(&here), &all, None, serving);
        assert_eq!((judged.0, judged.1), (false, reason), "{serving:?}");
    }
    let failed = judge(Some(&here), &all, Some("no room"), Serving::Current);
    assert_eq!(
        (failed.1, failed.2.as_str()),
        (Pending, "Gateway shop/edge: no room")
    );
    assert_eq!(judge(None, &all, None, Serving::Current).1, Pending);
    let mut withdrawn = published(5);
    withdrawn
        .history
        .record(6, [chat()].into(), tokio::time::Instant::now());
    let (gateway, late) = (key("edge"), pods(&[6, 5]));
    let mut progress = Progress::default();
    progress.add(&gateway, Some(&withdrawn), &late, None);
    let going = progress.judge(&chat(), []);
    assert_eq!(going.reason, NotServed);
    assert_eq!(
        going.message,
        "being withdrawn from Gateway shop/edge: waiting for b"
    );
    let nowhere = Progress::default().judge(&chat(), []);
    assert_eq!((nowhere.status, nowhere.reason), (false, NotServed));
}
