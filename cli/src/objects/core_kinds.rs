//! What the API server demands of the kinds of Kubernetes that Tidegate reads.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;

use crate::finding::Finding;
use crate::manifest::Document;

use super::quotes;

/// Maps of text in a Secret or ConfigMap.
const TEXTS: [&str; 2] = ["data", "stringData"];

/// What is wrong with the data of a Secret or a ConfigMap.
pub(super) fn findings(document: &Document) -> Vec<Finding> {
    let mut found = Vec::new();
    for name in TEXTS {
        for (key, value) in entries(document, name) {
            let field = format!("{name}.{key}");
            if value.is_boolean() || value.is_number() {
                found.push(quotes::finding(document, &field, &value.to_string()));
            } else if !value.is_string() && !value.is_null() {
                found.push(document.finding(Some(&field), "must be text"));
            }
        }
    }
    let (encoded, instead) = match document.kind() {
        "Secret" => ("data", "stringData"),
        _ => ("binaryData", "data"),
    };
    for (key, value) in entries(document, encoded) {
        let is_wrong = value
            .as_str()
            .is_some_and(|text| BASE64_STANDARD.decode(text).is_err());
        if is_wrong {
            let text = format!("is not base64; write plain text under {instead}");
            found.push(document.finding(Some(&format!("{encoded}.{key}")), text));
        }
    }
    found
}

fn entries<'d>(
    document: &'d Document,
    name: &str,
) -> impl Iterator<Item = (&'d String, &'d Value)> {
    document.value[name].as_object().into_iter().flatten()
}
