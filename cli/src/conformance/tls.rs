//! TLS for servers and clients, with the keys of the suite.

use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use sha2::{Digest as _, Sha256};

use super::case::TlsClient;
use super::token::{AUTHORITY, BACKEND, BACKEND_KEY, CLIENT, CLIENT_KEY};

/// Name in the certificate of the backend and of the gateway's TLS listener.
pub(super) const NAME: &str = "backend.conformance.example";

/// Configuration of the recording backend.
pub(super) fn server() -> anyhow::Result<Arc<ServerConfig>> {
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate(BACKEND)?], key(BACKEND_KEY)?)?;
    Ok(Arc::new(config))
}

/// Configuration of a client of the TLS listener.
pub(super) fn client(who: TlsClient) -> anyhow::Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate(AUTHORITY)?)?;
    let config = ClientConfig::builder().with_root_certificates(roots);
    Ok(Arc::new(match who {
        TlsClient::Anonymous => config.with_no_client_auth(),
        TlsClient::Known => {
            config.with_client_auth_cert(vec![certificate(CLIENT)?], key(CLIENT_KEY)?)?
        }
    }))
}

/// Thumbprint of a certificate.
pub(super) fn sha256(pem: &str) -> anyhow::Result<String> {
    Ok(hex::encode(Sha256::digest(certificate(pem)?)))
}

fn certificate(pem: &str) -> anyhow::Result<CertificateDer<'static>> {
    Ok(CertificateDer::from_pem_slice(pem.as_bytes())?)
}

fn key(pem: &str) -> anyhow::Result<PrivateKeyDer<'static>> {
    Ok(PrivateKeyDer::from_pem_slice(pem.as_bytes())?)
}
