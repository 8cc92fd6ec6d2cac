use std::sync::OnceLock;

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rcgen::{
    CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519,
    PKCS_RSA_SHA256, RsaKeySize,
};
use serde_json::json;
use tidegate_config::policy::ClaimMatch;

use tidegate_keys::{InvalidKey, InvalidSecret, SecretLength};

use super::*;

/// An HMAC secret.
pub(crate) const SECRET: &[u8] =
    b"a secret of tests, long enough for HS512: 0123456789abcdef0123456789";

/// A key pair, whose private half signs.
pub(crate) struct Signer {
    pub(crate) pair: KeyPair,
    key: EncodingKey,
    algorithm: Algorithm,
}

impl Signer {
    /// A fresh P-256 key.
    pub(crate) fn p256() -> Self {
        let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        let key = EncodingKey::from_ec_pem(pair.serialize_pem().as_bytes()).unwrap();
        Self {
            pair,
            key,
            algorithm: Algorithm::ES256,
        }
    }

    /// A token.
    pub(crate) fn sign(&self, id: Option<&str>, claims: &Value) -> String {
        sign_with(self.algorithm, &self.key, id, claims)
    }

    /// The public half as a JSON Web Key.
    pub(crate) fn jwk(&self, id: &str) -> Value {
        let point = self.pair.public_key_raw();
        let (x, y) = (&point[1..33], &point[33..]);
        json!({
            "kty": "EC", "crv": "P-256", "kid": id, "use": "sig",
            "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y),
        })
    }
}

/// A token signed with [`SECRET`].
pub(crate) fn hs256(claims: &Value) -> String {
    let key = EncodingKey::from_secret(SECRET);
    sign_with(Algorithm::HS256, &key, None, claims)
}

/// A token that says `alg: none` and has no signature.
pub(crate) fn unsigned(claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.", part(&json!({"alg": "none"})), part(claims))
}

fn sign_with(algorithm: Algorithm, key: &EncodingKey, id: Option<&str>, claims: &Value) -> String {
    let mut header = Header::new(algorithm);
    header.kid = id.map(str::to_owned);
    jsonwebtoken::encode(&header, claims, key).unwrap()
}

/// One RSA pair for all tests: generating it takes a while.
fn rsa() -> &'static KeyPair {
    static PAIR: OnceLock<KeyPair> = OnceLock::new();
    PAIR.get_or_init(|| KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap())
}

fn with_header(header: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.c2ln", part(header), part(&json!({"sub": "a"})))
}

#[test]
fn each_algorithm_verifies_with_keys_of_its_type_only() {
    use JwtAlgorithm as A;
    let pem = |pair: &KeyPair| pair.serialize_pem().into_bytes();
    let p256 = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    let p384 = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap();
    let ed = KeyPair::generate_for(&PKCS_ED25519).unwrap();
    let signers = [
        (
            EncodingKey::from_secret(SECRET),
            SECRET.to_vec(),
            &[A::HS256, A::HS384, A::HS512][..],
        ),
        (
            EncodingKey::from_rsa_pem(&pem(rsa())).unwrap(),
            rsa().public_key_pem().into_bytes(),
            &[A::RS256, A::RS384, A::RS512, A::PS256, A::PS384, A::PS512],
        ),
        (
            EncodingKey::from_ec_pem(&pem(&p256)).unwrap(),
            p256.public_key_pem().into_bytes(),
            &[A::ES256],
        ),
        (
            EncodingKey::from_ec_pem(&pem(&p384)).unwrap(),
            p384.public_key_pem().into_bytes(),
            &[A::ES384],
        ),
        (
            EncodingKey::from_ed_pem(&pem(&ed)).unwrap(),
            ed.public_key_pem().into_bytes(),
            &[A::EdDSA],
        ),
    ];
    let verifiers: Vec<_> = signers
        .iter()
        .map(|(_, bytes, _)| {
            VerificationKey::from_secret(None, bytes, SecretLength::OfHash).unwrap()
        })
        .collect();
    for (i, (key, _, algorithms)) in signers.iter().enumerate() {
        for algorithm in *algorithms {
            let library = format!("{algorithm:?}").parse().unwrap();
            let text = sign_with(library, key, None, &json!({"sub": "a"}));
            let token = Token::parse(&text).unwrap();
            assert_eq!(token.signed, Signed::With(*algorithm));
            for (j, verifier) in verifiers.iter().enumerate() {
                assert_eq!(
                    token.is_signed_by(verifier, *algorithm),
                    i == j,
                    "{algorithm:?} {j}"
                );
            }
            let other = format!("{}x", &text[..text.len() - 1]);
            let other = Token::parse(&other).unwrap();
            let changed = other.signature.ends_with('x') && !text.ends_with('x');
            assert!(
                !changed || !other.is_signed_by(&verifiers[i], *algorithm),
                "{algorithm:?}"
            );
        }
    }
}

