//! Policies that decide who may pass: validateJwt, checkHeader, ipFilter.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::RequestTls;
use crate::expression::HasExpressions;
use crate::{Duration, Expression, ExpressionKind, SecretKeyRef};

/// Signature algorithm of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "the names are RFC 7518's")]
pub enum JwtAlgorithm {
    HS256,
    HS384,
    HS512,
    RS256,
    RS384,
    RS512,
    PS256,
    PS384,
    PS512,
    ES256,
    ES384,
    EdDSA,
}

/// Whether a claim must hold all listed values or one of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ClaimMatch {
    /// All listed values.
    #[default]
    All,
    /// At least one of them.
    Any,
}

/// A key that verifies tokens: an HMAC secret or public key in a Secret, or an RSA key given by n
/// and e.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "has(self.secretKeyRef) ? !has(self.n) && !has(self.e) : has(self.n) && has(self.e)",
    "message": "set either secretKeyRef or both n and e",
}]))]
pub struct JwtKey {
    /// Id that is compared with the token's `kid`. If no key has that id, all keys are tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub id: Option<String>,
    /// HMAC secret (its bytes), or public key or certificate (PEM, also with text around it). A
    /// secret must have at least as many bytes as the algorithm's hash (RFC 7518 §3.2): 32, 48 or
    /// 64 for HS256, HS384, HS512. Key material in any other form is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_key_ref: Option<SecretKeyRef>,
    /// Whether the HMAC secret may be shorter than the algorithm's hash. Anyone who has one token
    /// can guess such a secret. Default: false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub allow_short_secret: bool,
    /// Modulus of an RSA key, base64url.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2048))]
    pub n: Option<String>,
    /// Exponent of an RSA key, base64url.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 16))]
    pub e: Option<String>,
}

/// A claim that a token must have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RequiredClaim {
    /// Name of the claim.
    #[schemars(length(min = 1, max = 256))]
    pub name: String,
    /// Values that the claim must hold, as templates. Default: any value.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("maxItems" = 32), inner(length(max = 1024)))]
    pub values: Vec<String>,
    /// Whether the claim must hold all values or one of them: All or Any. Default: All.
    #[serde(default, rename = "match")]
    pub matching: ClaimMatch,
    /// Text at which a text claim is split into values first, for example a space for `scp`.
    /// Default: it is one value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 8))]
    pub separator: Option<String>,
}

/// Requires a valid JSON Web Token. Others get `status`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [
    {
        "rule": "(has(self.header) ? 1 : 0) + (has(self.query) ? 1 : 0) + (has(self.subprotocol) ? 1 : 0) + (has(self.cookie) ? 1 : 0) + (has(self.token) ? 1 : 0) <= 1",
        "message": "at most one of header, query, subprotocol, cookie, token may be set",
    },
    {
        "rule": "has(self.openidConfig) && self.openidConfig.size() > 0 || has(self.jwks) && self.jwks.size() > 0 || has(self.keys) && self.keys.size() > 0 || (has(self.requireSigned) && !self.requireSigned)",
        "message": "at least one of openidConfig, jwks, keys must be set",
    },
    {
        "rule": "!has(self.tls) || has(self.openidConfig) && self.openidConfig.size() > 0 || has(self.jwks) && self.jwks.size() > 0",
        "message": "tls is for openidConfig and jwks, and needs one of them",
    },
]))]
pub struct ValidateJwt {
    /// Name of the header that carries the token. Default: Authorization.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub header: Option<String>,
    /// Name of the query parameter that carries the token, for browsers, which cannot set headers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub query: Option<String>,
    /// Prefix of the subprotocol that carries the token, for example `bearer.`. The client must
    /// offer another subprotocol besides it for the backend to choose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub subprotocol: Option<String>,
    /// Name of the cookie that carries the token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub cookie: Option<String>,
    /// The token itself, as a template, for tokens that come in another way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    pub token: Option<String>,
    /// Scheme that must stand before the token in the header, for example Bearer. Default: any or
    /// none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub require_scheme: Option<String>,
    /// Accepted issuers, as templates; those of openidConfig are accepted as well. Default: any
    /// issuer, unless there is openidConfig.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("maxItems" = 32), inner(length(max = 2048)))]
    pub issuers: Vec<String>,
    /// Accepted audiences, as templates; the token must have one of them. Default: any audience.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("maxItems" = 32), inner(length(max = 2048)))]
    pub audiences: Vec<String>,
    /// URLs of OpenID discovery documents, which give issuer and keys. At most 8.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("maxItems" = 8), inner(length(max = 2048), regex(pattern = "^https?://")))]
    pub openid_config: Vec<String>,
    /// URLs of JSON Web Key Sets. At most 8.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("maxItems" = 8), inner(length(max = 2048), regex(pattern = "^https?://")))]
    pub jwks: Vec<String>,
    /// TLS to the URLs of openidConfig and jwks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<RequestTls>,
    /// Keys that are given in the policy itself. At most 32.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("maxItems" = 32))]
    pub keys: Vec<JwtKey>,
    /// Accepted signature algorithms. Default: all that fit the type of the key.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("maxItems" = 12))]
    pub algorithms: Vec<JwtAlgorithm>,
    /// Claims that the token must have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("maxItems" = 32))]
    pub required_claims: Vec<RequiredClaim>,
    /// Accepted clients: the claim azp, appid or client_id must be one of these. Default: any
    /// client.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("maxItems" = 64), inner(length(max = 256)))]
    pub allowed_clients: Vec<String>,
    /// Tolerance when exp and nbf are compared with the clock. Default: 0s.
    #[serde(default)]
    pub clock_skew: Duration,
    /// Whether the token must have the claim exp. Default: true.
    #[serde(default = "yes")]
    pub require_expiration: bool,
    /// Whether the token must be signed. If false, tokens with alg none are accepted as well.
    /// Default: true.
    #[serde(default = "yes")]
    pub require_signed: bool,
    /// Status of the refusal. Default: 401.
    #[serde(default = "unauthorized")]
    #[schemars(range(min = 400, max = 599))]
    pub status: u16,
    /// Message of the refusal, as a template. Default: a message that says what is wrong with the
    /// token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub message: Option<String>,
    /// Whether the token is removed from the request that the backend gets. Default: true.
    #[serde(default = "yes")]
    pub strip: bool,
    /// Whether the tunnel is closed when the token expires. Default: true.
    #[serde(default = "yes")]
    pub close_on_expiry: bool,
    /// Name of a variable that gets the token, to be read as `vars.NAME.header` and
    /// `vars.NAME.claims`.
    #[serde(default, rename = "as", skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = "^[A-Za-z_][A-Za-z0-9_]*$"))]
    pub variable: Option<String>,
}

