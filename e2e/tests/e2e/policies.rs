//! Each policy, seen by a backend that records what reaches it.

#[path = "policies/fragment.rs"]
mod fragment;
#[path = "policies/identity.rs"]
mod identity;
#[path = "policies/tell.rs"]
mod tell;

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use tidegate_e2e::client::Request;
use tidegate_e2e::token::{IdentityProvider, Signer};
use tidegate_e2e::wait::{PATIENCE, eventually};

use crate::stage::{EchoStage, echo_stage};

/// Where the stories are.
const STORIES: [&str; 5] = [
    include_str!("policies.rs"),
    include_str!("calls.rs"),
    include_str!("policies/fragment.rs"),
    include_str!("policies/identity.rs"),
    include_str!("policies/tell.rs"),
];

impl EchoStage {
    /// Gives the API these policies, and waits until they are in force.
    pub(crate) async fn policies(&self, on_handshake: Value) -> anyhow::Result<()> {
        self.patch("WebSocketApi", "api", &json!({"onHandshake": on_handshake}))
            .await
    }

    pub(crate) async fn in_force(&self, steps: Value) -> anyhow::Result<()> {
        // A merge patch replaces lists as a whole.
        self.policies(json!({ "inbound": steps })).await
    }

    pub(crate) async fn patch(&self, kind: &str, name: &str, spec: &Value) -> anyhow::Result<()> {
        let object = format!("{}.tidegate.dev/{name}", kind.to_lowercase());
        let patch = json!({ "spec": spec });
        self.scene.kubectl().patch(&object, &patch).await?;
        self.scene.programmed(kind, name).await
    }

    pub(crate) fn request(&self, query: &str) -> Request {
        self.edge.request(&format!("/api{query}"))
    }

    /// A tunnel is opened; a header that the backend got.
    pub(crate) async fn backend_header(
        &self,
        request: Request,
        name: &str,
    ) -> anyhow::Result<Vec<String>> {
        request.open().await?.echo("in").await?;
        let head = self.echo.last_head()?;
        let values = head.all(name).into_iter().map(str::to_owned);
        Ok(values.collect())
    }
}

#[tokio::test]
async fn set_header_overrides_skips_appends_and_deletes() -> anyhow::Result<()> {
    let stage = echo_stage("set-header", "").await?;
    let cases: [(&str, Value, &[&str], &[&str]); 4] = [
        ("Override", json!(["new"]), &["new"], &["new"]),
        ("Skip", json!(["new"]), &["old"], &["new"]),
        ("Append", json!(["new"]), &["old", "new"], &["new"]),
        ("Delete", json!([]), &[], &[]),
    ];
    for (if_exists, values, with, without) in cases {
        let mut step = json!({"name": "X-Test", "ifExists": if_exists});
        if if_exists != "Delete" {
            step["values"] = values;
        }
        stage.in_force(json!([{ "setHeader": step }])).await?;
        let split = |values: Vec<String>| -> Vec<String> {
            let all = values.join(",");
            let parts = all.split(',').map(|part| part.trim().to_owned());
            parts.filter(|part| !part.is_empty()).collect()
        };
        let request = stage.request("").header("x-test", "old");
        let got = split(stage.backend_header(request, "x-test").await?);
        assert_eq!(got, with, "{if_exists}, the client sent it");
        let got = split(stage.backend_header(stage.request(""), "x-test").await?);
        assert_eq!(got, without, "{if_exists}, the client did not");
    }
    Ok(())
}

