//! Encodings and digests: base64, base64url, hex, JSON, SHA-256, HMAC.

use aws_lc_rs::{digest, hmac};
use base64::Engine as _;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use cel::Value;

use super::{Call, Overload};
use crate::error::Fault;
use crate::types::Type;
use crate::value::{from_json, text, to_json};

const TEXT: Type = Type::Text;
const OCTETS: Type = Type::Octets;

/// Both take their padding or leave it.
const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const BASE64: GeneralPurpose = GeneralPurpose::new(&STANDARD, LENIENT);
/// RFC 7515 §2: base64url as tokens use it is written without padding.
pub(super) const BASE64URL: GeneralPurpose =
    GeneralPurpose::new(&URL_SAFE, LENIENT.with_encode_padding(false));

/// A digest of a short text costs about this much; longer ones by their length.
const STEPS_PER_DIGEST: u64 = 20;

/// Building one JSON value costs more than reading one byte.
const STEPS_PER_JSON_WEIGHT: u64 = 4;

pub(super) const OVERLOADS: &[Overload] = &[
    Overload::global("base64.encode", &[OCTETS], TEXT, base64_encode),
    Overload::global("base64.decode", &[TEXT], Type::Bytes, base64_decode),
    Overload::global("base64url.encode", &[OCTETS], TEXT, base64url_encode),
    Overload::global("base64url.decode", &[TEXT], Type::Bytes, base64url_decode),
    Overload::global("hex.encode", &[OCTETS], TEXT, hex_encode),
    Overload::global("hex.decode", &[TEXT], Type::Bytes, hex_decode),
    Overload::global("json.parse", &[TEXT], Type::Any, json_parse),
    Overload::global("json.encode", &[Type::Any], TEXT, json_encode),
    Overload::global("sha256", &[OCTETS], TEXT, sha256),
    Overload::global("hmacSha256", &[OCTETS, OCTETS], Type::Bytes, hmac_sha256),
];

/// Pays for reading the argument and for a result twice as long, the most that these make of it.
fn pay(call: &mut Call<'_>) -> Result<(), Fault> {
    let length = call.octets(0)?.len();
    call.budget.spend_bytes(length)?;
    call.budget.spend_text(length.saturating_mul(2))
}

fn base64_encode(call: &mut Call<'_>) -> Result<Value, Fault> {
    pay(call)?;
    Ok(text(BASE64.encode(call.octets(0)?)))
}

fn base64_decode(call: &mut Call<'_>) -> Result<Value, Fault> {
    pay(call)?;
    decoded(BASE64.decode(call.octets(0)?).ok(), "base64")
}

fn base64url_encode(call: &mut Call<'_>) -> Result<Value, Fault> {
    pay(call)?;
    Ok(text(BASE64URL.encode(call.octets(0)?)))
}

fn base64url_decode(call: &mut Call<'_>) -> Result<Value, Fault> {
    pay(call)?;
    decoded(BASE64URL.decode(call.octets(0)?).ok(), "base64url")
}

fn hex_encode(call: &mut Call<'_>) -> Result<Value, Fault> {
    pay(call)?;
    Ok(text(hex::encode(call.octets(0)?)))
}

fn hex_decode(call: &mut Call<'_>) -> Result<Value, Fault> {
    pay(call)?;
    decoded(hex::decode(call.octets(0)?).ok(), "hex")
}

fn decoded(bytes: Option<Vec<u8>>, form: &str) -> Result<Value, Fault> {
    match bytes {
        Some(bytes) => Ok(Value::from(bytes)),
        None => Err(Fault::new(format!("the text is not {form}"))),
    }
}

fn json_parse(call: &mut Call<'_>) -> Result<Value, Fault> {
    // Text of many short values makes the most of them: about one per two bytes.
    call.budget
        .spend_bytes(call.text(0)?.len().saturating_mul(4))?;
    match serde_json::from_str(call.text(0)?) {
        Ok(json) => Ok(from_json(json)),
        // The message of the parser has its place and reason, but no content.
        Err(error) => Err(Fault::new(format!("json.parse: {error}"))),
    }
}

fn json_encode(call: &mut Call<'_>) -> Result<Value, Fault> {
    call.budget.spend_values(call.args, STEPS_PER_JSON_WEIGHT)?;
    match to_json(call.value(0)?) {
        Ok(json) => {
            let json = json.to_string();
            call.budget.spend_text(json.len())?;
            Ok(text(json))
        }
        Err(error) => Err(Fault::new(format!("json.encode: {error}"))),
    }
}

fn sha256(call: &mut Call<'_>) -> Result<Value, Fault> {
    call.budget.spend(STEPS_PER_DIGEST)?;
    call.budget.spend_bytes(call.octets(0)?.len())?;
    Ok(text(hex::encode(digest::digest(
        &digest::SHA256,
        call.octets(0)?,
    ))))
}

fn hmac_sha256(call: &mut Call<'_>) -> Result<Value, Fault> {
    call.budget.spend(STEPS_PER_DIGEST)?;
    call.budget
        .spend_bytes(call.octets(0)?.len().saturating_add(call.octets(1)?.len()))?;
    // Other protocols have keys of other lengths, and derive keys from keys; but nothing is no key, and
    // a value that was not set is nothing.
    if call.octets(0)?.is_empty() {
        return Err(Fault::new("hmacSha256: the key is empty"));
    }
    let key = hmac::Key::new(hmac::HMAC_SHA256, call.octets(0)?);
    Ok(Value::from(
        hmac::sign(&key, call.octets(1)?).as_ref().to_vec(),
    ))
}