#[test]
fn a_public_key_is_never_an_hmac_secret() {
    let public = rsa().public_key_pem();
    let key = EncodingKey::from_secret(public.as_bytes());
    let forged = sign_with(Algorithm::HS256, &key, None, &json!({"sub": "admin"}));
    let verifier =
        VerificationKey::from_secret(None, public.as_bytes(), SecretLength::OfHash).unwrap();
    let token = Token::parse(&forged).unwrap();
    assert!(!verifier.fits(JwtAlgorithm::HS256));
    assert!(!token.is_signed_by(&verifier, JwtAlgorithm::HS256));
    assert!(!token.is_signed_by(&verifier, JwtAlgorithm::RS256));
}

#[test]
fn certificates_are_keys() {
    let p384 = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap();
    let ed = KeyPair::generate_for(&PKCS_ED25519).unwrap();
    for (pair, algorithm) in [
        (rsa(), JwtAlgorithm::PS256),
        (&p384, JwtAlgorithm::ES384),
        (&ed, JwtAlgorithm::EdDSA),
    ] {
        let certificate = CertificateParams::new(vec!["a.example".to_owned()]).unwrap();
        let pem = certificate.self_signed(pair).unwrap().pem();
        let key = VerificationKey::from_secret(None, pem.as_bytes(), SecretLength::OfHash).unwrap();
        assert!(key.fits(algorithm), "{algorithm:?}");
    }
}

#[test]
fn modulus_and_exponent_are_a_key() {
    let components = aws_lc_rs::signature::RsaPublicKeyComponents::<Vec<u8>>::from(
        &aws_lc_rs::rsa::PublicKey::from_der(rsa().public_key_raw()).unwrap(),
    );
    let (n, e) = (
        URL_SAFE_NO_PAD.encode(&components.n),
        URL_SAFE_NO_PAD.encode(&components.e),
    );
    let key = VerificationKey::from_rsa(Some("k".to_owned()), &n, &e).unwrap();
    let private = EncodingKey::from_rsa_pem(rsa().serialize_pem().as_bytes()).unwrap();
    let text = sign_with(Algorithm::RS256, &private, Some("k"), &json!({}));
    let token = Token::parse(&text).unwrap();
    assert_eq!(token.key_id(), Some("k"));
    assert!(token.is_signed_by(&key, JwtAlgorithm::RS256));
}

