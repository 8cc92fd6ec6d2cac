//! Which certificates of servers a client accepts.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tidegate_gateway::Unverified;
use x509_parser::parse_x509_certificate;

/// A configuration that trusts the certificates in a PEM file: of authorities, and those of servers themselves.
pub(crate) fn tls_config(file: &Path) -> anyhow::Result<Arc<ClientConfig>> {
    let read = || format!("failed to read certificates from {}", file.display());
    let certificates = CertificateDer::pem_file_iter(file).with_context(read)?;
    let certificates: Vec<_> = certificates.collect::<Result<_, _>>().with_context(read)?;
    anyhow::ensure!(
        !certificates.is_empty(),
        "{} has no certificate in PEM",
        file.display()
    );
    let mut roots = RootCertStore::empty();
    for certificate in &certificates {
        roots.add(certificate.clone()).with_context(read)?;
    }
    let provider = provider();
    let builder =
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
    let verifier = Trusted {
        authorities: builder.build().with_context(read)?,
        servers: certificates,
    };
    configuration(provider, Arc::new(verifier))
}

/// A configuration that accepts any certificate. The server must have its key.
pub(super) fn unverified() -> anyhow::Result<Arc<ClientConfig>> {
    let provider = provider();
    let verifier = Unverified::new(&provider);
    configuration(provider, Arc::new(verifier))
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

fn configuration(
    provider: Arc<CryptoProvider>,
    verifier: Arc<dyn ServerCertVerifier>,
) -> anyhow::Result<Arc<ClientConfig>> {
    let builder = ClientConfig::builder_with_provider(provider);
    let builder = builder.with_safe_default_protocol_versions();
    let builder = builder.context("failed to configure TLS")?;
    let builder = builder
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    Ok(Arc::new(builder.with_no_client_auth()))
}

/// Trusts authorities, and certificates that were given themselves. `openssl req -x509` makes a certificate
/// that is its own authority, which the verification of a path refuses for a server.
#[derive(Debug)]
struct Trusted {
    authorities: Arc<WebPkiServerVerifier>,
    servers: Vec<CertificateDer<'static>>,
}

impl ServerCertVerifier for Trusted {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if self.servers.iter().any(|known| known == certificate) {
            verify_server_name(&ParsedCertificate::try_from(certificate)?, name)?;
            return valid_at(certificate, now);
        }
        let authorities = &self.authorities;
        authorities.verify_server_cert(certificate, chain, name, ocsp, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.authorities
            .verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.authorities
            .verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.authorities.supported_verify_schemes()
    }
}

fn valid_at(certificate: &CertificateDer<'_>, now: UnixTime) -> Result<ServerCertVerified, Error> {
    let invalid = Error::InvalidCertificate;
    let (_, parsed) =
        parse_x509_certificate(certificate).map_err(|_| invalid(CertificateError::BadEncoding))?;
    let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    let validity = parsed.validity();
    if now < validity.not_before.timestamp() {
        return Err(invalid(CertificateError::NotValidYet));
    }
    if now > validity.not_after.timestamp() {
        return Err(invalid(CertificateError::Expired));
    }
    Ok(ServerCertVerified::assertion())
}
