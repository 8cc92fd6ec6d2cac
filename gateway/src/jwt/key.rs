//! Keys that verify tokens, each bound to the algorithms of its type.

use aws_lc_rs::rsa;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, ParsedPublicKey,
    RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, crypto};
use serde_json::Value;
use tidegate_config::policy::JwtAlgorithm;

use super::algorithm_named;

/// RFC 7518 §3.3 demands it of RSA keys.
const MIN_RSA_BITS: usize = 2048;

/// Why something is not a key that verifies tokens.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum InvalidKey {
    #[error("the key is empty")]
    Empty,
    #[error("this is a private key; put the public key or the certificate there")]
    Private,
    #[error("the PEM holds no RSA, EC or Ed25519 public key or certificate")]
    Pem,
    #[error("the RSA key is broken or has less than 2048 bits")]
    Rsa,
    #[error("the EC key is broken or not on P-256 or P-384")]
    Curve,
    #[error("the Ed25519 key is broken")]
    Ed25519,
    #[error("n or e is not base64url")]
    Components,
}

/// What a key can verify.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Hmac,
    Rsa,
    P256,
    P384,
    Ed25519,
}

/// A key, checked and ready.
#[derive(Clone, Debug)]
pub(crate) struct VerificationKey {
    /// Compared with the token's `kid`.
    id: Option<String>,
    kind: Kind,
    /// The only algorithm it may be used for, when it says so.
    only: Option<JwtAlgorithm>,
    key: DecodingKey,
}

impl VerificationKey {
    /// From a Secret: a PEM public key or certificate, otherwise the bytes of an HMAC secret.
    pub(crate) fn from_secret(id: Option<String>, bytes: &[u8]) -> Result<Self, InvalidKey> {
        if bytes.is_empty() {
            return Err(InvalidKey::Empty);
        }
        let start = bytes.trim_ascii_start();
        if start.starts_with(b"-----BEGIN ") {
            return Self::from_pem(id, start);
        }
        let key = DecodingKey::from_secret(bytes);
        Ok(Self::new(id, Kind::Hmac, key))
    }

    /// From an RSA key's modulus and exponent, both base64url.
    pub(crate) fn from_rsa(id: Option<String>, n: &str, e: &str) -> Result<Self, InvalidKey> {
        let decode = |text: &str| {
            let bytes = URL_SAFE_NO_PAD.decode(text.trim_end_matches('='));
            bytes.map_err(|_| InvalidKey::Components)
        };
        Self::from_components(id, &decode(n)?, &decode(e)?)
    }

    /// From a JSON Web Key (RFC 7517); `None` when it is not for verifying signatures, or of a kind
    /// that we do not know. Symmetric keys do not belong into a published set and are left out.
    pub(crate) fn from_jwk(jwk: &Value) -> Option<Self> {
        let text = |name: &str| jwk.get(name).and_then(Value::as_str);
        let verifies = |ops: &Vec<Value>| ops.iter().any(|op| op == "verify");
        let may_verify = text("use").is_none_or(|purpose| purpose == "sig")
            && jwk
                .get("key_ops")
                .and_then(Value::as_array)
                .is_none_or(verifies);
        if !may_verify {
            return None;
        }
        let id = text("kid").map(str::to_owned);
        let mut key = match (text("kty")?, text("crv")) {
            ("RSA", _) => Self::from_rsa(id, text("n")?, text("e")?).ok()?,
            ("EC", Some("P-256" | "P-384")) => {
                let key = DecodingKey::from_ec_components(text("x")?, text("y")?).ok()?;
                Self::from_point(id, key).ok()?
            }
            ("OKP", Some("Ed25519")) => {
                Self::from_ed25519(id, DecodingKey::from_ed_components(text("x")?).ok()?).ok()?
            }
            _ => return None,
        };
        if let Some(name) = text("alg") {
            key.only = Some(algorithm_named(name).filter(|alg| key.fits_kind(*alg))?);
        }
        Some(key)
    }

