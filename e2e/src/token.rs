//! Tokens (JWT) and the stand-in of an identity provider.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use rcgen::KeyPair;
use serde_json::{Value, json};

use crate::http::{HttpServer, Response};

/// A key that signs tokens.
#[derive(Clone)]
pub struct Signer {
    header: Header,
    key: EncodingKey,
    public_pem: Option<String>,
}

impl Signer {
    /// HS256 with this secret.
    pub fn hs256(secret: &str) -> Self {
        Self {
            header: Header::new(Algorithm::HS256),
            key: EncodingKey::from_secret(secret.as_bytes()),
            public_pem: None,
        }
    }

    /// ES256 with a new key; `id` is the token's `kid`.
    pub fn es256(id: &str) -> anyhow::Result<Self> {
        Self::generate(Algorithm::ES256, id, &rcgen::PKCS_ECDSA_P256_SHA256)
    }

    /// RS256 with a new key; `id` is the token's `kid`.
    pub fn rs256(id: &str) -> anyhow::Result<Self> {
        Self::generate(Algorithm::RS256, id, &rcgen::PKCS_RSA_SHA256)
    }

    fn generate(
        algorithm: Algorithm,
        id: &str,
        kind: &'static rcgen::SignatureAlgorithm,
    ) -> anyhow::Result<Self> {
        let pair = KeyPair::generate_for(kind)?;
        let pem = pair.serialize_pem();
        let mut header = Header::new(algorithm);
        header.kid = Some(id.to_owned());
        Ok(Self {
            header,
            key: match algorithm {
                Algorithm::ES256 => EncodingKey::from_ec_pem(pem.as_bytes())?,
                _ => EncodingKey::from_rsa_pem(pem.as_bytes())?,
            },
            public_pem: Some(pair.public_key_pem()),
        })
    }

    /// Its public key, PEM.
    pub fn public_pem(&self) -> Option<&str> {
        self.public_pem.as_deref()
    }

    /// A token with these claims, expiring in `seconds` (negative: expired since).
    pub fn token(&self, seconds: i64, claims: &Value) -> anyhow::Result<String> {
        let mut claims = claims.clone();
        claims["exp"] = json!(jiff::Timestamp::now().as_second() + seconds);
        Ok(encode(&self.header, &claims, &self.key)?)
    }

    fn jwk(&self) -> anyhow::Result<Value> {
        let mut key = Jwk::from_encoding_key(&self.key, self.header.alg)?;
        key.common.key_id.clone_from(&self.header.kid);
        Ok(serde_json::to_value(key)?)
    }
}

/// The claims of an HS256 token that this secret signed and that has not ended.
pub fn read(token: &str, secret: &str) -> anyhow::Result<Value> {
    let mut rules = Validation::new(Algorithm::HS256);
    rules.validate_aud = false;
    let key = DecodingKey::from_secret(secret.as_bytes());
    Ok(decode::<Value>(token, &key, &rules)?.claims)
}

/// An identity provider: discovery document and key set.
pub struct IdentityProvider {
    server: HttpServer,
    issuer: String,
    set: Arc<Mutex<String>>,
}

impl IdentityProvider {
    /// One that signs with these keys.
    pub async fn start(signers: &[Signer]) -> anyhow::Result<Self> {
        let set = Arc::new(Mutex::new(key_set(signers)?));
        let published = Arc::clone(&set);
        let server = HttpServer::start(move |address, request| {
            let issuer = issuer(address);
            match request.head.target() {
                "/.well-known/openid-configuration" => Response::json(
                    &json!({ "issuer": issuer, "jwks_uri": format!("{issuer}/keys") }).to_string(),
                ),
                "/keys" => {
                    Response::json(&published.lock().unwrap_or_else(PoisonError::into_inner))
                }
                _ => Response::not_found(),
            }
        })
        .await?;
        let issuer = issuer(server.address());
        Ok(Self {
            server,
            issuer,
            set,
        })
    }

    /// From now on it signs with these keys, and with no others.
    pub fn publish(&self, signers: &[Signer]) -> anyhow::Result<()> {
        *self.set.lock().unwrap_or_else(PoisonError::into_inner) = key_set(signers)?;
        Ok(())
    }

    /// What its tokens have as `iss`.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// URL of its discovery document.
    pub fn discovery(&self) -> String {
        format!("{}/.well-known/openid-configuration", self.issuer)
    }

    /// How often the key set was fetched.
    pub fn key_fetches(&self) -> usize {
        let requests = self.server.requests();
        let keys = requests
            .iter()
            .filter(|request| request.head.target() == "/keys");
        keys.count()
    }
}

/// The document with the public keys of these signers.
pub fn key_set(signers: &[Signer]) -> anyhow::Result<String> {
    let keys: Vec<_> = signers.iter().map(Signer::jwk).collect::<Result<_, _>>()?;
    Ok(json!({ "keys": keys }).to_string())
}

fn issuer(address: SocketAddr) -> String {
    format!("http://{address}")
}
