//! Algorithms of RFC 7518, and the keys that they need.

use jsonwebtoken::Algorithm;
use tidegate_config::policy::JwtAlgorithm;

/// What a key can verify or sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the field's own")]
pub enum KeyFamily {
    Hmac,
    Rsa,
    P256,
    P384,
    Ed25519,
}

/// The keys that an algorithm needs.
pub const fn family_of(algorithm: JwtAlgorithm) -> KeyFamily {
    use JwtAlgorithm as A;
    match algorithm {
        A::HS256 | A::HS384 | A::HS512 => KeyFamily::Hmac,
        A::RS256 | A::RS384 | A::RS512 | A::PS256 | A::PS384 | A::PS512 => KeyFamily::Rsa,
        A::ES256 => KeyFamily::P256,
        A::ES384 => KeyFamily::P384,
        A::EdDSA => KeyFamily::Ed25519,
    }
}

/// Bytes of an HMAC algorithm's hash: as many must a secret have (RFC 7518 §3.2). `None`: not HMAC.
pub(crate) const fn hash_bytes(algorithm: JwtAlgorithm) -> Option<usize> {
    match algorithm {
        JwtAlgorithm::HS256 => Some(32),
        JwtAlgorithm::HS384 => Some(48),
        JwtAlgorithm::HS512 => Some(64),
        _ => None,
    }
}

/// The algorithm of RFC 7518's name; case matters.
pub fn algorithm_named(name: &str) -> Option<JwtAlgorithm> {
    use JwtAlgorithm as A;
    Some(match name {
        "HS256" => A::HS256,
        "HS384" => A::HS384,
        "HS512" => A::HS512,
        "RS256" => A::RS256,
        "RS384" => A::RS384,
        "RS512" => A::RS512,
        "PS256" => A::PS256,
        "PS384" => A::PS384,
        "PS512" => A::PS512,
        "ES256" => A::ES256,
        "ES384" => A::ES384,
        "EdDSA" => A::EdDSA,
        _ => return None,
    })
}

/// What the library calls it.
pub const fn library_name(algorithm: JwtAlgorithm) -> Algorithm {
    match algorithm {
        JwtAlgorithm::HS256 => Algorithm::HS256,
        JwtAlgorithm::HS384 => Algorithm::HS384,
        JwtAlgorithm::HS512 => Algorithm::HS512,
        JwtAlgorithm::RS256 => Algorithm::RS256,
        JwtAlgorithm::RS384 => Algorithm::RS384,
        JwtAlgorithm::RS512 => Algorithm::RS512,
        JwtAlgorithm::PS256 => Algorithm::PS256,
        JwtAlgorithm::PS384 => Algorithm::PS384,
        JwtAlgorithm::PS512 => Algorithm::PS512,
        JwtAlgorithm::ES256 => Algorithm::ES256,
        JwtAlgorithm::ES384 => Algorithm::ES384,
        JwtAlgorithm::EdDSA => Algorithm::EdDSA,
    }
}
