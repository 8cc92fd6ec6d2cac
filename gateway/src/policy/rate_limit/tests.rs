use http::HeaderMap;
use serde_json::{Value as Json, json};
use tidegate_config::{ObjectKey, SecretData};

use crate::exchange::Exchange;
use crate::policy::tests::{
    Declared, answer, compile_error, exchange, pipeline, refused, services, subscribed,
};
use crate::policy::{Context, Pipeline, Scope, ScopePolicies, Services};
use crate::refusal::{Origin, Reason, Refusal};

fn limit(fields: Json) -> Json {
    let mut step = json!({"key": "client.ip", "calls": 2, "period": "60s"});
    let all = step.as_object_mut().unwrap();
    all.extend(fields.as_object().unwrap().clone());
    json!({ "rateLimitByKey": step })
}

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
async fn above_the_limit_is_429_with_the_wait() {
    let services = services();
    let fields = json!({"remainingHeader": "X-Left", "totalHeader": "X-Total"});
    let pipeline = inbound(&[limit(fields)], &services);
    for left in ["1", "0"] {
        let mut exchange = exchange(&[]);
        pipeline.inbound(&mut exchange, &services).await.unwrap();
        let mut headers = HeaderMap::new();
        exchange.answer.apply(&mut headers);
        assert_eq!(
            (&headers["x-left"], &headers["x-total"]),
            (&left.parse().unwrap(), &"2".parse().unwrap())
        );
    }
    let mut exchange = exchange(&[]);
    let refusal = refused(pipeline.inbound(&mut exchange, &services).await);
    let refusal = pipeline.on_error(&mut exchange, refusal, &services).await;
    assert_eq!(
        (refusal.status, refusal.reason),
        (429, Reason::RateLimitExceeded)
    );
    assert_eq!(
        refusal.message,
        "Rate limit is exceeded. Try again in 60 seconds."
    );
    let headers: HeaderMap = refusal.headers.into_iter().collect();
    assert_eq!(headers["retry-after"], "60");
    assert_eq!(headers["x-left"], "0");
}

#[tokio::test]
async fn the_counter_survives_the_configuration_and_is_shared_by_scopes() {
    let services = services();
    let first = inbound(&[limit(json!({}))], &services);
    assert_eq!(passing(&first, &services, 1).await, 1);
    drop(first);
    let second = inbound(&[limit(json!({"calls": 3}))], &services);
    assert_eq!(passing(&second, &services, 5).await, 2);
    let other_key = inbound(&[limit(json!({"key": "request.path"}))], &services);
    assert_eq!(passing(&other_key, &services, 5).await, 2);
}

#[tokio::test]
async fn what_one_limit_refuses_counts_for_none() {
    let services = services();
    let wide = limit(json!({"key": "'all'", "calls": 100}));
    let narrow = limit(json!({"calls": 1}));
    let both = inbound(&[wide, narrow], &services);
    assert_eq!(passing(&both, &services, 10).await, 1);
    let rest = inbound(&[limit(json!({"key": "'all'", "calls": 100}))], &services);
    assert_eq!(passing(&rest, &services, 200).await, 99);
}

#[tokio::test]
async fn what_one_limit_refuses_counts_for_no_waiting_one() {
    let services = services();
    let failures = limit(json!({"key": "'f'", "incrementWhen": "response.status >= 400"}));
    let pipeline = inbound(&[failures, limit(json!({"calls": 1}))], &services);
    for passes in [true, false, false, false] {
        let mut exchange = exchange(&[]);
        match pipeline.inbound(&mut exchange, &services).await {
            Ok(()) => assert!(passes),
            Err(refusal) => {
                assert!(refusal.message.starts_with("Rate limit"));
                pipeline.on_error(&mut exchange, refusal, &services).await;
            }
        }
    }
    let rest = inbound(&[limit(json!({"key": "'f'"}))], &services);
    assert_eq!(passing(&rest, &services, 5).await, 2);
}

