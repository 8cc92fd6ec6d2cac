//! Traces: of live handshakes that ask for one, and of handshakes that nobody has begun.

use std::net::SocketAddr;
use std::sync::Arc;

use serde_json::{Value, json};
use tidegate_config::policy::OnHandshake;
use tidegate_config::{ResolvedValue, SecretDataId, SubscriptionScope};
use tidegate_gateway::trace::{By, Outcome, StepResult, Target, Trace};
use tidegate_gateway::{Question, explain};
use tokio::sync::Notify;

use crate::key_subprotocol::realtime;
use crate::support::admin::{ask, with_admin};
use crate::support::backend::Backend;
use crate::support::client::{connect, connect_with_answer};
use crate::support::config::{Config, NAMESPACE};
use crate::support::gateway::TestGateway;
use crate::support::until;

const KEY: &str = "white-whale-0123456789";
const PASSWORD: &str = "the harbour master's own";

fn steps(on: Value) -> OnHandshake {
    serde_json::from_value(on).unwrap()
}

/// An API `chat` with a key, in a product with a step of its own, under a global step.
fn config(backend: SocketAddr, tracing: bool) -> Config {
    let mut config = Config::new()
        .api_with("chat", backend, |api| {
            api.subscription_required = true;
            let password = SecretDataId::secret(NAMESPACE, "backend", "password");
            api.values
                .insert("password".to_owned(), ResolvedValue::Secret(password));
            api.on_handshake = steps(json!({
                "inbound": [
                    {"base": {}},
                    {"id": "beta", "when": "request.header('x-beta') == 'yes'",
                     "setQueryParameter": {"name": "beta", "values": ["1"]}},
                    {"setHeader": {"name": "X-Backend", "values": ["as ${values.password}"]}},
                    {"setHeader": {"name": "Authorization", "values": ["Basic abc123"]}},
                    {"rewritePath": {"path": "/deep"}},
                    {"setVariable": {"name": "who", "value": "{'name': 'ahab', 'token': 'opaque-1234'}"}},
                    {"rateLimitByKey": {"calls": 1, "period": "60s", "key": "'all'"}},
                    {"quotaByKey": {"calls": 1, "period": "87600h", "key": "'all'"}},
                    {"id": "closed", "when": "request.header('x-closed') == 'yes'",
                     "returnResponse": {"status": 418, "message": "no ${vars.who.token}"}},
                ],
                "outbound": [{"setHeader": {"name": "X-Answer", "values": ["set"]}}],
                "onError": [{"setStatus": {"status": 419, "message": "changed"}}],
            }));
        })
        .product("gold", &["chat"], |product| {
            product.on_handshake = steps(json!({"inbound": [
                {"setVariable": {"name": "plan", "value": "'gold'"}},
            ]}));
        })
        .subscription("ahab", SubscriptionScope::Product("gold".to_owned()), KEY)
        .settings(|settings| {
            settings.on_handshake = steps(json!({"inbound": [
                {"setHeader": {"name": "X-Edge", "values": ["1"]}},
            ]}));
        });
    let password = SecretDataId::secret(NAMESPACE, "backend", "password");
    config
        .secret_data
        .insert(password, PASSWORD.as_bytes().to_vec());
    Arc::make_mut(&mut config.config.subscriptions[0]).allow_tracing = tracing;
    config
}

/// With an admin server.
async fn start(config: &Config) -> (TestGateway, SocketAddr) {
    let mut gateway = TestGateway::start_empty(with_admin()).await;
    gateway.apply(config).await;
    gateway.gateway.ready().await;
    let admin = gateway.gateway.admin_address().unwrap();
    (gateway, admin)
}

async fn trace(admin: SocketAddr, id: &str) -> (Trace, String) {
    let (status, body) = ask(admin, &format!("GET /traces/{id}"), "").await;
    assert_eq!(status, 200, "{body}");
    (serde_json::from_str(&body).unwrap(), body)
}

/// `step result targets`, one line each.
fn summary(trace: &Trace) -> Vec<String> {
    let line = |step: &tidegate_gateway::trace::Step| {
        let changes = step.changes.iter();
        let changes = changes.map(|change| match &change.name {
            Some(name) => format!(" {:?} {name}", change.target),
            None => format!(" {:?}", change.target),
        });
        let changes: String = changes.collect();
        format!("{} {} {:?}{changes}", step.step, step.policy, step.result)
    };
    trace.steps.iter().map(line).collect()
}

