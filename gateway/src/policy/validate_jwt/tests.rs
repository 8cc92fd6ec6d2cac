use http::HeaderMap;
use serde_json::{Value, json};
use tidegate_config::SecretData;

use super::now;
use crate::credentials::jwt::tests::{SECRET, Signer, hs256, unsigned};
use crate::exchange::Exchange;
use crate::policy::Services;
use crate::policy::tests::{compile_error, exchange, pipeline, secret_data, services};
use crate::refusal::{Reason, Refusal};

mod forged;
mod provider;

/// The policy with the test's secret as its key.
fn policy(fields: Value) -> Value {
    let mut policy = json!({"keys": [{"secretKeyRef": {"name": "s", "key": "k"}}]});
    let all = policy.as_object_mut().unwrap();
    all.extend(fields.as_object().unwrap().clone());
    policy
}

fn secrets() -> SecretData {
    secret_data(&[("s", "k", SECRET)])
}

async fn run(policy: Value, exchange: &mut Exchange) -> Result<(), Refusal> {
    let services = services();
    run_with(policy, exchange, &services).await
}

async fn run_with(
    policy: Value,
    exchange: &mut Exchange,
    services: &Services,
) -> Result<(), Refusal> {
    let steps = json!({"inbound": [{ "validateJwt": policy }]});
    let pipeline = pipeline(steps, &secrets(), services);
    pipeline.inbound(exchange, services).await
}

/// Claims that are valid for an hour.
fn claims(fields: Value) -> Value {
    let mut claims = json!({"sub": "alice", "exp": now() + 3600});
    claims
        .as_object_mut()
        .unwrap()
        .extend(fields.as_object().unwrap().clone());
    claims
}

