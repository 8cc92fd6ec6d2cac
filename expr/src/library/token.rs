//! Tokens and credentials: JWTs are read without verifying them, and signed; basic credentials are read.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cel::Value;
use jsonwebtoken::{Algorithm, AlgorithmFamily, EncodingKey, Header};
use serde_json::Value as Json;
use tidegate_keys::{HmacSecret, SecretLength, algorithm_named};

use super::encode::BASE64URL;
use super::{Call, Overload};
use crate::error::Fault;
use crate::types::{Object, Type};
use crate::value::{from_json, map, text, to_json};

const TEXT: Type = Type::Text;

/// A signature with a private key takes about a millisecond with the key's parsing, a keyed hash some
/// microseconds.
const STEPS_PER_SIGNATURE: u64 = 10_000;
const STEPS_PER_KEYED_HASH: u64 = 100;

pub(super) const OVERLOADS: &[Overload] = &[
    Overload::global("jwt.decode", &[TEXT], Type::Object(Object::Jwt), jwt_decode),
    Overload::global(
        "jwt.sign",
        &[Type::MAP, Type::Octets, TEXT, Type::Duration],
        TEXT,
        jwt_sign,
    )
    .impure(),
    Overload::global(
        "jwt.sign",
        &[Type::MAP, Type::Octets, TEXT, Type::Int],
        TEXT,
        jwt_sign,
    )
    .impure(),
    Overload::global(
        "basic.decode",
        &[Type::Any],
        Type::Object(Object::Credentials),
        basic_decode,
    ),
];

/// Header and claims of a token, no matter who made it.
fn jwt_decode(call: &mut Call<'_>) -> Result<Value, Fault> {
    let token = call.text(0)?;
    let mut parts = token.split('.');
    let (header, claims) = (parts.next(), parts.next());
    call.budget.spend_bytes(token.len().saturating_mul(4))?;
    match (header.and_then(json_object), claims.and_then(json_object)) {
        (Some(header), Some(claims)) if parts.next().is_some() && parts.next().is_none() => {
            Ok(map([
                ("header", from_json(header)),
                ("claims", from_json(claims)),
            ]))
        }
        _ => Err(Fault::new("jwt.decode: not a signed token")),
    }
}

fn json_object(part: &str) -> Option<Json> {
    let bytes = BASE64URL.decode(part).ok()?;
    serde_json::from_slice(&bytes).ok().filter(Json::is_object)
}

/// A token over the claims, with `iat` and `exp` set from `now`.
fn jwt_sign(call: &mut Call<'_>) -> Result<Value, Fault> {
    let Value::Timestamp(now) = call.now else {
        return Err(Fault::new("jwt.sign: \"now\" is not set"));
    };
    let ttl = match call.value(3)? {
        Value::Duration(ttl) => ttl.num_seconds(),
        _ => call.int(3)?,
    };
    call.budget.spend_values(call.args, 4)?;
    let Ok(Json::Object(mut claims)) = to_json(call.value(0)?) else {
        return Err(Fault::new("jwt.sign: the claims have no JSON form"));
    };
    claims.insert("iat".to_owned(), Json::from(now.timestamp()));
    claims.insert(
        "exp".to_owned(),
        Json::from(now.timestamp().saturating_add(ttl)),
    );
    let name = call.text(2)?;
    let algorithm: Algorithm = name.parse().map_err(|_| unknown_algorithm(name))?;
    call.budget.spend(match algorithm.family() {
        AlgorithmFamily::Hmac => STEPS_PER_KEYED_HASH,
        AlgorithmFamily::Rsa | AlgorithmFamily::Ec | AlgorithmFamily::Ed => STEPS_PER_SIGNATURE,
    })?;
    // It is searched for other key material, in encodings within encodings.
    let length = call.octets(1)?.len();
    call.budget.spend_bytes(length.saturating_mul(8))?;
    let key = signing_key(algorithm, call.octets(1)?)?;
    match jsonwebtoken::encode(&Header::new(algorithm), &claims, &key) {
        Ok(token) => Ok(text(token)),
        Err(_) => Err(wrong_key(algorithm)),
    }
}

/// The name of an algorithm, if it is one.
pub(crate) fn is_algorithm(name: &str) -> bool {
    name.parse::<Algorithm>().is_ok()
}

/// What is wrong with a key that stands in the text itself.
pub(crate) fn problem_of_key(algorithm: &str, key: &str) -> Option<String> {
    let algorithm = algorithm.parse().ok()?;
    match signing_key(algorithm, key.as_bytes()) {
        Ok(_) => None,
        Err(Fault::Failed(text)) => Some(text),
        Err(Fault::Cost(limit)) => Some(limit.to_owned()),
    }
}

fn unknown_algorithm(name: &str) -> Fault {
    Fault::new(format!(
        "jwt.sign: \"{name}\" is not an algorithm: use HS256, RS256, PS256, ES256 or the like"
    ))
}

fn signing_key(algorithm: Algorithm, key: &[u8]) -> Result<EncodingKey, Fault> {
    let parsed = match algorithm.family() {
        AlgorithmFamily::Hmac => return hmac_key(algorithm, key),
        AlgorithmFamily::Rsa => EncodingKey::from_rsa_pem(key),
        AlgorithmFamily::Ec => EncodingKey::from_ec_pem(key),
        AlgorithmFamily::Ed => EncodingKey::from_ed_pem(key),
    };
    parsed.map_err(|_| wrong_key(algorithm))
}

/// RFC 7518 §3.2 holds here as well, without a way around it: a step that has one says so in a field
/// (`backendAuth.signedJwt`), where a reader sees it.
fn hmac_key(algorithm: Algorithm, key: &[u8]) -> Result<EncodingKey, Fault> {
    let named = algorithm_named(&format!("{algorithm:?}"));
    let secret = HmacSecret::parse(key, SecretLength::OfHash);
    let checked = secret.and_then(|secret| match named {
        Some(algorithm) => secret.require(algorithm).map(|()| secret),
        None => Ok(secret),
    });
    match checked {
        Ok(secret) => Ok(EncodingKey::from_secret(secret.expose())),
        Err(error) => Err(Fault::new(format!("jwt.sign: the key: {error}"))),
    }
}

/// Says nothing of the key itself.
fn wrong_key(algorithm: Algorithm) -> Fault {
    Fault::new(format!(
        "jwt.sign: not a private key in PEM form that fits {algorithm:?}"
    ))
}

/// User name and password of an `Authorization: Basic` header (RFC 7617); null for anything else.
fn basic_decode(call: &mut Call<'_>) -> Result<Value, Fault> {
    let Ok(header) = call.text(0) else {
        return Ok(Value::Null);
    };
    call.budget.spend_bytes(header.len())?;
    let credentials = header
        .split_once(' ')
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("basic"))
        .and_then(|(_, encoded)| STANDARD.decode(encoded.trim()).ok())
        .and_then(|bytes| String::from_utf8(bytes).ok());
    Ok(
        match credentials.as_deref().and_then(|c| c.split_once(':')) {
            Some((user, password)) => map([("username", text(user)), ("password", text(password))]),
            None => Value::Null,
        },
    )
}
