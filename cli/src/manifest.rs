//! Reads and writes Kubernetes objects as YAML (JSON is YAML), without interpreting them.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::Serialize;
use serde_json::Value;
use serde_saphyr::CommentPosition;

use crate::finding::Finding;
use crate::positions::{Position, Positions};
use crate::syntax;

/// One document of a file.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    /// The file.
    pub file: PathBuf,
    /// Its first line, counted from 1.
    pub line: u64,
    /// Its content: an object with apiVersion and kind.
    pub value: Value,
    /// Where its fields are.
    pub positions: Positions,
}

impl Document {
    /// A text at a path of field names, empty when absent.
    fn text(&self, path: &[&str]) -> &str {
        let found = path
            .iter()
            .try_fold(&self.value, |value, name| value.get(name));
        found.and_then(Value::as_str).unwrap_or_default()
    }

    /// `apiVersion`.
    pub fn api_version(&self) -> &str {
        self.text(&["apiVersion"])
    }

    /// `kind`.
    pub fn kind(&self) -> &str {
        self.text(&["kind"])
    }

    /// `metadata.name`.
    pub fn name(&self) -> &str {
        self.text(&["metadata", "name"])
    }

    /// `metadata.namespace`, or `default`.
    pub fn namespace(&self) -> &str {
        match self.text(&["metadata", "namespace"]) {
            "" => "default",
            namespace => namespace,
        }
    }

    /// Gives an object without a namespace this one.
    pub fn set_namespace(&mut self, namespace: &str) {
        if self.kind() == "Namespace" {
            return;
        }
        if let Some(Value::Object(metadata)) = self.value.get_mut("metadata") {
            let own = metadata.entry("namespace");
            own.or_insert_with(|| namespace.into());
        }
    }

    /// An item of a List.
    fn item(&self, index: usize, value: Value) -> Self {
        let path = format!("items[{index}]");
        Self {
            file: self.file.clone(),
            line: self.positions.of(&path).map_or(self.line, |at| at.line),
            value,
            positions: self.positions.below(&path),
        }
    }

    /// Kind, namespace and name.
    pub fn object(&self) -> String {
        format!("{} {}/{}", self.kind(), self.namespace(), self.name())
    }

    /// A finding about this document, at the line of the field.
    pub fn finding(&self, field: Option<&str>, message: impl Into<String>) -> Finding {
        let field = field.filter(|field| !field.is_empty());
        let first = Position {
            line: self.line,
            column: 1,
        };
        let position = field.and_then(|field| self.positions.of(field));
        Finding {
            file: self.file.clone(),
            position: position.unwrap_or(first),
            object: Some(shortened(self.object())),
            field: field.map(str::to_owned),
            message: message.into(),
            is_warning: false,
        }
    }
}

/// Valid names are shorter than 400 characters in all.
fn shortened(object: String) -> String {
    match object.char_indices().nth(400) {
        Some((end, _)) => format!("{}…", &object[..end]),
        None => object,
    }
}

/// Reads and parses files. A document that cannot be read or parsed becomes a finding; the others are not
/// affected.
pub fn read(files: &[PathBuf]) -> (Vec<Document>, Vec<Finding>) {
    let (mut documents, mut findings) = (Vec::new(), Vec::new());
    for file in files {
        match std::fs::read_to_string(file) {
            Ok(text) => parse(file, &text, &mut documents, &mut findings),
            Err(error) => {
                let message = format!("cannot be read: {error}");
                findings.push(Finding::of_file(file, 1, message));
            }
        }
    }
    (documents, findings)
}

/// Parses the documents of one file's text, YAML or JSON. A List stands for its items.
pub fn parse(file: &Path, text: &str, documents: &mut Vec<Document>, findings: &mut Vec<Finding>) {
    for (line, text) in split(text) {
        match serde_saphyr::from_str::<Value>(&text) {
            Ok(Value::Null) => {}
            Ok(value) => {
                let document = Document {
                    file: file.to_owned(),
                    line,
                    value,
                    positions: Positions::read(&text, line),
                };
                add(document, documents, findings);
            }
            Err(error) => {
                let at = error
                    .location()
                    .map_or(line, |location| line + location.line() - 1);
                findings.push(Finding::of_file(file, at, syntax::describe(&error)));
            }
        }
    }
}

/// Adds an object, or each item of a List.
fn add(mut document: Document, documents: &mut Vec<Document>, findings: &mut Vec<Finding>) {
    if document.kind().is_empty() || document.api_version().is_empty() {
        let cure = "not a Kubernetes object: apiVersion and kind must be set";
        findings.push(Finding::of_file(&document.file, document.line, cure));
        return;
    }
    let items = document.value.get_mut("items");
    match items.map(Value::take) {
        Some(Value::Array(items)) if document.kind().ends_with("List") => {
            for (index, value) in items.into_iter().enumerate() {
                add(document.item(index, value), documents, findings);
            }
        }
        _ if document.kind() == "List" => {
            findings.push(document.finding(Some("items"), "must be a list of objects"));
        }
        items => {
            if let Some(items) = items {
                document.value["items"] = items;
            }
            documents.push(document);
        }
    }
}

/// Objects as one YAML stream; every document starts with `---`.
///
/// # Errors
///
/// When an object cannot be written as YAML.
pub fn to_yaml(objects: &[impl Serialize]) -> anyhow::Result<String> {
    let mut text = String::new();
    for object in objects {
        let options = serde_saphyr::ser_options! { comment_position: CommentPosition::Above };
        let document = serde_saphyr::to_string_with_options(object, options);
        let document = document.context("failed to write YAML")?;
        text.push_str("---\n");
        text.push_str(document.trim_end());
        text.push('\n');
    }
    Ok(text)
}