#[test]
fn what_is_no_key_says_why() {
    let private = rsa().serialize_pem();
    let short = URL_SAFE_NO_PAD.encode([0xc1; 128]);
    let from =
        |bytes: &[u8]| VerificationKey::from_secret(None, bytes, SecretLength::OfHash).unwrap_err();
    assert_eq!(from(b""), InvalidKey::Secret(InvalidSecret::Empty));
    assert_eq!(from(private.as_bytes()), InvalidKey::Private);
    assert_eq!(
        from(b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"),
        InvalidKey::Pem
    );
    assert_eq!(from(b"-----BEGIN nonsense"), InvalidKey::Pem);
    let rsa = |n: &str| VerificationKey::from_rsa(None, n, "AQAB").unwrap_err();
    assert_eq!(rsa(&short), InvalidKey::Rsa);
    assert_eq!(rsa("%%"), InvalidKey::Components);
}

#[test]
fn what_is_no_token_is_malformed() {
    let good = hs256(&json!({"sub": "a"}));
    let [header, claims, signature] = good.split('.').collect::<Vec<_>>()[..] else {
        panic!("three parts");
    };
    for (name, text) in [
        ("empty", String::new()),
        ("one part", "abc".to_owned()),
        ("two parts", format!("{header}.{claims}")),
        (
            "five parts, as encrypted ones have",
            format!("{header}.a.b.c.{signature}"),
        ),
        ("padded", format!("{header}=.{claims}.{signature}")),
        ("header is no JSON", format!("YWJj.{claims}.{signature}")),
        ("claims are no object", format!("{header}.W10.{signature}")),
        ("no alg", with_header(&json!({"typ": "JWT"}))),
        ("alg is no text", with_header(&json!({"alg": 1}))),
        (
            "critical extension",
            with_header(&json!({"alg": "HS256", "crit": ["b64"], "b64": false})),
        ),
        (
            "too long",
            format!("{header}.{claims}.{}", "a".repeat(MAX_TOKEN_BYTES)),
        ),
        (
            "claims as deep as it is long",
            format!("{header}.{}.{signature}", encoded(&"[".repeat(8_000))),
        ),
        (
            "claims with a deep one",
            format!("{header}.{}.{signature}", encoded(&nested(4_000))),
        ),
        (
            "a number that is none",
            format!("{header}.{}.{signature}", encoded(r#"{"exp":1e999}"#)),
        ),
        (
            "claims that are no UTF-8",
            format!(
                "{header}.{}.{signature}",
                URL_SAFE_NO_PAD.encode(b"{\"a\":\"\xff\"}")
            ),
        ),
    ] {
        assert!(
            matches!(Token::parse(&text), Err(Invalid::Malformed(_))),
            "{name}"
        );
    }
    for alg in ["None", "NONE", "hs256", "ES512", "HS1"] {
        let parsed = Token::parse(&with_header(&json!({"alg": alg}))).map(|_| ());
        assert_eq!(parsed, Err(Invalid::AlgorithmNotAllowed), "{alg}");
    }
}

fn encoded(part: &str) -> String {
    URL_SAFE_NO_PAD.encode(part)
}

fn nested(levels: usize) -> String {
    format!(r#"{{"a":{}{}}}"#, "[".repeat(levels), "]".repeat(levels))
}

/// RFC 7519 §4: a parser may take the last of equal names; the backend's may, too, so it is no way around a check.
#[test]
fn of_claims_with_one_name_the_last_counts() {
    let header = encoded(r#"{"alg":"HS256"}"#);
    let text = format!(
        "{header}.{}.c2ln",
        encoded(r#"{"sub":"a","exp":9,"sub":"b"}"#)
    );
    let token = Token::parse(&text).unwrap();
    assert_eq!(
        token.claims,
        *json!({"sub": "b", "exp": 9}).as_object().unwrap()
    );
}

const NOW: i64 = 1_000_000;

fn check(claims: Value, rules: &ClaimRules<'_>) -> Result<Option<i64>, Invalid> {
    let Value::Object(claims) = claims else {
        panic!("claims are an object");
    };
    check_claims(&claims, rules, NOW)
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn times_are_checked_with_tolerance() {
    let rules = |skew, require_expiration| ClaimRules {
        skew,
        require_expiration,
        ..ClaimRules::default()
    };
    for (name, claims, (skew, required), expected) in [
        (
            "valid",
            json!({"exp": NOW + 1}),
            (0, true),
            Ok(Some(NOW + 1)),
        ),
        (
            "at its end",
            json!({"exp": NOW}),
            (0, true),
            Err(Invalid::Expired),
        ),
        (
            "just after, tolerated",
            json!({"exp": NOW - 9}),
            (10, true),
            Ok(Some(NOW + 1)),
        ),
        (
            "after the tolerance",
            json!({"exp": NOW - 10}),
            (10, true),
            Err(Invalid::Expired),
        ),
        (
            "with decimals",
            json!({"exp": NOW as f64 + 1.5}),
            (0, true),
            Ok(Some(NOW + 1)),
        ),
        ("no end", json!({}), (0, true), Err(Invalid::NoExpiration)),
        ("no end needed", json!({}), (0, false), Ok(None)),
        (
            "not yet",
            json!({"exp": NOW + 9, "nbf": NOW + 1}),
            (0, true),
            Err(Invalid::NotYetValid),
        ),
        (
            "not yet, tolerated",
            json!({"exp": NOW + 9, "nbf": NOW + 1}),
            (1, true),
            Ok(Some(NOW + 10)),
        ),
        (
            "huge",
            json!({"exp": 1e300}),
            (10, true),
            Ok(Some(i64::MAX)),
        ),
        (
            "as text",
            json!({"exp": "2000000000"}),
            (0, false),
            Err(Invalid::Malformed("its exp or nbf is not a number")),
        ),
        (
            "null",
            json!({"exp": null}),
            (0, false),
            Err(Invalid::Malformed("its exp or nbf is not a number")),
        ),
    ] {
        assert_eq!(check(claims, &rules(skew, required)), expected, "{name}");
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn issuer_audience_and_client_must_be_accepted_ones() {
    let clients = ["app".to_owned()];
    let rules = ClaimRules {
        issuers: Some(vec!["https://i/".into(), "https://j".into()]),
        audiences: vec!["one".into(), "two".into()],
        clients: &clients,
        ..ClaimRules::default()
    };
    let none_known = ClaimRules {
        issuers: Some(Vec::new()),
        ..ClaimRules::default()
    };
    for (name, claims, expected) in [
        (
            "all right",
            json!({"iss": "https://i/", "aud": "one", "azp": "app"}),
            Ok(None),
        ),
        (
            "one of several audiences",
            json!({"iss": "https://j", "aud": ["x", "two"], "appid": "app"}),
            Ok(None),
        ),
        (
            "client_id",
            json!({"iss": "https://j", "aud": "one", "client_id": "app"}),
            Ok(None),
        ),
        (
            "issuer without its slash",
            json!({"iss": "https://i", "aud": "one", "azp": "app"}),
            Err(Invalid::IssuerNotAllowed),
        ),
        (
            "no issuer",
            json!({"aud": "one", "azp": "app"}),
            Err(Invalid::IssuerNotAllowed),
        ),
        (
            "other audience",
            json!({"iss": "https://j", "aud": ["x"], "azp": "app"}),
            Err(Invalid::AudienceNotAllowed),
        ),
        (
            "no audience",
            json!({"iss": "https://j", "azp": "app"}),
            Err(Invalid::AudienceNotAllowed),
        ),
        (
            "other client",
            json!({"iss": "https://j", "aud": "one", "azp": "x"}),
            Err(Invalid::ClientNotAllowed),
        ),
        (
            "no client",
            json!({"iss": "https://j", "aud": "one"}),
            Err(Invalid::ClientNotAllowed),
        ),
    ] {
        assert_eq!(check(claims, &rules), expected, "{name}");
    }
    let claims = json!({"iss": "https://i/"});
    assert_eq!(
        check(claims, &none_known),
        Err(Invalid::IssuerNotAllowed),
        "none is known yet"
    );
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn required_claims_hold_all_or_any_values() {
    let all = |values: &[&'static str]| (values.to_vec(), ClaimMatch::All, None);
    let any = |values: &[&'static str]| (values.to_vec(), ClaimMatch::Any, None);
    let scp = |values: &[&'static str], matching| (values.to_vec(), matching, Some(" "));
    let refused = |value: &str| {
        Some(Invalid::ClaimNotAllowed {
            claim: "c".to_owned(),
            value: value.to_owned(),
        })
    };
    let missing = Some(Invalid::ClaimsMissing(vec!["c".to_owned()]));
    for (name, claim, (values, matching, separator), expected) in [
        ("there", json!("x"), all(&[]), None),
        ("null is not there", Value::Null, all(&[]), missing),
        ("equal", json!("x"), all(&["x"]), None),
        ("other", json!("y"), all(&["x"]), refused("y")),
        (
            "all in a list",
            json!(["a", "b", "c"]),
            all(&["a", "b"]),
            None,
        ),
        (
            "not all in a list",
            json!(["a"]),
            all(&["a", "b"]),
            refused("[\"a\"]"),
        ),
        ("any in a list", json!(["b"]), any(&["a", "b"]), None),
        (
            "none in a list",
            json!(["c"]),
            any(&["a", "b"]),
            refused("[\"c\"]"),
        ),
        (
            "separated, all",
            json!("read write"),
            scp(&["read", "write"], ClaimMatch::All),
            None,
        ),
        (
            "separated, any",
            json!("read  write"),
            scp(&["x", "write"], ClaimMatch::Any),
            None,
        ),
        (
            "separated, part of a word",
            json!("readwrite"),
            scp(&["read"], ClaimMatch::Any),
            refused("readwrite"),
        ),
        (
            "not separated",
            json!("read write"),
            all(&["read"]),
            refused("read write"),
        ),
        ("number", json!(7), all(&["7"]), None),
        ("bool", json!(true), all(&["true"]), None),
    ] {
        let rule = ClaimRule {
            name: "c",
            values: values.into_iter().map(Into::into).collect(),
            matching,
            separator,
        };
        let rules = ClaimRules {
            claims: vec![rule],
            ..ClaimRules::default()
        };
        assert_eq!(check(json!({"c": claim}), &rules).err(), expected, "{name}");
    }
}

#[test]
fn all_missing_claims_are_named() {
    let rule = |name| ClaimRule {
        name,
        values: Vec::new(),
        matching: ClaimMatch::All,
        separator: None,
    };
    let rules = ClaimRules {
        claims: vec![rule("a"), rule("b"), rule("c")],
        ..ClaimRules::default()
    };
    let missing = Invalid::ClaimsMissing(vec!["a".to_owned(), "c".to_owned()]);
    assert_eq!(check(json!({"b": 1}), &rules), Err(missing));
}
