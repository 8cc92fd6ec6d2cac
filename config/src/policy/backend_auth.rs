//! backendAuth: how the gateway proves to the backend who it is.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{BasicCredentials, ClientCredentials, JwtAlgorithm, RequestTls};
use crate::hash::sha256;
use crate::{Duration, Expression, ExpressionKind, SecretKeyRef};

/// Gives the backend credentials of the gateway. The client's `Authorization` does not get there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [
    {
        "rule": "(has(self.basic) ? 1 : 0) + (has(self.oauth2ClientCredentials) ? 1 : 0) + (has(self.serviceAccountToken) ? 1 : 0) + (has(self.signedJwt) ? 1 : 0) == 1",
        "message": "exactly one of basic, oauth2ClientCredentials, serviceAccountToken, signedJwt must be set",
    },
    {
        "rule": "!has(self.tls) || has(self.oauth2ClientCredentials)",
        "message": "tls is that of tokenUrl: it needs oauth2ClientCredentials",
    },
]))]
pub struct BackendAuth {
    /// Header that carries the credentials. Default: Authorization.
    #[serde(default = "authorization")]
    #[schemars(
        length(min = 1, max = 256),
        regex(pattern = "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")
    )]
    pub header: String,
    /// User and password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basic: Option<BasicCredentials>,
    /// A token by client credentials.
    #[serde(
        default,
        rename = "oauth2ClientCredentials",
        skip_serializing_if = "Option::is_none"
    )]
    pub oauth2_client_credentials: Option<ClientCredentials>,
    /// A token of the gateway pods' own service account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_account_token: Option<ServiceAccountToken>,
    /// A token that the gateway signs for each handshake.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed_jwt: Option<SignedJwt>,
    /// TLS towards an `https://` tokenUrl.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<RequestTls>,
}

/// A token that Kubernetes issues to the gateway's pods, sent as `Authorization: Bearer`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ServiceAccountToken {
    /// Whom the token is for; one of the Gateway's deployment.tokenAudiences.
    #[schemars(length(min = 1, max = 256))]
    pub audience: String,
}

/// Name of the file that has the token for an audience, in the directory of such tokens: the
/// SHA-256 of the audience, since an audience may be a URL.
pub fn token_file_name(audience: &str) -> String {
    sha256(audience)
}

/// A token that the gateway signs itself (RFC 7519), sent as `Authorization: Bearer`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SignedJwt {
    /// Its claims besides iat and exp.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("maxItems" = 32))]
    pub claims: Vec<SignedClaim>,
    /// The key: for HS algorithms the secret itself, with at least the bytes of the hash (RFC 7518
    /// §3.2: 32, 48 or 64), otherwise a private key in PEM form.
    pub secret_ref: SecretKeyRef,
    /// Sign with an HMAC secret that is shorter than the algorithm's hash. Whoever has one token
    /// can guess such a secret. Default: false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub allow_short_secret: bool,
    /// How it is signed.
    pub algorithm: JwtAlgorithm,
    /// Name of the key in the token's header (kid).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub key_id: Option<String>,
    /// How long it is valid, 1s to 24h. Default: 5m.
    #[serde(default = "five_minutes")]
    #[schemars(extend("x-kubernetes-validations" = [{
        "rule": "duration(self) >= duration('1s') && duration(self) <= duration('24h')",
        "message": "ttl must be between 1s and 24h",
    }]))]
    pub ttl: Duration,
}

/// A claim of a token that is signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SignedClaim {
    /// Its name. iat and exp are the gateway's own.
    #[schemars(length(min = 1, max = 256))]
    pub name: String,
    /// Its value. Template; one that is a single `${…}` keeps the type of what stands in it.
    #[schemars(length(max = 4096))]
    pub value: String,
}

impl SignedJwt {
    /// A claim that is there twice, or that is the gateway's own.
    pub fn clash(&self) -> Option<&str> {
        let mut seen = vec!["iat", "exp"];
        for claim in &self.claims {
            if seen.contains(&claim.name.as_str()) {
                return Some(&claim.name);
            }
            seen.push(&claim.name);
        }
        None
    }
}

impl BackendAuth {
    pub(crate) fn expressions(&self) -> Vec<Expression<'_>> {
        let template = ExpressionKind::Template;
        let mut found = Vec::new();
        if let Some(basic) = &self.basic {
            for (field, text) in [("username", &basic.username), ("password", &basic.password)] {
                let place = format!("backendAuth.basic.{field}");
                found.push(Expression::new(place, template, text));
            }
        }
        let claims = self.signed_jwt.iter().flat_map(|jwt| &jwt.claims);
        for (i, claim) in claims.enumerate() {
            let place = format!("backendAuth.signedJwt.claims[{i}].value");
            found.push(Expression::new(place, template, &claim.value));
        }
        found
    }
}

fn authorization() -> String {
    "Authorization".to_owned()
}

fn five_minutes() -> Duration {
    Duration::from_secs(300)
}
