//! Policies that decide who may pass: validateJwt, checkHeader, ipFilter.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::RequestTls;
use crate::{Duration, Expression, ExpressionKind, SecretKeyRef};

/// Signature algorithms a token may use.
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

/// Must a claim hold all listed values or one of them?
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Match {
    /// Every listed value.
    #[default]
    All,
    /// At least one.
    Any,
}

/// A key that verifies tokens: a Secret's (HMAC secret or PEM public key) or an RSA key by n and e.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "has(self.secretKeyRef) ? !has(self.n) && !has(self.e) : has(self.n) && has(self.e)",
    "message": "set either secretKeyRef or both n and e",
}]))]
pub struct JwtKey {
    /// Matched against the token's `kid`; when no key's id matches, all are tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub id: Option<String>,
    /// HMAC secret (its bytes), or public key or certificate (PEM, also with text around it). A
    /// secret has at least the bytes of the algorithm's hash (RFC 7518 §3.2): 32, 48 or 64 for HS256,
    /// HS384, HS512. Key material in any other form is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_key_ref: Option<SecretKeyRef>,
    /// Accept an HMAC secret that is shorter than the algorithm's hash. Whoever has one token can
    /// guess such a secret. Default: false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub allow_short_secret: bool,
    /// RSA modulus, base64url.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2048))]
    pub n: Option<String>,
    /// RSA exponent, base64url.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 16))]
    pub e: Option<String>,
}

/// A claim that must be there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RequiredClaim {
    /// Name of the claim.
    #[schemars(length(min = 1, max = 256))]
    pub name: String,
    /// Values it must hold. None: it must merely exist. Templates.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("maxItems" = 32), inner(length(max = 1024)))]
    pub values: Vec<String>,
    /// All or Any of the values. Default: All.
    #[serde(default, rename = "match")]
    pub matching: Match,
    /// Splits a text claim into values first (for example a space for `scp`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 8))]
    pub separator: Option<String>,
}

