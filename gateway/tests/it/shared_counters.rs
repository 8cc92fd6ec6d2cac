//! Two pods that count together in a real Redis, and what they do without it.

use serde_json::{Value, json};
use tidegate_config::policy::OnHandshake;
use tidegate_config::{MaterialId, OnFailure, TrustAnchorKind, TrustAnchorRef};

use crate::support::backend::Backend;
use crate::support::client::{closed, connect, echo, open};
use crate::support::config::{Config, NAMESPACE};
use crate::support::gateway::TestGateway;
use crate::support::redis::{Redis, counters};
use crate::support::tls::Authority;
use crate::support::within;

const UP: &str = "tidegate_shared_counters_up";

/// Two pods of one Gateway.
async fn pods(redis: &Redis, on_failure: OnFailure, step: Value) -> (Backend, [TestGateway; 2]) {
    let backend = Backend::echo().await;
    let on: OnHandshake = serde_json::from_value(json!({"inbound": [step]})).unwrap();
    let config = Config::new()
        .api_with("chat", backend.address, |api| api.on_handshake = on)
        .settings(|settings| settings.counters = Some(counters(&redis.url(), on_failure)));
    let pods = [
        TestGateway::start(&config).await,
        TestGateway::start(&config).await,
    ];
    for pod in &pods {
        pod.metric_is(UP, 1.0).await;
    }
    (backend, pods)
}

/// The statuses of so many handshakes, by turns at both pods.
async fn statuses(pods: &[TestGateway; 2], path: &str, handshakes: usize) -> Vec<u16> {
    let mut statuses = Vec::new();
    for number in 0..handshakes {
        let pod = &pods[number % 2];
        let status = match connect(&pod.url(path), &[]).await {
            Ok(_) => 101,
            Err(refused) => refused.status,
        };
        statuses.push(status);
    }
    statuses
}

#[tokio::test]
async fn a_rate_limit_holds_over_all_pods() {
    let Some(redis) = Redis::start().await else {
        return;
    };
    let step = json!({"rateLimitByKey": {
        "key": "request.query('who')", "calls": 3, "period": "300s", "remainingHeader": "X-Left",
    }});
    let (_backend, pods) = pods(&redis, OnFailure::Local, step).await;
    assert_eq!(
        statuses(&pods, "/chat?who=ahab", 5).await,
        [101, 101, 101, 429, 429]
    );
    assert_eq!(statuses(&pods, "/chat?who=ishmael", 1).await, [101]);
    let refused = connect(&pods[1].url("/chat?who=ahab"), &[]).await;
    let refused = refused.expect_err("used up");
    let headers = refused.answer.headers();
    let wait: u64 = headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((290..=301).contains(&wait), "{wait}");
    assert_eq!(headers["x-left"], "0");
    let message = format!("Rate limit is exceeded. Try again in {wait} seconds.");
    assert!(refused.body.contains(&message), "{}", refused.body);

    let keys: Vec<String> = redis.command(&["KEYS", "*"]).await;
    assert!(keys.len() >= 4, "{keys:?}");
    for key in keys {
        assert!(
            key.starts_with("tidegate:") && !key.contains("ahab"),
            "{key}"
        );
        let left: i64 = redis.command(&["PTTL", &key]).await;
        assert!(left > 0, "{key} would stay for ever");
    }
}

