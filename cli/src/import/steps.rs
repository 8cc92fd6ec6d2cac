//! One policy element to one step.

use roxmltree::Node;
use serde_json::{Map, Value, json};

use super::csharp::Unreadable;
use super::field::{
    condition, content, elements, flag, known, number, optional, required, template, value,
};

type Result<T> = std::result::Result<T, Unreadable>;

fn no<T>(what: impl Into<String>) -> Result<T> {
    Err(Unreadable(what.into()))
}

/// The step's policy, as `{key: fields}`.
pub(super) fn step(node: Node<'_, '_>) -> Result<Value> {
    match node.tag_name().name() {
        "set-header" => Ok(json!({"setHeader": edit(node)?})),
        "set-query-parameter" => Ok(json!({"setQueryParameter": edit(node)?})),
        "set-variable" => set_variable(node),
        "set-backend-service" => set_backend(node),
        "return-response" => return_response(node),
        "set-status" => set_status(node),
        "check-header" => check_header(node),
        "ip-filter" => ip_filter(node),
        "rate-limit-by-key" => rate_limit_by_key(node),
        "validate-jwt" => validate_jwt(node),
        "authentication-basic" => authentication_basic(node),
        other => no(format!("{other} is not translated")),
    }
}

/// Only the fields that have a value.
fn object(fields: impl IntoIterator<Item = (&'static str, Option<Value>)>) -> Value {
    let present = fields
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Value::Object(present.collect::<Map<_, _>>())
}

/// The templates of all elements `name`.
fn templates(nodes: &[Node<'_, '_>], name: &str) -> Result<Vec<String>> {
    nodes
        .iter()
        .filter(|node| node.tag_name().name() == name)
        .map(|node| {
            known(*node, &[])?;
            template(&content(*node)?)
        })
        .collect()
}

fn some_list(found: Vec<String>) -> Option<Value> {
    (!found.is_empty()).then(|| json!(found))
}

fn text(node: Node<'_, '_>, name: &str) -> Result<Option<Value>> {
    let found = optional(node, name).map(|text| template(&text));
    Ok(found.transpose()?.map(Value::String))
}

fn plain_name(node: Node<'_, '_>) -> Result<String> {
    let name = required(node, "name")?;
    if name.starts_with('@') || name.contains("{{") {
        return no("a name that is made by an expression is not translated");
    }
    Ok(name)
}

fn edit(node: Node<'_, '_>) -> Result<Value> {
    known(node, &["name", "exists-action"])?;
    let values = templates(&elements(node, &["value"])?, "value")?;
    let if_exists = match optional(node, "exists-action").as_deref() {
        None | Some("override") => "Override",
        Some("skip") => "Skip",
        Some("append") => "Append",
        Some("delete") => {
            return Ok(json!({"name": plain_name(node)?, "ifExists": "Delete"}));
        }
        Some(other) => return no(format!("exists-action {other} is not translated")),
    };
    Ok(json!({"name": plain_name(node)?, "values": values, "ifExists": if_exists}))
}

fn set_variable(node: Node<'_, '_>) -> Result<Value> {
    known(node, &["name", "value"])?;
    elements(node, &[])?;
    let name = super::cel::identifier(&plain_name(node)?)?;
    let value = value(&required(node, "value")?)?;
    Ok(json!({"setVariable": {"name": name, "value": value}}))
}

fn set_backend(node: Node<'_, '_>) -> Result<Value> {
    known(node, &["base-url"])?;
    elements(node, &[])?;
    let url = template(&required(node, "base-url")?)?;
    Ok(json!({"setBackend": {"url": url}}))
}

/// The status; its reason phrase is the standard one with us.
fn status(node: Node<'_, '_>) -> Result<u64> {
    known(node, &["code", "reason"])?;
    elements(node, &[])?;
    match number(node, "code")? {
        Some(code) => Ok(code),
        None => no("the attribute code is missing"),
    }
}

fn set_status(node: Node<'_, '_>) -> Result<Value> {
    Ok(json!({"setStatus": {"status": status(node)?}}))
}

fn return_response(node: Node<'_, '_>) -> Result<Value> {
    known(node, &[])?;
    let (mut code, mut headers, mut body) = (None, Vec::new(), None);
    for child in elements(node, &["set-status", "set-header", "set-body"])? {
        match child.tag_name().name() {
            "set-status" => code = Some(status(child)?),
            "set-header" => headers.extend(answer_headers(child)?),
            _ => {
                known(child, &[])?;
                body = Some(Value::String(template(&content(child)?)?));
            }
        }
    }
    let Some(code) = code else {
        return no("an answer without set-status has status 200, which refuses no handshake");
    };
    let headers = (!headers.is_empty()).then_some(Value::Array(headers));
    let fields = [
        ("status", Some(json!(code))),
        ("headers", headers),
        ("body", body),
    ];
    Ok(json!({"returnResponse": object(fields)}))
}

fn answer_headers(node: Node<'_, '_>) -> Result<Vec<Value>> {
    known(node, &["name", "exists-action"])?;
    match optional(node, "exists-action").as_deref() {
        None | Some("override" | "append") => {}
        Some(other) => return no(format!("exists-action {other} is not translated here")),
    }
    let name = plain_name(node)?;
    let values = templates(&elements(node, &["value"])?, "value")?;
    let header = |value| json!({"name": name, "value": value});
    Ok(values.into_iter().map(header).collect())
}

fn check_header(node: Node<'_, '_>) -> Result<Value> {
    let attributes = [
        "name",
        "failed-check-httpcode",
        "failed-check-error-message",
        "ignore-case",
    ];
    known(node, &attributes)?;
    let values = templates(&elements(node, &["value"])?, "value")?;
    let fields = [
        ("name", Some(json!(plain_name(node)?))),
        ("values", some_list(values)),
        ("ignoreCase", flag(node, "ignore-case")?.map(Value::Bool)),
        (
            "status",
            number(node, "failed-check-httpcode")?.map(Value::from),
        ),
        ("message", text(node, "failed-check-error-message")?),
    ];
    Ok(json!({"checkHeader": object(fields)}))
}

fn ip_filter(node: Node<'_, '_>) -> Result<Value> {
    known(node, &["action"])?;
    let mut entries = Vec::new();
    for child in elements(node, &["address", "address-range"])? {
        let entry = if child.tag_name().name() == "address" {
            known(child, &[])?;
            content(child)?.trim().to_owned()
        } else {
            known(child, &["from", "to"])?;
            format!("{}-{}", required(child, "from")?, required(child, "to")?)
        };
        if entry.contains(['@', '{']) {
            return no("an address that is no constant is not translated");
        }
        entries.push(entry);
    }
    match required(node, "action")?.as_str() {
        action @ ("allow" | "forbid") => Ok(json!({"ipFilter": {action: entries}})),
        other => no(format!("action {other} is not translated")),
    }
}

fn rate_limit_by_key(node: Node<'_, '_>) -> Result<Value> {
    let attributes = [
        "counter-key",
        "calls",
        "renewal-period",
        "increment-condition",
        "increment-count",
        "retry-after-header-name",
        "remaining-calls-header-name",
        "total-calls-header-name",
    ];
    known(node, &attributes)?;
    elements(node, &[])?;
    let when = optional(node, "increment-condition").map(|text| condition(&text));
    let header = |name| optional(node, name).map(Value::String);
    let (Some(calls), Some(period)) = (number(node, "calls")?, number(node, "renewal-period")?)
    else {
        return no("calls and renewal-period must be there");
    };
    let by = number(node, "increment-count")?.map(|by| json!(by.to_string()));
    let fields = [
        ("key", Some(json!(value(&required(node, "counter-key")?)?))),
        ("calls", Some(json!(calls))),
        ("period", Some(json!(format!("{period}s")))),
        ("incrementWhen", when.transpose()?.map(Value::String)),
        ("incrementBy", by),
        ("retryAfterHeader", header("retry-after-header-name")),
        ("remainingHeader", header("remaining-calls-header-name")),
        ("totalHeader", header("total-calls-header-name")),
    ];
    Ok(json!({"rateLimitByKey": object(fields)}))
}

fn authentication_basic(node: Node<'_, '_>) -> Result<Value> {
    known(node, &["username", "password"])?;
    elements(node, &[])?;
    let user = value(&required(node, "username")?)?;
    let password = value(&required(node, "password")?)?;
    let header = format!("Basic ${{base64.encode({user} + \":\" + {password})}}");
    Ok(json!({"setHeader": {"name": "Authorization", "values": [header]}}))
}

fn validate_jwt(node: Node<'_, '_>) -> Result<Value> {
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
    Ok(json!({"validateJwt": object(fields)}))
}

/// What the attributes say. The token goes on to the backend, as there.
fn token_fields(node: Node<'_, '_>) -> Result<Vec<(&'static str, Option<Value>)>> {
    let plain = |name| optional(node, name).map(Value::String);
    let variable = optional(node, "output-token-variable-name")
        .map(|name| super::cel::identifier(&name))
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

/// Public keys. A shared secret belongs into a Secret, which a policy document can not give.
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