fn shows_no_secret(text: &str) {
    for secret in [KEY, PASSWORD, "abc123", "opaque-1234"] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
}

const INBOUND: [&str; 10] = [
    "gateway.inbound[0] setHeader Ran Header x-edge",
    "product.inbound[0] setVariable Ran Variable plan",
    "beta setQueryParameter Skipped",
    "api.inbound[2] setHeader Ran Header x-backend",
    "api.inbound[3] setHeader Ran Header authorization",
    "api.inbound[4] rewritePath Ran Path",
    "api.inbound[5] setVariable Ran Variable who",
    "api.inbound[6] rateLimitByKey Ran Limit",
    "api.inbound[7] quotaByKey Ran Limit",
    "closed returnResponse Skipped",
];

#[tokio::test]
async fn a_key_in_a_subprotocol_is_masked_wherever_it_stands() {
    let backend = realtime().await;
    let config = config(backend.address, true).edit_api("chat", |api| {
        api.subscription_key.subprotocol = Some("openai-insecure-api-key.".to_owned());
        api.on_handshake = steps(json!({"inbound": [
            {"setHeader": {"name": "X-Offer", "values": ["${request.subprotocols.join('+')}"]}},
            {"setHeader": {"name": "X-Copy", "values": ["as ${request.header('x-copy')}"]}},
            {"when": "request.header('x-closed') == 'yes'",
             "returnResponse": {"status": 418, "message": "no ${request.header('x-copy')}"}},
        ]}));
    });
    let (gateway, admin) = start(&config).await;
    let offer = format!("realtime, openai-insecure-api-key.{KEY}");
    for closed in ["no", "yes"] {
        let headers = [
            ("Sec-WebSocket-Protocol", &*offer),
            // The same text elsewhere is the key, too.
            ("X-Copy", KEY),
            ("X-Closed", closed),
            ("Ocp-Apim-Trace", "true"),
        ];
        let connected = connect_with_answer(&gateway.url("/chat"), &headers).await;
        let answer = match connected {
            Ok((_socket, answer)) => answer.headers().clone(),
            Err(refused) => refused.answer.headers().clone(),
        };
        let id = answer["tidegate-trace-id"].to_str().unwrap();
        let (trace, text) = trace(admin, id).await;
        assert!(!text.contains(KEY), "closed: {closed}: {text}");
        assert_eq!(trace.access.unwrap().by, By::SubscriptionKey);
        let mut changes = trace.steps.iter().flat_map(|step| &step.changes);
        let copy = changes.find(|change| change.name.as_deref() == Some("x-copy"));
        let copy = copy.unwrap().after.as_deref();
        assert_eq!(copy, Some("as ***"), "closed: {closed}: {text}");
    }
}

#[tokio::test]
async fn an_accepted_handshake_is_traced_for_whom_may_ask() {
    let backend = Backend::echo().await;
    let (gateway, admin) = start(&config(backend.address, true)).await;
    let headers = [("X-Harbour-Key", KEY), ("Ocp-Apim-Trace", "true")];
    let (_socket, answer) = connect_with_answer(&gateway.url("/chat?a=1"), &headers)
        .await
        .unwrap();
    let id = answer.headers()["tidegate-trace-id"].to_str().unwrap();
    let (trace, text) = trace(admin, id).await;
    shows_no_secret(&text);
    assert_eq!(trace.id, id);
    let mut expected = INBOUND.to_vec();
    expected.push("api.outbound[0] setHeader Ran AnswerHeader x-answer");
    assert_eq!(summary(&trace), expected);
    let scopes: Vec<_> = trace.steps[..3].iter().map(|s| s.scope.as_str()).collect();
    assert_eq!(scopes, ["gateway", "product", "api"]);
    let access = trace.access.unwrap();
    assert_eq!(access.by, By::SubscriptionKey);
    assert_eq!(access.product.as_deref(), Some("harbour/gold"));
    assert_eq!(trace.route.unwrap().api, "harbour/chat");
    let path = &trace.steps[5].changes[0];
    assert_eq!(path.target, Target::Path);
    assert_eq!(
        (path.before.as_deref(), path.after.as_deref()),
        (Some("/"), Some("/deep"))
    );
    let asked = trace.backend.unwrap();
    assert_eq!(asked.url, format!("ws://{}/deep?a=1", backend.address));
    let header = |name: &str| {
        let found = asked.headers.iter().find(|field| field.name == name);
        found.map(|field| field.value.as_str())
    };
    assert_eq!(header("x-backend"), Some("as ***"));
    assert_eq!(header("authorization"), Some("***"));
    assert!(matches!(trace.outcome, Outcome::Accepted { .. }));
    // The question is for the gateway, and the backend got what the trace only masks.
    let head = backend.head().await;
    assert!(head.header("ocp-apim-trace").is_empty(), "{head:?}");
    assert_eq!(head.header("x-backend"), [format!("as {PASSWORD}")]);
}

