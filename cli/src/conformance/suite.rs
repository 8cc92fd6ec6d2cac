//! The embedded files of the suite, and values for their placeholders.

use anyhow::Context as _;
use serde_json::{Value, json};

use super::case::{Case, Chapter, HMAC_SECRET};
use super::{tls, token};

/// The chapters, in the order of reports.
const CHAPTERS: [(&str, &str); 10] = [
    ("upgrade", include_str!("../../../conformance/upgrade.yaml")),
    ("relay", include_str!("../../../conformance/relay.yaml")),
    ("access", include_str!("../../../conformance/access.yaml")),
    ("scopes", include_str!("../../../conformance/scopes.yaml")),
    ("tokens", include_str!("../../../conformance/tokens.yaml")),
    (
        "identity",
        include_str!("../../../conformance/identity.yaml"),
    ),
    ("request", include_str!("../../../conformance/request.yaml")),
    ("traffic", include_str!("../../../conformance/traffic.yaml")),
    ("calls", include_str!("../../../conformance/calls.yaml")),
    ("answers", include_str!("../../../conformance/answers.yaml")),
];

/// Name of the Gateway, and where gateways reach the servers of the suite.
#[derive(Clone, Debug)]
pub struct Parameters {
    /// Name of the Gateway.
    pub gateway: String,
    /// Host of the recording backend.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Its port for TLS.
    pub tls_port: u16,
}

/// All chapters, with values for all placeholders.
///
/// # Errors
///
/// When a file of the suite is not valid.
pub fn load(parameters: &Parameters) -> anyhow::Result<Vec<Chapter>> {
    let known = placeholders(parameters)?;
    let read = |(name, text): (&str, &str)| {
        chapter(text, &known).with_context(|| format!("conformance/{name}.yaml"))
    };
    CHAPTERS.into_iter().map(read).collect()
}

fn chapter(text: &str, known: &[(&str, String)]) -> anyhow::Result<Chapter> {
    let mut value: Value = serde_saphyr::from_str(text)?;
    let cases = value.get_mut("cases").and_then(Value::as_array_mut);
    for case in cases.context("no cases")? {
        let name = case["name"].as_str().context("a case has no name")?;
        let backend = &known[0].1;
        let own = [
            ("case", name.to_owned()),
            ("service", format!("http://{backend}/{name}")),
        ];
        if case["api"]["backend"].is_null() {
            case["api"]["backend"] = json!({"url": "ws://<<backend>>/"});
        }
        fill(case, &[known, &own].concat());
    }
    Ok(serde_json::from_value(value)?)
}

/// Names and values of the placeholders.
fn placeholders(parameters: &Parameters) -> anyhow::Result<Vec<(&'static str, String)>> {
    let Parameters { host, port, .. } = parameters;
    let (modulus, exponent) = token::rsa_public()?;
    Ok(vec![
        ("backend", format!("{host}:{port}")),
        ("tls", format!("{host}:{}", parameters.tls_port)),
        ("host", host.clone()),
        ("gateway", parameters.gateway.clone()),
        ("issuer", token::issuer(&format!("{host}:{port}"))),
        ("authority", token::AUTHORITY.to_owned()),
        ("client", token::CLIENT.to_owned()),
        ("client-key", token::CLIENT_KEY.to_owned()),
        ("client-sha256", tls::sha256(token::CLIENT)?),
        ("authority-sha256", tls::sha256(token::AUTHORITY)?),
        ("es-public", token::ES_PUBLIC.to_owned()),
        ("hmac-secret", HMAC_SECRET.to_owned()),
        ("rs-n", modulus),
        ("rs-e", exponent),
    ])
}

/// Replaces the placeholders `<<NAME>>`. Unknown ones stay.
fn fill(value: &mut Value, known: &[(&str, String)]) {
    match value {
        Value::String(text) => {
            for (name, found) in known {
                *text = text.replace(&format!("<<{name}>>"), found);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| fill(item, known)),
        Value::Object(fields) => fields.values_mut().for_each(|field| fill(field, known)),
        _ => {}
    }
}

/// All cases with their chapters' titles.
pub fn cases(chapters: &[Chapter]) -> impl Iterator<Item = (&str, &Case)> {
    chapters.iter().flat_map(|chapter| {
        let titled = |case| (chapter.title.as_str(), case);
        chapter.cases.iter().map(titled)
    })
}

#[cfg(test)]
mod tests;