    fn from_pem(id: Option<String>, pem: &[u8]) -> Result<Self, InvalidKey> {
        if pem.windows(12).any(|window| window == b"PRIVATE KEY-") {
            return Err(InvalidKey::Private);
        }
        if let Ok(key) = DecodingKey::from_rsa_pem(pem) {
            let bytes = key.try_get_as_bytes().map_err(|_| InvalidKey::Rsa)?;
            let key = rsa::PublicKey::from_der(bytes).map_err(|_| InvalidKey::Rsa)?;
            let RsaPublicKeyComponents::<Vec<u8>> { n, e } = (&key).into();
            return Self::from_components(id, &n, &e);
        }
        if let Ok(key) = DecodingKey::from_ec_pem(pem) {
            return Self::from_point(id, key);
        }
        let key = DecodingKey::from_ed_pem(pem).map_err(|_| InvalidKey::Pem)?;
        Self::from_ed25519(id, key)
    }

    fn from_components(id: Option<String>, n: &[u8], e: &[u8]) -> Result<Self, InvalidKey> {
        let start = n.iter().position(|byte| *byte != 0).unwrap_or(n.len());
        let n = &n[start..];
        // The library would take a shorter one and then never verify with it.
        let top = n.first().map_or(8, |byte| byte.leading_zeros() as usize);
        if n.len() * 8 < MIN_RSA_BITS + top {
            return Err(InvalidKey::Rsa);
        }
        let components = RsaPublicKeyComponents { n, e };
        let parsed = components.to_parsed_public_key(&RSA_PKCS1_2048_8192_SHA256);
        parsed.map_err(|_| InvalidKey::Rsa)?;
        Ok(Self::new(
            id,
            Kind::Rsa,
            DecodingKey::from_rsa_raw_components(n, e),
        ))
    }

    fn from_point(id: Option<String>, key: DecodingKey) -> Result<Self, InvalidKey> {
        let point = key.try_get_as_bytes().map_err(|_| InvalidKey::Curve)?;
        // The uncompressed point tells the curve: a byte and two coordinates (SEC 1 §2.3.3).
        let (kind, parsed) = match point.len() {
            65 => (
                Kind::P256,
                ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point),
            ),
            97 => (
                Kind::P384,
                ParsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, point),
            ),
            _ => return Err(InvalidKey::Curve),
        };
        parsed.map_err(|_| InvalidKey::Curve)?;
        Ok(Self::new(id, kind, key))
    }

    fn from_ed25519(id: Option<String>, key: DecodingKey) -> Result<Self, InvalidKey> {
        let bytes = key.try_get_as_bytes().map_err(|_| InvalidKey::Ed25519)?;
        ParsedPublicKey::new(&ED25519, bytes).map_err(|_| InvalidKey::Ed25519)?;
        Ok(Self::new(id, Kind::Ed25519, key))
    }

    fn new(id: Option<String>, kind: Kind, key: DecodingKey) -> Self {
        Self {
            id,
            kind,
            only: None,
            key,
        }
    }

    /// Is it the key that a token's `kid` names?
    pub(crate) fn has_id(&self, id: &str) -> bool {
        self.id.as_deref() == Some(id)
    }

    /// May the key be used with `algorithm`? A token can not make an RSA key an HMAC secret.
    pub(crate) fn fits(&self, algorithm: JwtAlgorithm) -> bool {
        self.fits_kind(algorithm) && self.only.is_none_or(|only| only == algorithm)
    }

    fn fits_kind(&self, algorithm: JwtAlgorithm) -> bool {
        use JwtAlgorithm as A;
        match algorithm {
            A::HS256 | A::HS384 | A::HS512 => self.kind == Kind::Hmac,
            A::RS256 | A::RS384 | A::RS512 | A::PS256 | A::PS384 | A::PS512 => {
                self.kind == Kind::Rsa
            }
            A::ES256 => self.kind == Kind::P256,
            A::ES384 => self.kind == Kind::P384,
            A::EdDSA => self.kind == Kind::Ed25519,
        }
    }

    pub(super) fn verifies(&self, input: &[u8], signature: &str, algorithm: JwtAlgorithm) -> bool {
        self.fits(algorithm)
            && crypto::verify(signature, input, &self.key, library_name(algorithm)).unwrap_or(false)
    }
}

/// What the library calls it.
pub(crate) fn library_name(algorithm: JwtAlgorithm) -> Algorithm {
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