/// The documents of a YAML stream and their first lines. A line that starts with `---` ends a document: content
/// cannot start a line like this, because it is indented or quoted.
fn split(text: &str) -> Vec<(u64, String)> {
    let mut documents = vec![(1, String::new())];
    for (line, content) in (1..).zip(text.lines()) {
        let marker = content.strip_prefix("---");
        let marker = marker.filter(|rest| rest.is_empty() || rest.starts_with([' ', '\t']));
        if let Some(rest) = marker {
            // A document may begin on the line of its marker; columns stay.
            documents.push((line, format!("   {rest}\n")));
        } else if let Some((_, document)) = documents.last_mut() {
            document.push_str(content);
            document.push('\n');
        }
    }
    documents.retain(|(_, text)| !text.lines().all(is_empty));
    let content = |(line, text)| at_first_content(line, text);
    documents.into_iter().map(content).collect()
}

/// A document without the line of its marker, if nothing else is on it.
fn at_first_content(line: u64, text: String) -> (u64, String) {
    match text.split_once('\n') {
        Some((first, rest)) if first.starts_with("   ") && is_empty(first) => {
            (line + 1, rest.to_owned())
        }
        _ => (line, text),
    }
}

fn is_empty(line: &str) -> bool {
    let line = line.trim();
    line.is_empty() || line.starts_with('#')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> (Vec<Document>, Vec<String>) {
        let (mut documents, mut findings) = (Vec::new(), Vec::new());
        parse(Path::new("a.yaml"), text, &mut documents, &mut findings);
        (
            documents,
            findings.iter().map(ToString::to_string).collect(),
        )
    }

    #[test]
    fn documents_know_their_line_and_object() {
        let text = "# a comment\n---\napiVersion: v1\nkind: Secret\nmetadata: {name: a}\n---\n\
                    apiVersion: v1\nkind: ConfigMap\nmetadata: {name: b, namespace: c}\n";
        let (documents, findings) = parsed(text);
        let seen: Vec<_> = documents.iter().map(|d| (d.line, d.object())).collect();
        assert_eq!(
            seen,
            [
                (3, "Secret default/a".to_owned()),
                (7, "ConfigMap c/b".to_owned())
            ]
        );
        assert!(findings.is_empty(), "{findings:?}");
    }

    #[test]
    fn a_document_may_begin_on_the_line_of_its_marker() {
        let text = "--- # first\napiVersion: v1\nkind: Secret\nmetadata: {name: a}\n\
                    --- {apiVersion: v1, kind: Secret, metadata: {name: b}}\n";
        let (documents, findings) = parsed(text);
        let seen: Vec<_> = documents.iter().map(|d| (d.line, d.name())).collect();
        assert_eq!(seen, [(2, "a"), (5, "b")], "{findings:?}");
        let column = documents[1].positions.of("kind").map(|at| at.column);
        assert_eq!(column, Some(22));
    }

    #[test]
    fn a_broken_document_does_not_affect_others() {
        let text = "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\n---\na: b: c\n---\nx: 1\n";
        let (documents, findings) = parsed(text);
        assert_eq!(documents.len(), 1);
        assert_eq!(findings.len(), 2, "{findings:?}");
        assert!(findings[0].starts_with("a.yaml:5: "), "{}", findings[0]);
        assert!(
            findings[1].contains("apiVersion and kind"),
            "{}",
            findings[1]
        );
    }

    #[test]
    fn a_list_stands_for_its_items() {
        let text = "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Secret\n  metadata: {name: a}\n\
                    - {kind: Secret}\n- apiVersion: v1\n  kind: SecretList\n  items:\n  - apiVersion: v1\n    \
                    kind: Secret\n    metadata: {name: b}\n---\napiVersion: v1\nkind: List\nitems: {}\n---\n\
                    apiVersion: v1\nkind: List\n---\napiVersion: example.com/v1\nkind: DenyList\nitems: {a: 1}\n";
        let (documents, findings) = parsed(text);
        let seen: Vec<_> = documents.iter().map(|d| (d.line, d.name())).collect();
        assert_eq!(seen, [(4, "a"), (11, "b"), (22, "")]);
        let name = documents[1].positions.of("metadata.name");
        assert_eq!(name.map(|at| (at.line, at.column)), Some((13, 16)));
        assert_eq!(documents[2].value["items"]["a"], 1);
        let places: Vec<_> = findings
            .iter()
            .map(|text| text.split(": ").next())
            .collect();
        let wanted = ["a.yaml:7", "a.yaml:17", "a.yaml:19"];
        assert_eq!(places, wanted.map(Some), "{findings:?}");
    }

    #[test]
    fn json_is_read_as_programs_write_it() {
        let text = "{\n\t\"apiVersion\": \"v1\",\n\t\"kind\": \"Secret\",\n\t\"metadata\": {\n\t\t\"name\": \"a\",\n\
                    \t\t\"annotations\": {\"x\": \"\\ud83d\\ude00 \\/ \\u00fc\"}\n\t}\n}\n";
        let (documents, findings) = parsed(text);
        assert!(findings.is_empty(), "{findings:?}");
        let note = &documents[0].value["metadata"]["annotations"]["x"];
        assert_eq!(note, "😀 / ü");
        let name = documents[0].positions.of("metadata.name");
        assert_eq!(name.map(|at| at.line), Some(5));
    }

    #[test]
    fn a_dashed_line_in_a_block_scalar_is_content() {
        let text = "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\nstringData:\n  pem: |\n    -----BEGIN KEY-----\n    ---\n";
        let (documents, findings) = parsed(text);
        assert!(findings.is_empty(), "{findings:?}");
        assert_eq!(
            documents[0].value["stringData"]["pem"],
            "-----BEGIN KEY-----\n---\n"
        );
    }
}