#[tokio::test]
async fn a_refused_handshake_is_traced_to_its_answer() {
    let backend = Backend::echo().await;
    let (gateway, admin) = start(&config(backend.address, true)).await;
    let headers = [
        ("X-Harbour-Key", KEY),
        ("Ocp-Apim-Trace", "true"),
        ("X-Closed", "yes"),
    ];
    let Err(refused) = connect(&gateway.url("/chat"), &headers).await else {
        panic!("not refused");
    };
    assert_eq!(refused.status, 418);
    assert!(refused.body.contains("no opaque-1234"), "{}", refused.body);
    let id = refused.answer.headers()["tidegate-trace-id"]
        .to_str()
        .unwrap();
    let (trace, text) = trace(admin, id).await;
    shows_no_secret(&text);
    let last = trace.steps.last().unwrap();
    assert_eq!(
        (last.step.as_str(), last.result),
        ("closed", StepResult::Refused)
    );
    let Outcome::Refused(answer) = trace.outcome else {
        panic!("{text}");
    };
    assert_eq!(
        (answer.status, answer.reason.as_str()),
        (418, "return_response")
    );
    assert_eq!(answer.message, "no ***");
    assert!(trace.backend.is_none());
}

#[tokio::test]
async fn nobody_else_is_traced_and_is_told_so() {
    let backend = Backend::echo().await;
    let (gateway, _) = start(&config(backend.address, false)).await;
    for (name, asks, told) in [
        ("asks", Some("true"), Some("not-allowed")),
        ("says no", Some("false"), None),
        ("does not ask", None, None),
    ] {
        let mut headers = vec![("X-Harbour-Key", KEY)];
        headers.extend(asks.map(|asks| ("Ocp-Apim-Trace", asks)));
        // The first counts, the others are refused by the limit: both are answered alike.
        let answer = match connect_with_answer(&gateway.url("/chat"), &headers).await {
            Ok((_, answer)) => answer.headers().clone(),
            Err(refused) => refused.answer.headers().clone(),
        };
        assert!(!answer.contains_key("tidegate-trace-id"), "{name}");
        let trace = answer.get("tidegate-trace").map(|v| v.to_str().unwrap());
        assert_eq!(trace, told, "{name}");
    }
    // Who has no key learns nothing.
    let headers = [("Ocp-Apim-Trace", "true")];
    let Err(refused) = connect(&gateway.url("/chat"), &headers).await else {
        panic!("not refused");
    };
    assert!(!refused.answer.headers().contains_key("tidegate-trace"));
}

fn question(url: &str) -> Question {
    Question {
        url: url.to_owned(),
        headers: Vec::new(),
        key: Some(KEY.to_owned()),
        client: None,
        dial: false,
    }
}

