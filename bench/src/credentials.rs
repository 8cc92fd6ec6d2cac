//! The certificate, the subscription key and the tokens of a run.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use rcgen::{CertifiedKey, KeyPair};
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};

/// Opens the bench's product.
const KEY: &str = "a-key-of-the-benchmark";

/// Verifications that are timed.
const VERIFICATIONS: u32 = 500;

/// What clients and proxies need.
pub(crate) struct Credentials {
    chain: String,
    key: String,
    /// Trusts the certificate.
    pub(crate) client: Arc<ClientConfig>,
    pub(crate) es256: Signed,
    pub(crate) rs256: Signed,
}

/// A token with the key that it is verified with.
pub(crate) struct Signed {
    algorithm: Algorithm,
    token: String,
    public: String,
}

impl Credentials {
    /// Makes all of them.
    pub(crate) fn generate() -> anyhow::Result<Self> {
        let CertifiedKey { cert, signing_key } =
            rcgen::generate_simple_self_signed(vec!["localhost".to_owned()])?;
        let mut roots = RootCertStore::empty();
        roots.add(cert.der().clone())?;
        let client = ClientConfig::builder()
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self {
            chain: cert.pem(),
            key: signing_key.serialize_pem(),
            client: Arc::new(client),
            es256: Signed::generate(Algorithm::ES256)?,
            rs256: Signed::generate(Algorithm::RS256)?,
        })
    }

    /// The files that peers read.
    pub(crate) fn write(&self, dir: &Path) -> anyhow::Result<()> {
        fs::write(dir.join("chain.pem"), &self.chain)?;
        fs::write(dir.join("key.pem"), &self.key)?;
        fs::write(dir.join("both.pem"), format!("{}{}", self.chain, self.key))?;
        Ok(())
    }

    /// The Secrets that Tidegate reads.
    pub(crate) fn manifests(&self) -> String {
        let secret = |name: &str, data: Value| {
            let kind = if name == "bench-tls" {
                "kubernetes.io/tls"
            } else {
                "Opaque"
            };
            let metadata = json!({"name": name});
            let secret = json!({"apiVersion": "v1", "kind": "Secret", "type": kind,
                "metadata": metadata, "stringData": data});
            format!("---\n{secret}\n")
        };
        [
            secret(
                "bench-tls",
                json!({"tls.crt": self.chain, "tls.key": self.key}),
            ),
            secret(
                "bench-keys",
                json!({"primaryKey": KEY, "secondaryKey": format!("{KEY}-2")}),
            ),
            secret(
                "bench-jwt",
                json!({"es256": self.es256.public, "rs256": self.rs256.public}),
            ),
        ]
        .concat()
    }

    /// What a subscriber sends.
    pub(crate) fn key_header(&self) -> String {
        format!("Ocp-Apim-Subscription-Key: {KEY}\r\n")
    }
}

impl Signed {
    fn generate(algorithm: Algorithm) -> anyhow::Result<Self> {
        let kind = match algorithm {
            Algorithm::ES256 => &rcgen::PKCS_ECDSA_P256_SHA256,
            _ => &rcgen::PKCS_RSA_SHA256,
        };
        let pair = KeyPair::generate_for(kind)?;
        let pem = pair.serialize_pem();
        let key = match algorithm {
            Algorithm::ES256 => EncodingKey::from_ec_pem(pem.as_bytes())?,
            _ => EncodingKey::from_rsa_pem(pem.as_bytes())?,
        };
        let expiry = jiff::Timestamp::now().as_second() + 24 * 3600;
        let claims = json!({"sub": "bench", "exp": expiry});
        Ok(Self {
            algorithm,
            token: encode(&Header::new(algorithm), &claims, &key)?,
            public: pair.public_key_pem(),
        })
    }

    /// What its bearer sends.
    pub(crate) fn header(&self) -> String {
        format!("Authorization: Bearer {}\r\n", self.token)
    }

    /// What verifying it costs alone, in microseconds.
    pub(crate) fn arithmetic(&self) -> anyhow::Result<f64> {
        let key = match self.algorithm {
            Algorithm::ES256 => DecodingKey::from_ec_pem(self.public.as_bytes())?,
            _ => DecodingKey::from_rsa_pem(self.public.as_bytes())?,
        };
        let rules = Validation::new(self.algorithm);
        let start = Instant::now();
        for _ in 0..VERIFICATIONS {
            decode::<Value>(&self.token, &key, &rules)?;
        }
        Ok(start.elapsed().as_secs_f64() * 1e6 / f64::from(VERIFICATIONS))
    }
}
