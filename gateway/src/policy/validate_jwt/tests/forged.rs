//! Tokens that somebody made up: each shape that went through somewhere is refused, with its reason.
//!
//! Where the point is the header or the claims, the signature is right, so that nothing but the
//! shape can be what refuses.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

use super::*;

/// What is tried, the token, and why it is refused.
type Row = (String, String, Reason);

const HS256: &str = r#"{"alg":"HS256"}"#;

fn encoded(part: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(part)
}

fn mac(key: &[u8], text: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    encoded(hmac::sign(&key, text.as_bytes()))
}

/// These two parts as they stand, signed with the right secret.
fn signed_parts(header: &str, claims: &str) -> String {
    let input = format!("{header}.{claims}");
    let signature = mac(SECRET, &input);
    format!("{input}.{signature}")
}

/// This header and these claims, signed with the right secret.
fn signed(header: impl AsRef<[u8]>, claims: impl AsRef<[u8]>) -> String {
    signed_parts(&encoded(header), &encoded(claims))
}

fn valid() -> String {
    claims(json!({})).to_string()
}

fn rows<T: std::fmt::Display>(kind: &str, reason: Reason, tokens: Vec<(T, String)>) -> Vec<Row> {
    let row = |(name, token): (T, String)| (format!("{kind}: {name}"), token, reason);
    tokens.into_iter().map(row).collect()
}

