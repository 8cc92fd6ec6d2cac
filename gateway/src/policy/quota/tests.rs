use http::HeaderMap;
use serde_json::{Value as Json, json};
use tidegate_config::SecretData;

use crate::policy::tests::{
    answer, compile_error, exchange, pipeline, refused, services, subscribed,
};
use crate::policy::{Pipeline, Services};
use crate::refusal::{Origin, Reason};

fn inbound(steps: &[Json], services: &Services) -> Pipeline {
    pipeline(
        json!({ "inbound": steps }),
        &SecretData::default(),
        services,
    )
}

/// How many of so many handshakes pass inbound.
async fn passing(pipeline: &Pipeline, services: &Services, handshakes: usize) -> usize {
    let mut passed = 0;
    for _ in 0..handshakes {
        let result = pipeline.inbound(&mut exchange(&[]), services).await;
        passed += usize::from(result.is_ok());
    }
    passed
}

#[tokio::test]
async fn above_the_quota_is_403_with_the_time_to_wait() {
    let services = services();
    let step = json!({"quotaByKey": {"key": "client.ip", "calls": 1, "period": "87600h"}});
    let pipeline = inbound(&[step], &services);
    assert_eq!(passing(&pipeline, &services, 1).await, 1);
    let mut exchange = exchange(&[]);
    let refusal = refused(pipeline.inbound(&mut exchange, &services).await);
    assert_eq!(
        (refusal.status, refusal.reason, refusal.origin),
        (403, Reason::QuotaExceeded, Origin::Policy)
    );
    let start = "Out of call volume quota. Quota will be replenished in ";
    let clock = refusal.message.strip_prefix(start);
    let clock = clock.and_then(|text| text.strip_suffix('.'));
    let clock = clock.unwrap_or_else(|| panic!("{}", refusal.message));
    let headers: HeaderMap = refusal.headers.into_iter().collect();
    let seconds: u64 = headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert_eq!(clock, crate::counters::quota::clock(seconds));
}

#[tokio::test]
async fn what_never_renews_names_no_time() {
    let services = services();
    let step = json!({"quota": {"calls": 1, "period": "0"}});
    let pipeline = inbound(&[step], &services);
    for passes in [true, false] {
        let mut exchange = subscribed("ishmael", "chat");
        let result = pipeline.inbound(&mut exchange, &services).await;
        assert_eq!(result.is_ok(), passes);
        if let Err(refusal) = result {
            assert_eq!(refusal.message, "Out of call volume quota.");
            assert_eq!(refusal.headers, []);
        }
    }
    let mut other = subscribed("ahab", "chat");
    pipeline.inbound(&mut other, &services).await.unwrap();
    assert_eq!(passing(&pipeline, &services, 3).await, 3, "no subscription");
}

#[tokio::test]
async fn a_limit_that_refuses_counts_for_no_quota_and_the_other_way() {
    let services = services();
    let quota = json!({"quotaByKey": {"key": "'q'", "calls": 100, "period": "0"}});
    let rate = json!({"rateLimitByKey": {"key": "'r'", "calls": 1, "period": "60s"}});
    let both = inbound(&[quota.clone(), rate], &services);
    assert_eq!(passing(&both, &services, 10).await, 1);
    let rest = inbound(&[quota], &services);
    assert_eq!(passing(&rest, &services, 200).await, 99);
    let rate = json!({"rateLimitByKey": {"key": "'s'", "calls": 9, "period": "60s"}});
    let used_up = json!({"quotaByKey": {"key": "'q'", "calls": 100, "period": "0"}});
    let both = inbound(&[rate.clone(), used_up], &services);
    assert_eq!(passing(&both, &services, 20).await, 0);
    assert_eq!(
        passing(&inbound(&[rate], &services), &services, 20).await,
        9
    );
}