fn bearer(token: &str) -> Exchange {
    exchange(&[("authorization", &format!("Bearer {token}"))])
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
async fn each_failure_has_its_reason_and_message() {
    use Reason as R;
    let other = Signer::p256().sign(None, &claims(json!({})));
    let good = hs256(&claims(json!({"scp": "read write", "role": "guest"})));
    let cut = good[..good.len() - 2].to_owned();
    let required =
        |name: &str, values: &[&str]| json!({"requiredClaims": [{"name": name, "values": values}]});
    for (name, fields, token, reason, message) in [
        (
            "bad signature",
            json!({}),
            &cut,
            R::TokenSignatureInvalid,
            "JWT signature is invalid. Access denied.",
        ),
        (
            "no key fits",
            json!({}),
            &other,
            R::TokenSignatureInvalid,
            "JWT signature is invalid. Access denied.",
        ),
        (
            "alg none",
            json!({}),
            &unsigned(&claims(json!({}))),
            R::TokenInvalid,
            "JWT algorithm is not allowed. Access denied.",
        ),
        (
            "other algorithm",
            json!({"algorithms": ["HS512"]}),
            &good,
            R::TokenInvalid,
            "JWT algorithm is not allowed. Access denied.",
        ),
        (
            "expired",
            json!({}),
            &hs256(&json!({"exp": now() - 1})),
            R::TokenExpired,
            "JWT is expired. Access denied.",
        ),
        (
            "no exp",
            json!({}),
            &hs256(&json!({})),
            R::TokenInvalid,
            "JWT has no expiration time. Access denied.",
        ),
        (
            "not yet",
            json!({}),
            &hs256(&claims(json!({"nbf": now() + 60}))),
            R::TokenNotYetValid,
            "JWT is not yet valid. Access denied.",
        ),
        (
            "issuer",
            json!({"issuers": ["https://i"]}),
            &good,
            R::TokenIssuerNotAllowed,
            "JWT issuer is not allowed. Access denied.",
        ),
        (
            "audience",
            json!({"audiences": ["${request.host}"]}),
            &good,
            R::TokenAudienceNotAllowed,
            "JWT audience is not allowed. Access denied.",
        ),
        (
            "client",
            json!({"allowedClients": ["app"]}),
            &good,
            R::TokenClientNotAllowed,
            "JWT client is not allowed. Access denied.",
        ),
        (
            "claim missing",
            required("tenant", &[]),
            &good,
            R::TokenClaimMissing,
            "JWT token is missing the following claims: tenant. Access denied.",
        ),
        (
            "claim value",
            required("role", &["admin"]),
            &good,
            R::TokenClaimNotAllowed,
            "Claim role value of guest is not allowed. Access denied.",
        ),
        (
            "garbage",
            json!({}),
            &"garbage".to_owned(),
            R::TokenInvalid,
            "JWT is invalid: it does not have three parts. Access denied.",
        ),
    ] {
        let refusal = run(policy(fields), &mut bearer(token)).await.unwrap_err();
        assert_eq!(
            (refusal.status, refusal.reason, refusal.message.as_str()),
            (401, reason, message),
            "{name}"
        );
        let (header, challenge) = &refusal.headers[0];
        assert_eq!(
            (header.as_str(), challenge.to_str().unwrap()),
            (
                "www-authenticate",
                "Bearer realm=\"chat\", error=\"invalid_token\""
            ),
            "{name}"
        );
    }
}

#[tokio::test]
async fn a_missing_token_is_a_challenge_without_an_error() {
    let refusal = run(policy(json!({})), &mut exchange(&[]))
        .await
        .unwrap_err();
    assert_eq!(
        (refusal.status, refusal.reason),
        (401, Reason::TokenMissing)
    );
    assert_eq!(refusal.message, "JWT not present.");
    assert_eq!(refusal.headers[0].1, "Bearer realm=\"chat\"");
}

#[tokio::test]
async fn status_and_message_can_be_chosen() {
    let fields = json!({"status": 403, "message": "ask ${api.displayName}"});
    let refusal = run(policy(fields), &mut exchange(&[])).await.unwrap_err();
    assert_eq!(
        (refusal.status, refusal.message.as_str()),
        (403, "ask Chat")
    );
    assert!(refusal.headers.is_empty());
}

#[tokio::test]
async fn valid_tokens_pass() {
    let full = claims(
        json!({"iss": "https://i", "aud": ["x", "example.com"], "azp": "app", "scp": "read write"}),
    );
    let fields = json!({
        "issuers": ["https://${'i'}"],
        "audiences": ["${request.host}"],
        "allowedClients": ["app"],
        "algorithms": ["HS256", "RS256"],
        "requiredClaims": [{"name": "scp", "values": ["write"], "separator": " "}],
        "clockSkew": "30s",
    });
    let fields = policy(
        json!({ "algorithms": ["HS256"] })
            .as_object()
            .map(|_| fields)
            .unwrap(),
    );
    run(fields, &mut bearer(&hs256(&full))).await.unwrap();
    let late = hs256(&json!({"exp": now() - 20}));
    run(policy(json!({"clockSkew": "30s"})), &mut bearer(&late))
        .await
        .unwrap();
    let endless = hs256(&json!({}));
    run(
        policy(json!({"requireExpiration": false})),
        &mut bearer(&endless),
    )
    .await
    .unwrap();
    let unsigned = unsigned(&claims(json!({})));
    run(
        policy(json!({"requireSigned": false})),
        &mut bearer(&unsigned),
    )
    .await
    .unwrap();
    let with_signature = format!("{unsigned}c2ln");
    let refusal = run(
        policy(json!({"requireSigned": false})),
        &mut bearer(&with_signature),
    )
    .await;
    assert_eq!(refusal.unwrap_err().reason, Reason::TokenInvalid);
}

#[tokio::test]
async fn the_scheme_is_required_in_authorization_only() {
    let token = hs256(&claims(json!({})));
    let (with, bare, other) = (
        format!("bEaReR  {token}"),
        token.clone(),
        format!("Basic {token}"),
    );
    let required = json!({"requireScheme": "Bearer"});
    let elsewhere = json!({"requireScheme": "Bearer", "header": "X-Token"});
    for (name, fields, header, value, expected) in [
        ("scheme", required.clone(), "authorization", &with, None),
        (
            "no scheme",
            required.clone(),
            "authorization",
            &bare,
            Some(Reason::TokenMissing),
        ),
        (
            "another scheme",
            required,
            "authorization",
            &other,
            Some(Reason::TokenMissing),
        ),
        ("not required", json!({}), "authorization", &bare, None),
        ("another header", elsewhere, "x-token", &bare, None),
    ] {
        let result = run(policy(fields), &mut exchange(&[(header, value)])).await;
        assert_eq!(
            result.err().map(|refusal| refusal.reason),
            expected,
            "{name}"
        );
    }
}

/// Header, query and what is left of both for the backend.
fn sent(exchange: &Exchange, header: &str) -> (Vec<String>, String) {
    let headers: &HeaderMap = &exchange.upstream.headers;
    let values = headers
        .get_all(header)
        .iter()
        .map(|value| value.to_str().unwrap().to_owned());
    (values.collect(), exchange.upstream.path_and_query())
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
async fn tokens_are_found_and_taken_out_in_all_places() {
    let token = hs256(&claims(json!({})));
    let none: &[&str] = &[];
    for (name, fields, (header, lines), query, (left, path)) in [
        (
            "header",
            json!({}),
            ("authorization", vec![format!("Bearer {token}")]),
            "a=1",
            (none, "/chat?a=1"),
        ),
        (
            "kept header",
            json!({"strip": false, "header": "x-t"}),
            ("x-t", vec![token.clone()]),
            "a=1",
            (&[token.as_str()], "/chat?a=1"),
        ),
        (
            "query",
            json!({"query": "access_token"}),
            ("x", vec![]),
            "a=%2f&access_token=TOKEN&b",
            (none, "/chat?a=%2f&b"),
        ),
        (
            "query, name encoded",
            json!({"query": "access_token"}),
            ("x", vec![]),
            "access%5Ftoken=TOKEN",
            (none, "/chat"),
        ),
        (
            "cookie",
            json!({"cookie": "auth"}),
            ("cookie", vec![format!("x=1; auth={token}; y=\"2\"")]),
            "a",
            (&["x=1; y=\"2\""], "/chat?a"),
        ),
        (
            "only cookie",
            json!({"cookie": "auth"}),
            ("cookie", vec![format!("auth=\"{token}\"")]),
            "a",
            (none, "/chat?a"),
        ),
        (
            "subprotocol",
            json!({"subprotocol": "bearer."}),
            (
                "sec-websocket-protocol",
                vec![format!("chat.v2,bearer.{token}"), "chat.v1".to_owned()],
            ),
            "a",
            (&["chat.v2, chat.v1"], "/chat?a"),
        ),
        (
            "expression",
            json!({"token": "${request.query('t')}"}),
            ("x", vec![]),
            "t=TOKEN",
            (none, "/chat?t=TOKEN"),
        ),
    ] {
        let query = query.replace("TOKEN", &token);
        let mut exchange = crate::policy::tests::exchange_to("ws://backend/chat", Some(&query));
        for line in &lines {
            exchange
                .request
                .headers
                .append(header, line.parse().unwrap());
            exchange
                .upstream
                .headers
                .append(header, line.parse().unwrap());
        }
        run(policy(fields), &mut exchange).await.unwrap();
        let path = path.replace("TOKEN", &token);
        let left: Vec<_> = left.iter().map(|line| (*line).to_owned()).collect();
        assert_eq!(sent(&exchange, header), (left, path), "{name}");
        assert_eq!(exchange.masked(&format!("<{token}>")), "<***>", "{name}");
    }
}

#[tokio::test]
async fn two_tokens_in_one_place_are_refused() {
    let token = hs256(&claims(json!({})));
    let mut twice = exchange(&[("authorization", &token), ("authorization", &token)]);
    let refusal = run(policy(json!({})), &mut twice).await.unwrap_err();
    assert_eq!(refusal.reason, Reason::TokenInvalid);
    let mut twice = exchange(&[]);
    twice.request.raw_query = Some(format!("t={token}&%74=x"));
    let refusal = run(policy(json!({"query": "t"})), &mut twice)
        .await
        .unwrap_err();
    assert_eq!(refusal.reason, Reason::TokenInvalid);
}

#[tokio::test]
async fn a_subprotocol_must_be_left_to_choose() {
    let token = hs256(&claims(json!({})));
    let mut only = exchange(&[("sec-websocket-protocol", &format!("bearer.{token}"))]);
    let refusal = run(policy(json!({"subprotocol": "bearer."})), &mut only)
        .await
        .unwrap_err();
    assert_eq!(
        refusal.message,
        "JWT is invalid: no subprotocol is offered besides it. Access denied."
    );
}

#[tokio::test]
async fn later_steps_read_the_token() {
    let services = services();
    let steps = json!({"inbound": [
        {"validateJwt": policy(json!({"as": "token"}))},
        {"setHeader": {"name": "x-user", "values": ["${jwt.claims.sub} ${vars.token.header.alg}"]}},
        {"when": "!('admin' in jwt.claims.roles)", "returnResponse": {"status": 403, "message": "${jwt.claims.sub}?"}},
    ]});
    let pipeline = pipeline(steps, &secrets(), &services);
    let mut exchange = bearer(&hs256(&claims(json!({"roles": ["user"]}))));
    let refusal = pipeline
        .inbound(&mut exchange, &services)
        .await
        .unwrap_err();
    assert_eq!((refusal.status, refusal.message.as_str()), (403, "alice?"));
    assert_eq!(exchange.upstream.headers["x-user"], "alice HS256");
}

#[tokio::test]
async fn the_tunnel_ends_with_the_first_token() {
    let end = now() + 100;
    let token = hs256(&json!({"exp": end}));
    for (name, fields, before, expected) in [
        ("its end", json!({}), None, Some(end)),
        (
            "with tolerance",
            json!({"clockSkew": "5s"}),
            None,
            Some(end + 5),
        ),
        (
            "an earlier one stays",
            json!({}),
            Some(end - 1),
            Some(end - 1),
        ),
        ("a later one goes", json!({}), Some(end + 1), Some(end)),
        ("not asked for", json!({"closeOnExpiry": false}), None, None),
    ] {
        let mut exchange = bearer(&token);
        exchange.token_expiry = before;
        run(policy(fields), &mut exchange).await.unwrap();
        assert_eq!(exchange.token_expiry, expected, "{name}");
    }
}

#[tokio::test]
async fn a_key_id_chooses_the_key_and_an_unknown_one_does_not_matter() {
    let (a, b) = (Signer::p256(), Signer::p256());
    let (pem_a, pem_b) = (a.pair.public_key_pem(), b.pair.public_key_pem());
    let secret_data = secret_data(&[("s", "a", pem_a.as_bytes()), ("s", "b", pem_b.as_bytes())]);
    let services = services();
    let key = |id: &str, key: &str| json!({"id": id, "secretKeyRef": {"name": "s", "key": key}});
    let step = json!({"validateJwt": {"keys": [key("one", "a"), key("two", "b")]}});
    let pipeline = pipeline(json!({"inbound": [step]}), &secret_data, &services);
    for (name, signer, id, expected) in [
        ("right id", &a, Some("one"), None),
        (
            "other id",
            &a,
            Some("two"),
            Some("JWT signature is invalid. Access denied."),
        ),
        ("unknown id", &b, Some("three"), None),
        ("no id", &b, None, None),
        (
            "unknown id and key",
            &Signer::p256(),
            Some("three"),
            Some("JWT signature key was not found. Access denied."),
        ),
    ] {
        let mut exchange = bearer(&signer.sign(id, &claims(json!({}))));
        let result = pipeline.inbound(&mut exchange, &services).await;
        assert_eq!(
            result.err().map(|refusal| refusal.message).as_deref(),
            expected,
            "{name}"
        );
    }
}

#[test]
fn keys_that_cannot_verify_are_named() {
    let reference = json!({"secretKeyRef": {"name": "s", "key": "gone"}});
    for (policy, expected) in [
        (
            json!({"keys": [reference]}),
            "keys[0]: the Secret s has no key gone",
        ),
        (
            json!({"keys": [{"n": "AA", "e": "AQAB"}]}),
            "keys[0]: its RSA key is broken",
        ),
        (
            json!({"keys": [{"n": "AA"}]}),
            "keys[0]: set either secretKeyRef or both n and e",
        ),
        (json!({}), "at least one of openidConfig, jwks, keys"),
        (
            json!({"query": "a", "cookie": "b", "requireSigned": false}),
            "at most one of header, query",
        ),
        (
            json!({"message": "${x}", "requireSigned": false}),
            "validateJwt.message: at",
        ),
    ] {
        let error = compile_error(json!({ "validateJwt": policy }));
        assert!(error.contains(expected), "{error}");
    }
}

/// What compiling the step says of a key with these bytes.
fn compiled(bytes: &[u8], more: Value) -> Result<(), String> {
    let mut key = json!({"secretKeyRef": {"name": "s", "key": "k"}});
    let mut policy = json!({});
    for (name, value) in more.as_object().unwrap() {
        let place = if name == "allowShortSecret" {
            &mut key
        } else {
            &mut policy
        };
        place[name] = value.clone();
    }
    policy["keys"] = json!([key]);
    let secret_data = secret_data(&[("s", "k", bytes)]);
    let declared = crate::policy::tests::Declared {
        scope: crate::policy::Scope::Api,
        on: json!({"inbound": [{ "validateJwt": policy }]}),
        values: &[],
        secret_data: &secret_data,
    };
    let compiled = declared.compile(&services());
    compiled.map(|_| ()).map_err(|error| error.to_string())
}

#[tokio::test]
async fn key_material_of_another_kind_is_no_secret() {
    let signer = Signer::p256();
    let pem = signer.pair.public_key_pem();
    let bag = format!("\u{feff}Bag Attributes\n    friendlyName: idp\n{pem}");
    let jwk = signer.jwk("one").to_string();
    for (name, bytes, expected) in [
        ("behind text", bag.as_bytes(), None),
        ("DER", &signer.pair.serialize_der(), Some("in DER")),
        ("a point", signer.pair.public_key_raw(), Some("raw point")),
        ("JWK", jwk.as_bytes(), Some("JSON Web Key")),
        ("one byte", b"x", Some("needs 32 or more")),
        ("a line end", b"\n", Some("empty or blank")),
        (
            "a text with a line end",
            b"thirty-two bytes, as HS256 needs\n",
            Some("line end"),
        ),
    ] {
        for more in [json!({}), json!({"algorithms": ["HS256", "ES256"]})] {
            let found = compiled(bytes, more);
            match expected {
                None => assert_eq!(found, Ok(()), "{name}"),
                Some(text) => assert!(found.as_ref().unwrap_err().contains(text), "{found:?}"),
            }
        }
    }
    let only_hmac = compiled(bag.as_bytes(), json!({"algorithms": ["HS256"]}));
    assert!(
        only_hmac
            .unwrap_err()
            .contains("none of the accepted algorithms")
    );
}

#[tokio::test]
async fn a_secret_verifies_no_algorithm_that_it_is_too_short_for() {
    let secret = [b'x'; 40];
    assert_eq!(
        compiled(&secret, json!({"algorithms": ["HS256", "HS512"]})),
        Ok(())
    );
    let why = compiled(&secret, json!({"algorithms": ["HS512"]})).unwrap_err();
    assert!(why.contains("it has 40 bytes, and HS512 needs 64"), "{why}");
    assert_eq!(compiled(b"x", json!({"allowShortSecret": true})), Ok(()));
    let services = services();
    let secret_data = secret_data(&[("s", "k", &secret)]);
    for (allowed, algorithm, passes) in [
        (false, jsonwebtoken::Algorithm::HS256, true),
        (false, jsonwebtoken::Algorithm::HS384, false),
        (true, jsonwebtoken::Algorithm::HS384, true),
    ] {
        let key = json!({"secretKeyRef": {"name": "s", "key": "k"}, "allowShortSecret": allowed});
        let steps = json!({"inbound": [{"validateJwt": {"keys": [key]}}]});
        let pipeline = pipeline(steps, &secret_data, &services);
        let header = jsonwebtoken::Header::new(algorithm);
        let key = jsonwebtoken::EncodingKey::from_secret(&secret);
        let token = jsonwebtoken::encode(&header, &claims(json!({})), &key).unwrap();
        let result = pipeline.inbound(&mut bearer(&token), &services).await;
        assert_eq!(result.is_ok(), passes, "{algorithm:?} {allowed}");
    }
}
