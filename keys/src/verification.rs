//! Keys that verify tokens, each bound to the algorithms of its type.

#[cfg(test)]
mod tests;

use std::fmt;

use aws_lc_rs::rsa;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, ParsedPublicKey,
    RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{DecodingKey, crypto};
use serde_json::Value;
use tidegate_config::policy::JwtAlgorithm;

use crate::algorithm::{KeyFamily, algorithm_named, family_of, library_name};
use crate::hmac::{HmacSecret, InvalidSecret, SecretLength};
use crate::pem;

/// RFC 7518 §3.3 demands it of RSA keys.
pub(crate) const MIN_RSA_BITS: usize = 2048;

/// Labels of blocks that hold a public key, those of a chain of certificates included: its first one is
/// the key's.
const PUBLIC: [&str; 3] = ["PUBLIC KEY", "RSA PUBLIC KEY", "CERTIFICATE"];

/// Why something is not a key that verifies tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKey {
    /// The bytes are neither PEM nor an HMAC secret.
    #[error(transparent)]
    Secret(#[from] InvalidSecret),
    /// It holds a private key, which could sign what it is to verify.
    #[error("it holds a private key: put the public key or the certificate there")]
    Private,
    /// It begins like PEM, but holds no usable public key or certificate.
    #[error(
        "its PEM holds no public key or certificate that can be read (RSA of 2048 bits or more, P-256, P-384, Ed25519)"
    )]
    Pem,
    /// The modulus or exponent of an RSA key is unusable.
    #[error("its RSA key is broken or has less than 2048 bits, or more than 8192")]
    Rsa,
    /// The point of an EC key is unusable.
    #[error("its EC key is broken or not on P-256 or P-384")]
    Curve,
    /// The point of an Ed25519 key is unusable.
    #[error("its Ed25519 key is broken")]
    Ed25519,
    /// The numbers of an RSA key are not base64url.
    #[error("n or e is not base64url")]
    Components,
}

/// The part that verifies.
#[derive(Clone)]
enum Part {
    Secret(HmacSecret, DecodingKey),
    Public(KeyFamily, DecodingKey),
}

/// A key, checked and ready.
#[derive(Clone)]
pub struct VerificationKey {
    /// Compared with the token's `kid`.
    id: Option<String>,
    /// The only algorithm it may be used for, when it says so.
    only: Option<JwtAlgorithm>,
    part: Part,
}

impl fmt::Debug for VerificationKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerificationKey")
            .field("id", &self.id)
            .field("family", &self.family())
            .field("only", &self.only)
            .finish_non_exhaustive()
    }
}

impl VerificationKey {
    /// From a Secret: where a PEM block stands anywhere in it, the public key or certificate of the
    /// first one that has any; otherwise the bytes of an HMAC secret.
    ///
    /// # Errors
    ///
    /// When it is neither, or a private key is among it.
    pub fn from_secret(
        id: Option<String>,
        bytes: &[u8],
        length: SecretLength,
    ) -> Result<Self, InvalidKey> {
        if let Some(text) = pem::text(bytes) {
            return Self::from_pem(id, &text);
        }
        let secret = HmacSecret::parse(bytes, length)?;
        let key = DecodingKey::from_secret(secret.expose());
        let part = Part::Secret(secret, key);
        Ok(Self {
            id,
            only: None,
            part,
        })
    }

    /// From an RSA key's modulus and exponent, both base64url.
    ///
    /// # Errors
    ///
    /// When that is no RSA key of 2048 to 8192 bits.
    pub fn from_rsa(id: Option<String>, n: &str, e: &str) -> Result<Self, InvalidKey> {
        let decode = |text: &str| {
            let bytes = URL_SAFE_NO_PAD.decode(text.trim_end_matches('='));
            bytes.map_err(|_| InvalidKey::Components)
        };
        Self::from_components(id, &decode(n)?, &decode(e)?)
    }

    /// From a JSON Web Key (RFC 7517); `None` when it is not for verifying signatures, or of a kind
    /// that we do not know. Symmetric keys do not belong into a published set and are left out.
    pub fn from_jwk(jwk: &Value) -> Option<Self> {
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
            key.only = Some(algorithm_named(name).filter(|alg| key.fits_part(*alg))?);
        }
        Some(key)
    }

    fn from_pem(id: Option<String>, text: &str) -> Result<Self, InvalidKey> {
        if pem::has_private_key(text) {
            return Err(InvalidKey::Private);
        }
        let mut blocks = pem::blocks(text);
        let block = blocks.find(|block| PUBLIC.contains(&block.label));
        let pem = block.ok_or(InvalidKey::Pem)?.text.as_bytes();
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
            KeyFamily::Rsa,
            DecodingKey::from_rsa_raw_components(n, e),
        ))
    }

    fn from_point(id: Option<String>, key: DecodingKey) -> Result<Self, InvalidKey> {
        let point = key.try_get_as_bytes().map_err(|_| InvalidKey::Curve)?;
        // The uncompressed point tells the curve: a byte and two coordinates (SEC 1 §2.3.3).
        let (kind, parsed) = match point.len() {
            65 => (
                KeyFamily::P256,
                ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point),
            ),
            97 => (
                KeyFamily::P384,
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
        Ok(Self::new(id, KeyFamily::Ed25519, key))
    }

    fn new(id: Option<String>, family: KeyFamily, key: DecodingKey) -> Self {
        Self {
            id,
            only: None,
            part: Part::Public(family, key),
        }
    }

    /// What it can verify.
    pub const fn family(&self) -> KeyFamily {
        match &self.part {
            Part::Secret(..) => KeyFamily::Hmac,
            Part::Public(family, _) => *family,
        }
    }

    /// Whether the key has the id that a token's `kid` names.
    pub fn has_id(&self, id: &str) -> bool {
        self.id.as_deref() == Some(id)
    }

    /// Whether the key may be used with `algorithm`. A token cannot turn an RSA key into an HMAC
    /// secret, nor use a secret that is shorter than the algorithm's hash.
    pub fn fits(&self, algorithm: JwtAlgorithm) -> bool {
        self.fits_part(algorithm) && self.only.is_none_or(|only| only == algorithm)
    }

    fn fits_part(&self, algorithm: JwtAlgorithm) -> bool {
        match &self.part {
            Part::Secret(secret, _) => secret.fits(algorithm),
            Part::Public(family, _) => family_of(algorithm) == *family,
        }
    }

    /// Why an HMAC secret cannot verify `algorithm`, if its length is the reason.
    pub fn too_short_for(&self, algorithm: JwtAlgorithm) -> Option<InvalidSecret> {
        match &self.part {
            Part::Secret(secret, _) => secret.require(algorithm).err(),
            Part::Public(..) => None,
        }
    }

    /// Whether `signature`, base64url, is that of `input` by `algorithm`; never, if the key does
    /// not fit it.
    pub fn verifies(&self, input: &[u8], signature: &str, algorithm: JwtAlgorithm) -> bool {
        let (Part::Secret(_, key) | Part::Public(_, key)) = &self.part;
        self.fits(algorithm)
            && crypto::verify(signature, input, key, library_name(algorithm)).unwrap_or(false)
    }
}
