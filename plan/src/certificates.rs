//! Certificates and private keys of TLS, in PEM. What is accepted here, a gateway can use.

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tidegate_api::Reason;
use tidegate_config::{SecretDataId, TrustAnchorRef};

use crate::problem::Problem;
use crate::references::References;

/// Data key of a kubernetes.io/tls Secret.
const TLS_CERTIFICATE: &str = "tls.crt";
/// Data key of a kubernetes.io/tls Secret.
const TLS_PRIVATE_KEY: &str = "tls.key";

/// A kubernetes.io/tls Secret; ids of its certificate chain and private key.
pub(crate) fn key_pair(
    namespace: &str,
    name: &str,
    references: &mut References<'_>,
) -> Result<(SecretDataId, SecretDataId), Problem> {
    let chain = references.secret(namespace, name, TLS_CERTIFICATE)?;
    let key = references.secret(namespace, name, TLS_PRIVATE_KEY)?;
    let invalid = |key: &str, what: &str| {
        let text = format!("key \"{key}\" of Secret {namespace}/{name} is not {what} in PEM");
        Problem::unresolved(Reason::InvalidMaterial, text)
    };
    if !is_certificates(&chain) {
        return Err(invalid(TLS_CERTIFICATE, "a certificate chain"));
    }
    if !is_private_key(&key) {
        return Err(invalid(TLS_PRIVATE_KEY, "a private key"));
    }
    let (chain_id, key_id) = key_pair_ids(namespace, name);
    references.keep(chain_id.clone(), &chain);
    references.keep(key_id.clone(), &key);
    Ok((chain_id, key_id))
}

/// Ids of certificate chain and private key of a kubernetes.io/tls Secret.
pub(crate) fn key_pair_ids(namespace: &str, name: &str) -> (SecretDataId, SecretDataId) {
    (
        SecretDataId::secret(namespace, name, TLS_CERTIFICATE),
        SecretDataId::secret(namespace, name, TLS_PRIVATE_KEY),
    )
}

/// Certificates of authorities; the id of what was found.
pub(crate) fn trust_anchor(
    namespace: &str,
    reference: &TrustAnchorRef,
    references: &mut References<'_>,
) -> Result<SecretDataId, Problem> {
    let bytes = references.trust_anchor(namespace, reference)?;
    if !is_certificates(&bytes) {
        let TrustAnchorRef { kind, name, key } = reference;
        let text =
            format!("key \"{key}\" of {kind:?} {namespace}/{name} is not a certificate in PEM");
        return Err(Problem::unresolved(Reason::InvalidMaterial, text));
    }
    let id = SecretDataId::of_trust_anchor(namespace, reference);
    references.keep(id.clone(), &bytes);
    Ok(id)
}

/// At least one certificate, and nothing that cannot be read.
fn is_certificates(bytes: &[u8]) -> bool {
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
fn is_private_key(bytes: &[u8]) -> bool {
    PrivateKeyDer::from_pem_slice(bytes).is_ok()
}
