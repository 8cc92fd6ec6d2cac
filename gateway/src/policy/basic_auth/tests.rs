use base64::Engine as _;
use serde_json::{Value, json};
use tidegate_config::SecretData;

use super::*;
use crate::policy::Services;
use crate::policy::tests::{compile_error, exchange, pipeline, secret_data, services};

fn users() -> SecretData {
    let file = format!(
        "alice:{}\nbob:{{SHA}}{}\n",
        bcrypt::hash("s3same:ö", 4).unwrap(),
        STANDARD.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, b"old")),
    );
    secret_data(&[("users", "htpasswd", file.as_bytes())])
}

fn step(fields: Value) -> Value {
    let mut policy = json!({"usersSecretRef": {"name": "users", "key": "htpasswd"}});
    let all = policy.as_object_mut().unwrap();
    all.extend(fields.as_object().unwrap().clone());
    json!({"inbound": [{ "basicAuth": policy }, {"setHeader": {"name": "X-User", "values": ["${vars.user}"]}}]})
}

fn basic(credentials: &str) -> String {
    format!("Basic {}", STANDARD.encode(credentials))
}

async fn run(fields: Value, lines: &[&str], services: &Services) -> Result<Exchange, Refusal> {
    let lines: Vec<_> = lines.iter().map(|line| ("authorization", *line)).collect();
    let mut exchange = exchange(&lines);
    let pipeline = pipeline(step(fields), &users(), services);
    pipeline.inbound(&mut exchange, services).await?;
    Ok(exchange)
}

#[tokio::test]
async fn who_knows_the_password_passes_without_it() {
    let services = services();
    for (name, line) in [
        ("alice", basic("alice:s3same:ö")),
        ("alice", basic("alice:s3same:ö").replace("Basic", "bASIC")),
        ("bob", basic("bob:old")),
    ] {
        let passed = run(json!({}), &[&line], &services).await.unwrap();
        let headers = &passed.upstream.headers;
        assert_eq!(headers.get("x-user").unwrap(), name);
        assert_eq!(headers.get("authorization"), None, "stripped");
        let shown = passed.masked("s3same:ö or not");
        assert_eq!(shown == "*** or not", name == "alice", "{shown}");
    }
    let kept = run(json!({"strip": false}), &[&basic("bob:old")], &services).await;
    assert!(kept.unwrap().upstream.headers.contains_key("authorization"));
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
async fn anything_else_is_refused_and_asked_to_log_in() {
    let services = services();
    let good = basic("alice:s3same:ö");
    for (name, lines, reason) in [
        ("nothing", vec![], Reason::CredentialsMissing),
        (
            "wrong",
            vec![basic("alice:guess")],
            Reason::CredentialsInvalid,
        ),
        (
            "another's",
            vec![basic("alice:old")],
            Reason::CredentialsInvalid,
        ),
        (
            "wrong, SHA",
            vec![basic("bob:guess")],
            Reason::CredentialsInvalid,
        ),
        (
            "nobody",
            vec![basic("eve:s3same:ö")],
            Reason::CredentialsInvalid,
        ),
        ("empty", vec![basic("alice:")], Reason::CredentialsInvalid),
        ("no colon", vec![basic("alice")], Reason::CredentialsInvalid),
        (
            "a control character",
            vec![basic("bob:old\0")],
            Reason::CredentialsInvalid,
        ),
        (
            "not base64",
            vec!["Basic !".into()],
            Reason::CredentialsInvalid,
        ),
        (
            "another scheme",
            vec![good.replace("Basic", "Bearer")],
            Reason::CredentialsInvalid,
        ),
        (
            "two",
            vec![good.clone(), good.clone()],
            Reason::CredentialsInvalid,
        ),
        (
            "huge",
            vec![basic(&format!("alice:{}", "x".repeat(12_000)))],
            Reason::CredentialsInvalid,
        ),
    ] {
        let lines: Vec<_> = lines.iter().map(String::as_str).collect();
        let refusal = run(json!({}), &lines, &services).await.unwrap_err();
        let found = (refusal.status, refusal.reason, refusal.origin);
        assert_eq!(found, (401, reason, Origin::Policy), "{name}");
        let (header, value) = &refusal.headers[0];
        assert_eq!(header, WWW_AUTHENTICATE);
        assert_eq!(value, "Basic realm=\"chat\", charset=\"UTF-8\"", "{name}");
    }
    let realm = json!({"realm": "the \"${request.host}\""});
    let refusal = run(realm, &[], &services).await.unwrap_err();
    let expected = "Basic realm=\"the \\\"example.com\\\"\", charset=\"UTF-8\"";
    assert_eq!(refusal.headers[0].1, expected);
}

#[test]
fn while_too_many_wait_clients_are_asked_to_come_again() {
    let refusal = busy(Busy);
    assert_eq!(
        (refusal.status, refusal.reason),
        (503, Reason::CredentialsUnchecked)
    );
    assert_eq!(refusal.headers[0].1, "5");
}

#[test]
fn without_users_there_is_no_policy() {
    let step = json!({"basicAuth": {"usersSecretRef": {"name": "users", "key": "none"}}});
    let error = compile_error(step);
    assert!(
        error.contains("the Secret users has no key none"),
        "{error}"
    );
}
