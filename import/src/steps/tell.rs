//! Policies that only observe: trace, emit-metric.

use serde_json::{Value, json};

use super::super::field::Element;
use super::super::service::IdOf;
use super::{Made, Result, no, plain_name, policy, text};

pub(super) fn trace(node: Element<'_, '_>) -> Result<Made> {
    node.known(&["source", "severity"])?;
    let severity = match node.plain("severity")?.as_deref() {
        None | Some("verbose") => "Debug",
        Some("information") => "Info",
        Some("error") => "Error",
        Some(other) => return no(format!("severity {other} is not translated")),
    };
    let (mut message, mut fields) = (None, Vec::new());
    if let Some(source) = text(node, "source")? {
        fields.push(json!({"name": "source", "value": source}));
    }
    for child in node.elements(&["message", "metadata"])? {
        if child.has_tag_name("message") {
            child.known(&[])?;
            message = Some(child.template(child.content()?.trim())?);
        } else {
            child.known(&["name", "value"])?;
            let name = plain_name(child)?.replace(|c: char| !c.is_ascii_alphanumeric(), "_");
            let value = child.template(&child.required("value")?)?;
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

/// Dimensions whose values are ids.
const IDS: [(&str, IdOf); 3] = [
    ("api id", IdOf::Api),
    ("product id", IdOf::Product),
    ("subscription id", IdOf::Subscription),
];

/// Dimensions with a default value.
const DIMENSIONS: [(&str, &str); 6] = [
    ("api id", "${api.name}"),
    ("gateway id", "${gateway.name}"),
    ("operation id", "onHandshake"),
    ("product id", "${product.?name.orValue(\"\")}"),
    ("subscription id", "${subscription.?name.orValue(\"\")}"),
    ("user id", "${subscription.?owner.orValue(\"\")}"),
];

fn dimension(there: &str) -> Result<&'static str> {
    let mut known = DIMENSIONS.iter();
    match known.find(|(name, _)| *name == there.to_lowercase()) {
        Some((_, value)) => Ok(value),
        None => no(format!("the dimension {there} has no value here")),
    }
}

/// Dimensions as labels.
fn labels(node: Element<'_, '_>, made: &mut Made) -> Result<Vec<Value>> {
    let mut labels = Vec::<Value>::new();
    for child in node.elements(&["dimension"])? {
        child.known(&["name", "value"])?;
        let there = plain_name(child)?;
        let name = snake(&there);
        let value = match child.optional("value") {
            Some(value) => child.template(&value)?,
            None => {
                let mut ids = IDS.iter();
                let id = ids.find(|(name, _)| *name == there.to_lowercase());
                if id.is_some_and(|(_, of)| node.service.is_renamed(*of)) {
                    made.remark("ids in dimensions are the names of the objects here");
                }
                dimension(&there)?.to_owned()
            }
        };
        if name == "api" || labels.iter().any(|label| label["name"] == name.as_str()) {
            return no(format!("the label {name} is already used"));
        }
        labels.push(json!({"name": name, "value": value}));
    }
    Ok(labels)
}

/// A counter. Dimensions become labels.
pub(super) fn emit_metric(node: Element<'_, '_>) -> Result<Made> {
    node.known(&["name", "namespace", "value"])?;
    let mut made = Made::none();
    let labels = labels(node, &mut made)?;
    let fields = [
        ("name", Some(json!(snake(&plain_name(node)?)))),
        ("value", text(node, "value")?),
        (
            "labels",
            (!labels.is_empty()).then_some(Value::Array(labels)),
        ),
    ];
    made.policies.push(policy("emitMetric", fields));
    if node.optional("namespace").is_some() {
        made.remark("namespace is left out: metrics are called tidegate_custom_NAME");
    }
    Ok(made)
}

/// A name in Prometheus style.
fn snake(name: &str) -> String {
    let name = name.trim().to_lowercase();
    name.replace(|c: char| !c.is_ascii_alphanumeric(), "_")
}
