//! PEM: certificates and private keys of TLS. What passes here, a gateway can use.

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

/// At least one certificate, and nothing that cannot be read.
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
