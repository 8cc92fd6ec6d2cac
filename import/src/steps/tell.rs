//! Policies that only observe: trace, emit-metric.

use roxmltree::Node;
use serde_json::{Value, json};

use super::super::field::{content, elements, known, optional, required, template};
use super::{Made, Result, no, plain_name, policy, text};

pub(super) fn trace(node: Node<'_, '_>) -> Result<Made> {
    known(node, &["source", "severity"])?;
    let severity = match optional(node, "severity").as_deref() {
        None | Some("verbose") => "Debug",
        Some("information") => "Info",
        Some("error") => "Error",
        Some(other) => return no(format!("severity {other} is not translated")),
    };
    let (mut message, mut fields) = (None, Vec::new());
    if let Some(source) = text(node, "source")? {
        fields.push(json!({"name": "source", "value": source}));
    }
    for child in elements(node, &["message", "metadata"])? {
        if child.has_tag_name("message") {
            known(child, &[])?;
            message = Some(template(content(child)?.trim())?);
        } else {
            known(child, &["name", "value"])?;
            let name = plain_name(child)?.replace(|c: char| !c.is_ascii_alphanumeric(), "_");
            let value = template(&required(child, "value")?)?;
            fields.push(json!({"name": name, "value": value}));
        }
    }
    let fields = [
        ("message", message.map(Value::String)),
        ("severity", Some(json!(severity))),
        (
            "fields",
            (!fields.is_empty()).then_some(Value::Array(fields)),
        ),
    ];
    Ok(policy("trace", fields).into())
}

/// Dimensions with a default value.
const DIMENSIONS: [(&str, &str); 6] = [
    ("api id", "${api.name}"),
    ("gateway id", "${gateway.name}"),
    ("operation id", "onHandshake"),
    ("product id", "${product.?name.orValue(\"\")}"),
    ("subscription id", "${subscription.?name.orValue(\"\")}"),
    ("user id", "${subscription.?owner.orValue(\"\")}"),
];

/// A counter. Dimensions become labels.
pub(super) fn emit_metric(node: Node<'_, '_>) -> Result<Made> {
    known(node, &["name", "namespace", "value"])?;
    let mut labels: Vec<Value> = Vec::new();
    for child in elements(node, &["dimension"])? {
        known(child, &["name", "value"])?;
        let there = plain_name(child)?;
        let name = snake(&there);
        let value = match optional(child, "value") {
            Some(value) => template(&value)?,
            None => match DIMENSIONS
                .iter()
                .find(|(name, _)| *name == there.to_lowercase())
            {
                Some((_, value)) => (*value).to_owned(),
                None => return no(format!("the dimension {there} has no value here")),
            },
        };
        if name == "api" || labels.iter().any(|label| label["name"] == name.as_str()) {
            return no(format!("the label {name} is already used"));
        }
        labels.push(json!({"name": name, "value": value}));
    }
    let fields = [
        ("name", Some(json!(snake(&plain_name(node)?)))),
        ("value", text(node, "value")?),
        (
            "labels",
            (!labels.is_empty()).then_some(Value::Array(labels)),
        ),
    ];
    let mut made = Made::from(policy("emitMetric", fields));
    if optional(node, "namespace").is_some() {
        made.remark("namespace is left out: metrics are called tidegate_custom_NAME");
    }
    Ok(made)
}

/// A name in Prometheus style.
fn snake(name: &str) -> String {
    let name = name.trim().to_lowercase();
    name.replace(|c: char| !c.is_ascii_alphanumeric(), "_")
}