impl HasExpressions for ValidateJwt {
    fn expressions(&self) -> Vec<Expression<'_>> {
        let mut found = Vec::new();
        let optional = [("token", &self.token), ("message", &self.message)];
        for (name, text) in optional {
            if let Some(text) = text {
                let field = format!("validateJwt.{name}");
                found.push(Expression::new(field, ExpressionKind::Template, text));
            }
        }
        found.extend(Expression::templates("validateJwt.issuers", &self.issuers));
        found.extend(Expression::templates(
            "validateJwt.audiences",
            &self.audiences,
        ));
        for (i, claim) in self.required_claims.iter().enumerate() {
            let field = format!("validateJwt.requiredClaims[{i}].values");
            found.extend(Expression::templates(&field, &claim.values));
        }
        found
    }
}

/// Requires a header, optionally with one of several values. Others get `status`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CheckHeader {
    /// Name of the header, which the request must have exactly once.
    #[schemars(
        length(min = 1, max = 256),
        regex(pattern = "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")
    )]
    pub name: String,
    /// Values that the header may have, as templates. Default: any value.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("maxItems" = 64), inner(length(max = 1024)))]
    pub values: Vec<String>,
    /// Whether upper and lower case of the value are the same. Default: false.
    #[serde(default)]
    pub ignore_case: bool,
    /// Status of the refusal. Default: 403.
    #[serde(default = "forbidden")]
    #[schemars(range(min = 400, max = 599))]
    pub status: u16,
    /// Message of the refusal, as a template. Default: a message that says what is wrong with the
    /// header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub message: Option<String>,
}

impl HasExpressions for CheckHeader {
    fn expressions(&self) -> Vec<Expression<'_>> {
        let mut found = Expression::templates("checkHeader.values", &self.values);
        if let Some(text) = &self.message {
            found.push(Expression::new(
                "checkHeader.message",
                ExpressionKind::Template,
                text,
            ));
        }
        found
    }
}

/// Admits only some client addresses, or all but some. Others get 403.
///
/// Entries are addresses (`10.1.2.3`, `2001:db8::1`), ranges (`10.0.0.1-10.0.0.9`) or CIDRs
/// (`10.0.0.0/8`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "has(self.allow) != has(self.forbid)",
    "message": "exactly one of allow, forbid must be set",
}]))]
pub struct IpFilter {
    /// Addresses that are admitted (`10.1.2.3`, `2001:db8::1`), as well as ranges
    /// (`10.0.0.1-10.0.0.9`) and CIDRs (`10.0.0.0/8`); all others get 403.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("minItems" = 1, "maxItems" = 512), inner(length(min = 2, max = 96)))]
    pub allow: Option<Vec<String>>,
    /// Addresses that get 403 (`10.1.2.3`, `2001:db8::1`), as well as ranges (`10.0.0.1-10.0.0.9`)
    /// and CIDRs (`10.0.0.0/8`); all others are admitted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("minItems" = 1, "maxItems" = 512), inner(length(min = 2, max = 96)))]
    pub forbid: Option<Vec<String>>,
}

impl HasExpressions for IpFilter {}

fn yes() -> bool {
    true
}

fn unauthorized() -> u16 {
    401
}

fn forbidden() -> u16 {
    403
}
