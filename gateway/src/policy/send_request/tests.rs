use serde_json::{Value, json};
use tidegate_config::SecretData;
use tokio::time::Instant;

use crate::exchange::Exchange;
use crate::policy::Services;
use crate::policy::call::testing::{Answer, Asked, Server, json as answer};
use crate::policy::tests::{compile_error, exchange, pipeline, refused, secret_data, services};
use crate::refusal::{Origin, Reason, Refusal};
use crate::telemetry::metrics::ServiceCounts as _;

fn step(fields: Value) -> Value {
    let mut policy = json!({"as": "x"});
    let all = policy.as_object_mut().unwrap();
    all.extend(fields.as_object().unwrap().clone());
    json!({ "sendRequest": policy })
}

async fn run(steps: &[Value], exchange: &mut Exchange, services: &Services) -> Result<(), Refusal> {
    let secrets = secret_data(&[("idp", "secret", b"s3cret-of-the-client\n")]);
    let pipeline = pipeline(json!({ "inbound": steps }), &secrets, services);
    pipeline.inbound(exchange, services).await
}

/// What an expression over the answer gives.
async fn read(step: Value, expression: &str, services: &Services) -> Result<String, Refusal> {
    let mut exchange = exchange(&[("x-user", "ann")]);
    let shown = json!({"setHeader": {"name": "x-out", "values": [format!("${{{expression}}}")]}});
    run(&[step, shown], &mut exchange, services).await?;
    Ok(exchange.upstream.headers["x-out"]
        .to_str()
        .unwrap()
        .to_owned())
}

