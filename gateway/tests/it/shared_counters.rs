//! Two pods that count together in a real Redis, and what they do without it.

use std::sync::Arc;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use serde_json::{Value, json};
use tidegate_config::policy::OnHandshake;
use tidegate_config::{OnFailure, SecretDataId, TrustAnchorKind, TrustAnchorRef};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::Semaphore;

use crate::support::backend::Backend;
use crate::support::client::{closed, connect, echo, open};
use crate::support::config::{Config, NAMESPACE};
use crate::support::gateway::TestGateway;
use crate::support::redis::{Redis, counters};
use crate::support::tls::Authority;
use crate::support::{until, within};

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
        let body = "{\"statusCode\":503,\"message\":\"Limits cannot be checked\"}";
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
    let id = SecretDataId::of_trust_anchor(
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
                .secret_data
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

/// A backend that accepts one handshake for each permit.
async fn slow_backend() -> (Backend, Arc<Semaphore>) {
    let turns = Arc::new(Semaphore::new(0));
    let given = Arc::clone(&turns);
    let backend = Backend::scripted(move |head, mut stream| {
        let turns = Arc::clone(&given);
        async move {
            let turn = turns.acquire().await;
            turn.expect("a semaphore that nobody closes").forget();
            let answer = head.switching("");
            let _ = stream.write_all(answer.as_bytes()).await;
            let mut rest = Vec::new();
            let _ = stream.read_to_end(&mut rest).await;
        }
    });
    (backend.await, turns)
}

/// Limits that count by the answer what is accepted.
fn by_answer(counts: &str) -> [Value; 2] {
    [
        json!({"rateLimitByKey": {
            "key": "'all'", "calls": 4, "period": "300s", "incrementWhen": counts,
        }}),
        json!({"quotaByKey": {
            "key": "'all'", "calls": 4, "period": "0", "incrementWhen": counts,
        }}),
    ]
}

/// A pod in front of a slow backend.
async fn slow_pod(redis: &Redis, backend: &Backend, step: &Value) -> TestGateway {
    let on: OnHandshake = serde_json::from_value(json!({"inbound": [step]})).unwrap();
    let config = Config::new()
        .api_with("chat", backend.address, |api| api.on_handshake = on)
        .settings(|settings| {
            settings.counters = Some(counters(&redis.url(), OnFailure::Refuse));
        });
    let pod = TestGateway::start(&config).await;
    pod.metric_is(UP, 1.0).await;
    pod
}

/// Everything that places are kept in ends by itself, should all pods die.
async fn places_end_by_themselves(redis: &Redis) {
    let keys: Vec<String> = redis.command(&["KEYS", "tidegate:*:[rsph]:*"]).await;
    assert!(!keys.is_empty());
    for key in keys {
        let left: i64 = redis.command(&["PTTL", &key]).await;
        assert!((1..=310_000).contains(&left), "{key} stays {left} ms");
    }
}

/// How many pass one after the other, up to 5; they stay open.
async fn passing(url: &str) -> usize {
    let mut open = Vec::new();
    while open.len() < 5
        && let Ok(socket) = connect(url, &[]).await
    {
        open.push(socket);
    }
    open.len()
}

#[tokio::test]
async fn places_of_handshakes_under_way_are_shared_until_their_answer() {
    let Some(redis) = Redis::start().await else {
        return;
    };
    for (counts, later) in [("response.status == 101", 0), ("response.status == 401", 5)] {
        for step in by_answer(counts) {
            let _: String = redis.command(&["FLUSHALL"]).await;
            let (backend, turns) = slow_backend().await;
            let pods = [
                slow_pod(&redis, &backend, &step).await,
                slow_pod(&redis, &backend, &step).await,
            ];
            let urls: Vec<String> = (0..20).map(|i| pods[i % 2].url("/chat")).collect();
            let mut all: FuturesUnordered<_> = urls.iter().map(|url| connect(url, &[])).collect();
            for _ in 0..16 {
                let refused = within("a refusal", all.next()).await.unwrap();
                let refused = refused.expect_err("all places are taken");
                assert!([429, 403].contains(&refused.status), "{}", refused.status);
                assert_eq!(refused.answer.headers()["retry-after"], "1");
            }
            places_end_by_themselves(&redis).await;
            turns.add_permits(1000);
            while let Some(answer) = within("an answer", all.next()).await {
                answer.expect("its place was kept for it");
            }
            // Given back behind the answer, where it does not count.
            let url = pods[0].url("/chat");
            let passed = async { while passing(&url).await != later {} };
            within("the right number of places", passed).await;
        }
    }
}

#[tokio::test]
async fn clients_that_leave_have_used_up_their_places() {
    let Some(redis) = Redis::start().await else {
        return;
    };
    for step in by_answer("response.status == 101") {
        let _: String = redis.command(&["FLUSHALL"]).await;
        let (backend, turns) = slow_backend().await;
        let pod = slow_pod(&redis, &backend, &step).await;
        let url = pod.url("/chat");
        {
            let mut leaving: FuturesUnordered<_> = (0..5).map(|_| connect(&url, &[])).collect();
            let refused = within("the one too many", leaving.next()).await.unwrap();
            refused.expect_err("four are under way");
            until("four handshakes at the backend", || {
                backend.heads().len() == 4
            })
            .await;
        }
        pod.metric_is("tidegate_connections_active", 0.0).await;
        turns.add_permits(100);
        connect(&url, &[]).await.expect_err("four have asked");
        assert_eq!(backend.heads().len(), 4);
    }
}

#[tokio::test]
async fn a_server_whose_clock_is_set_back_renews_nothing_and_locks_nobody_out_for_long() {
    let Some(redis) = Redis::start().await else {
        return;
    };
    // The server's clock cannot be set: what it holds is as if it had been later.
    let quota = json!({"quotaByKey": {"key": "'all'", "calls": 2, "period": "1h"}});
    let (_backend, quota_pods) = pods(&redis, OnFailure::Refuse, quota).await;
    assert_eq!(statuses(&quota_pods, "/chat", 3).await, [101, 101, 403]);
    let key: Vec<String> = redis.command(&["KEYS", "*:q:*"]).await;
    let end: i64 = redis.command(&["HGET", &key[0], "e"]).await;
    let next = (end + 3_600_000).to_string();
    let _: i64 = redis.command(&["HSET", &key[0], "e", &next]).await;
    assert_eq!(statuses(&quota_pods, "/chat", 2).await, [403, 403]);
    let previous = [
        "HSET",
        &key[0],
        "c",
        "0",
        "pe",
        &end.to_string(),
        "pc",
        "2",
        "pb",
        "0",
    ];
    let _: i64 = redis.command(&previous).await;
    assert_eq!(statuses(&quota_pods, "/chat", 2).await, [403, 403]);

    let _: String = redis.command(&["FLUSHALL"]).await;
    let rate = json!({"rateLimitByKey": {"key": "'all'", "calls": 2, "period": "10s"}});
    let (_backend, rate_pods) = pods(&redis, OnFailure::Refuse, rate).await;
    assert_eq!(statuses(&rate_pods, "/chat", 1).await, [101]);
    let slots: Vec<String> = redis.command(&["KEYS", "*:r:*"]).await;
    let calls: Vec<String> = redis.command(&["KEYS", "*:s:*"]).await;
    let far = "99999999999999";
    let _: i64 = redis.command(&["ZADD", &slots[0], far, far]).await;
    let _: i64 = redis.command(&["HSET", &calls[0], far, "1"]).await;
    let _: i64 = redis.command(&["HINCRBY", &calls[0], "s", "1"]).await;
    let refused = connect(&rate_pods[0].url("/chat"), &[]).await;
    let refused = refused.expect_err("both count");
    let wait = refused.answer.headers()["retry-after"].to_str().unwrap();
    assert!(wait.parse::<u64>().unwrap() <= 11, "{wait}");
    let left: Vec<String> = redis.command(&["ZRANGE", &slots[0], "0", "-1"]).await;
    assert!(!left.contains(&far.to_owned()), "{left:?}");
}
