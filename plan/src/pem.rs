//! PEM: certificates, private keys and public keys, checked as far as their envelope goes.

use jsonwebtoken::DecodingKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::policies::KeyFamily;

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

/// What a public key or certificate can verify.
pub(crate) fn public_key_family(bytes: &[u8]) -> Option<KeyFamily> {
    // A private key does not belong in a gateway that only verifies.
    if is_private_key(bytes) {
        None
    } else if DecodingKey::from_rsa_pem(bytes).is_ok() {
        Some(KeyFamily::Rsa)
    } else if DecodingKey::from_ec_pem(bytes).is_ok() {
        Some(KeyFamily::Ec)
    } else if DecodingKey::from_ed_pem(bytes).is_ok() {
        Some(KeyFamily::Ed)
    } else {
        None
    }
}
