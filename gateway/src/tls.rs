//! TLS to clients: the server name selects the certificate; certificates are reloaded with the snapshot.
//!
//! A new certificate is a new configuration object; connections keep the one they began with, so
//! a reload touches no live socket. Resumption is by stateless tickets: a client that comes back
//! (after a drain, all at once) costs no signature, and an idle one costs no memory.

mod client_auth;
pub(crate) mod client_certificate;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;

use aws_lc_rs::digest;
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::Ticketer;
use rustls::server::{
    ClientHello, NoClientAuth, NoServerSessionStorage, ProducesTickets, ResolvesServerCert,
    VerifierBuilderError,
};
use rustls::sign::CertifiedKey;
use rustls::{ProtocolVersion, ServerConfig, version};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tidegate_config::{
    ClientCertificates, ListenerTlsConfig, SecretData, SecretDataId, TlsVersion,
};

pub(crate) use client_auth::{ClientAuth, Demand};

/// HTTP/2 in ALPN (RFC 9113 §3.2).
pub(crate) const H2: &[u8] = b"h2";

/// HTTP/1.1 in ALPN (RFC 7301 §6).
const HTTP_1_1: &[u8] = b"http/1.1";

/// A version as expressions, logs and the configuration write it; no version older than 1.2 is served.
pub(crate) fn version_name(version: Option<ProtocolVersion>) -> &'static str {
    match version {
        Some(ProtocolVersion::TLSv1_2) => "1.2",
        _ => "1.3",
    }
}

