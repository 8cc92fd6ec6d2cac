//! An authority, its certificates, and who speaks TLS with them.

use std::net::SocketAddr;
use std::sync::Arc;

use futures::{SinkExt as _, StreamExt as _};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::client::TlsStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// A certificate authority of one test.
pub(crate) struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
            .distinguished_name
            .push(DnType::CommonName, "harbour authority");
        let pem = params.self_signed(&key).unwrap().pem();
        Self {
            pem,
            issuer: Issuer::new(params, key),
        }
    }

    /// Its own certificate.
    pub(crate) fn pem(&self) -> String {
        self.pem.clone()
    }

    /// SHA-256 of its own certificate.
    pub(crate) fn thumbprint(&self) -> String {
        let der = CertificateDer::from_pem_slice(self.pem.as_bytes()).unwrap();
        hex::encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &der))
    }

    /// Certificate and private key for a name, as PEM.
    pub(crate) fn issue(&self, name: &str) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        (certificate.pem(), key.serialize_pem())
    }

    /// For a server of that name.
    pub(crate) fn server_config(&self, name: &str) -> ServerConfig {
        let (chain, key) = self.parsed(name);
        let builder = ServerConfig::builder().with_no_client_auth();
        builder.with_single_cert(chain, key).unwrap()
    }

    /// For a server that wants its clients to have a certificate of this authority.
    pub(crate) fn server_config_with_client_auth(&self, name: &str) -> ServerConfig {
        let (chain, key) = self.parsed(name);
        let verifier = WebPkiClientVerifier::builder(Arc::new(self.roots()))
            .build()
            .unwrap();
        let builder = ServerConfig::builder().with_client_cert_verifier(verifier);
        builder.with_single_cert(chain, key).unwrap()
    }

    /// For clients that trust this authority alone.
    pub(crate) fn client_config(&self) -> ClientConfig {
        let builder = ClientConfig::builder().with_root_certificates(self.roots());
        builder.with_no_client_auth()
    }

    /// The same, showing a certificate that `issuer` made for `name`.
    pub(crate) fn client_config_with(&self, issuer: &Self, name: &str) -> ClientConfig {
        let (chain, key) = issuer.parsed(name);
        let builder = ClientConfig::builder().with_root_certificates(self.roots());
        builder.with_client_auth_cert(chain, key).unwrap()
    }

    /// The authority alone, as somebody who trusts it has it.
    pub(crate) fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_slice(self.pem.as_bytes()).unwrap())
            .unwrap();
        roots
    }

    fn parsed(&self, name: &str) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        let (chain, key) = self.issue(name);
        let chain = CertificateDer::from_pem_slice(chain.as_bytes()).unwrap();
        (
            vec![chain],
            PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap(),
        )
    }
}

/// Connects with TLS and asks for `name`.
pub(crate) async fn tls_connect(
    address: SocketAddr,
    name: &str,
    config: ClientConfig,
) -> std::io::Result<TlsStream<TcpStream>> {
    let socket = TcpStream::connect(address).await?;
    let name = ServerName::try_from(name.to_owned()).unwrap();
    TlsConnector::from(Arc::new(config))
        .connect(name, socket)
        .await
}

/// A `wss` backend that sends back every message; lives as long as the test.
pub(crate) async fn secure_echo(config: ServerConfig) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let mut connections = tokio::task::JoinSet::new();
    let serve = async move {
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            let acceptor = acceptor.clone();
            connections.spawn(async move {
                let Ok(stream) = acceptor.accept(socket).await else {
                    return;
                };
                let Ok(mut socket) = tokio_tungstenite::accept_async(stream).await else {
                    return;
                };
                while let Some(Ok(message)) = socket.next().await {
                    let is_data = message.is_text() || message.is_binary();
                    if is_data && socket.send(message).await.is_err() {
                        return;
                    }
                }
            });
        }
    };
    // A test's runtime ends with the test, and this with it.
    tokio::runtime::Handle::current().spawn(serve);
    address
}
