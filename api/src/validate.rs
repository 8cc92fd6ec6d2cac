//! Would the API server take this document? The same schemas and CEL rules, evaluated offline.
//!
//! The verdict is the server's; the texts are ours. What several objects mean together is not
//! decided here.

mod constraint;
mod metadata;
mod rules;
mod structural;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::OnceLock;

use kube::core::cel;
use serde::de::DeserializeOwned;
use serde_json::Value;

use self::rules::Rules;
use self::structural::Normalized;
use crate::{
    API_VERSION, GROUP, Gateway, PolicyFragment, Product, Subscription, SubscriptionRequest,
    WebSocketApi,
};

/// The schema of a kind as `crdgen` writes it. To derive it from the type takes a hundred times as long as to
/// parse it.
macro_rules! kind {
    ($file:literal, $type:ty) => {
        Kind {
            text: include_str!(concat!("../schemas/", $file, ".json")),
            read: read::<$type>,
            compiled: OnceLock::new(),
        }
    };
}

/// Something that must be changed before the API server takes a document.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// Where, for example `spec.listeners[0].port`; empty: the document itself.
    pub path: String,
    /// What is wrong there and what to write instead.
    pub message: String,
    /// The value is a number, or true or false, and would be right as text: in quotes.
    pub wants_text: bool,
}

impl Finding {
    pub(crate) fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            path: shortened(path.into()),
            message: shortened(message.into()),
            wants_text: false,
        }
    }
}

impl Finding {
    fn is_at_or_below(&self, path: &str) -> bool {
        let below = self.path.strip_prefix(path);
        below.is_some_and(|rest| path.is_empty() || rest.is_empty() || rest.starts_with(['.', '[']))
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

/// Checks documents of Tidegate's kinds. Compiles what the documents need, once: keep it for many documents.
pub struct Validator {
    kinds: BTreeMap<&'static str, Kind>,
    evaluator: cel::Validator,
}

/// One kind, before it is needed.
struct Kind {
    /// Its schema as JSON.
    text: &'static str,
    read: fn(Value) -> Result<(), serde_json::Error>,
    compiled: OnceLock<Compiled>,
}

/// What one kind is checked against.
struct Compiled {
    schema: Value,
    constraints: jsonschema::Validator,
    rules: Rules,
}

impl Default for Validator {
    fn default() -> Self {
        Self::new()
    }
}

impl Validator {
    /// Has compiled nothing yet.
    pub fn new() -> Self {
        Self {
            kinds: BTreeMap::from([
                ("Gateway", kind!("gateway", Gateway)),
                ("PolicyFragment", kind!("policyfragment", PolicyFragment)),
                ("Product", kind!("product", Product)),
                ("Subscription", kind!("subscription", Subscription)),
                (
                    "SubscriptionRequest",
                    kind!("subscriptionrequest", SubscriptionRequest),
                ),
                ("WebSocketApi", kind!("websocketapi", WebSocketApi)),
            ]),
            evaluator: cel::Validator::new(),
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
            Some(kind) => kind.validate(document, before, &self.evaluator),
            None => {
                let known: Vec<_> = self.kinds.keys().copied().collect();
                let meant =
                    structural::nearest(kind, &known).map(|kind| format!("; did you mean {kind}?"));
                let message = format!(
                    "\"{kind}\" is none of {}{}",
                    known.join(", "),
                    meant.unwrap_or_default()
                );
                vec![Finding::new("kind", message)]
            }
        }
    }

    /// What the API server would object to in the metadata of any document.
    pub fn validate_metadata(document: &Value) -> Vec<Finding> {
        metadata::check(&document["metadata"])
    }

    /// The document as the API server would store it: defaults filled in, nulls and status gone.
    pub fn defaulted(&self, document: &Value) -> Value {
        match self
            .kinds
            .get(document["kind"].as_str().unwrap_or_default())
        {
            Some(kind) => kind.compiled().normalize(document).value,
            None => document.clone(),
        }
    }
}

impl Kind {
    fn compiled(&self) -> &Compiled {
        self.compiled.get_or_init(|| Compiled::of(self.text))
    }

    fn validate(
        &self,
        document: &Value,
        before: Option<&Value>,
        evaluator: &cel::Validator,
    ) -> Vec<Finding> {
        let (value, mut findings) = self.compiled().check(document, before, evaluator);
        if findings.is_empty()
            && let Err(error) = (self.read)(value)
        {
            findings.push(Finding::new("", error.to_string()));
        }
        findings.sort();
        findings.dedup();
        findings
    }
}

impl Compiled {
    fn of(text: &str) -> Self {
        let schema: Value = serde_json::from_str(text).expect("a generated schema is JSON");
        let constraints = jsonschema::options()
            .should_validate_formats(true)
            .build(&structural::to_json_schema(&schema))
            .expect("a generated schema is a valid schema: a test builds them all");
        Self {
            rules: Rules::new(&schema),
            schema,
            constraints,
        }
    }

    /// The document with defaults, and what is wrong with it. What a rule says counts only where nothing below
    /// is wrong by itself: rules on values of the wrong type repeat the same complaint in worse words.
    fn check(
        &self,
        document: &Value,
        before: Option<&Value>,
        evaluator: &cel::Validator,
    ) -> (Value, Vec<Finding>) {
        let Normalized {
            value,
            mut findings,
        } = self.normalize(document);
        findings.extend(metadata::check(&value["metadata"]));
        let errors = self.constraints.iter_errors(&value);
        findings.extend(errors.filter_map(|error| constraint::finding(&error, &self.schema)));
        let before = before.map(|before| self.normalize(before).value);
        let (schema, before) = (&self.schema, before.as_ref());
        let mut broken = self.rules.check(schema, evaluator, &value, before);
        broken.retain(|rule| {
            !findings
                .iter()
                .any(|found| found.is_at_or_below(&rule.path))
        });
        findings.extend(broken);
        (value, findings)
    }

    fn normalize(&self, document: &Value) -> Normalized {
        structural::normalize(&self.schema, &without_status(document))
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
