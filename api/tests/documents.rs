//! Whole documents, as people write them. An API server 1.34 gave the same verdict for each of them
//! (`kubectl create --dry-run=server --validate=strict`).

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests fail the test that calls them"
)]

use serde_json::{Value, json};
use tidegate_api::Validator;

fn documents(text: &str) -> Vec<Value> {
    serde_saphyr::from_multiple(text).unwrap()
}

fn name(document: &Value) -> &str {
    document["metadata"]["name"].as_str().unwrap()
}

#[test]
fn good_documents_are_taken() {
    let validator = Validator::new();
    for document in documents(include_str!("accepted.yaml")) {
        let findings = validator.validate(&document);
        assert!(
            findings.is_empty(),
            "{} {}: {findings:?}",
            document["kind"],
            name(&document)
        );
    }
}

#[test]
fn bad_documents_are_refused_at_the_right_place() {
    let validator = Validator::new();
    for document in documents(include_str!("refused.yaml")) {
        let findings = validator.validate(&document);
        let at = document["metadata"]["annotations"]["at"].as_str().unwrap();
        let found = findings.iter().any(|finding| finding.path == at);
        assert!(
            found,
            "{}: nothing at \"{at}\", but {findings:#?}",
            name(&document)
        );
    }
}

#[test]
fn what_is_no_document_of_ours_is_refused() {
    let validator = Validator::new();
    let document = |api_version: &str, kind: &str, metadata: Value| json!({"apiVersion": api_version, "kind": kind, "metadata": metadata, "spec": {}});
    let named = |metadata: Value| document("tidegate.dev/v1alpha1", "Product", metadata);
    let mut misspelt = named(json!({"name": "a"}));
    misspelt["statuss"] = json!({});
    for (at, document) in [
        (
            "apiVersion",
            document("tidegate.dev/v1", "Product", json!({"name": "a"})),
        ),
        (
            "kind",
            document("tidegate.dev/v1alpha1", "Produkt", json!({"name": "a"})),
        ),
        ("metadata.name", named(json!({}))),
        ("metadata.name", named(json!({"name": "A_b"}))),
        (
            "metadata.namespace",
            named(json!({"name": "a", "namespace": "a.b"})),
        ),
        ("metadata.label", named(json!({"name": "a", "label": {}}))),
        (
            "metadata.labels.a",
            named(json!({"name": "a", "labels": {"a": 1}})),
        ),
        ("metadata.name", named(json!({"name": true}))),
        ("metadata.labels", named(json!({"name": "a", "labels": []}))),
        (
            "metadata.labels.a",
            named(json!({"name": "a", "labels": {"a": "b c"}})),
        ),
        (
            "metadata.annotations.a b",
            named(json!({"name": "a", "annotations": {"a b": ""}})),
        ),
        ("statuss", misspelt),
    ] {
        let findings = validator.validate(&document);
        let found = findings.iter().any(|finding| finding.path == at);
        assert!(found, "{at}: {findings:?}");
    }
    assert!(!validator.is_ours(&document("v1", "Secret", json!({"name": "a"}))));
    assert!(validator.is_ours(&document(
        "tidegate.dev/v2",
        "Product",
        json!({"name": "a"})
    )));
}

#[test]
fn messages_say_what_to_change() {
    let validator = Validator::new();
    let product = |spec: Value| {
        let document = json!({"apiVersion": "tidegate.dev/v1alpha1", "kind": "Product", "metadata": {"name": "a"}, "spec": spec});
        validator
            .validate(&document)
            .into_iter()
            .map(|finding| finding.to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        product(json!({"stat": "Published"})),
        [
            "spec.stat: unknown field; did you mean state? known here: apiSelector, apis, approvalRequired, description, \
          displayName, onHandshake, state, subscriptionNamespaces, subscriptionRequired, subscriptionsLimit, terms, values"
        ]
    );
    assert_eq!(
        product(json!({"subscriptionRequired": false, "approvalRequired": true})),
        ["spec.approvalRequired: approvalRequired needs subscriptionRequired"]
    );
    assert_eq!(
        product(json!({"state": "Hidden"})),
        ["spec.state: \"Hidden\" is none of Published, NotPublished"]
    );
}

#[test]
fn everything_is_found_at_once() {
    let document = json!({
        "apiVersion": "tidegate.dev/v1alpha1", "kind": "Gateway", "metadata": {"name": "edge"},
        "spec": {
            "listeners": [
                {"name": "plain", "port": 0, "protocol": "WS"},
                {"name": "tls", "port": 8443, "protocol": "WSS"},
                {"nam": "x", "port": 8444, "protocol": "WSS"},
            ],
            "deployment": {"replicas": 2, "autoscaling": {"maxReplicas": 4, "targetActiveTunnels": 100}},
        },
    });
    let found = Validator::new().validate(&document);
    let paths: Vec<_> = found.iter().map(|finding| finding.path.as_str()).collect();
    assert_eq!(
        paths,
        [
            "spec.deployment",
            "spec.listeners[0].port",
            "spec.listeners[1]",
            "spec.listeners[2].nam",
            "spec.listeners[2].name",
        ],
        "{found:#?}"
    );
}

#[test]
fn defaults_are_those_of_the_server() {
    let validator = Validator::new();
    let document = json!({
        "apiVersion": "tidegate.dev/v1alpha1", "kind": "Gateway", "metadata": {"name": "edge"},
        "spec": {"listeners": [{"name": "plain", "port": 80, "protocol": "WS"}], "drain": {"window": "5s"}},
        "status": {"apis": 4},
    });
    let stored = validator.defaulted(&document);
    assert_eq!(stored["spec"]["drain"]["hardStop"], "50s");
    assert_eq!(stored["spec"]["drain"]["window"], "5s");
    assert_eq!(stored["spec"]["deployment"]["service"]["type"], "ClusterIP");
    assert_eq!(stored["spec"]["limits"]["maxHeaderBytes"], 16384);
    assert!(stored.get("status").is_none());
}
