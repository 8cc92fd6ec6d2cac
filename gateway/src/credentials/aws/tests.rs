use std::time::{Duration, UNIX_EPOCH};

use super::*;
use crate::credentials::renewed::Issued;

fn signing() -> Signing {
    let keys = Credentials::new(
        "AKIDEXAMPLE",
        "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
        Some("session".to_owned()),
        None,
        "test",
    );
    Signing {
        keys: Arc::new(Issued::new(keys, Duration::from_secs(3600))),
        region: "eu-west-1".into(),
        service: "execute-api".into(),
    }
}

/// Computed with botocore's SigV4Auth.
const BY_BOTOCORE: &str = "f3483e12002e03ba96648db57727a62d5a0c64ad266c04741214a32f06b1b8cf";

#[test]
fn a_signature_is_the_one_that_botocore_computes() {
    let mut headers = HeaderMap::new();
    let now = UNIX_EPOCH + Duration::from_secs(1_772_366_400);
    let signed = signing().sign(
        ("chat.example.com:8443", "/prod/a%20b?room=blue&b=%2F"),
        &mut headers,
        now,
    );
    signed.unwrap();
    let value = headers[AUTHORIZATION].to_str().unwrap();
    let (before, signature) = value.rsplit_once("Signature=").unwrap();
    assert_eq!(
        before,
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260301/eu-west-1/execute-api/aws4_request, \
         SignedHeaders=host;x-amz-date;x-amz-security-token, "
    );
    assert_eq!(signature, BY_BOTOCORE);
    assert_eq!(headers["x-amz-date"], "20260301T120000Z");
    assert_eq!(headers["x-amz-security-token"], "session");
}

#[test]
fn what_a_client_sends_is_no_part_of_a_signature() {
    let mut headers = HeaderMap::new();
    for name in OWN {
        headers.insert(name, HeaderValue::from_static("forged"));
    }
    let now = UNIX_EPOCH + Duration::from_secs(1_772_366_400);
    signing()
        .sign(("chat.example.com", "/"), &mut headers, now)
        .unwrap();
    assert!(
        headers.values().all(|value| value != "forged"),
        "{headers:?}"
    );
    assert!(!headers.contains_key("x-amz-content-sha256"));
    assert!(!format!("{:?}", signing()).contains("wJalr"));
}
