use std::time::SystemTime;

use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519};
use serde_json::{Value, json};
use tidegate_config::SecretData;
use tidegate_config::policy::token_file_name;
use tidegate_expr::Value as Cel;

use crate::exchange::{BackendUrl, Exchange};
use crate::policy::Services;
use crate::policy::call::testing::{Answer, Server, json as answer};
use crate::policy::tests::{compile_error, exchange, pipeline, refused, secret_data, services};
use crate::refusal::{Origin, Reason, Refusal};

async fn run(
    fields: Value,
    secret_data: &SecretData,
    exchange: &mut Exchange,
    services: &Services,
) -> Result<(), Refusal> {
    let on = json!({"inbound": [{ "backendAuth": fields }]});
    let pipeline = pipeline(on, secret_data, services);
    pipeline.inbound(exchange, services).await
}

fn sent(exchange: &Exchange, name: &str) -> Option<String> {
    let value = exchange.upstream.headers.get(name)?;
    Some(value.to_str().unwrap().to_owned())
}

fn client() -> Exchange {
    exchange(&[("authorization", "Bearer client"), ("x-gateway", "forged")])
}

#[tokio::test]
async fn the_clients_credentials_make_way_whatever_the_header() {
    for (header, at_authorization) in [
        ("Authorization", Some("Basic ZWRnZTpwOnc=")),
        ("X-Gateway", None),
    ] {
        let mut exchange = client();
        let fields = json!({"header": header, "basic": {"username": "edge", "password": "p:w"}});
        run(fields, &SecretData::default(), &mut exchange, &services())
            .await
            .unwrap();
        assert_eq!(sent(&exchange, header).unwrap(), "Basic ZWRnZTpwOnc=");
        assert_eq!(
            sent(&exchange, "authorization").as_deref(),
            at_authorization
        );
        assert_eq!(exchange.masked("x ZWRnZTpwOnc= y"), "x *** y");
        assert_eq!(exchange.request.headers["authorization"], "Bearer client");
    }
}

fn oauth2(server: &Server) -> Value {
    json!({"oauth2ClientCredentials": {
        "tokenUrl": format!("{}/token", server.url), "clientId": "ship",
        "secretRef": {"name": "s", "key": "k"},
    }})
}

#[tokio::test]
async fn a_token_is_kept_until_the_backend_refuses_it() {
    let server = Server::start(|number, _| {
        let body = json!({"access_token": format!("secret-{number}"), "expires_in": 3600});
        answer(200, &body.to_string())
    })
    .await;
    let (services, secret_data) = (services(), secret_data(&[("s", "k", b"hidden")]));
    let mut first = client();
    for exchange in [&mut first, &mut client()] {
        run(oauth2(&server), &secret_data, exchange, &services)
            .await
            .unwrap();
        assert_eq!(sent(exchange, "authorization").unwrap(), "Bearer secret-1");
        assert_eq!(exchange.masked("is secret-1"), "is ***");
        assert!(!format!("{exchange:?}").contains("secret-1"));
    }
    assert_eq!(server.asked().len(), 1);
    first
        .evaluation
        .issued
        .iter()
        .for_each(|token| token.refused());
    let mut exchange = client();
    run(oauth2(&server), &secret_data, &mut exchange, &services)
        .await
        .unwrap();
    assert_eq!(sent(&exchange, "authorization").unwrap(), "Bearer secret-2");
}

