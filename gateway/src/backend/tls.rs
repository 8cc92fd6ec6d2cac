//! TLS to backends. Chain and name are verified unless the API disables it.

mod named;
mod unverified;

use std::sync::{Arc, OnceLock};

use rustls::client::{Resumption, VerifierBuilderError};
use rustls::crypto::CryptoProvider;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::ServerName;
use tidegate_config::{BackendTls, SecretData, SecretDataId};

use crate::tls::{InvalidTls, certificates, certified_key};
use named::Named;
pub use unverified::Unverified;

/// TLS sessions kept per configuration for resumption: clients that reconnect go to few backends.
const SESSIONS: usize = 32;

/// Why a backend's TLS settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InvalidBackendTls {
    #[error("serverName \"{0}\" is neither a DNS name nor an IP address")]
    ServerName(String),
    #[error("caRefs")]
    Authority(#[source] InvalidTls),
    #[error("{0} holds a certificate that cannot be an authority")]
    Anchor(SecretDataId, #[source] rustls::Error),
    #[error("clientCertificateRef")]
    ClientCertificate(#[source] InvalidTls),
    #[error("caRefs")]
    Verifier(#[source] VerifierBuilderError),
    #[error("failed to set up TLS to the backend")]
    Setup(#[source] rustls::Error),
}

/// TLS settings for an API's backend.
#[derive(Clone, Debug)]
pub(crate) struct ClientTls {
    pub(crate) config: Arc<ClientConfig>,
    /// Name in the certificate, if it is not the URL's host.
    pub(crate) server_name: Option<ServerName<'static>>,
}

/// Creates [`ClientTls`]; APIs without settings of their own share one configuration.
#[derive(Debug)]
pub(crate) struct ClientTlsFactory {
    provider: Arc<CryptoProvider>,
    system: OnceLock<Arc<RootCertStore>>,
    plain: OnceLock<Arc<ClientConfig>>,
}

impl ClientTlsFactory {
    /// The system's authorities are read when first needed.
    pub(crate) fn new(provider: Arc<CryptoProvider>) -> Self {
        Self {
            provider,
            system: OnceLock::new(),
            plain: OnceLock::new(),
        }
    }

    /// Parses one API's settings; references are relative to `namespace`.
    ///
    /// # Errors
    /// [`InvalidBackendTls`]: a setting or a certificate is not valid.
    pub(crate) fn compile(
        &self,
        tls: &BackendTls,
        namespace: &str,
        secret_data: &SecretData,
    ) -> Result<ClientTls, InvalidBackendTls> {
        let server_name = tls.server_name.as_ref().map(|name| {
            ServerName::try_from(name.clone())
                .map_err(|_| InvalidBackendTls::ServerName(name.clone()))
        });
        let BackendTls {
            ca_refs,
            server_name: _,
            client_certificate_ref,
            insecure_skip_verify,
        } = tls;
        let is_plain =
            ca_refs.is_empty() && client_certificate_ref.is_none() && !insecure_skip_verify;
        let config = match self.plain.get() {
            Some(shared) if is_plain => Arc::clone(shared),
            _ => self.build(tls, None, namespace, secret_data)?,
        };
        if is_plain {
            // A concurrent first one stays.
            let _ = self.plain.set(Arc::clone(&config));
        }
        Ok(ClientTls {
            config,
            server_name: server_name.transpose()?,
        })
    }

    /// As [`Self::compile`], for an HTTP client that verifies the URL's host: `serverName`, if set, replaces it.
    ///
    /// # Errors
    /// [`InvalidBackendTls`]: a setting or a certificate is not valid.
    pub(crate) fn compile_named(
        &self,
        tls: &BackendTls,
        namespace: &str,
        secret_data: &SecretData,
    ) -> Result<Arc<ClientConfig>, InvalidBackendTls> {
        let ClientTls {
            config,
            server_name,
        } = self.compile(tls, namespace, secret_data)?;
        match server_name {
            None => Ok(config),
            Some(name) => self.build(tls, Some(name), namespace, secret_data),
        }
    }

    fn build(
        &self,
        tls: &BackendTls,
        expected: Option<ServerName<'static>>,
        namespace: &str,
        secret_data: &SecretData,
    ) -> Result<Arc<ClientConfig>, InvalidBackendTls> {
        let builder = ClientConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_safe_default_protocol_versions()
            .map_err(InvalidBackendTls::Setup)?;
        let builder = if tls.insecure_skip_verify {
            let verifier = Arc::new(Unverified::new(&self.provider));
            builder
                .dangerous()
                .with_custom_certificate_verifier(verifier)
        } else if let Some(name) = expected {
            let roots = self.roots(tls, namespace, secret_data)?;
            let verifier = Named::new(name, roots, &self.provider);
            let verifier = verifier.map_err(InvalidBackendTls::Verifier)?;
            builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(verifier))
        } else {
            builder.with_root_certificates(self.roots(tls, namespace, secret_data)?)
        };
        let mut config = match &tls.client_certificate_ref {
            None => builder.with_no_client_auth(),
            Some(name) => {
                let part = |key| SecretDataId::secret(namespace, name, key);
                let (chain, key) = (part("tls.crt"), part("tls.key"));
                let certified = certified_key(&chain, &key, secret_data, &self.provider)
                    .map_err(InvalidBackendTls::ClientCertificate)?;
                let resolver = rustls::sign::SingleCertAndKey::from(certified);
                builder.with_client_cert_resolver(Arc::new(resolver))
            }
        };
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        config.resumption = Resumption::in_memory_sessions(SESSIONS);
        Ok(Arc::new(config))
    }

    fn roots(
        &self,
        tls: &BackendTls,
        namespace: &str,
        secret_data: &SecretData,
    ) -> Result<Arc<RootCertStore>, InvalidBackendTls> {
        if tls.ca_refs.is_empty() {
            return Ok(Arc::clone(self.system.get_or_init(system_roots)));
        }
        let mut roots = RootCertStore::empty();
        for reference in &tls.ca_refs {
            let id = SecretDataId::of_trust_anchor(namespace, reference);
            let found = certificates(&id, secret_data).map_err(InvalidBackendTls::Authority)?;
            for certificate in found {
                roots
                    .add(certificate)
                    .map_err(|error| InvalidBackendTls::Anchor(id.clone(), error))?;
            }
        }
        Ok(Arc::new(roots))
    }
}

fn system_roots() -> Arc<RootCertStore> {
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::warn!(%error, "a certificate authority of the system cannot be read");
    }
    let mut roots = RootCertStore::empty();
    let (added, ignored) = roots.add_parsable_certificates(found.certs);
    if added == 0 {
        tracing::warn!(
            ignored,
            "the system has no certificate authorities: wss backends need caRefs"
        );
    }
    Arc::new(roots)
}
