use k8s_openapi::api::coordination::v1::Lease;
use serde_json::{Value, json};

use super::*;
use crate::print::Row as _;
use crate::status::ObjectRow;

const NOW: i64 = 1_000_000;

fn parsed<T: serde::de::DeserializeOwned>(value: Value) -> Arc<T> {
    Arc::new(serde_json::from_value(value).unwrap())
}

fn operator(name: &str) -> OperatorFacts {
    OperatorFacts {
        key: tidegate_config::ObjectKey::new("system", name),
        image: concat!("r/tidegate-operator:", env!("CARGO_PKG_VERSION")).to_owned(),
        gateway_image: Some("r/tidegate-gateway:1".to_owned()),
        namespaces: Vec::new(),
        elects: true,
        available: 1,
        account: "tidegate".to_owned(),
    }
}

/// A Lease of a leader election, renewed so many seconds ago.
fn lease(name: &str, holder: &str, age: i64) -> Arc<Lease> {
    let renewed = Timestamp::from_second(NOW - age).unwrap().to_string();
    parsed(json!({"metadata": {"name": name, "namespace": "system",
        "managedFields": [{"manager": "tidegate-operator"}]},
        "spec": {"holderIdentity": holder, "leaseDurationSeconds": 15, "renewTime": renewed}}))
}

fn deployment(image: &str) -> Arc<Deployment> {
    parsed(
        json!({"metadata": {"name": "edge", "namespace": "shop"}, "spec": {"selector": {},
        "template": {"spec": {"containers": [{"name": "gateway", "image": image}]}}}}),
    )
}

fn waiting(reason: &str) -> Arc<Pod> {
    parsed(
        json!({"metadata": {"name": "edge-0", "namespace": "shop"}, "status": {"containerStatuses": [{
        "name": "gateway", "image": "r/tidegate-gatewya:1", "imageID": "", "ready": false, "restartCount": 0,
        "state": {"waiting": {"reason": reason}}}]}}),
    )
}

/// Adds to the view what a JSON object says of pods and objects.
fn view(pods: &[(&str, &str)], objects: &[(&str, &str, &str)]) -> StatusView {
    let mut view = StatusView::default();
    for (state, problem) in pods {
        view.pods.push(crate::status::pod_row(state, problem));
    }
    for (condition, reason, message) in objects {
        view.objects.push(ObjectRow {
            kind: "Gateway".to_owned(),
            namespace: "shop".to_owned(),
            name: "edge".to_owned(),
            condition: (*condition).to_owned(),
            reason: (*reason).to_owned(),
            message: (*message).to_owned(),
        });
    }
    view
}

/// An installation that is as it should be.
fn healthy() -> Facts {
    Facts {
        server: Ok("v1.37.0".to_owned()),
        kinds: Ok(Some(kinds::our_document())),
        operators: Ok(vec![(operator("tidegate"), Ok(Vec::new()))]),
        leases: Ok(vec![lease("tidegate", "tidegate-0_1", 3)]),
        gateways: Ok(vec![deployment("r/tidegate-gateway:1")]),
        pods: Ok(vec![waiting("ContainerCreating")]),
        view: Ok(view(&[("current", "")], &[])),
    }
}

fn forbidden<T>() -> Result<T, Trouble> {
    Err(Trouble::Forbidden {
        what: "list it".to_owned(),
        message: "no".to_owned(),
    })
}

/// The problems by name, and what else is not ok.
fn problems(facts: &Facts) -> Vec<String> {
    let rows = judge(facts, Timestamp::from_second(NOW).unwrap());
    let rows = rows.iter().map(|row| row.cells());
    let bad = rows.filter(|cells| cells[1] != "ok");
    bad.map(|cells| format!("{} {} {}", cells[0], cells[1], cells[2]))
        .collect()
}

#[test]
fn a_healthy_installation_passes_every_check() {
    assert_eq!(problems(&healthy()), [""; 0]);
}

type Break = fn(&mut Facts);