#[tokio::test]
async fn set_query_parameter_changes_one_and_leaves_the_rest_as_it_was() -> anyhow::Result<()> {
    let stage = echo_stage("set-query", "").await?;
    let cases = [
        (
            json!({"name": "a", "values": ["x y&z"]}),
            "/?b=%7e+1&a=x%20y%26z",
        ),
        (
            json!({"name": "a", "values": ["x"], "ifExists": "Skip"}),
            "/?a=1&b=%7e+1",
        ),
        (json!({"name": "b", "ifExists": "Delete"}), "/?a=1"),
    ];
    for (step, target) in cases {
        stage
            .in_force(json!([{ "setQueryParameter": step }]))
            .await?;
        stage.request("?a=1&b=%7e+1").open().await?;
        let got = stage.echo.last_head()?.target().to_owned();
        let sorted = |target: &str| {
            let query = target.trim_start_matches("/?").replace("%20", "+");
            let mut pairs: Vec<_> = query.split('&').map(str::to_owned).collect();
            pairs.sort();
            pairs
        };
        assert_eq!(sorted(&got), sorted(target), "{step}");
    }
    Ok(())
}

#[tokio::test]
async fn set_backend_sends_a_handshake_elsewhere() -> anyhow::Result<()> {
    let stage = echo_stage("set-backend", "").await?;
    let other = tidegate_e2e::backend::Echo::start().await?;
    let port = other.address().port();
    stage
        .in_force(json!([{
            "when": "request.query('room', '') != ''",
            "setBackend": {"url": format!("ws://127.0.0.1:{port}/rooms/${{request.query('room')}}")},
        }]))
        .await?;
    stage.request("?room=7").open().await?.echo("there").await?;
    assert_eq!(other.last_head()?.target(), "/rooms/7?room=7");
    stage.request("").open().await?.echo("here").await?;
    assert_eq!(stage.echo.heads().len(), 1);
    Ok(())
}

#[tokio::test]
async fn rewrite_path_asks_the_backend_for_another_one() -> anyhow::Result<()> {
    let stage = echo_stage("rewrite", "").await?;
    let cases = [
        (json!({"path": "/fixed"}), "/fixed?room=7"),
        (
            json!({"path": "/rooms/${request.query('room')}?a=b", "keepQuery": false}),
            "/rooms/7?a=b",
        ),
    ];
    for (step, target) in cases {
        stage.in_force(json!([{ "rewritePath": step }])).await?;
        stage.request("?room=7").open().await?.echo("in").await?;
        assert_eq!(stage.echo.last_head()?.target(), target, "{step}");
    }
    // A client may not climb out of the path by what it sends.
    stage.request("?room=..%2f..%2fadmin").send().await?;
    let target = stage.echo.last_head()?.target().to_owned();
    assert!(
        target.starts_with("/rooms/") && !target.contains("../"),
        "{target}"
    );
    Ok(())
}

#[tokio::test]
async fn set_status_changes_a_refusal() -> anyhow::Result<()> {
    let stage = echo_stage("set-status", "").await?;
    stage
        .policies(json!({
            "inbound": [{"checkHeader": {"name": "X-Ticket"}}],
            "onError": [{
                "when": "error.reason == 'header_not_found'",
                "setStatus": {"status": 402, "message": "buy a ticket, ${request.path}"},
            }],
        }))
        .await?;
    let refused = stage.request("").refused_with(402).await?;
    assert_eq!(refused.message()?, "buy a ticket, /api");
    stage.request("").header("x-ticket", "1").open().await?;
    Ok(())
}

#[test]
fn every_documented_policy_has_a_story() -> anyhow::Result<()> {
    let page = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/policies.md");
    let page = std::fs::read_to_string(page)?;
    let headings = page.lines().filter_map(|line| line.strip_prefix("## "));
    let policies: Vec<_> = headings.filter(|heading| !heading.contains(' ')).collect();
    assert!(policies.contains(&"validateJwt"), "{policies:?}");
    for policy in policies {
        let story = format!("\"{policy}\":");
        let used = STORIES.iter().any(|file| file.contains(&story));
        assert!(used, "no story uses {policy}");
    }
    Ok(())
}

