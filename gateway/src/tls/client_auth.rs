//! Certificates of clients: asked for, checked against the listener's authorities.
//!
//! The certificate is checked after the TLS handshake, not in it: a resumed session does not present it again,
//! and it may have expired, or its authority may be gone.

use std::sync::Arc;

use aws_lc_rs::digest;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::CryptoProvider;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme};
use rustls_pki_types::{CertificateDer, UnixTime};
use tidegate_config::{ClientAuthConfig, ClientCertificates, SecretData};

use super::{InvalidTls, certificates};
use crate::tls::client_certificate::{ClientCertificate, UnreadableCertificate};

/// Identifies what a listener demands of clients: equal values demand the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Demand([u8; 32]);

/// Why a client is not authenticated.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotAuthenticated {
    #[error("the client has no certificate")]
    Missing,
    #[error("the client's certificate is not trusted")]
    Untrusted(#[source] Error),
    #[error("the client's certificate is refused")]
    UnreadableCertificate(#[source] UnreadableCertificate),
}

/// What a listener demands of its clients.
#[derive(Debug)]
pub(crate) struct ClientAuth {
    pub(crate) mode: ClientCertificates,
    pub(crate) demand: Demand,
    authorities: Arc<dyn ClientCertVerifier>,
    /// Their certificates.
    roots: Vec<CertificateDer<'static>>,
}

impl ClientAuth {
    pub(super) fn compile(
        config: &ClientAuthConfig,
        secret_data: &SecretData,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Self, InvalidTls> {
        let id = &config.ca;
        let mut roots = RootCertStore::empty();
        let mut demand = digest::Context::new(&digest::SHA256);
        demand.update(&[u8::from(config.mode == ClientCertificates::Required)]);
        let trusted = certificates(id, secret_data)?;
        for certificate in &trusted {
            demand.update(certificate);
            let added = roots.add(certificate.clone());
            added.map_err(|error| InvalidTls::Authority(id.clone(), error))?;
        }
        let roots = Arc::new(roots);
        let authorities =
            WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(provider)).build();
        let mut bytes = [0; 32];
        bytes.copy_from_slice(demand.finish().as_ref());
        Ok(Self {
            mode: config.mode,
            demand: Demand(bytes),
            authorities: authorities.map_err(|error| InvalidTls::Authorities(id.clone(), error))?,
            roots: trusted,
        })
    }

    /// What decides during the handshake.
    pub(super) fn verifier(&self) -> Arc<dyn ClientCertVerifier> {
        match self.mode {
            ClientCertificates::Required => Arc::clone(&self.authorities),
            ClientCertificates::Optional | ClientCertificates::Off => {
                Arc::new(AnyCertificate(Arc::clone(&self.authorities)))
            }
        }
    }

    /// Checks the certificate that a client presented, now or when its session began.
    ///
    /// # Errors
    /// [`NotAuthenticated`]: it is required and missing or not trusted, or it cannot be read.
    pub(crate) fn judge(
        &self,
        chain: Option<&[CertificateDer<'_>]>,
    ) -> Result<Option<Arc<ClientCertificate>>, NotAuthenticated> {
        let required = self.mode == ClientCertificates::Required;
        let Some((leaf, intermediates)) = chain.and_then(<[_]>::split_first) else {
            return if required {
                Err(NotAuthenticated::Missing)
            } else {
                Ok(None)
            };
        };
        let now = UnixTime::now();
        let verdict = self
            .authorities
            .verify_client_cert(leaf, intermediates, now);
        let trusted = match verdict {
            Ok(_) => true,
            Err(error) if required => return Err(NotAuthenticated::Untrusted(error)),
            Err(_) => false,
        };
        let issuers = intermediates.iter().chain(&self.roots);
        let read = ClientCertificate::parse(leaf, issuers, trusted);
        Ok(Some(Arc::new(
            read.map_err(NotAuthenticated::UnreadableCertificate)?,
        )))
    }
}

/// Takes any certificate, or none, if only the client holds its private key.
#[derive(Debug)]
struct AnyCertificate(Arc<dyn ClientCertVerifier>);

impl ClientCertVerifier for AnyCertificate {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    /// Empty: otherwise clients would not present a certificate of another authority.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0
            .verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0
            .verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}
