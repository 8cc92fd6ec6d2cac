//! Every reason of `docs/errors.md`: its status, its body, its log line, its metric.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use tidegate_e2e::backend::{Backend, Echo};
use tidegate_e2e::http::{HttpServer, Response};
use tidegate_e2e::scene::{Scene, Served};
use tidegate_e2e::tls::Authority;
use tidegate_e2e::token::Signer;
use tidegate_e2e::upgrade::Upgrade;
use tidegate_e2e::wait::{WAIT_TIMEOUT, eventually};
use tidegate_wire::Wire;

/// Provoked by stories of their own, or by nothing that a process can be made to do on purpose.
const ELSEWHERE: [&str; 24] = [
    "backend_head_too_large", // these two: backends of their own, in the gateway's own tests
    "loop_detected",
    "scheme_not_allowed", // the operator attaches an API only to listeners that speak its schemes
    "misdirected",        // two TLS listeners on one port: the gateway's own tests
    "proxy_header_invalid", // not answered
    "tls_failed",         // not answered
    "client_gone",        // nobody is there to see the answer
    "cut_off",            // not answered
    "client_certificate_not_yet_valid", // these four: TLS with certificates, in stories of their own
    "client_certificate_expired",
    "client_certificate_not_trusted",
    "client_certificate_not_allowed",
    "credentials_unchecked", // more passwords at once than a test should ask for
    "counters_unavailable",  // a store that all pods share: the gateway's own tests
    "quota_exceeded",        // counted over time: the gateway's own tests
    "backend_circuit_open",  // a backend that keeps failing: the gateway's own tests
    "request_failed",        // these: stories of the policies that ask others
    "request_timeout",
    "backend_auth_failed",
    "handshake_deadline",
    "draining",          // a race between a handshake and the end of its listener
    "handshake_timeout", // these three: gateways of their own, below
    "handshake_rate_exceeded",
    "gateway_full",
];

struct Case {
    reason: &'static str,
    status: u16,
    request: Vec<u8>,
}

fn case(reason: &'static str, status: u16, request: Upgrade) -> Case {
    Case {
        reason,
        status,
        request: request.bytes(),
    }
}

const SECRET: &str = "a secret of the test, 32 bytes or more";

/// What the APIs of the table have in front of which backend.
struct Backends {
    echo: Echo,
    silent: Backend,
    page: HttpServer,
    untrusted: Echo,
}

impl Backends {
    async fn start() -> anyhow::Result<Self> {
        let authority = Authority::new("nobody trusts it")?;
        Ok(Self {
            echo: Echo::start().await?,
            silent: Backend::start().await?,
            page: HttpServer::start(|_, request| match request.head.target() {
                "/page" => Response::html("no WebSocket here"),
                _ => Response::not_found(),
            })
            .await?,
            untrusted: Echo::start_tls(authority.issue(&["localhost"])?.server()?).await?,
        })
    }

    /// Name and spec of each API.
    fn apis(&self) -> Vec<(&'static str, Value)> {
        [checking(), self.failing()].concat()
    }

    /// APIs whose backends, or whose authorizer, fail.
    fn failing(&self) -> Vec<(&'static str, Value)> {
        let at = |url: String| json!({"backend": {"url": url}});
        let untrusted = self.untrusted.address().port();
        let page = self.page.address();
        let mut silent = at(format!("ws://{}/", self.silent.address()));
        silent["timeouts"] = json!({"backendHandshake": "1s"});
        let mut no_proxy = at("ws://chat.invalid/".to_owned());
        no_proxy["backend"]["proxy"] = json!({"url": "http://127.0.0.1:1"});
        vec![
            ("nobody", at("ws://127.0.0.1:1/".to_owned())),
            ("no-proxy", no_proxy),
            ("untrusted", at(format!("wss://localhost:{untrusted}/"))),
            ("silent", silent),
            ("page", at(format!("ws://{page}/page"))),
            ("refusing", at(format!("ws://{page}/nothing"))),
            ("asked", {
                let step = json!({"externalAuth": {"url": format!("http://{page}/nothing")}});
                json!({"onHandshake": {"inbound": [step]}})
            }),
        ]
    }