#[tokio::test]
async fn a_running_gateway_explains_without_asking_the_backend_or_counting() {
    let backend = Backend::echo().await;
    let (gateway, admin) = start(&config(backend.address, false)).await;
    let mut asked = question("ws://any.test/chat?token=t-0-k-e-n");
    // The limit is one a minute, and nothing of this counts.
    for _ in 0..3 {
        let body = serde_json::to_string(&asked).unwrap();
        let (status, text) = ask(admin, "POST /explain", &body).await;
        assert_eq!(status, 200, "{text}");
        shows_no_secret(&text);
        let trace: Trace = serde_json::from_str(&text).unwrap();
        assert_eq!(summary(&trace), INBOUND);
        assert_eq!(trace.outcome, Outcome::WouldDial);
        assert_eq!(trace.request.url, "ws://any.test/chat?token=***");
    }
    assert!(backend.heads().is_empty());
    let handshakes = r#"tidegate_handshakes_total{api="harbour/chat",reason="",result="accepted"}"#;
    assert_eq!(gateway.metric(handshakes), 0.0);
    asked.dial = true;
    let body = serde_json::to_string(&asked).unwrap();
    let (_, text) = ask(admin, "POST /explain", &body).await;
    let trace: Trace = serde_json::from_str(&text).unwrap();
    let Outcome::Accepted { headers } = trace.outcome else {
        panic!("{text}");
    };
    assert!(
        headers.iter().any(|field| field.name == "x-answer"),
        "{headers:?}"
    );
    assert_eq!(
        backend.head().await.request_line(),
        "GET /deep?token=t-0-k-e-n HTTP/1.1"
    );
    assert_eq!(gateway.gateway.tunnels(), 0);
}

#[tokio::test]
async fn a_configuration_explains_without_being_served() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let nowhere = SocketAddr::from(([127, 0, 0, 1], 9));
    let config = config(nowhere, false);
    for (name, url, key, reason) in [
        (
            "no route",
            "ws://any.test/other?a=1",
            Some(KEY),
            Some("route_not_found"),
        ),
        (
            "no key",
            "ws://any.test/chat",
            None,
            Some("subscription_key_missing"),
        ),
        (
            "wrong key",
            "ws://any.test/chat",
            Some("other"),
            Some("subscription_key_invalid"),
        ),
        ("accepted", "wss://any.test:443/chat", Some(KEY), None),
    ] {
        let mut asked = question(url);
        asked.key = key.map(str::to_owned);
        let explained = explain(config.update(1), &asked).await.unwrap();
        assert!(explained.rejected.is_empty(), "{name}");
        let found = match &explained.trace.outcome {
            Outcome::Refused(answer) => Some(answer.reason.as_str()),
            _ => None,
        };
        assert_eq!(found, reason, "{name}");
        let text = serde_json::to_string(&explained.trace).unwrap();
        shows_no_secret(&text);
    }
    let mut dialled = question("ws://any.test/chat");
    dialled.dial = true;
    let explained = explain(config.update(1), &dialled).await.unwrap();
    let Outcome::Refused(answer) = explained.trace.outcome else {
        panic!("nobody is there");
    };
    // onError has the last word on the status, not on the reason.
    assert_eq!(
        (answer.status, answer.reason.as_str()),
        (419, "backend_connect_failed")
    );
    assert_eq!(explained.trace.steps.last().unwrap().section, "onError");
    assert!(explained.trace.backend.is_some());
}

#[tokio::test]
async fn bad_questions_get_an_answer_that_says_what_is_bad() {
    let backend = Backend::echo().await;
    let (_gateway, admin) = start(&config(backend.address, false)).await;
    for (method, path, body, status, says) in [
        ("GET", "/explain", "", 405, "only POST"),
        ("POST", "/traces/1", "", 405, "only GET"),
        ("GET", "/traces/1", "", 404, "no trace 1"),
        ("POST", "/explain", "{", 400, "EOF"),
        (
            "POST",
            "/explain",
            r#"{"url": "http://a"}"#,
            400,
            "ws:// or wss://",
        ),
        (
            "POST",
            "/explain",
            r#"{"url": "ws://a", "more": 1}"#,
            400,
            "more",
        ),
        ("POST", "/status", "", 405, "only GET"),
    ] {
        let (found, text) = ask(admin, &format!("{method} {path}"), body).await;
        assert_eq!(found, status, "{method} {path}: {text}");
        assert!(text.contains(says), "{method} {path}: {text}");
    }
    let large = "x".repeat(300_000);
    let (found, _) = ask(admin, "POST /explain", &large).await;
    assert_eq!(found, 400);
}

/// A server that answers when the test lets it, and tells when it was asked.
async fn slow_server() -> (Backend, Arc<Notify>) {
    let go = Arc::new(Notify::new());
    let let_go = Arc::clone(&go);
    let server = Backend::scripted(move |_, mut stream| {
        let wait = Arc::clone(&go);
        async move {
            use tokio::io::AsyncWriteExt as _;
            wait.notified().await;
            let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
            let _ = stream.write_all(answer).await;
        }
    });
    (server.await, let_go)
}