#[tokio::test]
async fn what_another_step_refuses_counts() {
    let services = services();
    let pipeline = inbound(
        &[limit(json!({})), json!({"checkHeader": {"name": "x-none"}})],
        &services,
    );
    let mut reasons = Vec::new();
    for _ in 0..3 {
        let result = pipeline.inbound(&mut exchange(&[]), &services).await;
        reasons.push(refused(result).reason);
    }
    use Reason::{HeaderNotFound, RateLimitExceeded};
    assert_eq!(reasons, [HeaderNotFound, HeaderNotFound, RateLimitExceeded]);
}

#[tokio::test]
async fn increments_follow_their_expressions() {
    for (name, fields, passes) in [
        ("never counts", json!({"incrementWhen": "false"}), 6),
        (
            "always counts",
            json!({"incrementWhen": "request.method == 'GET'"}),
            2,
        ),
        ("counts double", json!({"incrementBy": "1 + 1"}), 1),
        ("counts nothing", json!({"incrementBy": "0"}), 6),
        ("too much at once", json!({"incrementBy": "3"}), 0),
    ] {
        let services = services();
        let pipeline = inbound(&[limit(fields)], &services);
        assert_eq!(passing(&pipeline, &services, 6).await, passes, "{name}");
    }
}

#[tokio::test]
async fn a_wrong_increment_is_a_fault() {
    let services = services();
    for by in ["-1", "request.path", "1.5", "5000000000"] {
        let pipeline = inbound(&[limit(json!({"incrementBy": by}))], &services);
        let refusal = refused(pipeline.inbound(&mut exchange(&[]), &services).await);
        assert_eq!(refusal.reason, Reason::ExpressionFailed, "{by}");
    }
}

#[tokio::test]
async fn an_increment_that_reads_the_answer_waits_for_it() {
    let services = services();
    let failures = limit(json!({"incrementWhen": "response.status != 101"}));
    let pipeline = inbound(&[failures], &services);
    for _ in 0..5 {
        let mut exchange = exchange(&[]);
        pipeline.inbound(&mut exchange, &services).await.unwrap();
        pipeline
            .outbound(&mut exchange, &answer(101), &services)
            .await
            .unwrap();
    }
    for _ in 0..2 {
        let mut exchange = exchange(&[]);
        pipeline.inbound(&mut exchange, &services).await.unwrap();
        pipeline
            .outbound(&mut exchange, &answer(403), &services)
            .await
            .unwrap();
        let refusal = Refusal::new(403, Reason::BackendRefused, Origin::Backend, "");
        pipeline.on_error(&mut exchange, refusal, &services).await;
    }
    assert_eq!(
        passing(&pipeline, &services, 1).await,
        0,
        "two failures, each counted once"
    );
}

#[tokio::test]
async fn without_an_answer_the_refusals_status_decides() {
    let services = services();
    let steps = [
        limit(json!({"incrementWhen": "response.status == 403"})),
        json!({"checkHeader": {"name": "x-key"}}),
    ];
    let pipeline = inbound(&steps, &services);
    for _ in 0..2 {
        let mut exchange = exchange(&[]);
        let refusal = refused(pipeline.inbound(&mut exchange, &services).await);
        assert_eq!(refusal.reason, Reason::HeaderNotFound);
        pipeline.on_error(&mut exchange, refusal, &services).await;
    }
    let mut right = exchange(&[("x-key", "1")]);
    let refusal = refused(pipeline.inbound(&mut right, &services).await);
    assert_eq!(refusal.reason, Reason::RateLimitExceeded);
}

#[test]
fn broken_expressions_and_headers_are_named() {
    for (fields, place) in [
        (json!({"key": "client.ipp"}), "rateLimitByKey.key: "),
        (
            json!({"incrementWhen": "response.stat == 1"}),
            "rateLimitByKey.incrementWhen: ",
        ),
        (
            json!({"incrementBy": "nobody"}),
            "rateLimitByKey.incrementBy: ",
        ),
        (
            json!({"retryAfterHeader": "Connection"}),
            "rateLimitByKey.retryAfterHeader: ",
        ),
    ] {
        let error = compile_error(limit(fields));
        assert!(error.contains(place), "{error}");
    }
}