    fn manifest(&self, name: &str, spec: &Value) -> anyhow::Result<String> {
        let mut full = json!({
            "gateways": [{"name": "edge"}], "path": format!("/{name}"),
            "backend": {"url": self.echo.url()}, "subscriptionRequired": false,
        });
        let fields = spec.as_object().context("a spec is an object")?;
        for (field, value) in fields {
            full[field] = value.clone();
        }
        Ok(json!({
            "apiVersion": "tidegate.dev/v1alpha1", "kind": "WebSocketApi",
            "metadata": {"name": name}, "spec": full,
        })
        .to_string())
    }
}

/// APIs that check something.
fn checking() -> Vec<(&'static str, Value)> {
    let policy = |step: Value| json!({"onHandshake": {"inbound": [step]}});
    let jwt = json!({
        "issuers": ["issuer"], "audiences": ["audience"], "allowedClients": ["client"],
        "keys": [{"secretKeyRef": {"name": "jwt", "key": "hmac"}}],
        "requiredClaims": [{"name": "role", "values": ["captain"]}],
    });
    let limit = json!({"key": "'all'", "calls": 1, "period": "60s"});
    vec![
        ("plain", json!({})),
        (
            "origins",
            json!({"allowedOrigins": ["https://good.example"]}),
        ),
        ("chat", json!({"subprotocols": ["chat"]})),
        ("keyed", json!({"subscriptionRequired": true})),
        ("jwt", policy(json!({ "validateJwt": jwt }))),
        (
            "certificate",
            policy(json!({"validateClientCertificate": {}})),
        ),
        (
            "basic",
            policy(json!({"basicAuth": {"usersSecretRef": {"name": "jwt", "key": "users"}}})),
        ),
        (
            "no-keys",
            policy(json!({"validateJwt": {"jwks": ["http://127.0.0.1:1/"]}})),
        ),
        (
            "header",
            policy(json!({"checkHeader": {"name": "X-A", "values": ["1"]}})),
        ),
        (
            "allow",
            policy(json!({"ipFilter": {"allow": ["192.0.2.1"]}})),
        ),
        (
            "forbid",
            policy(json!({"ipFilter": {"forbid": ["127.0.0.1"]}})),
        ),
        ("rate", policy(json!({ "rateLimitByKey": limit }))),
        ("single", json!({"limits": {"maxConnections": 1}})),
        (
            "broken",
            policy(json!({"setVariable": {"name": "a", "value": "1 +"}})),
        ),
        (
            "return",
            policy(json!({"returnResponse": {"status": 418, "message": "teapot"}})),
        ),
        (
            "fault",
            policy(json!({"setVariable": {"name": "a", "value": "1 / int('0')"}})),
        ),
        (
            "climbing",
            policy(json!({"rewritePath": {"path": "/rooms/${request.query('room', '')}"}})),
        ),
    ]
}

/// Requests that are wrong by themselves, whatever the API.
fn malformed(host: &str) -> Vec<Case> {
    let to = |target: &str| Upgrade::new(host, target);
    let version = to("/plain").without("Sec-WebSocket-Version");
    vec![
        case("invalid_request", 400, to("/plain").and("Host", "other")),
        case("invalid_upgrade", 400, to("/plain").without("Upgrade")),
        case(
            "unsupported_version",
            426,
            version.and("Sec-WebSocket-Version", "7"),
        ),
        case(
            "head_too_large",
            431,
            to("/plain").and("X-Big", &"x".repeat(3000)),
        ),
        case(
            "url_too_long",
            414,
            to(&format!("/plain?{}", "x".repeat(1500))),
        ),
        case("route_not_found", 404, to("/nowhere")),
    ]
}

