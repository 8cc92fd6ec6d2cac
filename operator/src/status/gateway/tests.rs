use serde_json::{Value, json};

use super::*;
use crate::objects::OwnedKind;
use crate::testing::{parse, pods as live_pods, published};

fn service(spec: Value, status: Value) -> Owned {
    Owned::of(
        OwnedKind::Service,
        parse(json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": { "namespace": "shop", "name": "edge" },
            "spec": spec, "status": status,
        })),
    )
}

#[test]
fn addresses_are_those_that_clients_can_connect_to() {
    let balanced = json!({ "loadBalancer": { "ingress": [
        { "ip": "192.0.2.7" }, { "hostname": "lb.example.com" },
    ] } });
    let cases = [
        (
            "in the cluster",
            "ClusterIP",
            json!({}),
            vec!["edge.shop.svc"],
        ),
        ("on nodes", "NodePort", json!({}), vec!["edge.shop.svc"]),
        (
            "balanced",
            "LoadBalancer",
            balanced,
            vec!["192.0.2.7", "lb.example.com"],
        ),
        ("not balanced yet", "LoadBalancer", json!({}), vec![]),
    ];
    for (name, type_, status, expected) in cases {
        let found = addresses(&service(json!({ "type": type_ }), status));
        let values: Vec<_> = found.iter().map(|address| address.value.as_str()).collect();
        assert_eq!(values, expected, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn pods_are_counted_by_the_latest_revision() {
    let deployment = Owned::of(
        OwnedKind::Deployment,
        parse(json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": { "namespace": "shop", "name": "edge" },
            "status": { "readyReplicas": 2 },
        })),
    );
    let (published, live) = (published(7), live_pods(&[7, 6, 8]));
    let facts = GatewayFacts {
        published: Some(&published),
        pods: &live,
        service: None,
        deployment: Some(&deployment),
    };
    let status = pods(facts);
    assert_eq!(status.summary, "2/3");
    assert_eq!((status.ready, status.applied, status.total), (2, 2, 3));
    assert_eq!(status.lagging, ["b"]);
    let own = pods(GatewayFacts {
        deployment: None,
        ..facts
    });
    assert_eq!(
        own.ready, 3,
        "processes outside of the cluster count as ready while they are live"
    );
    let nothing = pods(GatewayFacts {
        published: None,
        ..facts
    });
    assert_eq!(nothing.summary, "0/3");
}
