//! Text without quotes that YAML 1.1, which kubectl reads, takes for something else.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

use crate::finding::Finding;
use crate::manifest::Document;

/// Numbers of YAML 1.1, without their underscores.
static NUMBER: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let forms = [
        "0[xX][0-9a-fA-F]+",
        "0[bB][01]+",
        "0[oO][0-7]+",
        r"(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?",
        r"\.(inf|Inf|INF)",
    ];
    Regex::new(&format!("^[-+]?({})$", forms.join("|"))).ok()
});

/// A finding about a value that must be text; `value` is what it was read as.
pub(super) fn finding(document: &Document, field: &str, value: &str) -> Finding {
    let written = document.positions.plain(field).unwrap_or(value);
    let taken = match boolean(written) {
        Some(meaning) if meaning == written => "is a boolean and not text".to_owned(),
        Some(meaning) => format!("means {meaning} in YAML and is not text"),
        None => "is a number and not text".to_owned(),
    };
    let text = format!("{written} {taken}: quote it, \"{written}\"");
    document.finding(Some(field), text)
}

/// Text of the document that kubectl would not read as text.
pub(super) fn surprises(document: &Document) -> Vec<Finding> {
    let mut found = Vec::new();
    walk(document, &document.value, "", &mut found);
    found
}

fn walk(document: &Document, value: &Value, path: &str, found: &mut Vec<Finding>) {
    match value {
        Value::Object(map) => {
            for (name, below) in map {
                let path = match path {
                    "" => name.clone(),
                    _ => format!("{path}.{name}"),
                };
                if let Some(meaning) = boolean(name)
                    && document.positions.has_bare_name(&path)
                {
                    let text =
                        format!("{name} means {meaning} in YAML: quote the name, \"{name}\"");
                    found.push(document.finding(Some(&path), text));
                }
                walk(document, below, &path, found);
            }
        }
        Value::Array(items) => {
            for (i, below) in items.iter().enumerate() {
                walk(document, below, &format!("{path}[{i}]"), found);
            }
        }
        Value::String(text)
            if is_number(text) && document.positions.plain(path) == Some(text.as_str()) =>
        {
            found.push(finding(document, path, text));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn is_number(text: &str) -> bool {
    let digits = text.replace('_', "");
    text.len() < 40
        && NUMBER
            .as_ref()
            .is_some_and(|number| number.is_match(&digits))
}

/// What a word means in YAML 1.1, if it means a boolean.
fn boolean(word: &str) -> Option<&'static str> {
    match word.to_lowercase().as_str() {
        "y" | "yes" | "on" | "true" => Some("true"),
        "n" | "no" | "off" | "false" => Some("false"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::manifest;

    fn document(value: &str) -> Document {
        let text = format!("apiVersion: v1\nkind: Secret\nmetadata:\n  name: {value}\n");
        let (mut documents, mut findings) = (Vec::new(), Vec::new());
        manifest::parse(Path::new("a.yaml"), &text, &mut documents, &mut findings);
        assert!(findings.is_empty(), "{findings:?}");
        documents.remove(0)
    }

    #[test]
    fn a_value_that_kubectl_takes_for_a_number_is_to_be_quoted() {
        for value in ["007", "1_000", "0b11", "+12", "1.", "0o17"] {
            let document = document(value);
            if document.value["metadata"]["name"].is_string() {
                let found = surprises(&document);
                assert_eq!(found.len(), 1, "{value}: {found:?}");
                assert!(found[0].message.contains("quote it"), "{value}: {found:?}");
            }
        }
        for value in [
            "\"007\"",
            "v1",
            "1.2.3",
            "10s",
            "a_b",
            "2030-01-01",
            "0x",
            "'on'",
        ] {
            assert!(surprises(&document(value)).is_empty(), "{value}");
        }
    }

    #[test]
    fn what_a_word_means_is_said() {
        for (value, wanted) in [
            (
                "on",
                "on means true in YAML and is not text: quote it, \"on\"",
            ),
            (
                "n",
                "n means false in YAML and is not text: quote it, \"n\"",
            ),
            ("true", "true is a boolean and not text: quote it, \"true\""),
            ("1.10", "1.10 is a number and not text: quote it, \"1.10\""),
        ] {
            let found = finding(&document(value), "metadata.name", "?");
            assert_eq!((found.message.as_str(), found.position.line), (wanted, 4));
        }
    }
}