/// Requires a valid JSON Web Token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [
    {
        "rule": "(has(self.header) ? 1 : 0) + (has(self.query) ? 1 : 0) + (has(self.subprotocol) ? 1 : 0) + (has(self.cookie) ? 1 : 0) + (has(self.token) ? 1 : 0) <= 1",
        "message": "at most one of header, query, subprotocol, cookie, token may be set",
    },
    {
        "rule": "has(self.openidConfig) && self.openidConfig.size() > 0 || has(self.jwks) && self.jwks.size() > 0 || has(self.keys) && self.keys.size() > 0 || (has(self.requireSigned) && !self.requireSigned)",
        "message": "say where the keys come from: openidConfig, jwks or keys",
    },
    {
        "rule": "!has(self.tls) || has(self.openidConfig) && self.openidConfig.size() > 0 || has(self.jwks) && self.jwks.size() > 0",
        "message": "tls is that of openidConfig and jwks: it needs one of them",
    },
]))]
pub struct ValidateJwt {
    /// Header that carries the token. Default: Authorization.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub header: Option<String>,
    /// Query parameter that carries the token (browsers cannot set headers).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub query: Option<String>,
    /// Prefix of the subprotocol that carries the token, for example `bearer.`; another offered
    /// subprotocol must remain for the backend to choose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub subprotocol: Option<String>,
    /// Cookie that carries the token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub cookie: Option<String>,
    /// Template that yields the raw token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    pub token: Option<String>,
    /// Scheme that must stand before the token in the Authorization header, for example Bearer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub require_scheme: Option<String>,
    /// Accepted issuers; those of openidConfig are accepted besides. None at all: any. Templates.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("maxItems" = 32), inner(length(max = 2048)))]
    pub issuers: Vec<String>,
    /// Accepted audiences, any one. None: any. Templates.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("maxItems" = 32), inner(length(max = 2048)))]
    pub audiences: Vec<String>,
    /// URLs of OpenID discovery documents: they give issuer and keys.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("maxItems" = 8), inner(length(max = 2048), regex(pattern = "^https?://")))]
    pub openid_config: Vec<String>,
    /// URLs of JSON Web Key Sets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("maxItems" = 8), inner(length(max = 2048), regex(pattern = "^https?://")))]
    pub jwks: Vec<String>,
    /// TLS towards openidConfig and jwks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<RequestTls>,
    /// Keys given here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("maxItems" = 32))]
    pub keys: Vec<JwtKey>,
    /// Accepted algorithms. None: all that fit the key's type.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("maxItems" = 12))]
    pub algorithms: Vec<JwtAlgorithm>,
    /// Claims that must be there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("maxItems" = 32))]
    pub required_claims: Vec<RequiredClaim>,
    /// Accepted clients: the claim azp, appid or client_id must be one of these. None: any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("maxItems" = 64), inner(length(max = 256)))]
    pub allowed_clients: Vec<String>,
    /// Tolerance for exp and nbf. Default: 0s.
    #[serde(default)]
    pub clock_skew: Duration,
    /// Must the token have exp? Default: true.
    #[serde(default = "yes")]
    pub require_expiration: bool,
    /// Must the token be signed? Default: true (false accepts alg none as well).
    #[serde(default = "yes")]
    pub require_signed: bool,
    /// Status of the refusal. Default: 401.
    #[serde(default = "unauthorized")]
    #[schemars(range(min = 400, max = 599))]
    pub status: u16,
    /// Message of the refusal instead of the one that tells the failure. Template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub message: Option<String>,
    /// Remove the token before the backend sees the request. Default: true.
    #[serde(default = "yes")]
    pub strip: bool,
    /// Close the tunnel when the token expires. Default: true.
    #[serde(default = "yes")]
    pub close_on_expiry: bool,
    /// Variable that keeps the token: `vars.NAME.header`, `vars.NAME.claims`.
    #[serde(default, rename = "as", skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = "^[A-Za-z_][A-Za-z0-9_]*$"))]
    pub variable: Option<String>,
}

impl ValidateJwt {
    pub(crate) fn expressions(&self) -> Vec<Expression<'_>> {
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

/// Requires a header, optionally with one of several values.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CheckHeader {
    /// Name of the header. It must occur exactly once.
    #[schemars(
        length(min = 1, max = 256),
        regex(pattern = "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")
    )]
    pub name: String,
    /// Values it may have. None: it must merely exist. Templates.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("maxItems" = 64), inner(length(max = 1024)))]
    pub values: Vec<String>,
    /// Compare without regard to upper and lower case. Default: false.
    #[serde(default)]
    pub ignore_case: bool,
    /// Status of the refusal. Default: 403.
    #[serde(default = "forbidden")]
    #[schemars(range(min = 400, max = 599))]
    pub status: u16,
    /// Message of the refusal instead of the one that tells the failure. Template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub message: Option<String>,
}

impl CheckHeader {
    pub(crate) fn expressions(&self) -> Vec<Expression<'_>> {
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

/// Lets only some client addresses pass, or all but some.
///
/// Entries are addresses (`10.1.2.3`, `2001:db8::1`), ranges (`10.0.0.1-10.0.0.9`) or CIDRs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "has(self.allow) != has(self.forbid)",
    "message": "exactly one of allow, forbid must be set",
}]))]
pub struct IpFilter {
    /// Only these pass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("minItems" = 1, "maxItems" = 512), inner(length(min = 2, max = 96)))]
    pub allow: Option<Vec<String>>,
    /// All but these pass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("minItems" = 1, "maxItems" = 512), inner(length(min = 2, max = 96)))]
    pub forbid: Option<Vec<String>>,
}

fn yes() -> bool {
    true
}

fn unauthorized() -> u16 {
    401
}

fn forbidden() -> u16 {
    403
}
