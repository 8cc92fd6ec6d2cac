//! JSON Web Tokens: taking them apart, verifying their signature, checking their claims.
//!
//! Pure: no clock, no request, no fetched key. The signature is verified by a library; which keys
//! and which algorithms may be tried is decided here, so that a token never chooses how it is
//! verified (RFC 8725 §3.1).

mod claims;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};
use tidegate_config::policy::JwtAlgorithm;
use tidegate_keys::{VerificationKey, algorithm_named};

pub(crate) use claims::{ClaimRule, ClaimRules, check_claims};

/// Tokens have a few kilobytes at most; a larger one only costs time.
pub(crate) const MAX_TOKEN_BYTES: usize = 16 * 1024;

/// Why a token is not accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Invalid {
    NotPresent,
    /// It is no token at all, or not of a kind that we read.
    Malformed(&'static str),
    AlgorithmNotAllowed,
    KeyNotFound,
    /// Keys could not be fetched, so the token cannot be verified.
    KeysUnavailable,
    WrongSignature,
    NoExpiration,
    Expired,
    NotYetValid,
    IssuerNotAllowed,
    AudienceNotAllowed,
    ClientNotAllowed,
    ClaimsMissing(Vec<String>),
    ClaimNotAllowed {
        claim: String,
        value: String,
    },
}

/// How a token says it was signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signed {
    /// `alg: none`.
    Not,
    With(JwtAlgorithm),
}

/// A token taken apart; nothing in it is to be believed before [`Self::is_signed_by`].
#[derive(Debug)]
pub(crate) struct Token<'a> {
    pub(crate) header: Map<String, Value>,
    pub(crate) claims: Map<String, Value>,
    pub(crate) signed: Signed,
    /// Header and claims as they were signed.
    signing_input: &'a str,
    signature: &'a str,
}

impl<'a> Token<'a> {
    /// Takes a compact JWS apart (RFC 7515 §7.1).
    ///
    /// # Errors
    /// [`Invalid`]: it is not a signed token that can be verified here.
    pub(crate) fn parse(text: &'a str) -> Result<Self, Invalid> {
        if text.len() > MAX_TOKEN_BYTES {
            return Err(Invalid::Malformed("it has more than 16 KiB"));
        }
        let malformed = Invalid::Malformed("it does not have three parts");
        let (signing_input, signature) = text.rsplit_once('.').ok_or(malformed.clone())?;
        let (header, claims) = signing_input.split_once('.').ok_or(malformed)?;
        if claims.contains('.') {
            return Err(Invalid::Malformed(
                "it is encrypted or does not have three parts",
            ));
        }
        let header = object(header, "its header is not base64url of a JSON object")?;
        let claims = object(claims, "its claims are not base64url of a JSON object")?;
        // RFC 7515 §4.1.11: what it names must be understood, and we understand no extension.
        if header.contains_key("crit") {
            return Err(Invalid::Malformed("its header has critical extensions"));
        }
        let alg = header.get("alg").and_then(Value::as_str);
        let signed = match alg.ok_or(Invalid::Malformed("its header has no alg"))? {
            "none" => Signed::Not,
            name => Signed::With(algorithm_named(name).ok_or(Invalid::AlgorithmNotAllowed)?),
        };
        Ok(Self {
            header,
            claims,
            signed,
            signing_input,
            signature,
        })
    }

    /// Which key it says signed it.
    pub(crate) fn key_id(&self) -> Option<&str> {
        self.header.get("kid").and_then(Value::as_str)
    }

    /// Who it says issued it.
    pub(crate) fn issuer(&self) -> Option<&str> {
        self.claims.get("iss").and_then(Value::as_str)
    }

    /// Has it no signature, as `alg: none` demands?
    pub(crate) fn has_no_signature(&self) -> bool {
        self.signature.is_empty()
    }

    /// Did `key` sign it with `algorithm`? The key must fit the algorithm.
    pub(crate) fn is_signed_by(&self, key: &VerificationKey, algorithm: JwtAlgorithm) -> bool {
        key.verifies(self.signing_input.as_bytes(), self.signature, algorithm)
    }
}

fn object(part: &str, malformed: &'static str) -> Result<Map<String, Value>, Invalid> {
    let bytes = URL_SAFE_NO_PAD.decode(part).ok();
    let value = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    match value {
        Some(Value::Object(fields)) => Ok(fields),
        _ => Err(Invalid::Malformed(malformed)),
    }
}

#[cfg(test)]
pub(crate) mod tests;