/// Requests that an API refuses.
fn refused(host: &str) -> Vec<Case> {
    let to = |api: &str| Upgrade::new(host, &format!("/{api}"));
    let key = "Ocp-Apim-Subscription-Key";
    vec![
        case(
            "origin_not_allowed",
            403,
            to("origins").and("Origin", "https://evil.example"),
        ),
        case(
            "subprotocol_not_allowed",
            400,
            to("chat").and("Sec-WebSocket-Protocol", "x"),
        ),
        case("subscription_key_missing", 401, to("keyed")),
        case(
            "subscription_key_invalid",
            401,
            to("keyed").and(key, "no such key at all"),
        ),
        case("client_certificate_missing", 403, to("certificate")),
        case("credentials_missing", 401, to("basic")),
        case(
            "credentials_invalid",
            401,
            to("basic").and("Authorization", "Basic Ym9iOmd1ZXNz"),
        ),
        case("header_not_found", 403, to("header")),
        case(
            "header_value_not_allowed",
            403,
            to("header").and("X-A", "2"),
        ),
        case("caller_ip_not_allowed", 403, to("allow")),
        case("caller_ip_blocked", 403, to("forbid")),
        case("external_auth_refused", 404, to("asked")),
        case("rate_limit_exceeded", 429, to("rate")),
        case("connection_limit", 503, to("single")),
        case("blocked", 503, to("broken")),
        case("return_response", 418, to("return")),
        case("expression_failed", 500, to("fault")),
        case("url_not_safe", 500, to("climbing?room=..")),
        case("backend_connect_failed", 502, to("nobody")),
        case("backend_proxy_failed", 502, to("no-proxy")),
        case("backend_tls_failed", 502, to("untrusted")),
        case("backend_timeout", 504, to("silent")),
        case("backend_invalid_handshake", 502, to("page")),
        case("backend_refused", 404, to("refusing")),
    ]
}

/// Tokens that `validateJwt` refuses, and why.
fn tokens(host: &str) -> anyhow::Result<Vec<Case>> {
    let signer = Signer::hs256(SECRET);
    let good = json!({
        "iss": "issuer", "aud": "audience", "azp": "client", "role": "captain",
    });
    let with = |name: &str, value: Value| {
        let mut claims = good.clone();
        claims[name] = value;
        signer.token(600, &claims)
    };
    let mut no_role = good.clone();
    no_role["role"].take();
    if let Some(claims) = no_role.as_object_mut() {
        claims.remove("role");
    }
    let later = jiff::Timestamp::now().as_second() + 600;
    let stranger = Signer::hs256("another secret, also of 32 bytes or more");
    let tokens = [
        ("token_missing", String::new()),
        ("token_invalid", "nonsense".to_owned()),
        ("token_expired", signer.token(-60, &good)?),
        ("token_not_yet_valid", with("nbf", json!(later))?),
        ("token_signature_invalid", stranger.token(600, &good)?),
        ("token_issuer_not_allowed", with("iss", json!("other"))?),
        ("token_audience_not_allowed", with("aud", json!("other"))?),
        ("token_client_not_allowed", with("azp", json!("other"))?),
        ("token_claim_missing", signer.token(600, &no_role)?),
        ("token_claim_not_allowed", with("role", json!("stowaway"))?),
    ];
    let mut cases = Vec::new();
    for (reason, token) in tokens {
        let authorization = format!("Bearer {token}");
        let mut request = Upgrade::new(host, "/jwt");
        if !token.is_empty() {
            request = request.and("Authorization", &authorization);
        }
        cases.push(case(reason, 401, request));
    }
    let verifiable = Signer::es256("key")?.token(600, &good)?;
    let authorization = format!("Bearer {verifiable}");
    let request = Upgrade::new(host, "/no-keys").and("Authorization", &authorization);
    cases.push(case("keys_unavailable", 503, request));
    Ok(cases)
}

async fn provoke(edge: &Served, case: &Case) -> anyhow::Result<()> {
    let mut client = Wire::connect(edge.address(), None).await?;
    client.send(&case.request).await?;
    let (head, body) = client.answer().await?;
    ensure!(head.status() == case.status, "{head:?} {body}");
    if case.reason != "backend_refused" {
        let kind = head.get("content-type");
        ensure!(kind == Some("application/json"), "{head:?}");
        let body: Value = serde_json::from_str(&body)?;
        ensure!(body["statusCode"] == case.status, "{body}");
        let message = body["message"].as_str().unwrap_or_default();
        ensure!(!message.is_empty(), "{body}");
    }
    client.end().await?;
    let labels = [("reason", case.reason)];
    let counted = edge.gateway.metrics().await?;
    counted.value("tidegate_handshakes_total", &labels)?;
    logged(edge, case).await
}