/// A Product's pipeline with these inbound steps, for an API without its own.
fn of_product(steps: &[Json], services: &Services) -> Pipeline {
    let declared = Declared {
        scope: Scope::Product,
        on: json!({ "inbound": steps }),
        values: &[],
        secret_data: &SecretData::default(),
    };
    Pipeline::merge(&[&declared.compile(services).unwrap()])
}

/// How many handshakes of `ishmael` and of `ahab` pass, of three each.
async fn by_subscription(pipeline: &Pipeline, services: &Services, api: &str) -> [usize; 2] {
    let mut passed = [0, 0];
    for (at, name) in ["ishmael", "ahab"].into_iter().enumerate() {
        for _ in 0..3 {
            let mut exchange = subscribed(name, api);
            let result = pipeline.inbound(&mut exchange, services).await;
            passed[at] += usize::from(result.is_ok());
        }
    }
    passed
}

#[tokio::test]
async fn a_subscription_is_limited_by_api_or_by_product() {
    let step = json!({"rateLimit": {"calls": 2, "period": "60s"}});
    let services = services();
    let api = inbound(std::slice::from_ref(&step), &services);
    assert_eq!(by_subscription(&api, &services, "chat").await, [2, 2]);
    assert_eq!(by_subscription(&api, &services, "feed").await, [2, 2]);
    let product = of_product(&[step], &services);
    assert_eq!(by_subscription(&product, &services, "chat").await, [2, 2]);
    assert_eq!(by_subscription(&product, &services, "feed").await, [0, 0]);
}

#[tokio::test]
async fn without_a_subscription_rate_limit_does_nothing() {
    let services = services();
    let step = json!({"rateLimit": {"calls": 1, "period": "60s", "remainingHeader": "X-Left"}});
    let pipeline = inbound(&[step], &services);
    assert_eq!(passing(&pipeline, &services, 3).await, 3);
}

#[tokio::test]
async fn a_keys_value_is_no_subscription() {
    let services = services();
    let step = json!({"rateLimitByKey": {"key": "subscription.name", "calls": 1, "period": "60s"}});
    let other = json!({"rateLimit": {"calls": 1, "period": "60s"}});
    let both = inbound(&[step, other], &services);
    assert_eq!(by_subscription(&both, &services, "chat").await, [1, 1]);
}

#[tokio::test]
async fn variables_tell_what_is_left_and_how_long_to_wait() {
    for (name, limit) in [
        ("rateLimit", json!({})),
        ("rateLimitByKey", json!({"key": "client.ip"})),
    ] {
        let services = services();
        let mut limit = limit;
        limit["calls"] = json!(1);
        limit["period"] = json!("30s");
        limit["remainingVariable"] = json!("left");
        limit["retryAfterVariable"] = json!("wait");
        let mut step = json!({});
        step[name] = limit;
        let on = json!({
            "inbound": [step, {"setHeader": {"name": "X-Left", "values": ["${vars.left}"]}}],
            "onError": [{"setStatus": {"status": 429, "message": "${vars.left}, ${vars.wait} s"}}],
        });
        let pipeline = pipeline(on, &SecretData::default(), &services);
        let mut first: Exchange = subscribed("ishmael", "chat");
        pipeline.inbound(&mut first, &services).await.unwrap();
        assert_eq!(first.upstream.headers["x-left"], "0", "{name}");
        let mut second = subscribed("ishmael", "chat");
        let refusal = refused(pipeline.inbound(&mut second, &services).await);
        let refusal = pipeline.on_error(&mut second, refusal, &services).await;
        assert_eq!(refusal.message, "0, 30 s", "{name}");
    }
}