#[tokio::test]
async fn increments_follow_their_expressions_and_may_wait_for_the_answer() {
    for (name, fields, passes) in [
        ("never counts", json!({"incrementWhen": "false"}), 6),
        ("counts double", json!({"incrementBy": "2"}), 1),
        ("too much at once", json!({"incrementBy": "3"}), 0),
    ] {
        let services = services();
        let mut step = json!({"key": "client.ip", "calls": 2, "period": "24h"});
        let all = step.as_object_mut().unwrap();
        all.extend(fields.as_object().unwrap().clone());
        let pipeline = inbound(&[json!({ "quotaByKey": step })], &services);
        assert_eq!(passing(&pipeline, &services, 6).await, passes, "{name}");
    }
    let services = services();
    let step = json!({"quotaByKey": {
        "key": "client.ip", "calls": 1, "period": "24h", "incrementWhen": "response.status == 101",
    }});
    let pipeline = inbound(&[step], &services);
    for status in [403, 101] {
        let mut exchange = exchange(&[]);
        pipeline.inbound(&mut exchange, &services).await.unwrap();
        let answer = answer(status);
        pipeline
            .outbound(&mut exchange, &answer, &services)
            .await
            .unwrap();
    }
    assert_eq!(passing(&pipeline, &services, 1).await, 0);
}

#[tokio::test]
async fn other_periods_are_other_quotas() {
    let services = services();
    let day = json!({"quotaByKey": {"key": "client.ip", "calls": 1, "period": "24h"}});
    let ever = json!({"quotaByKey": {"key": "client.ip", "calls": 1, "period": "0"}});
    assert_eq!(passing(&inbound(&[day], &services), &services, 3).await, 1);
    assert_eq!(passing(&inbound(&[ever], &services), &services, 3).await, 1);
}

#[tokio::test]
async fn a_key_that_fails_is_a_fault_and_counts_nothing() {
    let services = services();
    let step =
        json!({"quotaByKey": {"key": "request.headers['none'][0]", "calls": 1, "period": "0"}});
    let pipeline = inbound(&[step], &services);
    let refusal = refused(pipeline.inbound(&mut exchange(&[]), &services).await);
    assert_eq!(
        (refusal.status, refusal.reason),
        (500, Reason::ExpressionFailed)
    );
    assert_eq!(services.quotas.keys(), 0);
}

#[test]
fn broken_expressions_are_named() {
    for (field, place) in [
        ("key", "quotaByKey.key: "),
        ("incrementWhen", "quotaByKey.incrementWhen: "),
        ("incrementBy", "quotaByKey.incrementBy: "),
    ] {
        let mut step = json!({"key": "client.ip", "calls": 1, "period": "0"});
        step[field] = json!("nobody");
        let error = compile_error(json!({ "quotaByKey": step }));
        assert!(error.contains(place), "{error}");
    }
}

#[tokio::test]
async fn what_is_counted_by_the_answer_holds_a_place_until_then() {
    let services = services();
    let step = json!({"quotaByKey": {
        "key": "client.ip", "calls": 3, "period": "0", "incrementWhen": "response.status == 101",
    }});
    let pipeline = inbound(&[step], &services);
    let mut under_way = Vec::new();
    for _ in 0..20 {
        let mut exchange = exchange(&[]);
        match pipeline.inbound(&mut exchange, &services).await {
            Ok(()) => under_way.push(exchange),
            Err(refusal) => {
                let text = "Out of call volume quota. Quota will be replenished in 00:00:01.";
                assert_eq!(refusal.message, text);
                assert_eq!(refusal.headers[0].1, "1");
            }
        }
    }
    assert_eq!(under_way.len(), 3);
    drop(under_way.pop());
    for (status, exchange) in [101, 403].into_iter().zip(&mut under_way) {
        let answer = answer(status);
        let outbound = pipeline.outbound(exchange, &answer, &services);
        outbound.await.unwrap();
    }
    drop(under_way);
    // In tests of inbound alone places go with the exchange.
    let mut held = Vec::new();
    for passes in [true, true, false] {
        let mut exchange = exchange(&[]);
        let result = pipeline.inbound(&mut exchange, &services).await;
        assert_eq!(result.is_ok(), passes);
        held.push(exchange);
    }
}

#[tokio::test]
async fn relayed_bytes_need_no_place() {
    let services = services();
    let step = json!({"quotaByKey": {
        "key": "client.ip", "bandwidthKb": 1, "period": "0", "incrementWhen": "response.status == 101",
    }});
    let pipeline = inbound(&[step], &services);
    assert_eq!(passing(&pipeline, &services, 50).await, 50);
}