#[tokio::test]
async fn what_one_limit_refuses_counts_for_none_in_redis_either() {
    let Some(redis) = Redis::start().await else {
        return;
    };
    let backend = Backend::echo().await;
    let on: OnHandshake = serde_json::from_value(json!({"inbound": [
        {"rateLimitByKey": {"key": "'wide'", "calls": 2, "period": "300s"}},
        {"quotaByKey": {"key": "'wide'", "calls": 2, "period": "0"}},
        {"rateLimitByKey": {"key": "request.query('who')", "calls": 1, "period": "300s"}},
    ]}))
    .unwrap();
    let config = Config::new()
        .api_with("chat", backend.address, |api| api.on_handshake = on)
        .settings(|settings| {
            settings.counters = Some(counters(&redis.url(), OnFailure::Refuse));
        });
    let pod = TestGateway::start(&config).await;
    pod.metric_is(UP, 1.0).await;
    open(&pod.url("/chat?who=ahab")).await;
    for _ in 0..3 {
        let refused = connect(&pod.url("/chat?who=ahab"), &[]).await;
        assert_eq!(refused.expect_err("once only").status, 429);
    }
    // Given back behind the answer.
    let given_back = async {
        while connect(&pod.url("/chat?who=ishmael"), &[]).await.is_err() {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    within("what was counted for refused handshakes", given_back).await;
    let refused = connect(&pod.url("/chat?who=queequeg"), &[]).await;
    assert!([403, 429].contains(&refused.expect_err("both are used up").status));
}

#[tokio::test]
async fn a_quota_holds_over_all_pods_and_closes_tunnels_everywhere() {
    let Some(redis) = Redis::start().await else {
        return;
    };
    let step = json!({"quotaByKey": {
        "key": "request.query('who')", "calls": 3, "bandwidthKb": 1, "period": "87600h",
        "closeOnExceed": true,
    }});
    let (_backend, pods) = pods(&redis, OnFailure::Refuse, step).await;
    assert_eq!(
        statuses(&pods, "/chat?who=calls", 4).await,
        [101, 101, 101, 403]
    );
    let mut silent = open(&pods[0].url("/chat?who=bytes")).await;
    let mut busy = open(&pods[1].url("/chat?who=bytes")).await;
    echo(&mut busy, &"x".repeat(600)).await;
    for socket in [&mut busy, &mut silent] {
        let (code, _) = closed(socket).await.expect("a code");
        assert_eq!(code, 1008);
    }
    let refused = connect(&pods[0].url("/chat?who=bytes"), &[]).await;
    let body = refused.expect_err("used up").body;
    assert!(
        body.contains("Out of bandwidth quota. Quota will be"),
        "{body}"
    );
}

#[tokio::test]
async fn places_of_live_tunnels_are_shared() {
    let Some(redis) = Redis::start().await else {
        return;
    };
    let step = json!({"limitConnections": {"key": "'all'", "max": 1}});
    let (_backend, pods) = pods(&redis, OnFailure::Refuse, step).await;
    let first = open(&pods[0].url("/chat")).await;
    let refused = connect(&pods[1].url("/chat"), &[]).await.expect_err("full");
    assert_eq!(
        (
            refused.status,
            refused.answer.headers()["retry-after"].to_str().unwrap()
        ),
        (429, "5")
    );
    drop(first);
    let freed = async {
        while connect(&pods[1].url("/chat"), &[]).await.is_err() {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    within("the place of the lost tunnel", freed).await;
}

#[tokio::test]
async fn a_dead_pods_places_get_free() {
    let Some(redis) = Redis::start().await else {
        return;
    };
    let step = json!({"limitConnections": {"key": "'all'", "max": 1}});
    let (_backend, pods) = pods(&redis, OnFailure::Refuse, step).await;
    let _first = open(&pods[0].url("/chat")).await;
    let keys: Vec<String> = redis.command(&["KEYS", "*:c:*"]).await;
    let [key] = &keys[..] else { panic!("{keys:?}") };
    let left: i64 = redis.command(&["PTTL", key]).await;
    assert!((1..=30_000).contains(&left), "{left}");
    // As if the other pod had died half a minute ago.
    let leases: Vec<String> = redis.command(&["ZRANGE", key, "0", "-1"]).await;
    let _: i64 = redis.command(&["ZADD", key, "1", &leases[0]]).await;
    open(&pods[1].url("/chat")).await;
}

#[tokio::test]
async fn without_redis_each_pod_counts_for_itself() {
    let Some(mut redis) = Redis::start().await else {
        return;
    };
    let step = json!({"rateLimitByKey": {"key": "'all'", "calls": 2, "period": "300s"}});
    let (_backend, pods) = pods(&redis, OnFailure::Local, step).await;
    assert_eq!(statuses(&pods, "/chat", 4).await, [101, 101, 429, 429]);
    redis.kill();
    for pod in &pods {
        pod.metric_is(UP, 0.0).await;
    }
    let alone = [101, 101, 101, 101, 429, 429];
    assert_eq!(statuses(&pods, "/chat", 6).await, alone);
    redis.restart().await;
    for pod in &pods {
        pod.metric_is(UP, 1.0).await;
    }
    assert_eq!(statuses(&pods, "/chat", 4).await, [101, 101, 429, 429]);
}

#[tokio::test]
async fn without_redis_nobody_passes_where_that_is_asked_for() {
    let Some(mut redis) = Redis::start().await else {
        return;
    };
    for (at, step) in [
        json!({"rateLimitByKey": {"key": "'all'", "calls": 9, "period": "300s"}}),
        json!({"quotaByKey": {"key": "'all'", "calls": 9, "period": "0"}}),
        json!({"limitConnections": {"key": "'all'", "max": 9}}),
    ]
    .into_iter()
    .enumerate()
    {
        if at > 0 {
            redis.restart().await;
        }
        let (_backend, pods) = pods(&redis, OnFailure::Refuse, step).await;
        let mut live = open(&pods[0].url("/chat")).await;
        redis.kill();
        pods[0].metric_is(UP, 0.0).await;
        let refused = connect(&pods[0].url("/chat"), &[]).await.expect_err("away");
        assert_eq!(refused.status, 503);
        assert_eq!(refused.answer.headers()["retry-after"], "1");
        let body = "{\"statusCode\":503,\"message\":\"Limits can not be checked\"}";
        assert_eq!(refused.body, body);
        pods[0]
            .metric_is("tidegate_handshakes_total{api=\"harbour/chat\",reason=\"counters_unavailable\",result=\"failed\"}", 1.0)
            .await;
        echo(&mut live, "tunnels stay").await;
        redis.restart().await;
        pods[0].metric_is(UP, 1.0).await;
        open(&pods[0].url("/chat")).await;
        redis.kill();
    }
}

#[tokio::test]
async fn counters_are_shared_over_tls_with_a_server_that_is_trusted() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let Some(redis) = Redis::start_with_tls(&authority.issue("localhost")).await else {
        return;
    };
    let id = MaterialId::of_trust_anchor(
        NAMESPACE,
        &TrustAnchorRef {
            kind: TrustAnchorKind::ConfigMap,
            name: "roots".to_owned(),
            key: "ca.crt".to_owned(),
        },
    );
    let backend = Backend::echo().await;
    let step = json!({"rateLimitByKey": {"key": "'all'", "calls": 1, "period": "300s"}});
    let on: OnHandshake = serde_json::from_value(json!({"inbound": [step]})).unwrap();
    let config = |trusted: Option<&Authority>| {
        let on = on.clone();
        let mut config = Config::new()
            .api_with("chat", backend.address, |api| api.on_handshake = on)
            .settings(|settings| {
                let mut counters = counters(&redis.url(), OnFailure::Refuse);
                counters.authorities = trusted.iter().map(|_| id.clone()).collect();
                settings.counters = Some(counters);
            });
        if let Some(trusted) = trusted {
            config
                .material
                .insert(id.clone(), trusted.pem().into_bytes());
        }
        config
    };
    let pod = TestGateway::start(&config(Some(&authority))).await;
    pod.metric_is(UP, 1.0).await;
    open(&pod.url("/chat")).await;
    let refused = connect(&pod.url("/chat"), &[]).await;
    assert_eq!(refused.expect_err("used up").status, 429);
    for (name, trusted) in [
        ("another authority", Some(&stranger)),
        ("the system's", None),
    ] {
        let pod = TestGateway::start(&config(trusted)).await;
        let told = async {
            let mut status = pod.gateway.status();
            let told = status.wait_for(|applied| !applied.unreachable.is_empty());
            told.await.unwrap().unreachable.clone()
        };
        let told = within("the outage", told).await;
        assert!(told[0].place.starts_with("localhost:"), "{name}: {told:?}");
        let refused = connect(&pod.url("/chat"), &[]).await;
        assert_eq!(refused.expect_err("not trusted").status, 503, "{name}");
    }
}