#[tokio::test]
async fn a_key_that_fails_is_a_fault_and_counts_nothing() {
    let services = services();
    let pipeline = inbound(
        &[limit(json!({"key": "request.headers['none'][0]"}))],
        &services,
    );
    let refusal = refused(pipeline.inbound(&mut exchange(&[]), &services).await);
    assert_eq!(
        (refusal.status, refusal.reason),
        (500, Reason::ExpressionFailed)
    );
    assert_eq!(services.counters.keys(), 0);
}

#[test]
fn headers_of_the_handshake_are_not_for_rate_limit() {
    let step = json!({"rateLimit": {"calls": 1, "period": "1s", "totalHeader": "Upgrade"}});
    let error = compile_error(step);
    assert!(error.contains("rateLimit.totalHeader: "), "{error}");
}

/// How many of so many handshakes at a time pass inbound; they stay under way.
async fn at_once(pipeline: &Pipeline, services: &Services, handshakes: usize) -> Vec<Exchange> {
    let mut under_way = Vec::new();
    for _ in 0..handshakes {
        let mut exchange = exchange(&[]);
        let result = pipeline.inbound(&mut exchange, services).await;
        match result {
            Ok(()) => under_way.push(exchange),
            Err(refusal) => {
                let wait = refusal
                    .headers
                    .iter()
                    .find(|(name, _)| name == "retry-after");
                assert_eq!(wait.unwrap().1, "1", "an answer may come any moment");
            }
        }
    }
    under_way
}

#[tokio::test]
async fn what_is_counted_by_the_answer_holds_a_place_until_then() {
    for (name, fields, places) in [
        (
            "by the status",
            json!({"incrementWhen": "response.status == 401"}),
            4,
        ),
        (
            "more than one",
            json!({"incrementWhen": "response.status == 401", "incrementBy": "1 + 1"}),
            2,
        ),
        (
            "as many as the answer says",
            json!({"incrementBy": "response.status == 401 ? 2 : 0"}),
            2,
        ),
        (
            "what only the answer's headers tell",
            json!({"incrementBy": "int(response.headers['x-cost'][0])"}),
            4,
        ),
    ] {
        let services = services();
        let mut fields = fields;
        fields["calls"] = json!(4);
        let pipeline = inbound(&[limit(fields)], &services);
        let mut under_way = at_once(&pipeline, &services, 20).await;
        assert_eq!(under_way.len(), places, "{name}");
        // One leaves, one is answered with what does not count.
        under_way.pop();
        let mut answered = under_way.pop().unwrap();
        let mut answer = answer(101);
        answer.headers.insert("x-cost", "0".parse().unwrap());
        let outbound = pipeline.outbound(&mut answered, &answer, &services);
        outbound.await.unwrap();
        let more = at_once(&pipeline, &services, 20).await;
        assert_eq!(more.len(), 2, "{name}: both places are free");
    }
}

#[tokio::test]
async fn an_amount_that_only_the_answer_tells_is_known_the_second_time() {
    let services = services();
    let cost = json!({"calls": 10, "incrementBy": "int(response.headers['x-cost'][0])"});
    let pipeline = inbound(&[limit(cost)], &services);
    let mut first = at_once(&pipeline, &services, 1).await.remove(0);
    let mut answer = answer(200);
    answer.headers.insert("x-cost", "4".parse().unwrap());
    let outbound = pipeline.outbound(&mut first, &answer, &services);
    outbound.await.unwrap();
    let under_way = at_once(&pipeline, &services, 20).await;
    assert_eq!(
        under_way.len(),
        1,
        "4 are counted, 4 are kept, 2 are too few"
    );
}