/// A certificate or key that cannot be served.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InvalidTls {
    #[error("{0} is missing")]
    Missing(SecretDataId),
    #[error("{0} is not PEM")]
    Pem(SecretDataId, #[source] rustls_pki_types::pem::Error),
    #[error("{0} holds no certificate")]
    Empty(SecretDataId),
    #[error("{0} and its private key cannot be used")]
    Unusable(SecretDataId, #[source] rustls::Error),
    #[error("{0} holds a certificate that cannot be an authority's")]
    Authority(SecretDataId, #[source] rustls::Error),
    #[error("the authorities of {0} cannot be used")]
    Authorities(SecretDataId, #[source] VerifierBuilderError),
    #[error("no certificate is configured")]
    None,
    #[error("failed to set up TLS")]
    Setup(#[source] rustls::Error),
}

/// What all listeners share, for as long as the process lives.
#[derive(Debug)]
pub(crate) struct TlsBasis {
    pub(crate) provider: Arc<CryptoProvider>,
    tickets: Arc<dyn ProducesTickets>,
}

impl TlsBasis {
    /// # Errors
    /// The system gives no random numbers.
    pub(crate) fn new() -> Result<Self, InvalidTls> {
        Ok(Self {
            provider: Arc::new(rustls::crypto::aws_lc_rs::default_provider()),
            tickets: Ticketer::new().map_err(InvalidTls::Setup)?,
        })
    }
}

/// TLS of one listener.
#[derive(Debug)]
pub(crate) struct ServerTls {
    pub(crate) config: Arc<ServerConfig>,
    pub(crate) min_version: TlsVersion,
    /// Set when clients are asked for certificates.
    pub(crate) client_auth: Option<ClientAuth>,
    /// Of everything it was made from.
    fingerprint: digest::Digest,
}

impl ServerTls {
    /// Parses the certificates; gives back `previous` when nothing changed.
    ///
    /// # Errors
    /// [`InvalidTls`]: a certificate or key is missing or not valid.
    pub(crate) fn compile(
        tls: &ListenerTlsConfig,
        http2: bool,
        secret_data: &SecretData,
        basis: &TlsBasis,
        previous: Option<&Arc<Self>>,
    ) -> Result<Arc<Self>, InvalidTls> {
        let fingerprint = fingerprint(tls, http2, secret_data);
        let same = |before: &&Arc<Self>| before.fingerprint.as_ref() == fingerprint.as_ref();
        if let Some(unchanged) = previous.filter(same) {
            return Ok(Arc::clone(unchanged));
        }
        let versions: &[_] = match tls.min_version {
            TlsVersion::V1_2 => &[&version::TLS13, &version::TLS12],
            TlsVersion::V1_3 => &[&version::TLS13],
        };
        let client_auth = tls.client_auth.as_ref();
        let client_auth = client_auth
            .map(|auth| ClientAuth::compile(auth, secret_data, &basis.provider))
            .transpose()?;
        let mut config = ServerConfig::builder_with_provider(Arc::clone(&basis.provider))
            .with_protocol_versions(versions)
            .map_err(InvalidTls::Setup)?
            .with_client_cert_verifier(match &client_auth {
                Some(auth) => auth.verifier(),
                None => Arc::new(NoClientAuth),
            })
            .with_cert_resolver(Arc::new(Certificates::load(
                tls,
                secret_data,
                &basis.provider,
            )?));
        let known = if http2 {
            &[H2, HTTP_1_1][..]
        } else {
            &[HTTP_1_1]
        };
        config.alpn_protocols = known.iter().map(|name| name.to_vec()).collect();
        config.session_storage = Arc::new(NoServerSessionStorage {});
        // A ticket stands for the certificate that was shown for it: one of another listener, or
        // of other authorities, must not be taken here.
        config.ticketer = match &client_auth {
            Some(_) => Ticketer::new().map_err(InvalidTls::Setup)?,
            None => Arc::clone(&basis.tickets),
        };
        config.send_tls13_tickets = 1;
        Ok(Arc::new(Self {
            config: Arc::new(config),
            min_version: tls.min_version,
            client_auth,
            fingerprint,
        }))
    }

    /// May it stand in for a configuration that wants this of clients, but is broken?
    pub(crate) fn demands_at_least(&self, wanted: ClientCertificates) -> bool {
        let mode = self.client_auth.as_ref().map(|auth| auth.mode);
        mode.unwrap_or_default() >= wanted
    }
}

fn fingerprint(tls: &ListenerTlsConfig, http2: bool, secret_data: &SecretData) -> digest::Digest {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(&[u8::from(tls.min_version == TlsVersion::V1_3)]);
    context.update(&[u8::from(http2)]);
    let auth = tls.client_auth.as_ref();
    context.update(&[auth.map_or(0, |auth| auth.mode as u8)]);
    let pairs = tls.certificates.iter();
    let pairs = pairs.flat_map(|(chain, key)| [chain, key]);
    for id in pairs.chain(auth.map(|auth| &auth.ca)) {
        let bytes = secret_data.get(id).unwrap_or_default();
        context.update(&bytes.len().to_be_bytes());
        context.update(bytes);
    }
    context.finish()
}

/// The certificates of one listener by the names they are for.
#[derive(Debug)]
struct Certificates {
    exact: HashMap<String, Arc<CertifiedKey>>,
    /// By what follows `*.`; a wildcard stands for one label (RFC 9525 §6.3).
    wildcard: HashMap<String, Arc<CertifiedKey>>,
    /// For clients that ask for no name or an unknown one.
    default: Arc<CertifiedKey>,
}

impl Certificates {
    fn load(
        tls: &ListenerTlsConfig,
        secret_data: &SecretData,
        provider: &CryptoProvider,
    ) -> Result<Self, InvalidTls> {
        let mut found = None;
        for (chain, key) in &tls.certificates {
            let certified = Arc::new(certified_key(chain, key, secret_data, provider)?);
            let all = found.get_or_insert_with(|| Self {
                exact: HashMap::new(),
                wildcard: HashMap::new(),
                default: Arc::clone(&certified),
            });
            for name in dns_names(&certified) {
                match name.strip_prefix("*.") {
                    Some(parent) => all.wildcard.entry(parent.to_owned()),
                    None => all.exact.entry(name),
                }
                .or_insert_with(|| Arc::clone(&certified));
            }
        }
        found.ok_or(InvalidTls::None)
    }

    fn choose(&self, name: &str) -> Option<&Arc<CertifiedKey>> {
        let parent = || name.split_once('.').map(|(_, parent)| parent);
        let exact = self.exact.get(name);
        exact.or_else(|| self.wildcard.get(parent()?))
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name().map(str::to_ascii_lowercase);
        let chosen = name.and_then(|name| self.choose(&name));
        Some(Arc::clone(chosen.unwrap_or(&self.default)))
    }
}

/// A certificate chain with its private key, both PEM.
///
/// # Errors
/// [`InvalidTls`]: certificate or key is missing or not valid.
pub(crate) fn certified_key(
    chain: &SecretDataId,
    key: &SecretDataId,
    secret_data: &SecretData,
    provider: &CryptoProvider,
) -> Result<CertifiedKey, InvalidTls> {
    let certificates = certificates(chain, secret_data)?;
    let bytes = secret_data
        .get(key)
        .ok_or_else(|| InvalidTls::Missing(key.clone()))?;
    let private = PrivateKeyDer::from_pem_slice(bytes);
    let private = private.map_err(|error| InvalidTls::Pem(key.clone(), error))?;
    CertifiedKey::from_der(certificates, private, provider)
        .map_err(|error| InvalidTls::Unusable(chain.clone(), error))
}

/// All certificates of a PEM text.
///
/// # Errors
/// [`InvalidTls`]: the certificates are missing or not valid.
pub(crate) fn certificates(
    id: &SecretDataId,
    secret_data: &SecretData,
) -> Result<Vec<CertificateDer<'static>>, InvalidTls> {
    let bytes = secret_data
        .get(id)
        .ok_or_else(|| InvalidTls::Missing(id.clone()))?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(bytes).collect();
    let found = found.map_err(|error| InvalidTls::Pem(id.clone(), error))?;
    if found.is_empty() {
        return Err(InvalidTls::Empty(id.clone()));
    }
    Ok(found)
}

/// The DNS names of a certificate, in lower case; none when it has none or cannot be read.
fn dns_names(certified: &CertifiedKey) -> Vec<String> {
    let leaf = certified
        .cert
        .first()
        .and_then(|der| webpki::EndEntityCert::try_from(der).ok());
    let names = leaf
        .iter()
        .flat_map(|leaf| leaf.valid_dns_names().map(str::to_ascii_lowercase));
    names.collect()
}