#[tokio::test]
async fn the_request_is_as_described_and_the_answer_can_be_read() {
    let server = Server::start(|_, _| {
        Answer::Raw(
            b"HTTP/1.1 201 Created\r\nX-One: 1\r\nX-One: 2\r\nContent-Length: 15\r\n\r\n{\"a\": [1, 2.5]}"
                .to_vec(),
        )
    })
    .await;
    let services = services();
    let request = || {
        step(json!({
            "method": "POST",
            "url": format!("{}/ask/${{request.params.room}}?q=${{url.encode('a b')}}", server.url),
            "headers": [{"name": "X-User", "value": "${request.header('x-user')}"}],
            "body": "{\"host\": \"${request.host}\"}",
            "auth": {"basic": {"username": "ann", "password": "p:w"}},
        }))
    };
    // Connections live as long as a compiled policy holds them.
    let steps = json!({"inbound": [request()]});
    let _held = pipeline(steps, &SecretData::default(), &services);
    for (expression, expected) in [
        ("vars.x.status", "201"),
        ("vars.x.headers['x-one']", r#"["1","2"]"#),
        ("vars.x.header('X-One')", "1"),
        ("vars.x.text", r#"{"a": [1, 2.5]}"#),
        ("vars.x.json.a[1]", "2.5"),
    ] {
        let got = read(request(), expression, &services).await.unwrap();
        assert_eq!(got, expected, "{expression}");
    }
    let asked = &server.asked()[0];
    assert!(
        asked.head.starts_with("POST /ask/blue?q=a%20b HTTP/1.1\n"),
        "{}",
        asked.head
    );
    assert!(asked.has("x-user: ann"), "{}", asked.head);
    assert!(
        asked.head.contains("authorization: basic "),
        "{}",
        asked.head
    );
    assert_eq!(asked.body, r#"{"host": "example.com"}"#);
    assert_eq!(server.connections(), 1, "connections are kept");
    assert_eq!(services.call_counts(), (5, 0));
}

#[tokio::test]
async fn a_request_without_body_says_so() {
    let server = Server::start(|_, _| answer(200, "{}")).await;
    let services = services();
    let request = step(json!({"method": "POST", "url": server.url}));
    read(request, "vars.x.status", &services).await.unwrap();
    assert!(
        server.asked()[0].has("content-length: 0"),
        "{:?}",
        server.asked()
    );
}

/// Everything that can go wrong with an answer.
#[expect(clippy::too_many_lines, reason = "a table of cases")]
async fn faults() -> Vec<(&'static str, Value, (u16, Reason), &'static str)> {
    use Reason as R;
    let raw = |text: &str| Answer::Raw(text.as_bytes().to_vec());
    let server = Server::start(move |_, asked: &Asked| match asked.path() {
        "/silent" => Answer::Silence,
        "/hangup" => Answer::Hangup,
        "/torn" => raw("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{}"),
        "/large" => raw(&format!(
            "HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n{}",
            " ".repeat(300_000)
        )),
        "/deep" => answer(200, &"[".repeat(100_000)),
        "/wide" => answer(200, &format!("[{}1]", "1,".repeat(20_000))),
        "/headers" => raw(&format!(
            "HTTP/1.1 200 OK\r\n{}\r\n",
            "a: b\r\n".repeat(200)
        )),
        _ => raw("HTTP/1.1 teapot\r\n\r\n"),
    })
    .await;
    let at = |path: &str| {
        // Short only for those that do not answer.
        let timeout = match path {
            "/silent" | "/torn" => "300ms",
            _ => "20s",
        };
        step(json!({"url": format!("{}{path}?key=hidden", server.url), "timeout": timeout}))
    };
    let closed = "http://127.0.0.1:1/";
    let failed = (502, R::RequestFailed);
    vec![
        (
            "no connection",
            step(json!({"url": closed})),
            failed,
            "failed to connect",
        ),
        (
            "no such name",
            step(json!({"url": "http://nobody.invalid/"})),
            failed,
            "failed to connect",
        ),
        (
            "silence",
            at("/silent"),
            (504, R::RequestTimeout),
            "no answer within 300ms",
        ),
        ("hangup", at("/hangup"), failed, "the request failed"),
        (
            "torn",
            at("/torn"),
            (504, R::RequestTimeout),
            "no answer within 300ms",
        ),
        (
            "too large",
            at("/large"),
            failed,
            "the answer has more than 262144 bytes",
        ),
        (
            "deep",
            at("/deep"),
            failed,
            "the answer's JSON is nested more than 64 levels deep",
        ),
        (
            "wide",
            at("/wide"),
            failed,
            "the answer's JSON has more than 16384 values",
        ),
        (
            "too many headers",
            at("/headers"),
            failed,
            "the request failed",
        ),
        ("no HTTP", at("/other"), failed, "the request failed"),
        (
            "metadata",
            step(json!({"url": "http://169.254.169.254/x"})),
            failed,
            "is not allowed",
        ),
    ]
}

#[tokio::test]
async fn no_answer_is_a_refusal_that_says_why_without_the_query() {
    let services = services();
    for (name, request, (status, reason), detail) in faults().await {
        let refusal = refused(run(&[request], &mut exchange(&[]), &services).await);
        assert_eq!((refusal.status, refusal.reason), (status, reason), "{name}");
        assert_eq!(
            (refusal.origin, refusal.step.as_deref()),
            (Origin::Policy, Some("api.inbound[0]"))
        );
        let text = refusal.detail.unwrap();
        assert!(
            text.contains(detail) && text.starts_with("http://"),
            "{name}: {text}"
        );
        assert!(!text.contains("hidden"), "{name}: {text}");
    }
    assert_eq!(services.call_counts(), (0, 11));
}

#[tokio::test]
async fn an_ignored_failure_leaves_null() {
    let services = services();
    for (name, mut request, _, _) in faults().await {
        request["sendRequest"]["ignoreError"] = json!(true);
        let got = read(request, "vars.x == null", &services).await.unwrap();
        assert_eq!(got, "true", "{name}");
    }
}

#[tokio::test]
async fn a_status_is_no_failure_and_redirects_are_not_followed() {
    let server = Server::start(|number, _| match number {
        1 => Answer::Raw(
            b"HTTP/1.1 302 Found\r\nLocation: /there\r\nContent-Length: 0\r\n\r\n".to_vec(),
        ),
        _ => answer(500, "oops"),
    })
    .await;
    let services = services();
    for expected in ["302", "500"] {
        let got = read(step(json!({"url": server.url})), "vars.x.status", &services).await;
        assert_eq!(got.unwrap(), expected);
    }
    assert_eq!(server.asked().len(), 2);
}

#[tokio::test]
async fn metadata_addresses_can_be_allowed() {
    let services = services();
    services.guard.set_open(true);
    let request = step(json!({"url": "http://169.254.0.1:1/x", "timeout": "50ms"}));
    // Whether somebody is there is the network's matter.
    if let Err(refusal) = run(&[request], &mut exchange(&[]), &services).await {
        let text = refusal.detail.unwrap();
        assert!(!text.contains("not allowed"), "{text}");
    }
}

#[tokio::test]
async fn a_url_that_is_rendered_wrongly_is_a_fault() {
    let services = services();
    for url in [
        "${request.host}/x",
        "ftp://${request.host}/",
        "http://u:p@${request.host}/",
    ] {
        let refusal =
            refused(run(&[step(json!({"url": url}))], &mut exchange(&[]), &services).await);
        assert_eq!(
            (refusal.status, refusal.reason),
            (500, Reason::ExpressionFailed),
            "{url}"
        );
    }
}

#[tokio::test]
async fn it_is_sent_again_as_the_policy_says() {
    let retry = |fields: Value| {
        let mut retry = json!({"count": 3, "interval": "1ms"});
        retry
            .as_object_mut()
            .unwrap()
            .extend(fields.as_object().unwrap().clone());
        retry
    };
    for (name, retry, statuses, expected) in [
        (
            "until it works",
            retry(json!({})),
            &[503, 429, 200][..],
            "200",
        ),
        ("not for a no", retry(json!({})), &[403, 200], "403"),
        (
            "as often as allowed",
            retry(json!({"maxInterval": "2ms"})),
            &[502, 502, 502, 504, 200],
            "504",
        ),
        (
            "a condition",
            retry(json!({"when": "vars.x.json.state == 'pending'"})),
            &[202, 202, 200],
            "200",
        ),
        (
            "a condition that does not hold",
            retry(json!({"when": "vars.x == null"})),
            &[503, 200],
            "503",
        ),
    ] {
        let list = statuses.to_vec();
        let server = Server::start(move |number, _| {
            let status = list[(number - 1).min(list.len() - 1)];
            let state = if status == 202 { "pending" } else { "done" };
            answer(status, &format!("{{\"state\": \"{state}\"}}"))
        })
        .await;
        let services = services();
        let request = step(json!({"url": server.url, "retry": retry}));
        let got = read(request, "vars.x.status", &services).await.unwrap();
        assert_eq!(got, expected, "{name}");
        let last = statuses
            .iter()
            .position(|status| status.to_string() == expected)
            .unwrap();
        assert_eq!(server.asked().len(), last + 1, "{name}");
    }
}

#[tokio::test]
async fn an_answer_is_kept_for_those_with_the_same_key() {
    let server = Server::start(|number, asked| match asked.target() {
        "/bad" => answer(403, &format!("{number}")),
        _ => answer(200, &format!("{number}")),
    })
    .await;
    let services = services();
    let request = |path: &str, key: &str| {
        step(json!({"url": format!("{}{path}", server.url), "cache": {"key": key, "for": "60s"}}))
    };
    let mut seen = Vec::new();
    for (path, key) in [
        ("/", "'a'"),
        ("/", "'a'"),
        ("/", "'b'"),
        ("/", "'b'"),
        ("/other", "'a'"),
        ("/", "'a'"),
    ] {
        seen.push(
            read(request(path, key), "vars.x.text", &services)
                .await
                .unwrap(),
        );
    }
    assert_eq!(seen, ["1", "1", "2", "2", "3", "1"]);
    for expected in ["4", "5"] {
        let got = read(request("/bad", "'a'"), "vars.x.text", &services)
            .await
            .unwrap();
        assert_eq!(got, expected, "a refusal is not kept");
    }
}

#[tokio::test]
async fn those_who_wait_share_one_request_its_failure_included() {
    for (path, timeout, expected) in [
        ("/works", "20s", Ok("1".to_owned())),
        ("/silent", "500ms", Err(504)),
    ] {
        let server = Server::start(|number, asked| match asked.target() {
            "/silent" => Answer::Silence,
            _ => answer(200, &format!("{number}")),
        })
        .await;
        let services = services();
        let one = || {
            let request = step(json!({
                "url": format!("{}{path}", server.url), "timeout": timeout,
                "cache": {"key": "'k'", "for": "60s"},
            }));
            read(request, "vars.x.text", &services)
        };
        let all = futures::future::join_all((0..50).map(|_| one())).await;
        for got in all {
            assert_eq!(got.map_err(|refusal| refusal.status), expected, "{path}");
        }
        assert_eq!(server.asked().len(), 1, "{path}");
    }
}

#[tokio::test]
async fn who_leaves_does_not_take_the_others_answer_away() {
    let server = Server::start(|number, _| match number {
        1 => Answer::Silence,
        _ => answer(200, "late"),
    })
    .await;
    let services = services();
    let request = || step(json!({"url": server.url, "cache": {"key": "1", "for": "60s"}}));
    let mut first = Box::pin(read(request(), "vars.x.text", &services));
    let asked = async {
        while server.asked().is_empty() {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        _ = &mut first => panic!("it cannot be answered"),
        () = asked => drop(first),
    }
    assert_eq!(
        read(request(), "vars.x.text", &services).await.unwrap(),
        "late"
    );
}

#[tokio::test]
async fn a_handshake_waits_no_longer_than_it_may() {
    let server = Server::start(|_, _| Answer::Silence).await;
    let services = services();
    let slow = step(json!({"url": server.url, "ignoreError": true, "retry": {"count": 50}}));
    let mut exchange = exchange(&[]);
    exchange.evaluation.deadline = Some(Instant::now() + std::time::Duration::from_millis(50));
    let refusal = refused(run(&[slow], &mut exchange, &services).await);
    assert_eq!(
        (refusal.status, refusal.reason),
        (504, Reason::HandshakeDeadline)
    );
    assert_eq!(refusal.message, "Handshake took too long");
    assert_eq!(refusal.step.as_deref(), Some("api.inbound[0]"));
}

#[tokio::test]
async fn outbound_and_on_error_ask_too() {
    let server = Server::start(|number, _| answer(200, &format!("{number}"))).await;
    let services = services();
    let shown = json!({"setHeader": {"name": "x-out", "values": ["${vars.x.text}"]}});
    let steps = [step(json!({"url": server.url})), shown];
    let on = json!({"outbound": steps, "onError": steps});
    let pipeline = pipeline(on, &SecretData::default(), &services);
    let mut good = exchange(&[]);
    let backend = crate::policy::tests::answer(101);
    pipeline
        .outbound(&mut good, &backend, &services)
        .await
        .unwrap();
    let mut headers = http::HeaderMap::new();
    good.answer.apply(&mut headers);
    assert_eq!(headers["x-out"], "1");
    let refusal = Refusal::new(401, Reason::TokenMissing, Origin::Policy, "no");
    let refusal = pipeline
        .on_error(&mut exchange(&[]), refusal, &services)
        .await;
    assert_eq!(refusal.headers[0].1, "2");
}

#[tokio::test]
async fn a_token_is_fetched_once_and_dropped_when_it_is_not_accepted() {
    let server = Server::start(|number, asked| match asked.target() {
        "/token" => answer(
            200,
            &format!(r#"{{"access_token": "t{number}", "expires_in": 3600}}"#),
        ),
        "/no" => answer(401, "{}"),
        _ => answer(200, "{}"),
    })
    .await;
    let services = services();
    let request = |path: &str| {
        step(
            json!({"url": format!("{}{path}", server.url), "auth": {"oauth2": {
                "tokenUrl": format!("{}/token", server.url), "clientId": "a&b",
                "secretRef": {"name": "idp", "key": "secret"}, "scopes": ["read", "write"],
            }}}),
        )
    };
    // Sources live as long as a compiled policy holds them.
    let secrets = secret_data(&[("idp", "secret", b"s3cret-of-the-client\n")]);
    let steps = json!({"inbound": [request("/a"), request("/b"), request("/no"), request("/c")]});
    let pipeline = pipeline(steps, &secrets, &services);
    pipeline
        .inbound(&mut exchange(&[]), &services)
        .await
        .unwrap();
    let asked = server.asked();
    let seen: Vec<_> = asked
        .iter()
        .map(|asked| {
            let token = asked
                .head
                .lines()
                .find_map(|line| line.strip_prefix("authorization: "));
            (asked.target(), token)
        })
        .collect();
    assert_eq!(
        seen,
        [
            ("/token", None),
            ("/a", Some("bearer t1")),
            ("/b", Some("bearer t1")),
            ("/no", Some("bearer t1")),
            ("/token", None),
            ("/c", Some("bearer t5")),
        ]
    );
    let form = "grant_type=client_credentials&client_id=a%26b&client_secret=s3cret-of-the-client&scope=read+write";
    assert_eq!(asked[0].body, form);
}

#[test]
fn what_cannot_work_is_refused_at_once() {
    for (policy, expected) in [
        (
            json!({"url": "http://a", "headers": [{"name": "Host", "value": "b"}]}),
            "sendRequest.headers[0].name: ",
        ),
        (json!({"url": "http://${clinet.ip}"}), "sendRequest.url: "),
        (
            json!({"url": "http://a", "retry": {"count": 1, "when": "1"}}),
            "sendRequest.retry.when: ",
        ),
        (
            json!({"url": "http://a", "tls": {"caRefs": [{"kind": "Secret", "name": "s"}]}}),
            "sendRequest.tls: caRefs: ",
        ),
        (
            json!({"url": "http://a", "auth": {"clientCertificate": {"name": "s"}}}),
            "clientCertificateRef: ",
        ),
        (
            json!({"url": "http://a", "auth": {"oauth2": {"tokenUrl": "http://t", "clientId": "c",
            "secretRef": {"name": "s", "key": "k"}}}}),
            "sendRequest.auth.oauth2.secretRef: the Secret s has no key k",
        ),
    ] {
        let error = compile_error(step(policy));
        assert!(error.contains(expected), "{error}");
    }
}