#[tokio::test]
async fn log_writes_a_line_without_the_clients_credentials() -> anyhow::Result<()> {
    let stage = echo_stage("log", "").await?;
    stage
        .in_force(json!([{"id": "told", "log": {
            "message": "room ${request.query('room')}", "severity": "Warn",
            "fields": [{"name": "who", "value": "${request.header('Authorization')}"}],
        }}]))
        .await?;
    let request = stage.request("?room=blue");
    let request = request.header("authorization", "Bearer do-not-log-this");
    request.open().await?;
    eventually("the line of the step", PATIENCE, async || {
        let log = stage.edge.gateway.process.stdout();
        let lines = log
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok());
        let mut lines = lines.filter(|line: &Value| line["target"] == "tidegate::policy");
        let line = lines.next().with_context(|| log.clone())?;
        ensure!(
            line["message"] == "room blue" && line["step"] == "told",
            "{line}"
        );
        ensure!(line["level"] == "WARN", "{line}");
        ensure!(line["fields"] == r#"{"who":"Bearer ***"}"#, "{line}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn return_response_answers_instead_of_the_backend() -> anyhow::Result<()> {
    let stage = echo_stage("return", "").await?;
    stage
        .in_force(json!([
            {"setVariable": {"name": "who", "value": "request.query('who', 'nobody')"}},
            {
                "when": "vars.who == 'nobody'",
                "returnResponse": {"status": 403, "message": "${vars.who} is not ${'wel' + 'come'}"},
            },
            {
                "when": "vars.who == 'mover'",
                "returnResponse": {
                    "status": 307, "body": "gone",
                    "headers": [{"name": "Location", "value": "wss://${vars.who}.example/"}],
                },
            },
        ]))
        .await?;
    let refused = stage.request("").refused_with(403).await?;
    assert_eq!(refused.message()?, "nobody is not welcome");
    let moved = stage.request("?who=mover").refused_with(307).await?;
    assert_eq!(moved.header("location"), Some("wss://mover.example/"));
    assert_eq!(moved.body, "gone");
    stage.request("?who=alice").open().await?.echo("in").await?;
    assert_eq!(stage.echo.heads().len(), 1);
    Ok(())
}

#[tokio::test]
async fn check_header_lets_pass_who_has_it() -> anyhow::Result<()> {
    let stage = echo_stage("check-header", "").await?;
    stage
        .in_force(json!([{"checkHeader": {
            "name": "X-Team", "values": ["red", "blue"], "ignoreCase": true,
        }}]))
        .await?;
    let with = |value: &str| stage.request("").header("x-team", value);
    with("RED").open().await?;
    let missing = stage.request("").refused_with(403).await?;
    assert!(missing.message()?.contains("X-Team"), "{missing:?}");
    with("green").refused_with(403).await?;
    with("red")
        .header("x-team", "blue")
        .refused_with(403)
        .await?;
    stage
        .in_force(json!([{"checkHeader": {"name": "X-Team", "status": 401, "message": "who?"}}]))
        .await?;
    with("green").open().await?;
    let refused = stage.request("").refused_with(401).await?;
    assert_eq!(refused.message()?, "who?");
    Ok(())
}

#[tokio::test]
async fn ip_filter_decides_by_the_clients_address() -> anyhow::Result<()> {
    let stage = echo_stage("ip-filter", "").await?;
    let cases = [
        (json!({"allow": ["127.0.0.0/8"]}), 101),
        (json!({"allow": ["10.0.0.0/8", "192.168.1.1"]}), 403),
        (json!({"forbid": ["127.0.0.1-127.0.0.9"]}), 403),
        (json!({"forbid": ["2001:db8::/32"]}), 101),
    ];
    for (filter, status) in cases {
        stage.in_force(json!([{ "ipFilter": filter }])).await?;
        let got = stage.request("").send().await?.status();
        assert_eq!(got, status, "{filter}");
    }
    Ok(())
}

#[tokio::test]
async fn a_trusted_proxys_word_about_the_client_counts() -> anyhow::Result<()> {
    let stage = echo_stage("proxies", "").await?;
    let filter = json!([{"ipFilter": {"allow": ["203.0.113.7"]}}]);
    stage.in_force(filter).await?;
    let through = || stage.request("").header("x-forwarded-for", "203.0.113.7");
    through().refused_with(403).await?; // nobody trusts 127.0.0.1 yet
    let trusted = json!({"trustedProxies": ["127.0.0.0/8"]});
    stage.patch("Gateway", "edge", &trusted).await?;
    through().open().await?;
    stage.request("").refused_with(403).await?;
    Ok(())
}

#[tokio::test]
async fn rate_limit_counts_each_subscription_for_itself() -> anyhow::Result<()> {
    let stage = echo_stage("subscribed", "").await?;
    for name in ["ann", "ben"] {
        let subscription = json!({
            "apiVersion": "tidegate.dev/v1alpha1", "kind": "Subscription", "metadata": {"name": name},
            "spec": {"scope": {"api": "api"}},
        });
        stage.scene.apply(&subscription.to_string()).await?;
        stage.scene.programmed("Subscription", name).await?;
    }
    let limit = json!({
        "calls": 1, "period": "60s", "remainingHeader": "X-Remaining", "retryAfterVariable": "wait",
    });
    stage
        .policies(json!({
            "inbound": [{ "rateLimit": limit }],
            "onError": [{
                "when": "error.reason == 'rate_limit_exceeded'",
                "setHeader": {"name": "X-Wait", "values": ["${vars.wait}"]},
            }],
        }))
        .await?;
    for name in ["ann", "ben"] {
        let (key, _) = stage.scene.keys(name).await?;
        let request = || stage.request("").header("ocp-apim-subscription-key", &key);
        let client = request().open().await?;
        assert_eq!(client.header("x-remaining"), Some("0"), "{name}");
        let refused = request().refused_with(429).await?;
        assert_eq!(refused.header("x-wait"), refused.header("retry-after"));
    }
    stage.request("").open().await?;
    stage.request("").open().await?;
    Ok(())
}

#[tokio::test]
async fn rate_limit_by_key_counts_each_key_for_itself() -> anyhow::Result<()> {
    let stage = echo_stage("rate", "").await?;
    stage
        .in_force(json!([{"rateLimitByKey": {
            "key": "request.query('user', '')", "calls": 2, "period": "60s",
            "remainingHeader": "X-Remaining", "totalHeader": "X-Total",
        }}]))
        .await?;
    for remaining in ["1", "0"] {
        let client = stage.request("?user=a").open().await?;
        assert_eq!(client.header("x-remaining"), Some(remaining));
        assert_eq!(client.header("x-total"), Some("2"));
    }
    let refused = stage.request("?user=a").refused_with(429).await?;
    let seconds: u32 = refused.header("retry-after").unwrap_or("none").parse()?;
    assert!((1..=60).contains(&seconds), "{seconds}");
    let message = refused.message()?;
    assert_eq!(
        message,
        format!("Rate limit is exceeded. Try again in {seconds} seconds.")
    );
    stage.request("?user=b").open().await?;
    Ok(())
}

#[tokio::test]
async fn quota_counts_what_a_subscription_uses() -> anyhow::Result<()> {
    let stage = echo_stage("quota", "").await?;
    let subscription = json!({
        "apiVersion": "tidegate.dev/v1alpha1", "kind": "Subscription", "metadata": {"name": "ann"},
        "spec": {"scope": {"api": "api"}},
    });
    stage.scene.apply(&subscription.to_string()).await?;
    stage.scene.programmed("Subscription", "ann").await?;
    stage
        .in_force(json!([{"quota": {"calls": 1, "period": "0"}}]))
        .await?;
    let (key, _) = stage.scene.keys("ann").await?;
    let request = || stage.request("").header("ocp-apim-subscription-key", &key);
    request().open().await?;
    let refused = request().refused_with(403).await?;
    assert_eq!(refused.message()?, "Out of call volume quota.");
    assert_eq!(refused.header("retry-after"), None);
    stage.request("").open().await?;
    Ok(())
}

#[tokio::test]
async fn quota_by_key_closes_tunnels_that_relay_too_much() -> anyhow::Result<()> {
    let stage = echo_stage("bandwidth", "").await?;
    stage
        .in_force(json!([{"quotaByKey": {
            "key": "request.query('user', '')", "bandwidthKb": 1, "period": "87600h",
            "closeOnExceed": true,
        }}]))
        .await?;
    let mut client = stage.request("?user=a").open().await?;
    client.echo(&"x".repeat(600)).await?;
    let (code, reason) = client.closed().await?;
    assert_eq!(code, 1008, "{reason}");
    let refused = stage.request("?user=a").refused_with(403).await?;
    let message = refused.message()?;
    let text = "Out of bandwidth quota. Quota will be replenished in ";
    assert!(message.starts_with(text), "{message}");
    stage.request("?user=b").open().await?;
    Ok(())
}

#[tokio::test]
async fn limit_connections_counts_live_tunnels_by_key() -> anyhow::Result<()> {
    let stage = echo_stage("live", "").await?;
    stage
        .in_force(json!([{"limitConnections": {"key": "request.query('user', '')", "max": 1}}]))
        .await?;
    let first = stage.request("?user=a").open().await?;
    let refused = stage.request("?user=a").refused_with(429).await?;
    assert_eq!(refused.header("retry-after"), Some("5"));
    assert_eq!(refused.message()?, "Too many connections for this key");
    let _other = stage.request("?user=b").open().await?;
    drop(first);
    eventually("the place of the lost tunnel", PATIENCE, async || {
        stage.request("?user=a").open().await.map(drop)
    })
    .await
}

#[tokio::test]
async fn validate_jwt_with_a_shared_secret() -> anyhow::Result<()> {
    let stage = echo_stage("jwt", "").await?;
    let secret = "a secret of the test, 32 bytes or more";
    let object = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "jwt"},
        "stringData": {"hmac": secret},
    });
    stage.scene.apply(&object.to_string()).await?;
    stage
        .in_force(json!([
            {"validateJwt": {
                "requireScheme": "Bearer", "issuers": ["https://issuer.example"], "audiences": ["sea"],
                "keys": [{"secretKeyRef": {"name": "jwt", "key": "hmac"}}],
                "requiredClaims": [{"name": "scope", "values": ["read"], "separator": " "}],
            }},
            {"setHeader": {"name": "X-User", "values": ["${jwt.claims.sub}"]}},
        ]))
        .await?;
    let claims = json!({
        "iss": "https://issuer.example", "aud": "sea", "sub": "alice", "scope": "read write",
    });
    let with = |token: &str| stage.request("").header("authorization", token);
    let signer = Signer::hs256(secret);
    let good = format!("Bearer {}", signer.token(600, &claims)?);
    assert_eq!(
        stage.backend_header(with(&good), "x-user").await?,
        ["alice"]
    );
    assert_eq!(
        stage.echo.last_head()?.get("authorization"),
        None,
        "stripped"
    );

    let changed = |name: &str, value: &str| {
        let mut claims = claims.clone();
        claims[name] = json!(value);
        anyhow::Ok(format!("Bearer {}", signer.token(600, &claims)?))
    };
    let wrong_key = Signer::hs256("another secret, also of 32 bytes or more");
    let cases = [
        ("expired", format!("Bearer {}", signer.token(-60, &claims)?)),
        ("wrong issuer", changed("iss", "https://other.example")?),
        ("wrong audience", changed("aud", "land")?),
        ("wrong scope", changed("scope", "write")?),
        (
            "wrong key",
            format!("Bearer {}", wrong_key.token(600, &claims)?),
        ),
        ("wrong scheme", good.replace("Bearer", "Basic")),
        ("no token", "Bearer nonsense".to_owned()),
    ];
    for (case, token) in cases {
        let refused = with(&token).refused_with(401).await?;
        assert!(!refused.message()?.is_empty(), "{case}");
    }
    let missing = stage.request("").refused_with(401).await?;
    assert_eq!(missing.message()?, "JWT not present.");
    Ok(())
}

