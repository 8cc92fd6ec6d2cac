//! The keys of the suite, tokens signed with them, and the documents of their issuer.

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::{AlgorithmParameters, Jwk};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

use super::case::{HMAC_SECRET, OWN_KID, Token, TokenKey};

/// Certificate of the CA that signed [`BACKEND`] and [`CLIENT`].
pub(super) const AUTHORITY: &str = include_str!("../../../conformance/keys/authority.pem");
/// Certificate of the recording backend.
pub(super) const BACKEND: &str = include_str!("../../../conformance/keys/backend.pem");
/// Its key.
pub(super) const BACKEND_KEY: &str = include_str!("../../../conformance/keys/backend.key.pem");
/// Certificate of clients.
pub(super) const CLIENT: &str = include_str!("../../../conformance/keys/client.pem");
/// Its key.
pub(super) const CLIENT_KEY: &str = include_str!("../../../conformance/keys/client.key.pem");
/// Public half of [`TokenKey::Es`].
pub(super) const ES_PUBLIC: &str = include_str!("../../../conformance/keys/es256.pub.pem");
const ES: &str = include_str!("../../../conformance/keys/es256.pem");
const RS: &str = include_str!("../../../conformance/keys/rs256.pem");

/// URL of the issuer. The discovery document and the keys are below it.
pub(super) fn issuer(backend: &str) -> String {
    format!("http://{backend}/issuer")
}

/// The issuer's document at a path below `/issuer`; `None`: there is none.
pub(super) fn published(path: &str, issuer: &str) -> anyhow::Result<Option<Value>> {
    Ok(match path {
        "/.well-known/openid-configuration" => Some(json!({
            "issuer": issuer,
            "jwks_uri": format!("{issuer}/keys"),
        })),
        "/keys" => Some(json!({"keys": [jwk(TokenKey::Es)?, jwk(TokenKey::Rs)?]})),
        _ => None,
    })
}

/// Modulus and exponent of [`TokenKey::Rs`], base64url.
pub(super) fn rsa_public() -> anyhow::Result<(String, String)> {
    match jwk(TokenKey::Rs)?.algorithm {
        AlgorithmParameters::RSA(key) => Ok((key.n, key.e)),
        _ => anyhow::bail!("the key is not an RSA key"),
    }
}

fn jwk(key: TokenKey) -> anyhow::Result<Jwk> {
    let (algorithm, name) = algorithm(key).context("no key to publish")?;
    let mut jwk = Jwk::from_encoding_key(&encoding_key(key)?, algorithm)?;
    jwk.common.key_id = Some(name.to_owned());
    Ok(jwk)
}

fn algorithm(key: TokenKey) -> Option<(Algorithm, &'static str)> {
    match key {
        TokenKey::Es => Some((Algorithm::ES256, "es")),
        TokenKey::Rs => Some((Algorithm::RS256, "rs")),
        TokenKey::Hs => Some((Algorithm::HS256, "hs")),
        TokenKey::None => None,
    }
}

fn encoding_key(key: TokenKey) -> anyhow::Result<EncodingKey> {
    Ok(match key {
        TokenKey::Es => EncodingKey::from_ec_pem(ES.as_bytes())?,
        TokenKey::Rs => EncodingKey::from_rsa_pem(RS.as_bytes())?,
        TokenKey::Hs | TokenKey::None => EncodingKey::from_secret(HMAC_SECRET.as_bytes()),
    })
}

/// Signs a token, `now` in seconds since 1970.
pub(super) fn sign(token: &Token, now: i64) -> anyhow::Result<String> {
    let mut claims = token.claims.clone();
    if let Some(seconds) = token.expires_in {
        claims.insert("exp".to_owned(), json!(now + seconds));
    }
    if let Some(seconds) = token.not_before {
        claims.insert("nbf".to_owned(), json!(now + seconds));
    }
    let Some((algorithm, name)) = algorithm(token.key) else {
        return Ok(unsigned(&Value::Object(claims)));
    };
    let mut header = Header::new(algorithm);
    header.kid = match token.kid.as_deref() {
        Some(OWN_KID) => Some(name.to_owned()),
        other => other.map(str::to_owned),
    };
    let key = encoding_key(token.key)?;
    let signed = encode(&header, &claims, &key)?;
    match token.forged {
        true => with_signature_of(&signed, &encode(&header, &json!({"forged": true}), &key)?),
        false => Ok(signed),
    }
}

/// A token with the signature of another one.
fn with_signature_of(token: &str, other: &str) -> anyhow::Result<String> {
    let (content, _) = token.rsplit_once('.').context("a token has two dots")?;
    let (_, signature) = other.rsplit_once('.').context("a token has two dots")?;
    Ok(format!("{content}.{signature}"))
}

/// RFC 7519 §6.
fn unsigned(claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.", part(&json!({"alg": "none"})), part(claims))
}