fn shapes() -> Vec<Row> {
    let good = signed(HS256, valid());
    let parts: Vec<&str> = good.split('.').collect();
    let [header, claims, signature] = parts[..] else {
        panic!("three parts");
    };
    let json =
        format!(r#"{{"protected":"{header}","payload":"{claims}","signature":"{signature}"}}"#);
    // The last character of 16 bytes carries bits that a lax decoder throws away.
    let spare_bits = encoded(r#"{"alg":"HS256" }"#);
    let spare_bits = format!("{}R", spare_bits.strip_suffix('Q').unwrap());
    let other_alphabet = STANDARD.encode(r#"{"sub":"x???"}"#).replace('=', "");
    assert!(other_alphabet.contains('/'), "{other_alphabet}");
    let malformed = vec![
        ("dots only", "..".to_owned()),
        ("four parts", format!("{good}.")),
        ("a part before", format!(".{good}")),
        ("no header", format!(".{claims}.{signature}")),
        ("no claims", format!("{header}..{signature}")),
        (
            "encrypted (JWE)",
            format!("{}.a.b.c.d", encoded(r#"{"alg":"dir","enc":"A256GCM"}"#)),
        ),
        (
            "encrypted, no key part",
            format!("{header}..b.{claims}.{signature}"),
        ),
        ("JSON serialization", json),
        (
            "padding in the header",
            signed_parts(&format!("{header}="), claims),
        ),
        (
            "padding in the claims",
            signed_parts(header, &format!("{claims}==")),
        ),
        (
            "spare bits in the header",
            signed_parts(&spare_bits, claims),
        ),
        ("the other alphabet", signed_parts(header, &other_alphabet)),
        ("a quote", format!("\"{good}\"")),
        ("a comma and another", format!("{good},{good}")),
        ("percent-encoded", good.replace('.', "%2E")),
        ("over 16 KiB", signed(HS256, claims_of(20_000))),
    ];
    rows("shape", Reason::TokenInvalid, malformed)
}

fn claims_of(bytes: usize) -> String {
    claims(json!({ "filler": "x".repeat(bytes) })).to_string()
}

#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn headers() -> Vec<Row> {
    let algorithms = [
        "none",
        "None",
        "NONE",
        "nOnE",
        "none ",
        " none",
        "",
        "hs256",
        "HS256 ",
        "HS256\\u0000",
        "HMAC",
        "SHA256",
        "HS1",
        "ES256K",
        "ES512",
        "RSA-OAEP",
        "dir",
        "\\u006eone",
    ];
    let by_name = algorithms.map(|alg| (alg, signed(format!(r#"{{"alg":"{alg}"}}"#), valid())));
    let texts = [
        "{}",
        "[]",
        "\"HS256\"",
        "null",
        "7",
        "",
        "HS256",
        r#"{"alg":null}"#,
        r#"{"alg":256}"#,
        r#"{"alg":["HS256"]}"#,
        r#"{"alg":{"HS256":1}}"#,
        r#"{"Alg":"HS256"}"#,
        r#"{"alg":"HS256"}x"#,
        r#"{"alg":"HS256"}{"alg":"HS256"}"#,
        r#"{'alg':'HS256'}"#,
        r#"{"alg":"HS256",}"#,
        "{\"alg\":\"HS256\"}\0",
        "\u{feff}{\"alg\":\"HS256\"}",
        r#"{"alg":"HS256","crit":[]}"#,
        r#"{"alg":"HS256","crit":["exp"]}"#,
        r#"{"alg":"HS256","crit":null}"#,
        r#"{"alg":"HS256","b64":false,"crit":["b64"]}"#,
        r#"{"alg":"HS256","alg":"none"}"#,
        r#"{"alg":"HS256","x":"\ud800"}"#,
    ];
    let by_text = texts.map(|text| (text, signed(text, valid())));
    let utf16: Vec<u8> = HS256.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let mut all = rows("alg", Reason::TokenInvalid, by_name.to_vec());
    all.extend(rows("header", Reason::TokenInvalid, by_text.to_vec()));
    let unsigned = unsigned(&claims(json!({})));
    all.extend(rows(
        "header",
        Reason::TokenInvalid,
        vec![
            ("none, unsigned", unsigned.clone()),
            (
                "none, with a signature",
                format!("{unsigned}{}", mac(SECRET, &unsigned)),
            ),
            ("UTF-16", signed(utf16, valid())),
        ],
    ));
    all
}

#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn signatures() -> Vec<Row> {
    let good = signed(HS256, valid());
    let (input, signature) = good.rsplit_once('.').unwrap();
    let with = |signature: &str| format!("{input}.{signature}");
    let header = |fields: Value| {
        let mut header = json!({"alg": "HS256"});
        header
            .as_object_mut()
            .unwrap()
            .extend(fields.as_object().unwrap().clone());
        encoded(header.to_string())
    };
    let signed_by = |key: &[u8], fields: Value| {
        let input = format!("{}.{}", header(fields), encoded(valid()));
        let signature = mac(key, &input);
        format!("{input}.{signature}")
    };
    let own = json!({"jwk": {"kty": "oct", "k": encoded("mine")}});
    let raw_payload = format!(
        "{}.{}",
        encoded(r#"{"alg":"HS256","b64":false}"#),
        encoded(valid())
    );
    let raw_input = format!("{}.{}", encoded(r#"{"alg":"HS256","b64":false}"#), valid());
    let admin = encoded(claims(json!({"sub": "admin"})).to_string());
    let zeros = encoded([0; 64]);
    let last = signature.chars().last().unwrap();
    let spare = char::from_u32(u32::from(last) + 1).unwrap();
    rows(
        "signature",
        Reason::TokenSignatureInvalid,
        vec![
            ("none at all", with("")),
            ("cut short", with(&signature[..20])),
            ("one byte more", with(&format!("{signature}AA"))),
            ("padded", with(&format!("{signature}="))),
            (
                "spare bits",
                with(&format!("{}{spare}", &signature[..signature.len() - 1])),
            ),
            ("encoded twice", with(&encoded(signature))),
            (
                "of other claims",
                format!("{}.{admin}.{signature}", encoded(HS256)),
            ),
            (
                "of another header",
                format!(
                    "{}.{}.{signature}",
                    header(json!({"typ": "JWT"})),
                    encoded(valid())
                ),
            ),
            (
                "of claims that are not encoded",
                format!("{raw_payload}.{}", mac(SECRET, &raw_input)),
            ),
            ("an empty key's", signed_by(b"", json!({}))),
            ("a zero key's", signed_by(&[0; 32], json!({}))),
            (
                "the secret in base64",
                signed_by(STANDARD.encode(SECRET).as_bytes(), json!({})),
            ),
            ("a key of its own (jwk)", signed_by(b"mine", own)),
            (
                "a key of its own (jku)",
                signed_by(b"mine", json!({"jku": "https://evil.example/keys"})),
            ),
            (
                "a key of its own (x5u)",
                signed_by(b"mine", json!({"x5u": "https://evil.example/chain"})),
            ),
            (
                "a file for a key id",
                signed_by(b"", json!({"kid": "../../../dev/null"})),
            ),
            (
                "SQL for a key id",
                signed_by(b"mine", json!({"kid": "x' UNION SELECT 'mine'--"})),
            ),
            (
                "an object for a key id",
                signed_by(b"mine", json!({"kid": {"k": "mine"}})),
            ),
            (
                "all zeros, ES256",
                format!(
                    "{}.{}.{zeros}",
                    encoded(r#"{"alg":"ES256"}"#),
                    encoded(valid())
                ),
            ),
            (
                "an HMAC that says RS256",
                signed(r#"{"alg":"RS256"}"#, valid()),
            ),
            (
                "an HMAC that says EdDSA",
                signed(r#"{"alg":"EdDSA"}"#, valid()),
            ),
            (
                "HMAC-256 that says HS512",
                signed(r#"{"alg":"HS512"}"#, valid()),
            ),
        ],
    )
}

fn claim_sets() -> Vec<Row> {
    let at = |seconds: i64| now() + seconds;
    let of = |text: String| (text.clone(), signed(HS256, text));
    let invalid = vec![
        of("[]".to_owned()),
        of("null".to_owned()),
        of("\"exp\"".to_owned()),
        of("{}".to_owned()),
        of(format!(r#"{{"exp":{}}}x"#, at(60))),
        of(format!(r#"{{"EXP":{}}}"#, at(60))),
        of(format!(r#"{{"exp ":{}}}"#, at(60))),
        of(format!(r#"{{"claims":{{"exp":{}}}}}"#, at(60))),
        of(format!(r#"{{"exp":"{}"}}"#, at(60))),
        of(r#"{"exp":"2099-01-01T00:00:00Z"}"#.to_owned()),
        of(r#"{"exp":null}"#.to_owned()),
        of(r#"{"exp":true}"#.to_owned()),
        of(format!(r#"{{"exp":[{}]}}"#, at(60))),
        of(format!(r#"{{"exp":{{"$date":{}}}}}"#, at(60))),
        of(r#"{"exp":NaN}"#.to_owned()),
        of(r#"{"exp":Infinity}"#.to_owned()),
        of(r#"{"exp":1e999}"#.to_owned()),
        of(r#"{"exp":0x7fffffff}"#.to_owned()),
        of(format!(r#"{{"exp":{},"nbf":"0"}}"#, at(60))),
        of(format!(r#"{{"exp":{},"nbf":[0]}}"#, at(60))),
        of(format!(r#"{{"exp":{},"sub":"\ud800"}}"#, at(60))),
    ];
    let expired = [
        "0".to_owned(),
        "-1".to_owned(),
        "-9223372036854775808".to_owned(),
        "-1e300".to_owned(),
        "1e-300".to_owned(),
        format!("{}", at(-1)),
        format!("{}.999", at(-2)),
        // The last of two counts (RFC 7519 §4).
        format!(r#"{},"exp":{}"#, at(60), at(-60)),
    ];
    let early = [
        "1e300".to_owned(),
        "18446744073709551615".to_owned(),
        at(60).to_string(),
    ];
    let mut all = rows("claims", Reason::TokenInvalid, invalid);
    let expired = expired.map(|exp| of(format!(r#"{{"exp":{exp}}}"#)));
    all.extend(rows("claims", Reason::TokenExpired, expired.to_vec()));
    let early = early.map(|nbf| of(format!(r#"{{"exp":{},"nbf":{nbf}}}"#, at(99))));
    all.extend(rows("claims", Reason::TokenNotYetValid, early.to_vec()));
    all
}

#[tokio::test]
async fn no_forged_token_passes() {
    let control = run(policy(json!({})), &mut bearer(&signed(HS256, valid()))).await;
    control.expect("the table's own signature is a right one");
    let all = [shapes(), headers(), signatures(), claim_sets()].concat();
    assert!(all.len() > 90, "{}", all.len());
    for (name, token, reason) in all {
        let refusal = run(policy(json!({})), &mut bearer(&token)).await;
        let refusal = refusal.expect_err(&name);
        assert_eq!(
            (refusal.status, refusal.reason),
            (401, reason),
            "{name}: {}",
            refusal.message
        );
    }
}

/// What a public key is for must not change with what a token says.
#[tokio::test]
async fn no_token_makes_a_public_key_a_secret() {
    let signer = Signer::p256();
    let pem = signer.pair.public_key_pem();
    let services = services();
    let secrets = secret_data(&[("s", "k", pem.as_bytes())]);
    let steps = json!({"inbound": [{ "validateJwt": policy(json!({})) }]});
    let pipeline = pipeline(steps, &secrets, &services);
    let control = signer.sign(None, &claims(json!({})));
    pipeline
        .inbound(&mut bearer(&control), &services)
        .await
        .expect("the right key");
    let point = signer.pair.public_key_raw();
    let body = pem.lines().filter(|line| !line.starts_with("-----"));
    let der = STANDARD.decode(body.collect::<String>()).unwrap();
    let mine = Signer::p256();
    let embedded = json!({"alg": "ES256", "jwk": mine.jwk("x")});
    let own_key = mine.sign(None, &claims(json!({})));
    let (_, own_signature) = own_key.rsplit_once('.').unwrap();
    let by = |key: &[u8], header: &str| {
        let input = format!("{}.{}", encoded(header), encoded(valid()));
        let signature = mac(key, &input);
        format!("{input}.{signature}")
    };
    for (name, token) in [
        ("the PEM", by(pem.as_bytes(), HS256)),
        (
            "the PEM without its last line end",
            by(pem.trim_end().as_bytes(), HS256),
        ),
        ("the DER", by(&der, HS256)),
        ("the point", by(point, HS256)),
        (
            "the PEM, as ES256",
            by(pem.as_bytes(), r#"{"alg":"ES256"}"#),
        ),
        ("another's key", own_key.clone()),
        (
            "another's key, embedded",
            format!(
                "{}.{}.{own_signature}",
                encoded(embedded.to_string()),
                encoded(valid())
            ),
        ),
        ("unsigned", unsigned(&claims(json!({})))),
        (
            "zeros",
            format!(
                "{}.{}.{}",
                encoded(r#"{"alg":"ES256"}"#),
                encoded(valid()),
                encoded([0; 64])
            ),
        ),
    ] {
        let refusal = pipeline.inbound(&mut bearer(&token), &services).await;
        assert_eq!(refusal.expect_err(name).status, 401, "{name}");
    }
}