#[tokio::test]
async fn without_a_token_nobody_passes() {
    let secret_data = secret_data(&[("s", "k", b"hidden")]);
    for (name, hangup) in [("refused", false), ("no answer", true)] {
        let server = Server::start(move |_, _| match hangup {
            true => Answer::Hangup,
            false => answer(400, r#"{"error": "invalid_scope"}"#),
        })
        .await;
        let result = run(oauth2(&server), &secret_data, &mut client(), &services()).await;
        let refusal = refused(result);
        let found = (refusal.status, refusal.reason, refusal.origin);
        let expected = (502, Reason::BackendAuthFailed, Origin::Policy);
        assert_eq!(found, expected, "{name}");
        assert_eq!(refusal.message, "Authentication to the backend failed");
        assert!(!refusal.detail.unwrap().contains("hidden"), "{name}");
    }
}

/// The claims of the token that is sent.
fn claims(exchange: &Exchange, algorithm: Algorithm, key: &DecodingKey) -> (Option<String>, Value) {
    let header = sent(exchange, "authorization").unwrap();
    let token = header.strip_prefix("Bearer ").unwrap();
    let mut rules = Validation::new(algorithm);
    rules.validate_aud = false;
    let token = decode::<Value>(token, key, &rules).unwrap();
    (token.header.kid, token.claims)
}

#[tokio::test]
async fn signed_claims_keep_their_types_and_times_are_ours() {
    let (services, secret_data) = (
        services(),
        secret_data(&[("s", "k", b"0123456789abcdef0123456789abcdef")]),
    );
    let mut exchange = client();
    exchange.set_var(
        "roles",
        Cel::List(std::sync::Arc::new(vec![1.into(), "b".into()])),
    );
    let fields = json!({"signedJwt": {
        "algorithm": "HS256", "secretRef": {"name": "s", "key": "k"}, "keyId": "k1", "ttl": "90s",
        "claims": [
            {"name": "aud", "value": "backend"},
            {"name": "ip", "value": "from ${client.ip}"},
            {"name": "roles", "value": "${vars.roles}"},
            {"name": "number", "value": "${1 + 1}"},
            {"name": "text", "value": "${1 + 1} "},
            {"name": "nothing", "value": "${null}"},
        ],
    }});
    run(fields, &secret_data, &mut exchange, &services)
        .await
        .unwrap();
    let key = DecodingKey::from_secret(b"0123456789abcdef0123456789abcdef");
    let (id, mut claims) = claims(&exchange, Algorithm::HS256, &key);
    assert_eq!(id.as_deref(), Some("k1"));
    let (issued, ends) = (claims["iat"].take(), claims["exp"].take());
    assert_eq!(ends.as_i64().unwrap() - issued.as_i64().unwrap(), 90);
    let expected = json!({
        "aud": "backend", "ip": "from 192.0.2.7", "roles": [1, "b"], "number": 2, "text": "2 ",
        "iat": null, "exp": null,
    });
    assert_eq!(claims, expected);
}

#[tokio::test]
async fn each_kind_of_key_signs_with_its_algorithm_only() {
    let pairs = [
        (
            "ES256",
            KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap(),
        ),
        (
            "ES384",
            KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap(),
        ),
        ("EdDSA", KeyPair::generate_for(&PKCS_ED25519).unwrap()),
    ];
    for (of, pair) in &pairs {
        let pem = pair.serialize_pem();
        let secret_data = secret_data(&[("s", "k", pem.as_bytes())]);
        for (algorithm, _) in &pairs {
            let fields = json!({"signedJwt": {
                "algorithm": algorithm, "secretRef": {"name": "s", "key": "k"},
            }});
            let on = json!({"inbound": [{"backendAuth": fields}]});
            let declared = crate::policy::tests::Declared {
                scope: crate::policy::Scope::Api,
                on,
                values: &[],
                secret_data: &secret_data,
            };
            let compiled = declared.compile(&services());
            assert_eq!(compiled.is_ok(), of == algorithm, "{of} for {algorithm}");
            if of != algorithm {
                continue;
            }
            let mut exchange = client();
            run(fields, &secret_data, &mut exchange, &services())
                .await
                .unwrap();
            let public = pair.public_key_pem();
            let (name, key) = match *of {
                "ES256" => (
                    Algorithm::ES256,
                    DecodingKey::from_ec_pem(public.as_bytes()),
                ),
                "ES384" => (
                    Algorithm::ES384,
                    DecodingKey::from_ec_pem(public.as_bytes()),
                ),
                _ => (
                    Algorithm::EdDSA,
                    DecodingKey::from_ed_pem(public.as_bytes()),
                ),
            };
            claims(&exchange, name, &key.unwrap());
        }
    }
}

/// What STS issues for a role.
fn keys(number: usize) -> String {
    let ends = jiff::Timestamp::now() + std::time::Duration::from_secs(3600);
    format!(
        "<R><Credentials><AccessKeyId>ASIA{number}</AccessKeyId><SecretAccessKey>hidden-key</SecretAccessKey>\
         <SessionToken>session-{number}</SessionToken><Expiration>{ends}</Expiration></Credentials></R>"
    )
}

fn role(server: &Server) -> Value {
    json!({"awsSigV4": {
        "service": "execute-api", "region": "eu-west-1", "stsUrl": server.url,
        "roleArn": "arn:aws:iam::123456789012:role/edge",
        "webIdentityToken": {"serviceAccountToken": {"audience": "sts"}},
    }})
}

#[tokio::test]
async fn a_role_of_aws_signs_for_whichever_backend_is_asked() {
    let server = Server::start(|number, _| answer(200, &keys(number))).await;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join(token_file_name("sts"));
    std::fs::write(&file, "of-the-account").unwrap();
    let (services, secret_data) = (services(), SecretData::default());
    services.calls.read_tokens_from(directory.path().to_owned());
    let on = json!({"inbound": [{"backendAuth": role(&server)}]});
    let signing = pipeline(on, &secret_data, &services);
    let mut exchange = client();
    for exchange in [&mut exchange, &mut client()] {
        signing.inbound(exchange, &services).await.unwrap();
        assert_eq!(sent(exchange, "authorization"), None);
        assert_eq!(exchange.masked("is session-1"), "is ***");
        let shown = format!("{exchange:?}");
        assert!(
            !shown.contains("hidden-key") && !shown.contains("session-1"),
            "{shown}"
        );
    }
    let asked = server.asked();
    assert_eq!(asked.len(), 1);
    for part in [
        "Action=AssumeRoleWithWebIdentity&Version=2011-06-15",
        "RoleArn=arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Fedge",
        "RoleSessionName=tidegate&DurationSeconds=3600&WebIdentityToken=of-the-account",
    ] {
        assert!(asked[0].body.contains(part), "{part}: {}", asked[0].body);
    }
    let mut signatures = Vec::new();
    for url in ["ws://a.example/x", "wss://b.example/x"] {
        let member = BackendUrl::parse(url).unwrap();
        exchange.upstream.relocate(&member);
        exchange.upstream.sign(SystemTime::now()).unwrap();
        let signature = sent(&exchange, "authorization").unwrap();
        assert!(
            signature.starts_with("AWS4-HMAC-SHA256 Credential=ASIA1/"),
            "{signature}"
        );
        assert_eq!(
            sent(&exchange, "x-amz-security-token").as_deref(),
            Some("session-1")
        );
        signatures.push(signature);
    }
    assert_ne!(signatures[0], signatures[1]);
    // The last step wins.
    let basic = json!({"basic": {"username": "u", "password": "p"}});
    run(basic, &secret_data, &mut exchange, &services)
        .await
        .unwrap();
    exchange.upstream.sign(SystemTime::now()).unwrap();
    assert_eq!(
        sent(&exchange, "authorization").as_deref(),
        Some("Basic dTpw")
    );
}

#[tokio::test]
async fn without_keys_nobody_passes() {
    let refusing = "<E><Error><Code>AccessDenied</Code></Error></E>";
    for (name, account, reply, detail) in [
        (
            "no token of the account",
            None,
            keys(1),
            "no such token of a service account",
        ),
        (
            "refused",
            Some("t"),
            refusing.to_owned(),
            "answered 403, AccessDenied",
        ),
    ] {
        let status = if reply == refusing { 403 } else { 200 };
        let server = Server::start(move |_, _| answer(status, &reply)).await;
        let directory = tempfile::tempdir().unwrap();
        let services = services();
        if let Some(token) = account {
            std::fs::write(directory.path().join(token_file_name("sts")), token).unwrap();
            services.calls.read_tokens_from(directory.path().to_owned());
        }
        let result = run(
            role(&server),
            &SecretData::default(),
            &mut client(),
            &services,
        )
        .await;
        let refusal = refused(result);
        assert_eq!(
            (refusal.status, refusal.reason),
            (502, Reason::BackendAuthFailed),
            "{name}"
        );
        let said = refusal.detail.unwrap();
        assert!(said.contains(detail), "{name}: {said}");
    }
}

#[test]
fn what_cannot_work_is_rejected() {
    let signed = |claim: &str| {
        json!({"signedJwt": {
            "algorithm": "HS256", "secretRef": {"name": "s", "key": "k"},
            "claims": [{"name": claim, "value": "1"}],
        }})
    };
    for (fields, expected) in [
        (
            json!({}),
            "exactly one of basic, oauth2ClientCredentials, oauth2TokenExchange, serviceAccountToken, signedJwt, awsSigV4",
        ),
        (
            json!({"header": "Upgrade", "basic": {"username": "u", "password": "p"}}),
            "backendAuth.header: Upgrade belongs to the handshake",
        ),
        (signed("exp"), "the claim exp is there already"),
        (signed("a"), "the Secret s has no key k"),
    ] {
        let error = compile_error(json!({ "backendAuth": fields }));
        assert!(error.contains(expected), "{error}");
    }
}
