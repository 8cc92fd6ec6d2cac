//! SARIF 2.1.0 (OASIS), as much of it as code scanning shows.

use serde_json::{Value, json};

use super::{Report, level, text};
use crate::finding::Finding;

/// Id of the only rule.
const RULE: &str = "manifest";

pub(super) fn log(report: &Report) -> Value {
    let results: Vec<_> = report.findings.iter().map(result).collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "tidegate",
                "version": env!("CARGO_PKG_VERSION"),
                "informationUri": env!("CARGO_PKG_REPOSITORY"),
                "rules": [{
                    "id": RULE,
                    "shortDescription": {"text": "A manifest is not valid, or works and should be looked at."},
                }],
            }},
            "results": results,
            "properties": {"summary": report.summary()},
        }],
    })
}

fn result(finding: &Finding) -> Value {
    let position = finding.position;
    json!({
        "ruleId": RULE,
        "level": level(finding),
        "message": {"text": text(finding)},
        "locations": [{"physicalLocation": {
            "artifactLocation": {"uri": uri(&finding.file.display().to_string())},
            "region": {"startLine": position.line, "startColumn": position.column},
        }}],
    })
}

/// A path as a relative URI reference (RFC 3986): everything but its letters, digits, `/` and a few signs is
/// escaped.
fn uri(path: &str) -> String {
    let mut uri = String::new();
    for byte in path.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'.' | b'_' | b'~' => {
                uri.push(char::from(byte));
            }
            _ => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_escaped() {
        assert_eq!(uri("a b/ü%.yaml"), "a%20b/%C3%BC%25.yaml");
    }
}