/// `/chat` with every limit at one, where some wait for `server`.
fn with_limits(backend: SocketAddr, server: SocketAddr) -> Config {
    Config::new()
        .api_with("chat", backend, |api| {
            api.subscription_required = true;
            api.limits.max_connections = Some(1);
            api.limits.max_connections_per_subscription = Some(1);
            api.on_handshake = steps(json!({"inbound": [
                {"limitConnections": {"max": 1, "key": "'all'"}},
                {"rateLimitByKey": {"calls": 1, "period": "600s", "key": "'all'"}},
                {"quotaByKey": {"calls": 1, "period": "87600h", "key": "'all'"}},
                {"rateLimitByKey": {"calls": 1, "period": "600s", "key": "'by answer'",
                    "incrementWhen": "response.status == 101"}},
                {"when": "request.header('x-slow') == 'yes'",
                 "sendRequest": {"as": "x", "url": format!("http://{server}/"), "timeout": "60s"}},
            ]}));
        })
        .subscription("ahab", SubscriptionScope::Gateway, KEY)
        .settings(|settings| {
            settings.limits.max_connections = 1;
            settings.limits.max_connections_per_ip = 1;
        })
}

#[tokio::test]
async fn an_explanation_takes_nothing_from_a_client_while_it_lasts() {
    let backend = Backend::echo().await;
    let (server, go) = slow_server().await;
    let (gateway, admin) = start(&with_limits(backend.address, server.address)).await;
    let mut slow = question("ws://any.test/chat");
    slow.headers = vec![("X-Slow".to_owned(), "yes".to_owned())];
    let slow = serde_json::to_string(&slow).unwrap();
    let quick = serde_json::to_string(&Question {
        dial: true,
        ..question("ws://any.test/chat")
    })
    .unwrap();
    let client = async {
        until("the explanation's request", || !server.heads().is_empty()).await;
        // These are through with all their steps.
        for _ in 0..2 {
            let (status, text) = ask(admin, "POST /explain", &quick).await;
            assert!(status == 200 && text.contains("\"accepted\""), "{text}");
        }
        let headers = [("X-Harbour-Key", KEY)];
        let socket = connect(&gateway.url("/chat"), &headers).await;
        assert!(socket.is_ok(), "{:?}", socket.err());
        // Now all is taken, and the next one is told.
        let (_, text) = ask(admin, "POST /explain", &quick).await;
        assert!(text.contains("gateway_full"), "{text}");
        go.notify_one();
        socket
    };
    let (explained, _socket) = tokio::join!(ask(admin, "POST /explain", &slow), client);
    assert_eq!(explained.0, 200, "{}", explained.1);
    let trace: Trace = serde_json::from_str(&explained.1).unwrap();
    assert_eq!(trace.outcome, Outcome::WouldDial);
    let told = summary(&trace);
    assert_eq!(told[0], "api.inbound[0] limitConnections Ran Limit");
    assert_eq!(told[1], "api.inbound[1] rateLimitByKey Ran Limit");
}

#[tokio::test]
async fn what_a_backend_answers_to_an_explanation_counts_neither_for_nor_against_it() {
    let unhealthy = Backend::answering("HTTP/1.1 500 Unhealthy\r\nContent-Length: 0\r\n\r\n").await;
    let config = Config::new().api_with("chat", unhealthy.address, |api| {
        api.circuit_breaker = Some(
            serde_json::from_value(json!({"consecutiveFailures": 1, "tripDuration": "600s"}))
                .unwrap(),
        );
    });
    let (gateway, admin) = start(&config).await;
    let out = "tidegate_backends_out{api=\"harbour/chat\",reason=\"circuit_open\"}";
    let asked = Question {
        key: None,
        dial: true,
        ..question("ws://any.test/chat")
    };
    let asked = serde_json::to_string(&asked).unwrap();
    for _ in 0..3 {
        let (_, text) = ask(admin, "POST /explain", &asked).await;
        assert!(text.contains("backend_refused"), "{text}");
    }
    assert_eq!(gateway.metric(out), 0.0);
    assert!(connect(&gateway.url("/chat"), &[]).await.is_err());
    gateway.metric_is(out, 1.0).await;
    let (_, text) = ask(admin, "POST /explain", &asked).await;
    assert!(text.contains("backend_circuit_open"), "{text}");
}