#[tokio::test]
async fn validate_jwt_with_public_keys() -> anyhow::Result<()> {
    let stage = echo_stage("jwt-public", "").await?;
    let (elliptic, rsa) = (Signer::es256("elliptic")?, Signer::rs256("rsa")?);
    let object = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "public"},
        "stringData": {"ec": elliptic.public_pem(), "rsa": rsa.public_pem()},
    });
    stage.scene.apply(&object.to_string()).await?;
    let key = |key: &str| json!({"secretKeyRef": {"name": "public", "key": key}});
    stage
        .in_force(json!([{"validateJwt": {"query": "token", "keys": [key("ec"), key("rsa")]}}]))
        .await?;
    for signer in [&elliptic, &rsa] {
        let token = signer.token(600, &json!({}))?;
        let query = format!("?keep=1&token={token}");
        stage.request(&query).open().await?;
        assert_eq!(stage.echo.last_head()?.target(), "/?keep=1", "stripped");
    }
    let stranger = Signer::es256("stranger")?.token(600, &json!({}))?;
    stage
        .request(&format!("?token={stranger}"))
        .refused_with(401)
        .await?;
    Ok(())
}

#[tokio::test]
async fn validate_jwt_with_an_identity_provider() -> anyhow::Result<()> {
    let stage = echo_stage("oidc", "").await?;
    let signers = [Signer::es256("elliptic")?, Signer::rs256("rsa")?];
    let provider = IdentityProvider::start(&signers).await?;
    stage
        .in_force(json!([{"validateJwt": {
            "query": "token", "openidConfig": [provider.discovery()],
        }}]))
        .await?;
    let request = |token: String| stage.request(&format!("?token={token}"));
    let claims = json!({"iss": provider.issuer()});
    for _ in 0..3 {
        for signer in &signers {
            request(signer.token(600, &claims)?).open().await?;
        }
    }
    assert_eq!(provider.key_fetches(), 1, "the key set is cached");
    let other = json!({"iss": "https://other.example"});
    request(signers[0].token(600, &other)?)
        .refused_with(401)
        .await?;
    let forged = Signer::es256("elliptic")?.token(600, &claims)?;
    request(forged).refused_with(401).await?;
    Ok(())
}

