//! Policies of API Management, imported and served: each decides as there, for handshakes that differ in one thing.

use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::ensure;
use serde_json::{Value, json};
use tidegate_e2e::backend::Echo;
use tidegate_e2e::client::{Outcome, Request};
use tidegate_e2e::http::{HttpServer, Response};
use tidegate_e2e::token::{IdentityProvider, Signer};

use crate::import::{Import, kind, kinds, resource};

/// What a handshake ends in: the header X-Seen at the backend, or else what it was asked for; or a status.
type Wanted = Result<&'static str, u16>;

/// A handshake: its target, its headers, and what it ends in.
type Handshake = (&'static str, Vec<(&'static str, String)>, Wanted);

fn guards() -> Vec<Handshake> {
    let plan = |plan: &str, more: &[&'static str]| {
        let more = more.iter().map(|name| (*name, "1".to_owned()));
        std::iter::once(("x-plan", plan.to_owned()))
            .chain(more)
            .collect()
    };
    vec![
        ("/guards", vec![], Err(403)),
        ("/guards", plan("free", &[]), Err(403)),
        ("/guards", plan("Gold", &[]), Ok("passed")),
        ("/guards", plan("silver", &["x-near"]), Ok("passed")),
        ("/guards", plan("gold", &["x-far"]), Err(403)),
        ("/guards", plan("gold", &["x-forbidden"]), Err(403)),
    ]
}

fn others() -> Vec<Handshake> {
    let room = |who: &str, room: &str| vec![("x-who", who.to_owned()), ("x-room", room.to_owned())];
    let who = |who: &str| vec![("x-who", who.to_owned())];
    vec![
        ("/paths?token=t", vec![], Ok("/paths?room=lobby")),
        ("/paths?room=blue", vec![], Ok("/paths?room=blue")),
        ("/paths?v=2&room=blue", vec![], Ok("/paths/new?from=old")),
        ("/cache", room("ann", "blue"), Ok("blue")),
        ("/cache", room("ann", "red"), Ok("blue")),
        ("/cache", room("ben", "red"), Ok("red")),
        ("/fragment", who("ann"), Ok("yes")),
        ("/fragment", who("eve"), Err(403)),
        ("/retry", vec![], Ok("served")),
        ("/retry", vec![], Err(503)),
        ("/pool", vec![], Ok("second region")),
    ]
}

/// With tokens of this signer, and of another one.
fn tokens(signer: &Signer, issuer: &str) -> anyhow::Result<Vec<Handshake>> {
    let claims = |sub: &str, audience: &str, roles: Value| json!({"iss": issuer, "aud": audience, "sub": sub, "roles": roles});
    let with = |signer: &Signer, seconds: i64, claims: &Value| {
        let token = signer.token(seconds, claims)?;
        anyhow::Ok(vec![("authorization", format!("Bearer {token}"))])
    };
    let ann = claims("ann", "api://chat", json!(["speaker"]));
    let other = Signer::es256("1")?;
    Ok(vec![
        ("/tokens", vec![], Err(401)),
        ("/tokens", with(signer, 300, &ann)?, Ok("ann")),
        ("/tokens", with(&other, 300, &ann)?, Err(401)),
        ("/tokens", with(signer, -300, &ann)?, Err(401)),
        (
            "/tokens",
            with(
                signer,
                300,
                &claims("ann", "api://else", json!(["speaker"])),
            )?,
            Err(401),
        ),
        (
            "/tokens",
            with(signer, 300, &claims("ann", "api://chat", json!(["guest"])))?,
            Err(401),
        ),
        (
            "/tokens",
            with(signer, 300, &claims("ben", "api://chat", json!("host")))?,
            Ok("ben"),
        ),
        ("/tokens", with(signer, 300, &ann)?, Ok("ann")),
        ("/tokens", with(signer, 300, &ann)?, Err(403)),
    ])
}

/// A fragment, and a pool of a region without room and the backend.
fn more(backend: &str, full: &str) -> Vec<Value> {
    let fragment = r#"<fragment><choose><when condition="@(new[] { "ann", "ben" }.Contains(context.Request.Headers.GetValueOrDefault("X-Who", "")))"><set-variable name="known" value="yes" /></when><otherwise><return-response><set-status code="403" reason="Forbidden" /></return-response></otherwise></choose></fragment>"#;
    let member = |name: &str, address: &str| {
        resource(
            "backends",
            name,
            json!({"protocol": "http", "url": format!("http://{address}/pool")}),
        )
    };
    let services =
        json!([{"id": "/backends/east", "priority": 1}, {"id": "/backends/west", "priority": 2}]);
    vec![
        resource(
            "policyFragments",
            "Known_Users",
            json!({"format": "rawxml", "value": fragment}),
        ),
        member("east", full),
        member("west", backend),
        resource(
            "backends",
            "regions",
            json!({"type": "Pool", "pool": {"services": services}}),
        ),
    ]
}

/// Has no room for handshakes. Asked whether it is busy, it is once, then not once, then always.
async fn busy() -> anyhow::Result<HttpServer> {
    let asked = AtomicUsize::new(0);
    HttpServer::start(move |_, request| match request.head.target() {
        "/busy" => match asked.fetch_add(1, Ordering::Relaxed) {
            1 => Response::json("{}"),
            _ => Response::with("503 Service Unavailable", "busy"),
        },
        _ => Response::with("429 Too Many Requests", "full"),
    })
    .await
}

#[tokio::test]
async fn each_policy_decides_as_there() -> anyhow::Result<()> {
    let (echo, server, signer) = (Echo::start().await?, busy().await?, Signer::es256("1")?);
    let provider = IdentityProvider::start(std::slice::from_ref(&signer)).await?;
    let (backend, checks) = (echo.address().to_string(), server.address().to_string());
    let issuer = provider.issuer().trim_start_matches("http://");
    let mut resources = more(&backend, &checks);
    for (name, policy) in kinds!(
        "guards", "paths", "cache", "fragment", "retry", "tokens", "pool"
    ) {
        let policy = policy.replace("ISSUER", issuer);
        resources.extend(kind(name, &policy, &backend, &checks));
    }
    let (edge, said) = Import::of(resources).serve().await?;
    ensure!(
        said.contains("becomes backend.failover with the statuses 429, 503"),
        "{said}"
    );
    ensure!(said.lines().count() == 1, "{said}");

    let all = guards().into_iter().chain(others());
    for (target, headers, wanted) in all.chain(tokens(&signer, provider.issuer())?) {
        let mut request = Request::new(edge.url(target));
        for (header, value) in headers.clone() {
            request = request.header(header, value);
        }
        let found = match request.send().await? {
            Outcome::Open(mut tunnel) => {
                tunnel.echo("here").await?;
                let head = echo.last_head()?;
                Ok(head.get("x-seen").unwrap_or(head.target()).to_owned())
            }
            Outcome::Refused(refused) => Err(refused.status),
        };
        let wanted = wanted.map(str::to_owned);
        ensure!(
            found == wanted,
            "{target} {headers:?}: {found:?}, not {wanted:?}"
        );
    }
    Ok(())
}