async fn logged(edge: &Served, case: &Case) -> anyhow::Result<()> {
    eventually("a line in the access log", WAIT_TIMEOUT, async || {
        let log = edge.gateway.process.stdout();
        let records = log
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok());
        let mut records = records.filter(|record: &Value| record["event"] == "handshake");
        let found = records
            .any(|record| record["reason"] == case.reason && record["status"] == case.status);
        ensure!(found, "{log}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn every_reason_has_its_status_body_log_line_and_metric() -> anyhow::Result<()> {
    let scene = Scene::new("refusals").await?;
    let backends = Backends::start().await?;
    let limits = "  limits: {maxHeaderBytes: 2048, maxUrlBytes: 1024}";
    let edge = scene.gateway_with("edge", limits).await?;
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "jwt"},
        "stringData": {"hmac": SECRET, "users": "bob:{SHA}wA27ydrfvh4jLpOnKd1HUvreCr8="},
    });
    scene.apply(&secret.to_string()).await?;
    for (name, spec) in backends.apis() {
        scene.apply(&backends.manifest(name, &spec)?).await?;
    }
    for (name, _) in backends.apis() {
        let expected = if name == "broken" { "False" } else { "True" };
        let object = ("WebSocketApi", name);
        scene.condition(object, "Programmed", expected).await?;
    }
    edge.request("/rate").open().await?; // the only one allowed
    let _only = edge.request("/single").open().await?;

    let host = edge.host();
    let mut cases = malformed(&host);
    cases.extend(refused(&host));
    cases.extend(tokens(&host)?);
    for case in &cases {
        let provoked = provoke(&edge, case).await;
        provoked.with_context(|| case.reason)?;
    }
    let provoked = cases.iter().map(|case| case.reason);
    let known: BTreeSet<_> = provoked.chain(ELSEWHERE).collect();
    let documented = documented()?;
    let documented: BTreeSet<_> = documented.iter().map(String::as_str).collect();
    assert_eq!(known, documented, "docs/errors.md and this table");
    Ok(())
}

/// The reasons in the table of `docs/errors.md`.
fn documented() -> anyhow::Result<Vec<String>> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/errors.md");
    let page = fs::read_to_string(page)?;
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `"));
    let reasons = rows.filter_map(|row| row.split_once('`'));
    Ok(reasons.map(|(reason, _)| reason.to_owned()).collect())
}

#[tokio::test]
async fn a_full_or_hurried_gateway_says_when_to_come_back() -> anyhow::Result<()> {
    let scene = Scene::new("full").await?;
    let echo = Echo::start().await?;
    let full = scene
        .gateway_with("full", "  limits: {maxConnections: 1}")
        .await?;
    let hurried = "  limits: {maxHandshakesPerSecond: 1}";
    let hurried = scene.gateway_with("hurried", hurried).await?;
    scene.open_api(&full, "a", &echo.url(), "").await?;
    scene.open_api(&hurried, "b", &echo.url(), "").await?;

    let only = full.request("/a").open().await?;
    let refused = full.request("/a").refused_with(503).await?;
    assert!(refused.header("retry-after").is_some(), "{refused:?}");
    full.gateway
        .metric(
            "tidegate_handshakes_total",
            &[("reason", "gateway_full")],
            1.0,
        )
        .await?;
    drop(only);
    full.answers("/a", 101).await?;

    eventually(
        "more handshakes than one a second",
        WAIT_TIMEOUT,
        async || {
            let refused = hurried.request("/b").refused_with(503).await?;
            ensure!(refused.header("retry-after").is_some(), "{refused:?}");
            Ok(())
        },
    )
    .await
}

#[tokio::test]
async fn who_never_ends_its_head_is_not_waited_for() -> anyhow::Result<()> {
    let scene = Scene::new("slow-head").await?;
    let edge = scene
        .gateway_with("edge", "  timeouts: {handshake: 1s}")
        .await?;
    let mut client = Wire::connect(edge.address(), None).await?;
    client.send("GET /api HTTP/1.1\r\nHost: x\r\n").await?;
    let (head, _) = client.answer().await?;
    assert_eq!(head.status(), 408);
    client.end().await
}
