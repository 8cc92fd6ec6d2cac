//! Keys that sign tokens.

#[cfg(test)]
mod tests;

use std::fmt;

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair,
    EcdsaSigningAlgorithm, Ed25519KeyPair, RsaKeyPair,
};
use jsonwebtoken::EncodingKey;
use tidegate_config::policy::JwtAlgorithm;

use crate::algorithm::{KeyFamily, family_of};
use crate::hmac::{HmacSecret, InvalidSecret, SecretLength};
use crate::pem;
use crate::verification::MIN_RSA_BITS;

/// Why something is not a key that signs with an algorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSigningKey {
    /// The secret of an HS algorithm cannot be used.
    #[error(transparent)]
    Secret(#[from] InvalidSecret),
    /// An RS or PS algorithm needs an RSA key.
    #[error("it must be an RSA private key of 2048 bits or more in PEM")]
    Rsa,
    /// ES256 needs a P-256 key.
    #[error("it must be a P-256 private key in PEM (PKCS#8)")]
    P256,
    /// ES384 needs a P-384 key.
    #[error("it must be a P-384 private key in PEM (PKCS#8)")]
    P384,
    /// EdDSA needs an Ed25519 key.
    #[error("it must be an Ed25519 private key in PEM (PKCS#8)")]
    Ed25519,
}

/// A key that signs with the algorithm it was parsed for.
pub struct SigningKey(EncodingKey);

impl SigningKey {
    /// Parses a key: for HS algorithms the bytes of the secret, otherwise a private key in PEM.
    ///
    /// # Errors
    ///
    /// When the key does not sign with `algorithm`.
    pub fn parse(
        algorithm: JwtAlgorithm,
        bytes: &[u8],
        length: SecretLength,
    ) -> Result<Self, InvalidSigningKey> {
        use InvalidSigningKey as Why;
        match family_of(algorithm) {
            KeyFamily::Hmac => {
                let secret = HmacSecret::parse(bytes, length)?;
                secret.require(algorithm)?;
                Ok(Self(EncodingKey::from_secret(secret.expose())))
            }
            KeyFamily::Rsa => rsa(bytes).map(Self).ok_or(Why::Rsa),
            KeyFamily::P256 => ec(bytes, &ECDSA_P256_SHA256_FIXED_SIGNING)
                .map(Self)
                .ok_or(Why::P256),
            KeyFamily::P384 => ec(bytes, &ECDSA_P384_SHA384_FIXED_SIGNING)
                .map(Self)
                .ok_or(Why::P384),
            KeyFamily::Ed25519 => ed25519(bytes).map(Self).ok_or(Why::Ed25519),
        }
    }

    /// The key as the signing library takes it.
    pub const fn encoding_key(&self) -> &EncodingKey {
        &self.0
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey")
    }
}

/// The first private key of a text.
fn private(bytes: &[u8]) -> Option<String> {
    let text = pem::text(bytes)?;
    let mut blocks = pem::blocks(&text);
    let block = blocks.find(|block| block.label.ends_with("PRIVATE KEY"))?;
    Some(block.text.to_owned())
}

fn rsa(bytes: &[u8]) -> Option<EncodingKey> {
    let key = EncodingKey::from_rsa_pem(private(bytes)?.as_bytes()).ok()?;
    let pair = RsaKeyPair::from_der(key.as_bytes()).ok()?;
    (pair.public_modulus_len() * 8 >= MIN_RSA_BITS).then_some(key)
}

fn ec(bytes: &[u8], curve: &'static EcdsaSigningAlgorithm) -> Option<EncodingKey> {
    let key = EncodingKey::from_ec_pem(private(bytes)?.as_bytes()).ok()?;
    EcdsaKeyPair::from_pkcs8(curve, key.as_bytes()).ok()?;
    Some(key)
}

fn ed25519(bytes: &[u8]) -> Option<EncodingKey> {
    let key = EncodingKey::from_ed_pem(private(bytes)?.as_bytes()).ok()?;
    Ed25519KeyPair::from_pkcs8(key.as_bytes()).ok()?;
    Some(key)
}
