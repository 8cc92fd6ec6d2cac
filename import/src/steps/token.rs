//! Checks of tokens (JWT).

use roxmltree::Node;
use serde_json::{Value, json};

use super::super::cel::identifier;
use super::super::field::{elements, flag, known, number, optional, required};
use super::{Result, no, object, plain_name, policy, some_list, templates, text};

const JWT_ATTRIBUTES: [&str; 10] = [
    "header-name",
    "query-parameter-name",
    "token-value",
    "failed-validation-httpcode",
    "failed-validation-error-message",
    "require-scheme",
    "require-expiration-time",
    "require-signed-tokens",
    "clock-skew",
    "output-token-variable-name",
];

const JWT_ELEMENTS: [&str; 5] = [
    "openid-config",
    "issuer-signing-keys",
    "audiences",
    "issuers",
    "required-claims",
];

pub(super) fn validate_jwt(node: Node<'_, '_>) -> Result<Value> {
    known(node, &JWT_ATTRIBUTES)?;
    let rules = Rules::of(node, &JWT_ELEMENTS)?;
    let mut fields = token_fields(node)?;
    fields.extend([
        ("openidConfig", some_list(rules.configs)),
        ("keys", some(rules.keys)),
        ("audiences", some_list(rules.audiences)),
        ("issuers", some_list(rules.issuers)),
        ("requiredClaims", some(rules.claims)),
    ]);
    Ok(policy("validateJwt", fields))
}

const AZURE_ATTRIBUTES: [&str; 8] = [
    "tenant-id",
    "authentication-endpoint",
    "header-name",
    "query-parameter-name",
    "token-value",
    "failed-validation-httpcode",
    "failed-validation-error-message",
    "output-token-variable-name",
];

const AZURE_ELEMENTS: [&str; 4] = [
    "client-application-ids",
    "backend-application-ids",
    "audiences",
    "required-claims",
];

/// Accepts tokens of both versions. Each version has its own document with issuer and keys.
pub(super) fn validate_azure_ad_token(node: Node<'_, '_>) -> Result<Value> {
    known(node, &AZURE_ATTRIBUTES)?;
    let rules = Rules::of(node, &AZURE_ELEMENTS)?;
    let audiences = match (rules.audiences, rules.backends) {
        (audiences, backends) if backends.is_empty() => audiences,
        (audiences, backends) if audiences.is_empty() => backends,
        _ => return no("of backend-application-ids and audiences only one is translated"),
    };
    let mut fields = token_fields(node)?;
    fields.extend([
        ("openidConfig", Some(json!(azure_configs(node)?))),
        ("audiences", some_list(audiences)),
        ("allowedClients", some_list(rules.clients)),
        ("requiredClaims", some(rules.claims)),
    ]);
    Ok(policy("validateJwt", fields))
}

/// URLs of the discovery documents of a tenant.
fn azure_configs(node: Node<'_, '_>) -> Result<[String; 2]> {
    const DISCOVERY: &str = ".well-known/openid-configuration";
    let tenant = required(node, "tenant-id")?;
    let is_name = |c: char| c.is_ascii_alphanumeric() || "-.".contains(c);
    if !tenant.chars().all(is_name) || ["common", "organizations"].contains(&&*tenant) {
        return no("only one literal tenant is translated: others have many issuers");
    }
    let endpoint = optional(node, "authentication-endpoint");
    let endpoint = endpoint.unwrap_or_else(|| "https://login.microsoftonline.com".to_owned());
    let endpoint = endpoint.trim_end_matches('/');
    Ok([
        format!("{endpoint}/{tenant}/v2.0/{DISCOVERY}"),
        format!("{endpoint}/{tenant}/{DISCOVERY}"),
    ])
}

/// What the elements of a token policy require.
#[derive(Default)]
struct Rules {
    configs: Vec<String>,
    keys: Vec<Value>,
    audiences: Vec<String>,
    issuers: Vec<String>,
    claims: Vec<Value>,
    /// Applications that may have requested the token.
    clients: Vec<String>,
    /// Applications that the token is for.
    backends: Vec<String>,
}

impl Rules {
    fn of(node: Node<'_, '_>, names: &[&str]) -> Result<Self> {
        let mut rules = Self::default();
        for child in elements(node, names)? {
            let texts = |name| templates(&elements(child, &[name])?, name);
            match child.tag_name().name() {
                "openid-config" => {
                    known(child, &["url"])?;
                    rules.configs.push(required(child, "url")?);
                }
                "issuer-signing-keys" => rules.keys.extend(signing_keys(child)?),
                "audiences" => rules.audiences.extend(texts("audience")?),
                "issuers" => rules.issuers.extend(texts("issuer")?),
                "client-application-ids" => rules.clients.extend(texts("application-id")?),
                "backend-application-ids" => rules.backends.extend(texts("application-id")?),
                _ => rules.claims.extend(required_claims(child)?),
            }
        }
        Ok(rules)
    }
}

fn some(values: Vec<Value>) -> Option<Value> {
    (!values.is_empty()).then_some(Value::Array(values))
}

/// Fields from attributes. As in API Management, the token is forwarded to the backend.
fn token_fields(node: Node<'_, '_>) -> Result<Vec<(&'static str, Option<Value>)>> {
    let plain = |name| optional(node, name).map(Value::String);
    let variable = optional(node, "output-token-variable-name")
        .map(|name| identifier(&name))
        .transpose()?;
    let skew = number(node, "clock-skew")?.map(|skew| json!(format!("{skew}s")));
    let status = number(node, "failed-validation-httpcode")?.map(Value::from);
    let expiration = flag(node, "require-expiration-time")?.map(Value::Bool);
    let signed = flag(node, "require-signed-tokens")?.map(Value::Bool);
    Ok(vec![
        ("header", plain("header-name")),
        ("query", plain("query-parameter-name")),
        ("token", text(node, "token-value")?),
        ("requireScheme", plain("require-scheme")),
        ("status", status),
        ("message", text(node, "failed-validation-error-message")?),
        ("requireExpiration", expiration),
        ("requireSigned", signed),
        ("clockSkew", skew),
        ("as", variable.map(Value::String)),
        ("strip", Some(Value::Bool(false))),
    ])
}

/// Public keys. A shared secret belongs in a Secret, which a policy document does not have.
fn signing_keys(node: Node<'_, '_>) -> Result<Vec<Value>> {
    let keys = elements(node, &["key"])?;
    keys.into_iter()
        .map(|key| {
            known(key, &["n", "e"])?;
            let id = optional(key, "id").map(Value::String);
            let (Some(n), Some(e)) = (optional(key, "n"), optional(key, "e")) else {
                return no("only keys with n and e are translated: put others in a Secret");
            };
            Ok(object([
                ("id", id),
                ("n", Some(json!(n))),
                ("e", Some(json!(e))),
            ]))
        })
        .collect()
}

fn required_claims(node: Node<'_, '_>) -> Result<Vec<Value>> {
    let claims = elements(node, &["claim"])?;
    claims
        .into_iter()
        .map(|claim| {
            known(claim, &["name", "match", "separator"])?;
            let matching = match optional(claim, "match").as_deref() {
                None | Some("all") => "All",
                Some("any") => "Any",
                Some(other) => return no(format!("match {other} is not translated")),
            };
            let values = templates(&elements(claim, &["value"])?, "value")?;
            Ok(object([
                ("name", Some(json!(plain_name(claim)?))),
                ("match", Some(json!(matching))),
                ("separator", optional(claim, "separator").map(Value::String)),
                ("values", some_list(values)),
            ]))
        })
        .collect()
}