/// Steps that leave a trace of where they ran.
fn trace(word: &str) -> Value {
    json!({"setHeader": {"name": "X-Trace", "values": [word], "ifExists": "Append"}})
}

#[tokio::test]
async fn scopes_run_from_wide_to_narrow_and_base_says_where() -> anyhow::Result<()> {
    let stage = echo_stage("scopes", "").await?;
    let product = json!({
        "apiVersion": "tidegate.dev/v1alpha1", "kind": "Product", "metadata": {"name": "open"},
        "spec": {
            "apis": [{"name": "api"}], "subscriptionRequired": false,
            "onHandshake": {"inbound": [trace("product")]},
        },
    });
    stage.scene.apply(&product.to_string()).await?;
    let global = json!({"onHandshake": {"inbound": [trace("gateway")]}});
    stage.patch("Gateway", "edge", &global).await?;
    stage.scene.programmed("Product", "open").await?;
    let skipped = {
        let mut step = trace("skipped");
        step["when"] = json!("request.path != '/api'");
        step
    };
    let cases = [
        (
            "no base: the wider scopes first",
            json!({"inbound": [trace("api")]}),
            "gateway, product, api",
        ),
        (
            "base in between",
            json!({"inbound": [trace("before"), {"base": {}}, skipped, trace("after")]}),
            "before, gateway, product, after",
        ),
        (
            "cut off",
            json!({"inherit": false, "inbound": [trace("alone")]}),
            "alone",
        ),
    ];
    for (case, policies, expected) in cases {
        let mut policies = policies;
        // A merge patch would leave the case before's in place.
        if policies.get("inherit").is_none() {
            policies["inherit"] = json!(true);
        }
        stage.policies(policies).await?;
        let got = stage.backend_header(stage.request(""), "x-trace").await?;
        let got = got.join(", ").replace(',', ", ").replace("  ", " ");
        assert_eq!(got, expected, "{case}");
    }
    Ok(())
}

