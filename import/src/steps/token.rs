//! Checks of tokens (JWT).

use serde_json::{Value, json};

use super::super::field::Element;
use super::super::service::Token;
use super::identity::SECRET;
use super::{Made, Result, no, object, plain_name, policy, some_list, templates, text};

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

pub(super) fn validate_jwt(node: Element<'_, '_>) -> Result<Made> {
    node.known(&JWT_ATTRIBUTES)?;
    let mut made = Made::none();
    let rules = Rules::of(node, &JWT_ELEMENTS, &mut made)?;
    if rules.issuers.is_empty() && rules.configs.iter().any(|url| has_many_issuers(url)) {
        made.remark(MANY_ISSUERS);
    }
    let mut fields = token_fields(node)?;
    fields.extend([
        ("openidConfig", some_list(rules.configs)),
        ("keys", some(rules.keys)),
        ("audiences", some_list(rules.audiences)),
        ("issuers", some_list(rules.issuers)),
        ("requiredClaims", some(rules.claims)),
    ]);
    made.policies.push(policy("validateJwt", fields));
    Ok(made)
}

const MANY_ISSUERS: &str = "the documents of common and organizations have no single issuer: here no token passes \
     until you list the issuers";

/// Whether a discovery document of Entra ID is for several tenants.
fn has_many_issuers(url: &str) -> bool {
    let url = url.to_lowercase();
    let is_entra = ["login.", "sts.windows.net"]
        .iter()
        .any(|host| url.contains(host));
    let mut parts = url.split('/');
    is_entra && parts.any(|part| ["common", "organizations"].contains(&part))
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
pub(super) fn validate_azure_ad_token(node: Element<'_, '_>) -> Result<Made> {
    node.known(&AZURE_ATTRIBUTES)?;
    let mut made = Made::none();
    let configs = azure_configs(node)?;
    let rules = Rules::of(node, &AZURE_ELEMENTS, &mut made)?;
    let audiences = match (rules.audiences, rules.backends) {
        (audiences, backends) if backends.is_empty() => audiences,
        (audiences, backends) if audiences.is_empty() => backends,
        _ => return no("of backend-application-ids and audiences only one is translated"),
    };
    let mut fields = token_fields(node)?;
    fields.extend([
        ("openidConfig", Some(json!(configs))),
        ("audiences", some_list(audiences)),
        ("allowedClients", some_list(rules.clients)),
        ("requiredClaims", some(rules.claims)),
    ]);
    made.policies.push(policy("validateJwt", fields));
    Ok(made)
}

/// URLs of the discovery documents of a tenant.
fn azure_configs(node: Element<'_, '_>) -> Result<[String; 2]> {
    const DISCOVERY: &str = ".well-known/openid-configuration";
    let tenant = tenant(node)?;
    let is_name = |c: char| c.is_ascii_alphanumeric() || "-.".contains(c);
    if !tenant.chars().all(is_name) || ["common", "organizations"].contains(&&*tenant) {
        return no("only one literal tenant is translated: others have many issuers");
    }
    let endpoint = node.plain("authentication-endpoint")?;
    let endpoint = endpoint.unwrap_or_else(|| "https://login.microsoftonline.com".to_owned());
    let endpoint = endpoint.trim_end_matches('/');
    let endpoint = match endpoint.contains("://") {
        true => endpoint.to_owned(),
        false => format!("https://{endpoint}"),
    };
    Ok([
        format!("{endpoint}/{tenant}/v2.0/{DISCOVERY}"),
        format!("{endpoint}/{tenant}/{DISCOVERY}"),
    ])
}

/// The only tenant.
fn tenant(node: Element<'_, '_>) -> Result<String> {
    let text = node.required("tenant-id")?;
    match node.required_plain("tenant-id") {
        Ok(tenant) => Ok(tenant),
        Err(_) => no(format!(
            "put the tenant in place of {text}: it is not known"
        )),
    }
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
    fn of(node: Element<'_, '_>, names: &[&str], made: &mut Made) -> Result<Self> {
        let mut rules = Self::default();
        for child in node.elements(names)? {
            let texts = |name| templates(&child.elements(&[name])?, name);
            match child.name() {
                "openid-config" => {
                    child.known(&["url"])?;
                    rules.configs.push(child.required_plain("url")?);
                }
                "issuer-signing-keys" => rules.keys.extend(signing_keys(child, made)?),
                "audiences" => rules.audiences.extend(texts("audience")?),
                "issuers" => rules.issuers.extend(texts("issuer")?),
                "client-application-ids" => rules.clients.extend(constants(child)?),
                "backend-application-ids" => rules.backends.extend(texts("application-id")?),
                _ => rules.claims.extend(required_claims(child)?),
            }
        }
        Ok(rules)
    }
}

/// Ids of applications. Tidegate compares them literally.
fn constants(node: Element<'_, '_>) -> Result<Vec<String>> {
    let ids = node.elements(&["application-id"])?;
    ids.into_iter().map(Element::constant).collect()
}

fn some(values: Vec<Value>) -> Option<Value> {
    (!values.is_empty()).then_some(Value::Array(values))
}

/// Fields from attributes. As in API Management, the token is forwarded to the backend.
fn token_fields(node: Element<'_, '_>) -> Result<Vec<(&'static str, Option<Value>)>> {
    let plain = |name| Ok(node.plain(name)?.map(Value::String));
    let variable = node.plain("output-token-variable-name")?;
    let variable = variable
        .map(|name| node.service.variable(&name))
        .transpose()?;
    if let Some(variable) = &variable {
        node.service.set_token(variable, Token::Plain);
    }
    let skew = node.number("clock-skew")?;
    let status = node.number("failed-validation-httpcode")?.map(Value::from);
    let expiration = node.flag("require-expiration-time")?.map(Value::Bool);
    let signed = node.flag("require-signed-tokens")?.map(Value::Bool);
    Ok(vec![
        ("header", plain("header-name")?),
        ("query", plain("query-parameter-name")?),
        ("token", text(node, "token-value")?),
        ("requireScheme", plain("require-scheme")?),
        ("status", status),
        ("message", text(node, "failed-validation-error-message")?),
        ("requireExpiration", expiration),
        ("requireSigned", signed),
        ("clockSkew", skew.map(|skew| json!(format!("{skew}s")))),
        ("as", variable.map(Value::String)),
        ("strip", Some(Value::Bool(false))),
    ])
}

/// Public keys, and shared secrets, which belong in a Secret.
fn signing_keys(node: Element<'_, '_>, made: &mut Made) -> Result<Vec<Value>> {
    let keys = node.elements(&["key"])?;
    let keys = keys.into_iter().map(|key| signing_key(key, made));
    keys.collect()
}

fn signing_key(key: Element<'_, '_>, made: &mut Made) -> Result<Value> {
    if key.optional("certificate-id").is_some() {
        return no(
            "put the certificate-id's certificate into a Secret as PEM, and name it in keys with secretKeyRef",
        );
    }
    key.known(&["n", "e"])?;
    let id = key.plain("id")?.map(Value::String);
    if let (Some(n), Some(e)) = (key.plain("n")?, key.plain("e")?) {
        let fields = [("id", id), ("n", Some(json!(n))), ("e", Some(json!(e)))];
        return Ok(object(fields));
    }
    let reference = shared_secret(key, made)?;
    Ok(object([("id", id), ("secretKeyRef", Some(reference))]))
}

/// The place of a shared secret, which the user must fill.
fn shared_secret(key: Element<'_, '_>, made: &mut Made) -> Result<Value> {
    let text = key.content()?;
    let name = text
        .trim()
        .strip_prefix("{{")
        .and_then(|rest| rest.strip_suffix("}}"));
    let name = match name {
        Some(name) => key.service.value(name)?,
        None if text.trim().is_empty() => return no("a key has no value"),
        None => "jwt_key".to_owned(),
    };
    made.problem(&format!(
        "put the key into {name} of the Secret {SECRET}: it is base64 there, and its decoded bytes here"
    ));
    Ok(json!({"name": SECRET, "key": name}))
}

fn required_claims(node: Element<'_, '_>) -> Result<Vec<Value>> {
    let claims = node.elements(&["claim"])?;
    claims
        .into_iter()
        .map(|claim| {
            claim.known(&["name", "match", "separator"])?;
            let matching = match claim.plain("match")?.as_deref() {
                None | Some("all") => "All",
                Some("any") => "Any",
                Some(other) => return no(format!("match {other} is not translated")),
            };
            let values = templates(&claim.elements(&["value"])?, "value")?;
            Ok(object([
                ("name", Some(json!(plain_name(claim)?))),
                ("match", Some(json!(matching))),
                ("separator", claim.plain("separator")?.map(Value::String)),
                ("values", some_list(values)),
            ]))
        })
        .collect()
}
