use super::*;

fn pod() -> Pod {
    Pod {
        name: "edge-7".to_owned(),
        uid: Some("u-1".to_owned()),
    }
}

fn written(applied: &Applied) -> Lease {
    lease("edge", &pod(), applied, Timestamp::UNIX_EPOCH)
}

#[test]
fn the_lease_says_what_the_pod_serves() {
    let rejected = Rejected {
        kind: "WebSocketApi".to_owned(),
        key: ObjectKey::new("shop", "chat"),
        generation: 4,
        message: "no such variable".to_owned(),
    };
    let lease = written(&Applied {
        revision: 12,
        rejected: vec![rejected.clone()],
        synchronized: true,
        error: None,
        ..Applied::default()
    });
    let ObjectMeta {
        name,
        labels,
        annotations,
        owner_references,
        ..
    } = lease.metadata;
    assert_eq!(name.as_deref(), Some("edge-7"));
    assert_eq!(labels.unwrap()[LABEL_GATEWAY], "edge");
    let annotations = annotations.unwrap();
    assert_eq!(annotations[ANNOTATION_REVISION], "12");
    assert!(!annotations.contains_key(ANNOTATION_CONFIG_ERROR));
    let read: Vec<Rejected> = serde_json::from_str(&annotations[ANNOTATION_REJECTED]).unwrap();
    assert_eq!(read, [rejected]);
    assert_eq!(owner_references.unwrap()[0].uid, "u-1");
    assert_eq!(lease.spec.unwrap().lease_duration_seconds, Some(15));
}

#[test]
fn thousands_of_rejected_objects_fit_into_the_annotations() {
    let rejected = |i: usize| Rejected {
        kind: "WebSocketApi".to_owned(),
        key: ObjectKey::new("shop", format!("api-{i}")),
        generation: 1,
        message: "x".repeat(10_000),
    };
    let lease = written(&Applied {
        revision: 1,
        rejected: (0..5_000).map(rejected).collect(),
        synchronized: false,
        error: Some("y".repeat(100_000)),
        ..Applied::default()
    });
    let annotations = lease.metadata.annotations.unwrap();
    let size: usize = annotations.iter().map(|(k, v)| k.len() + v.len()).sum();
    assert!(size < 256 * 1024, "{size}");
}
