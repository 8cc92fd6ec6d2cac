//! PEM: certificates, private keys and public keys. What passes here, a gateway can use.

use aws_lc_rs::rsa;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED,
    ECDSA_P384_SHA384_FIXED_SIGNING, ED25519, EcdsaKeyPair, Ed25519KeyPair, ParsedPublicKey,
    RSA_PKCS1_2048_8192_SHA256, RsaKeyPair, RsaPublicKeyComponents,
};
use jsonwebtoken::{DecodingKey, EncodingKey};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::policies::KeyFamily;

const MIN_RSA_BITS: usize = 2048;

/// Does this begin like PEM?
pub(crate) fn looks_like(bytes: &[u8]) -> bool {
    bytes.trim_ascii_start().starts_with(b"-----BEGIN ")
}

/// At least one certificate, and nothing that can not be read.
pub(crate) fn is_certificates(bytes: &[u8]) -> bool {
    let mut found = false;
    for certificate in CertificateDer::pem_slice_iter(bytes) {
        match certificate {
            // A DER SEQUENCE; more is known only to who uses it.
            Ok(der) if der.first() == Some(&0x30) => found = true,
            Ok(_) | Err(_) => return false,
        }
    }
    found
}

/// A private key (PKCS#1, PKCS#8 or SEC1).
pub(crate) fn is_private_key(bytes: &[u8]) -> bool {
    PrivateKeyDer::from_pem_slice(bytes).is_ok()
}

/// What a private key can sign: RSA from 2048 bits, P-256, P-384, Ed25519; in the forms that gateways
/// read.
pub(crate) fn private_key_family(bytes: &[u8]) -> Option<KeyFamily> {
    if let Ok(key) = EncodingKey::from_rsa_pem(bytes) {
        let pair = RsaKeyPair::from_der(key.as_bytes()).ok()?;
        return (pair.public_modulus_len() * 8 >= MIN_RSA_BITS).then_some(KeyFamily::Rsa);
    }
    if let Ok(key) = EncodingKey::from_ec_pem(bytes) {
        let on = |curve| EcdsaKeyPair::from_pkcs8(curve, key.as_bytes()).is_ok();
        if on(&ECDSA_P256_SHA256_FIXED_SIGNING) {
            return Some(KeyFamily::P256);
        }
        return on(&ECDSA_P384_SHA384_FIXED_SIGNING).then_some(KeyFamily::P384);
    }
    let key = EncodingKey::from_ed_pem(bytes).ok()?;
    let pair = Ed25519KeyPair::from_pkcs8(key.as_bytes());
    pair.is_ok().then_some(KeyFamily::Ed25519)
}

/// What a public key or certificate can verify: RSA from 2048 bits, P-256, P-384, Ed25519.
pub(crate) fn public_key_family(bytes: &[u8]) -> Option<KeyFamily> {
    let bytes = bytes.trim_ascii_start();
    // A private key does not belong in a gateway that only verifies.
    if is_private_key(bytes) {
        return None;
    }
    if let Ok(key) = DecodingKey::from_rsa_pem(bytes) {
        let der = key.try_get_as_bytes().ok()?;
        let RsaPublicKeyComponents::<Vec<u8>> { n, e } =
            (&rsa::PublicKey::from_der(der).ok()?).into();
        return is_rsa_key(&n, &e).then_some(KeyFamily::Rsa);
    }
    if let Ok(key) = DecodingKey::from_ec_pem(bytes) {
        let point = key.try_get_as_bytes().ok()?;
        if ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).is_ok() {
            return Some(KeyFamily::P256);
        }
        let parsed = ParsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, point);
        return parsed.is_ok().then_some(KeyFamily::P384);
    }
    let key = DecodingKey::from_ed_pem(bytes).ok()?;
    let parsed = ParsedPublicKey::new(&ED25519, key.try_get_as_bytes().ok()?);
    parsed.is_ok().then_some(KeyFamily::Ed25519)
}

/// Is this an RSA key of at least 2048 bits, as RFC 7518 §3.3 demands? The library itself takes a
/// shorter one, and then never verifies with it.
pub(crate) fn is_rsa_key(n: &[u8], e: &[u8]) -> bool {
    let start = n.iter().position(|byte| *byte != 0).unwrap_or(n.len());
    let n = &n[start..];
    let unused_bits = n.first().map_or(8, |byte| byte.leading_zeros() as usize);
    let components = RsaPublicKeyComponents { n, e };
    n.len() * 8 >= MIN_RSA_BITS + unused_bits
        && components
            .to_parsed_public_key(&RSA_PKCS1_2048_8192_SHA256)
            .is_ok()
}
