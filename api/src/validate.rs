//! Would the API server take this document? The same schemas and CEL rules, evaluated offline.
//!
//! The verdict is the server's; the texts are ours. What several objects mean together is not
//! decided here.

mod metadata;
mod structural;

use std::collections::BTreeMap;
use std::fmt;

use kube::core::cel::{self, CompiledSchema, compile_schema};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{
    API_VERSION, Crd, GROUP, Gateway, PolicyFragment, Product, Subscription, WebSocketApi, crds,
};

/// Something that must be changed before the API server takes a document.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// Where, for example `spec.listeners[0].port`; empty: the document itself.
    pub path: String,
    /// What is wrong there.
    pub message: String,
}

impl Finding {
    pub(crate) fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            path: shortened(path.into()),
            message: shortened(message.into()),
        }
    }
}

/// Longest path and message: they may quote what somebody wrote, megabytes of it.
const MAX_CHARS: usize = 1000;

fn shortened(text: String) -> String {
    match text.char_indices().nth(MAX_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.path.as_str() {
            "" => f.write_str(&self.message),
            path => write!(f, "{path}: {}", self.message),
        }
    }
}

/// Checks documents of Tidegate's kinds.
pub struct Validator {
    kinds: BTreeMap<String, Kind>,
    rules: cel::Validator,
}

/// What one kind is checked against.
struct Kind {
    schema: Value,
    constraints: jsonschema::Validator,
    rules: CompiledSchema,
    read: fn(Value) -> Result<(), serde_json::Error>,
}

impl Default for Validator {
    fn default() -> Self {
        Self::new()
    }
}

impl Validator {
    /// Compiles all schemas and rules; keep it for many documents.
    pub fn new() -> Self {
        Self {
            kinds: crds()
                .iter()
                .map(|crd| (crd.kind.clone(), Kind::of(crd)))
                .collect(),
            rules: cel::Validator::new(),
        }
    }

    /// Is this a document of one of Tidegate's kinds, or one that means to be?
    pub fn is_ours(&self, document: &Value) -> bool {
        let api_version = document["apiVersion"].as_str().unwrap_or_default();
        api_version.split('/').next() == Some(GROUP)
    }

    /// All that the API server would object to; nothing: it would take the document as a new object.
    pub fn validate(&self, document: &Value) -> Vec<Finding> {
        self.validate_change(document, None)
    }

    /// The same for a document that replaces `before`: the server refuses some changes.
    pub fn validate_change(&self, document: &Value, before: Option<&Value>) -> Vec<Finding> {
        let kind = document["kind"].as_str().unwrap_or_default();
        if document["apiVersion"] != API_VERSION {
            return vec![Finding::new("apiVersion", format!("must be {API_VERSION}"))];
        }
        match self.kinds.get(kind) {
            Some(kind) => kind.validate(document, before, &self.rules),
            None => {
                let known: Vec<_> = self.kinds.keys().map(String::as_str).collect();
                let message = format!("\"{kind}\" is none of {}", known.join(", "));
                vec![Finding::new("kind", message)]
            }
        }
    }

    /// The document as the API server would store it: defaults filled in, nulls and status gone.
    pub fn defaulted(&self, document: &Value) -> Value {
        match self
            .kinds
            .get(document["kind"].as_str().unwrap_or_default())
        {
            Some(kind) => structural::normalize(&kind.schema, &without_status(document)).value,
            None => document.clone(),
        }
    }
}

impl Kind {
    fn of(crd: &Crd) -> Self {
        let schema = crd.schema().clone();
        let constraints = jsonschema::options()
            .should_validate_formats(true)
            .build(&structural::to_json_schema(&schema))
            .expect("a generated schema is a valid schema: a test builds them all");
        let read = match crd.kind.as_str() {
            "Gateway" => read::<Gateway>,
            "PolicyFragment" => read::<PolicyFragment>,
            "Product" => read::<Product>,
            "Subscription" => read::<Subscription>,
            _ => read::<WebSocketApi>,
        };
        Self {
            rules: compile_schema(&schema),
            schema,
            constraints,
            read,
        }
    }

    /// Each step assumes that the ones before found nothing, as in the API server: rules on values
    /// of the wrong type would only repeat the same complaint in worse words.
    fn validate(
        &self,
        document: &Value,
        before: Option<&Value>,
        rules: &cel::Validator,
    ) -> Vec<Finding> {
        let normalized = structural::normalize(&self.schema, &without_status(document));
        let mut findings = normalized.findings;
        findings.extend(metadata::check(&normalized.value["metadata"]));
        findings.extend(
            self.constraints
                .iter_errors(&normalized.value)
                .map(constraint),
        );
        if findings.is_empty() {
            let before = before
                .map(|before| structural::normalize(&self.schema, &without_status(before)).value);
            let result = rules.validate_compiled(&self.rules, &normalized.value, before.as_ref());
            let errors = result
                .err()
                .map(cel::ValidationErrors::into_vec)
                .unwrap_or_default();
            findings.extend(
                errors
                    .into_iter()
                    .map(|e| Finding::new(e.field_path, e.message)),
            );
        }
        if findings.is_empty()
            && let Err(error) = (self.read)(normalized.value)
        {
            findings.push(Finding::new("", error.to_string()));
        }
        findings.sort();
        findings.dedup();
        findings
    }
}

fn read<K: DeserializeOwned>(document: Value) -> Result<(), serde_json::Error> {
    serde_json::from_value::<K>(document).map(drop)
}

/// The server ignores a status that comes with an object: status has its own subresource.
fn without_status(document: &Value) -> Value {
    let mut document = document.clone();
    if let Some(map) = document.as_object_mut() {
        map.remove("status");
    }
    document
}

fn constraint(error: jsonschema::ValidationError<'_>) -> Finding {
    let path = structural::dotted(error.instance_path().as_str());
    let message = error.to_string();
    // What is wrong stands behind the value.
    if message.chars().count() > MAX_CHARS {
        return Finding::new(path, error.masked_with("what stands here").to_string());
    }
    Finding::new(path, message)
}
