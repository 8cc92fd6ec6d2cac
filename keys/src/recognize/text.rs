//! Key material that is text.

use serde_json::Value;

use super::Form;

/// Words, in lower case, that stand in key material and in no secret.
const SIGNS: [(&str, Form); 33] = [
    ("-----begin", Form::Pem),
    ("-----end", Form::Pem),
    ("---- begin", Form::Pem),
    ("begin certificate", Form::Pem),
    ("begin trusted certificate", Form::Pem),
    ("begin public key", Form::Pem),
    ("begin rsa p", Form::Pem),
    ("begin ec p", Form::Pem),
    ("begin private key", Form::Pem),
    ("begin pgp", Form::Pgp),
    ("ssh-rsa ", Form::Ssh),
    ("ssh-dss ", Form::Ssh),
    ("ssh-ed25519", Form::Ssh),
    ("ecdsa-sha2-nistp", Form::Ssh),
    ("sk-ecdsa-sha2", Form::Ssh),
    ("putty-user-key-file", Form::Ssh),
    ("bag attributes", Form::Printed),
    ("public-key: (", Form::Printed),
    ("private-key: (", Form::Printed),
    ("public key algorithm", Form::Printed),
    ("subject public key info", Form::Printed),
    ("signature algorithm:", Form::Printed),
    ("rsa public key", Form::Printed),
    ("modulus=", Form::Printed),
    ("modulus:", Form::Printed),
    ("asn1 oid:", Form::Printed),
    ("fingerprint=", Form::Printed),
    ("untrusted comment:", Form::Printed),
    ("keyvalue>", Form::Xml),
    ("modulus>", Form::Xml),
    ("x509certificate>", Form::Xml),
    ("x509data>", Form::Xml),
    ("entitydescriptor", Form::Xml),
];

pub(super) fn form(text: &str) -> Option<Form> {
    let lower = text.to_ascii_lowercase();
    let sign = SIGNS.iter().find(|(sign, _)| lower.contains(sign));
    if let Some((_, form)) = sign {
        return Some(*form);
    }
    let is_url = ["https://", "http://"]
        .iter()
        .any(|scheme| lower.starts_with(scheme));
    if is_url && !lower.contains(char::is_whitespace) {
        return Some(Form::Url);
    }
    (is_json(text) || names_key_type(&lower)).then_some(Form::Json)
}

/// An object or a list; a number is JSON too, and so is a text in quotes.
fn is_json(text: &str) -> bool {
    text.starts_with(['{', '['])
        && matches!(
            serde_json::from_str(text),
            Ok(Value::Object(_) | Value::Array(_))
        )
}

/// The member `kty` of a JSON Web Key (RFC 7517 §4.1), also in what is not quite JSON: cut off,
/// JavaScript, YAML.
fn names_key_type(lower: &str) -> bool {
    lower.match_indices("kty").any(|(at, name)| {
        let before = lower[..at].chars().next_back();
        let after = lower[at + name.len()..].trim_start_matches(['"', '\'', '\\']);
        before.is_none_or(|c| !c.is_alphanumeric()) && after.trim_start().starts_with([':', '='])
    })
}

/// Three parts in base64url, with dots between them (RFC 7515 §7.1).
pub(super) fn is_token(text: &str) -> bool {
    let parts: Vec<&str> = text.split('.').collect();
    let is_part = |part: &&str| part.chars().all(super::is_base64);
    (3..=5).contains(&parts.len()) && parts.iter().all(is_part)
}

/// The text of UTF-16 or UTF-32, as far as it is ASCII: every second byte, or three of four, is 0.
pub(super) fn narrowed(bytes: &[u8]) -> Option<Vec<u8>> {
    let zeros = bytes.iter().filter(|byte| **byte == 0).count();
    // A byte order mark and a letter beyond ASCII may stand among them.
    if bytes.len() < 8 || zeros * 5 < bytes.len() * 2 {
        return None;
    }
    let is_mark = |byte: &&u8| !matches!(**byte, 0 | 0xfe | 0xff);
    let narrow: Vec<u8> = bytes.iter().filter(is_mark).copied().collect();
    let is_other = |byte: &&u8| !byte.is_ascii_graphic() && !byte.is_ascii_whitespace();
    let others = narrow.iter().filter(is_other).count();
    (!narrow.is_empty() && others * 10 <= narrow.len()).then_some(narrow)
}

/// Bytes in hexadecimal, in the ways that they are written: `3082…`, `30:82:…`, `0x30, 0x82, …`,
/// `\x30\x82…`.
pub(super) fn hexadecimal(text: &str) -> Option<Vec<u8>> {
    let plain = text.replace("0x", "").replace("\\x", "");
    let is_between = |c: char| c.is_whitespace() || matches!(c, ':' | ',' | '-' | '{' | '}');
    let digits: String = plain.chars().filter(|c| !is_between(*c)).collect();
    hex::decode(digits).ok()
}