#[tokio::test]
async fn a_place_is_given_back_whatever_ends_the_handshake() {
    let services = services();
    let failures = || limit(json!({"incrementWhen": "response.status == 401"}));
    let other = json!({"rateLimitByKey": {"key": "'other'", "calls": 1, "period": "60s"}});
    let pipeline = inbound(&[failures(), other], &services);
    let under_way = at_once(&inbound(&[failures()], &services), &services, 2).await;
    assert_eq!(under_way.len(), 2);
    drop(under_way);
    let mut first = exchange(&[]);
    pipeline.inbound(&mut first, &services).await.unwrap();
    // Another limit refuses: nothing is counted, nothing is kept.
    for _ in 0..5 {
        let mut exchange = exchange(&[]);
        refused(pipeline.inbound(&mut exchange, &services).await);
    }
    // A backend that is away is no 401.
    let refusal = Refusal::new(502, Reason::BackendConnectFailed, Origin::Backend, "");
    pipeline.on_error(&mut first, refusal, &services).await;
    let under_way = at_once(&inbound(&[failures()], &services), &services, 9).await;
    assert_eq!(under_way.len(), 2);
}

#[tokio::test]
async fn a_handshake_counts_once_for_a_key_that_two_limits_have() {
    let services = services();
    let failures = limit(json!({"incrementWhen": "response.status == 401"}));
    let all = limit(json!({"calls": 2, "remainingVariable": "left"}));
    let both = inbound(&[failures, all], &services);
    for _ in 0..2 {
        let mut exchange = exchange(&[]);
        both.inbound(&mut exchange, &services).await.unwrap();
        let answer = answer(401);
        let answered = both.outbound(&mut exchange, &answer, &services);
        answered.await.unwrap();
    }
    let rest = inbound(&[limit(json!({"calls": 3}))], &services);
    assert_eq!(passing(&rest, &services, 9).await, 1);
}

/// The pipeline of a scope's own steps, of an object in this namespace.
fn of(scope: Scope, namespace: &str, step: Json, services: &Services) -> Pipeline {
    let on = serde_json::from_value(json!({ "inbound": [step] })).unwrap();
    let context = Context {
        namespace,
        object: &ObjectKey::new(namespace, "any"),
        secret_data: &SecretData::default(),
        services,
    };
    let values = std::collections::BTreeMap::default();
    Pipeline::merge(&[&ScopePolicies::compile(scope, &on, &values, &context).unwrap()])
}

#[tokio::test]
async fn a_key_counts_within_its_namespace_and_a_gateways_own_apart() {
    for (name, step) in [
        ("rate", limit(json!({}))),
        (
            "quota",
            json!({"quotaByKey": {"key": "client.ip", "calls": 2, "period": "0"}}),
        ),
    ] {
        let services = services();
        for (scope, namespace, passes) in [
            (Scope::Api, "apps", 2),
            (Scope::Product, "apps", 0),
            (Scope::Api, "others", 2),
            (Scope::Gateway, "apps", 2),
            (Scope::Gateway, "apps", 0),
        ] {
            let pipeline = of(scope, namespace, step.clone(), &services);
            let passed = passing(&pipeline, &services, 3).await;
            assert_eq!(passed, passes, "{name}: {scope:?} of {namespace}");
        }
    }
}

#[tokio::test]
async fn live_tunnels_are_limited_within_a_namespace() {
    for key in [json!({"key": "client.ip"}), json!({})] {
        let services = services();
        let mut step = json!({"limitConnections": {"max": 1}});
        step["limitConnections"]
            .as_object_mut()
            .unwrap()
            .extend(key.as_object().unwrap().clone());
        let mut held = Vec::new();
        for (scope, namespace, passes) in [
            (Scope::Api, "others", true),
            (Scope::Api, "apps", true),
            (Scope::Product, "apps", false),
            (Scope::Gateway, "apps", true),
        ] {
            let pipeline = of(scope, namespace, step.clone(), &services);
            let mut exchange = subscribed("ishmael", "chat");
            let result = pipeline.inbound(&mut exchange, &services).await;
            assert_eq!(result.is_ok(), passes, "{scope:?} of {namespace}");
            held.push(exchange);
        }
    }
}
