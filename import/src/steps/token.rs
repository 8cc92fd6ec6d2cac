//! Tokens.

use roxmltree::Node;
use serde_json::{Value, json};

use super::super::cel::identifier;
use super::super::field::{elements, flag, known, number, optional, required};
use super::{Result, no, object, plain_name, policy, some_list, templates, text};

pub(super) fn validate_jwt(node: Node<'_, '_>) -> Result<Value> {
    let attributes = [
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
    known(node, &attributes)?;
    let names = [
        "openid-config",
        "issuer-signing-keys",
        "audiences",
        "issuers",
        "required-claims",
    ];
    let (mut configs, mut keys, mut claims) = (Vec::new(), Vec::new(), Vec::new());
    let (mut audiences, mut issuers) = (Vec::new(), Vec::new());
    for child in elements(node, &names)? {
        match child.tag_name().name() {
            "openid-config" => {
                known(child, &["url"])?;
                configs.push(required(child, "url")?);
            }
            "issuer-signing-keys" => keys.extend(signing_keys(child)?),
            "audiences" => {
                audiences.extend(templates(&elements(child, &["audience"])?, "audience")?)
            }
            "issuers" => issuers.extend(templates(&elements(child, &["issuer"])?, "issuer")?),
            _ => claims.extend(required_claims(child)?),
        }
    }
    let mut fields = token_fields(node)?;
    fields.extend([
        ("openidConfig", some_list(configs)),
        ("keys", (!keys.is_empty()).then_some(Value::Array(keys))),
        ("audiences", some_list(audiences)),
        ("issuers", some_list(issuers)),
        (
            "requiredClaims",
            (!claims.is_empty()).then_some(Value::Array(claims)),
        ),
    ]);
    Ok(policy("validateJwt", fields))
}

/// Tokens of both versions: each has issuer and keys in a document of its own.
pub(super) fn validate_azure_ad_token(node: Node<'_, '_>) -> Result<Value> {
    let attributes = [
        "tenant-id",
        "authentication-endpoint",
        "header-name",
        "query-parameter-name",
        "token-value",
        "failed-validation-httpcode",
        "failed-validation-error-message",
        "output-token-variable-name",
    ];
    known(node, &attributes)?;
    let tenant = required(node, "tenant-id")?;
    let is_name = |c: char| c.is_ascii_alphanumeric() || "-.".contains(c);
    if !tenant.chars().all(is_name) || ["common", "organizations"].contains(&&*tenant) {
        return no("only one tenant that is written out is translated: others have many issuers");
    }
    let endpoint = optional(node, "authentication-endpoint");
    let endpoint = endpoint.unwrap_or_else(|| "https://login.microsoftonline.com".to_owned());
    let endpoint = endpoint.trim_end_matches('/');
    let discovery = ".well-known/openid-configuration";
    let (mut clients, mut claims) = (Vec::new(), Vec::new());
    let (mut backends, mut audiences) = (Vec::new(), Vec::new());
    let names = [
        "client-application-ids",
        "backend-application-ids",
        "audiences",
        "required-claims",
    ];
    for child in elements(node, &names)? {
        let ids = || templates(&elements(child, &["application-id"])?, "application-id");
        match child.tag_name().name() {
            "client-application-ids" => clients.extend(ids()?),
            "backend-application-ids" => backends.extend(ids()?),
            "audiences" => {
                audiences.extend(templates(&elements(child, &["audience"])?, "audience")?);
            }
            _ => claims.extend(required_claims(child)?),
        }
    }
    if !backends.is_empty() && !audiences.is_empty() {
        return no("of backend-application-ids and audiences only one is translated");
    }
    audiences.extend(backends);
    let mut fields = token_fields(node)?;
    fields.extend([
        (
            "openidConfig",
            Some(json!([
                format!("{endpoint}/{tenant}/v2.0/{discovery}"),
                format!("{endpoint}/{tenant}/{discovery}"),
            ])),
        ),
        ("audiences", some_list(audiences)),
        ("allowedClients", some_list(clients)),
        (
            "requiredClaims",
            (!claims.is_empty()).then_some(Value::Array(claims)),
        ),
    ]);
    Ok(policy("validateJwt", fields))
}

/// What the attributes say. The token goes on to the backend, as there.
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

/// Public keys. A shared secret belongs into a Secret, which a policy document cannot give.
fn signing_keys(node: Node<'_, '_>) -> Result<Vec<Value>> {
    let keys = elements(node, &["key"])?;
    keys.into_iter()
        .map(|key| {
            known(key, &["n", "e"])?;
            let id = optional(key, "id").map(Value::String);
            let (Some(n), Some(e)) = (optional(key, "n"), optional(key, "e")) else {
                return no(
                    "of the keys only those with n and e are translated: put others into a Secret",
                );
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