#[tokio::test]
async fn outbound_and_on_error_shape_the_clients_answer() -> anyhow::Result<()> {
    let stage = echo_stage("outbound", "").await?;
    stage
        .policies(json!({
            "inbound": [{
                "when": "request.query('fail', '') != ''",
                "checkHeader": {"name": "X-Never"},
            }],
            "outbound": [
                {"setHeader": {"name": "X-Out", "values": ["${string(response.status)}"]}},
            ],
            "onError": [
                {"setHeader": {"name": "X-Reason", "values": ["${error.reason}"]}},
                {
                    "when": "request.query('fail') == 'replace'",
                    "returnResponse": {"status": 418, "message": "a teapot instead"},
                },
            ],
        }))
        .await?;
    let client = stage.request("").open().await?;
    assert_eq!(client.header("x-out"), Some("101"));
    assert_eq!(client.header("x-reason"), None);
    let refused = stage.request("?fail=plain").refused_with(403).await?;
    assert!(
        refused.header("x-reason").is_some_and(|r| !r.is_empty()),
        "{refused:?}"
    );
    assert_eq!(refused.header("x-out"), None);
    let replaced = stage.request("?fail=replace").refused_with(418).await?;
    assert_eq!(replaced.message()?, "a teapot instead");
    Ok(())
}

