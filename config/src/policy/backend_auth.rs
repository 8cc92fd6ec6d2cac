//! backendAuth: how the gateway proves to the backend who it is.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{AwsSigV4, BasicCredentials, ClientCredentials, JwtAlgorithm, RequestTls};
use crate::expression::HasExpressions;
use crate::hash::sha256;
use crate::{Duration, Expression, ExpressionKind, SecretKeyRef};

/// Sends credentials of the gateway to the backend. The client's `Authorization` does not reach it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [
    {
        "rule": "(has(self.basic) ? 1 : 0) + (has(self.oauth2ClientCredentials) ? 1 : 0) + (has(self.oauth2TokenExchange) ? 1 : 0) + (has(self.serviceAccountToken) ? 1 : 0) + (has(self.signedJwt) ? 1 : 0) + (has(self.awsSigV4) ? 1 : 0) == 1",
        "message": "exactly one of basic, oauth2ClientCredentials, oauth2TokenExchange, serviceAccountToken, signedJwt, awsSigV4 must be set",
    },
    {
        "rule": "!has(self.tls) || has(self.oauth2ClientCredentials) || has(self.oauth2TokenExchange) || has(self.awsSigV4)",
        "message": "tls is for tokenUrl or stsUrl, and needs oauth2ClientCredentials, oauth2TokenExchange or awsSigV4",
    },
    {
        "rule": "!has(self.awsSigV4) || self.header.lowerAscii() == 'authorization'",
        "message": "a signature of AWS is always sent as Authorization: leave header out",
    },
]))]
pub struct BackendAuth {
    /// Name of the header that carries the credentials. Default: Authorization.
    #[serde(default = "authorization")]
    #[schemars(
        length(min = 1, max = 256),
        regex(pattern = "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")
    )]
    pub header: String,
    /// User name and password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basic: Option<BasicCredentials>,
    /// Token that an OAuth 2.0 server issues for client credentials (RFC 6749 §4.4), sent as
    /// `Authorization: Bearer`. Each pod keeps it, renews it before it expires, and drops it after
    /// a 401.
    #[serde(
        default,
        rename = "oauth2ClientCredentials",
        skip_serializing_if = "Option::is_none"
    )]
    pub oauth2_client_credentials: Option<ClientCredentials>,
    /// Token that an OAuth 2.0 server issues for a token of the service account of the gateway's pods
    /// (RFC 8693), sent as `Authorization: Bearer`. Each pod keeps it, renews it before it expires,
    /// and drops it after a 401.
    #[serde(
        default,
        rename = "oauth2TokenExchange",
        skip_serializing_if = "Option::is_none"
    )]
    pub oauth2_token_exchange: Option<TokenExchange>,
    /// Token of the service account of the gateway's pods, sent as `Authorization: Bearer`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_account_token: Option<ServiceAccountToken>,
    /// Token that the gateway signs for each handshake.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed_jwt: Option<SignedJwt>,
    /// Signature of AWS over each handshake, sent as `Authorization`, `X-Amz-Date` and `X-Amz-Security-Token`. Each
    /// pod keeps the keys that sign, and renews them before they expire.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aws_sig_v4: Option<AwsSigV4>,
    /// TLS to an `https://` tokenUrl or stsUrl.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<RequestTls>,
}

/// A token that is exchanged for another one (RFC 8693): workload identity federation as Google's
/// Security Token Service knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TokenExchange {
    /// `http://` or `https://` URL of the token endpoint.
    #[schemars(
        length(min = 8, max = 2048),
        regex(pattern = r"^https?://[^/?#\s]+[^#\s]*$")
    )]
    pub token_url: String,
    /// Whom the issued token is for, as the token endpoint names it, for example
    /// `//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/k`.
    #[schemars(length(min = 1, max = 1024))]
    pub audience: String,
    /// Scopes to ask for. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        extend("maxItems" = 16),
        inner(length(min = 1, max = 256), regex(pattern = r#"^[!#-\[\]-~]+$"#))
    )]
    pub scopes: Vec<String>,
    /// Token that is exchanged.
    pub subject_token: SubjectToken,
}

/// A token that is exchanged for another one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SubjectToken {
    /// Token of the service account of the gateway's pods, which the token endpoint must trust.
    pub service_account_token: ServiceAccountToken,
}

/// A token that Kubernetes issues to the gateway's pods.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ServiceAccountToken {
    /// Audience of the token, which must be one of the Gateway's deployment.tokenAudiences.
    #[schemars(length(min = 1, max = 256))]
    pub audience: String,
}

/// Name of the file with the token for an audience, in the directory of such tokens: the SHA-256 of
/// the audience, which may be a URL.
pub fn token_file_name(audience: &str) -> String {
    sha256(audience)
}

/// A token that the gateway signs itself (RFC 7519), sent as `Authorization: Bearer`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SignedJwt {
    /// Claims of the token besides iat and exp, at most 32.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("maxItems" = 32))]
    pub claims: Vec<SignedClaim>,
    /// Key that signs the token: for HS algorithms an HMAC secret, with at least as many bytes as
    /// the hash (RFC 7518 §3.2: 32, 48 or 64), otherwise a private key in PEM.
    pub secret_ref: SecretKeyRef,
    /// Whether the HMAC secret may be shorter than the algorithm's hash. Anyone who has one token
    /// can guess such a secret. Default: false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub allow_short_secret: bool,
    /// Algorithm that signs the token.
    pub algorithm: JwtAlgorithm,
    /// Id of the key in the token's header (kid). Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub key_id: Option<String>,
    /// How long the token is valid, 1s to 24h. Default: 5m.
    #[serde(default = "five_minutes")]
    #[schemars(extend("x-kubernetes-validations" = [{
        "rule": "duration(self) >= duration('1s') && duration(self) <= duration('24h')",
        "message": "ttl must be between 1s and 24h",
    }]))]
    pub ttl: Duration,
}

/// A claim of a token that the gateway signs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SignedClaim {
    /// Name of the claim. The gateway sets iat and exp itself.
    #[schemars(length(min = 1, max = 256))]
    pub name: String,
    /// Value of the claim, as a template. A template that is a single `${…}` keeps the type of its
    /// value.
    #[schemars(length(max = 4096))]
    pub value: String,
}

impl SignedJwt {
    /// Name of a claim that occurs twice or that the gateway sets itself.
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

impl HasExpressions for BackendAuth {
    fn expressions(&self) -> Vec<Expression<'_>> {
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