/// What is broken in a healthy installation, and what is then said.
const BROKEN: &[(&str, Break, &[&str])] = &[
    (
        "a kind is missing",
        |facts| {
            let document = facts.kinds.as_mut().ok().and_then(Option::as_mut).unwrap();
            let schemas = document["components"]["schemas"].as_object_mut().unwrap();
            schemas.remove("dev.tidegate.v1alpha1.Product");
        },
        &["kinds FAILED missing-kind"],
    ),
    (
        "a kind is old",
        |facts| {
            let document = facts.kinds.as_mut().ok().and_then(Option::as_mut).unwrap();
            let schemas = &mut document["components"]["schemas"]["dev.tidegate.v1alpha1.Product"];
            let fields = schemas["properties"]["spec"]["properties"]
                .as_object_mut()
                .unwrap();
            fields.remove("terms");
        },
        &["kinds FAILED old-kind"],
    ),
    (
        "a right is missing",
        |facts| {
            let missing = vec!["patch deployments.apps".to_owned()];
            facts.operators = Ok(vec![(operator("tidegate"), Ok(missing))]);
        },
        &["rights FAILED missing-right"],
    ),
    (
        "nobody leads",
        |facts| facts.leases = Ok(vec![lease("tidegate", "tidegate-0_1", 600)]),
        &["leader FAILED no-leader"],
    ),
    (
        "nobody ever led",
        |facts| facts.leases = Ok(Vec::new()),
        &["leader FAILED no-leader"],
    ),
    (
        "a pod lags",
        |facts| facts.view = Ok(view(&[("current", ""), ("lagging", "no memory")], &[])),
        &["pods FAILED lagging-pods"],
    ),
    (
        "a pod cannot get its image",
        |facts| facts.pods = Ok(vec![waiting("ImagePullBackOff")]),
        &["images FAILED wrong-image"],
    ),
    (
        "a Gateway has an old image",
        |facts| facts.gateways = Ok(vec![deployment("r/tidegate-gateway:0")]),
        &["images FAILED wrong-image"],
    ),
    (
        "Redis is unreachable",
        |facts| {
            let text = "since noon: connection refused";
            facts.view = Ok(view(
                &[],
                &[("DependenciesReachable", "CountersUnavailable", text)],
            ));
        },
        &["objects FAILED unreachable-redis"],
    ),
    (
        "a Secret is not there",
        |facts| {
            let text = "spec.listeners[0]: Secret shop/tls does not exist";
            facts.view = Ok(view(&[], &[("ResolvedRefs", "SecretNotFound", text)]));
        },
        &["objects FAILED unreadable-secret"],
    ),
    (
        "a pod may not read its Secret",
        |facts| {
            let text = "failed to read Secret shop/edge-secrets-0-1: forbidden";
            facts.view = Ok(view(&[("lagging", text)], &[]));
        },
        &["pods FAILED unreadable-secret"],
    ),
    (
        "two operators",
        |facts| {
            let two = ["a", "b"].map(|name| (operator(name), Ok(Vec::new())));
            facts.operators = Ok(two.into());
            facts.leases = Ok(vec![lease("a", "a-0", 1), lease("b", "b-0", 1)]);
        },
        &["operator FAILED two-operators"],
    ),
    (
        "two operators that no Deployment runs",
        |facts| {
            facts.operators = Ok(Vec::new());
            facts.leases = Ok(vec![lease("a", "a-0", 1), lease("b", "b-0", 1)]);
        },
        &["operator skipped -", "leader FAILED two-operators"],
    ),
    (
        "the API server is away",
        |facts| facts.server = Err(Trouble::Away("connection refused".to_owned())),
        &["api-server FAILED api-server-away"],
    ),
    (
        "the operator has no pod",
        |facts| {
            let gone = OperatorFacts {
                available: 0,
                ..operator("tidegate")
            };
            facts.operators = Ok(vec![(gone, Ok(Vec::new()))]);
        },
        &["operator FAILED no-operator"],
    ),
];

#[test]
fn each_broken_installation_is_found_by_name() {
    for (name, change, expected) in BROKEN {
        let mut facts = healthy();
        change(&mut facts);
        let expected: Vec<_> = expected
            .iter()
            .map(|text| text.replace(" -", " "))
            .collect();
        assert_eq!(problems(&facts), expected, "{name}");
    }
}

#[test]
fn operators_of_different_namespaces_live_side_by_side() {
    let of = |name: &str| OperatorFacts {
        namespaces: vec![name.to_owned()],
        ..operator(name)
    };
    let mut facts = healthy();
    facts.operators = Ok(vec![(of("a"), Ok(Vec::new())), (of("b"), Ok(Vec::new()))]);
    facts.leases = Ok(vec![lease("a", "a-0", 1), lease("b", "b-0", 1)]);
    assert_eq!(problems(&facts), [""; 0]);
}

#[test]
fn what_may_not_be_read_is_skipped_and_says_so() {
    let facts = Facts {
        kinds: forbidden(),
        operators: forbidden(),
        leases: forbidden(),
        gateways: forbidden(),
        pods: forbidden(),
        view: forbidden(),
        ..healthy()
    };
    let expected = ["kinds", "operator", "leader", "images", "pods", "objects"];
    let expected = expected.map(|check| format!("{check} skipped "));
    assert_eq!(problems(&facts), expected);
}
