//! The suite's files, embedded, with places and keys filled in.

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

/// What the cases are for, and where gateways reach what the suite brings along.
#[derive(Clone, Debug)]
pub struct Places {
    /// Name of the Gateway.
    pub gateway: String,
    /// Host of the recording backend.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Its port for TLS.
    pub tls_port: u16,
}

/// All chapters for these places.
pub fn load(places: &Places) -> anyhow::Result<Vec<Chapter>> {
    let known = known(places)?;
    let read = |(name, text): (&str, &str)| {
        chapter(text, &known).with_context(|| format!("conformance/{name}.yaml"))
    };
    CHAPTERS.into_iter().map(read).collect()
}

fn chapter(text: &str, known: &[(&str, String)]) -> anyhow::Result<Chapter> {
    let mut value: Value = serde_saphyr::from_str(text)?;
    let cases = value.get_mut("cases").and_then(Value::as_array_mut);
    for case in cases.context("no cases")? {
        let name = case["name"].as_str().context("a case without name")?;
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

/// What stands in cases for what only the caller knows.
fn known(places: &Places) -> anyhow::Result<Vec<(&'static str, String)>> {
    let Places { host, port, .. } = places;
    let (modulus, exponent) = token::rsa_public()?;
    Ok(vec![
        ("backend", format!("{host}:{port}")),
        ("tls", format!("{host}:{}", places.tls_port)),
        ("host", host.clone()),
        ("gateway", places.gateway.clone()),
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

/// Puts known texts in the place of `<<NAME>>`; what is not known stays.
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