#[tokio::test]
async fn an_expression_that_fails_refuses_with_500() -> anyhow::Result<()> {
    let stage = echo_stage("fault", "").await?;
    stage
        .in_force(
            json!([{"setVariable": {"name": "n", "value": "1 / int(request.query('by', '1'))"}}]),
        )
        .await?;
    stage.request("?by=2").open().await?;
    let refused = stage.request("?by=0").refused_with(500).await?;
    let message = refused.message()?;
    assert!(
        !message.contains("request.query"),
        "the client learns no internals: {message}"
    );
    Ok(())
}

#[tokio::test]
async fn named_values_are_read_from_the_narrowest_scope() -> anyhow::Result<()> {
    let stage = echo_stage("values", "").await?;
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "vault"},
        "stringData": {"password": "tell nobody"},
    });
    stage.scene.apply(&secret.to_string()).await?;
    let global = json!({"values": [
        {"name": "sea", "value": "north"}, {"name": "ship", "value": "ketch"},
    ]});
    stage.patch("Gateway", "edge", &global).await?;
    let api = json!({
        "values": [
            {"name": "sea", "value": "baltic"},
            {"name": "password", "secretKeyRef": {"name": "vault", "key": "password"}},
        ],
        "onHandshake": {"inbound": [{"setHeader": {
            "name": "X-Values",
            "values": ["${values.sea}/${values.ship}/${values.password}"],
        }}]},
    });
    stage.patch("WebSocketApi", "api", &api).await?;
    let got = stage.backend_header(stage.request(""), "x-values").await?;
    assert_eq!(got, ["baltic/ketch/tell nobody"]);
    for map in stage.scene.namespace().list("ConfigMap").await? {
        let text = map.to_string();
        assert!(
            !text.contains("tell nobody"),
            "a secret in a ConfigMap: {text}"
        );
    }
    Ok(())
}
