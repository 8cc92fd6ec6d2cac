use std::time::Duration;

use serde_json::{Value, json};
use tidegate_config::{ObjectKey, SecretData};

use crate::policy::tests::{exchange, pipeline, refused, services};
use crate::policy::{Context, Pipeline, Scope, ScopePolicies, Services};
use crate::refusal::Reason;

fn store(key: &str, value: &str, ttl: &str) -> Value {
    json!({"cacheStore": {"key": key, "value": value, "for": ttl}})
}

/// What a later handshake finds.
async fn found(key: &str, services: &Services) -> String {
    let steps = json!({"inbound": [
        {"cacheLookup": {"key": key, "as": "x"}},
        {"setHeader": {"name": "x-out", "values": ["${vars.x == null ? 'nothing' : json.encode(vars.x)}"]}},
    ]});
    let pipeline = pipeline(steps, &SecretData::default(), services);
    let mut exchange = exchange(&[]);
    pipeline.inbound(&mut exchange, services).await.unwrap();
    exchange.upstream.headers["x-out"]
        .to_str()
        .unwrap()
        .to_owned()
}

async fn run(step: Value, services: &Services) {
    let pipeline = pipeline(json!({"inbound": [step]}), &SecretData::default(), services);
    pipeline
        .inbound(&mut exchange(&[]), services)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_value_is_found_until_it_is_replaced_removed_or_old() {
    let services = services();
    assert_eq!(found("1", &services).await, "nothing");
    run(store("1", "{'a': [1, 2.5, null]}", "60s"), &services).await;
    assert_eq!(found("1", &services).await, r#"{"a":[1,2.5,null]}"#);
    assert_eq!(found("2", &services).await, "nothing");
    run(store("1", "request.host", "60s"), &services).await;
    assert_eq!(found("1", &services).await, "\"example.com\"");
    run(json!({"cacheRemove": {"key": "1"}}), &services).await;
    assert_eq!(found("1", &services).await, "nothing");
    run(store("1", "1", "1s"), &services).await;
    let old = async {
        while found("1", &services).await != "nothing" {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(20), old).await;
    waited.expect("a value kept for 1s is gone at last");
}

#[tokio::test]
async fn what_one_namespace_keeps_another_one_does_not_see() {
    let services = services();
    run(store("'token'", "'secret'", "60s"), &services).await;
    let on = json!({"inbound": [
        {"cacheLookup": {"key": "'token'", "as": "x"}},
        {"when": "vars.x != null", "returnResponse": {"status": 418}},
    ]});
    let context = Context {
        namespace: "others",
        object: &ObjectKey::new("others", "chat"),
        secret_data: &SecretData::default(),
        services: &services,
    };
    let on = serde_json::from_value(on).unwrap();
    let policies = ScopePolicies::compile(
        Scope::Api,
        &on,
        &std::collections::BTreeMap::default(),
        &context,
    )
    .unwrap();
    let pipeline = Pipeline::merge(&[&policies]);
    pipeline
        .inbound(&mut exchange(&[]), &services)
        .await
        .unwrap();
}

#[tokio::test]
async fn memory_is_bounded() {
    let services = services();
    let large = store("request.query('n')", "lists.range(5000)", "1h");
    let pipeline = pipeline(
        json!({"inbound": [large]}),
        &SecretData::default(),
        &services,
    );
    for n in 0..200 {
        let mut exchange = exchange(&[]);
        exchange.request.raw_query = Some(format!("n={n}"));
        pipeline.inbound(&mut exchange, &services).await.unwrap();
    }
    let values = services.values.of("apps");
    values.run_pending_tasks().await;
    assert!(values.weighted_size() <= super::MAX_KEPT);
    assert!(values.entry_count() > 10);
}

#[tokio::test]
async fn a_key_that_is_no_text_is_a_fault() {
    let services = services();
    let step = store("vars.missing", "1", "1s");
    let pipeline = pipeline(
        json!({"inbound": [step]}),
        &SecretData::default(),
        &services,
    );
    let refusal = refused(pipeline.inbound(&mut exchange(&[]), &services).await);
    assert_eq!(
        (refusal.status, refusal.reason),
        (500, Reason::ExpressionFailed)
    );
}
