//! Manifests as they are printed: fields in the order of the resources, defaults left out, comments kept.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value, json};
use serde_saphyr::Commented;
use tidegate_api::{Gateway, PolicyFragment, Product, Subscription, WebSocketApi};
use tidegate_config::policy::{OnHandshake, Section};

use super::json::Node;
use super::steps::COMMENT;

/// A manifest, or the block `onHandshake` of one.
#[derive(Clone, Debug)]
pub struct Manifest(Tree);

/// A value whose fields have an order.
#[derive(Clone, Debug)]
enum Tree {
    Plain(Value),
    List(Vec<Self>),
    Map(Vec<(String, Self)>),
    /// With a comment above it.
    Commented(Box<Self>, String),
}

/// What an object or block is as one of its types.
type Typed = fn(Value) -> Option<String>;

impl Manifest {
    /// A manifest, or an object with the only field `onHandshake`.
    pub fn of(value: &Value) -> Self {
        let value = pruned(value.clone());
        let plain = without_comments(&value);
        let typed: Typed = match value["kind"].as_str() {
            Some("Gateway") => typed::<Gateway>,
            Some("WebSocketApi") => typed::<WebSocketApi>,
            Some("Product") => typed::<Product>,
            Some("Subscription") => typed::<Subscription>,
            Some("PolicyFragment") => typed::<PolicyFragment>,
            Some(_) => |_| None,
            None => typed::<BTreeMap<String, OnHandshake>>,
        };
        let order = typed(plain).and_then(|text| Node::parse(&text).ok());
        Self(tree(&value, order.as_ref()))
    }
}

/// The JSON of a type has its fields in the order of the type.
fn typed<T: DeserializeOwned + Serialize>(value: Value) -> Option<String> {
    let typed: T = serde_json::from_value(value).ok()?;
    serde_json::to_string(&typed).ok()
}

fn without_comments(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let fields = fields.iter().filter(|(name, _)| *name != COMMENT);
            let fields = fields.map(|(name, value)| (name.clone(), without_comments(value)));
            Value::Object(fields.collect())
        }
        Value::Array(items) => items.iter().map(without_comments).collect(),
        other => other.clone(),
    }
}

/// The fields of `value` in the order of the same ones in `order`; others follow.
fn tree(value: &Value, order: Option<&Node>) -> Tree {
    match value {
        Value::Object(fields) => {
            let own = fields.iter().filter(|(name, _)| *name != COMMENT);
            let mut own: Vec<_> = own
                .map(|(name, value)| (name.clone(), tree(value, of_field(order, name))))
                .collect();
            own.sort_by_key(|(name, _)| rank(order, name));
            match fields.get(COMMENT).and_then(Value::as_str) {
                Some(comment) => Tree::Commented(Box::new(Tree::Map(own)), comment.to_owned()),
                None => Tree::Map(own),
            }
        }
        Value::Array(items) => {
            let orders = order.map(Node::items).unwrap_or_default();
            let items = items.iter().enumerate();
            Tree::List(items.map(|(i, item)| tree(item, orders.get(i))).collect())
        }
        other => Tree::Plain(other.clone()),
    }
}

/// The place of a field in an order; the last one, if it has none.
fn rank(order: Option<&Node>, name: &str) -> usize {
    let mut known = order.map(Node::fields).unwrap_or_default().iter();
    let place = known.position(|(known, _)| known == name);
    place.unwrap_or(usize::MAX)
}

/// A field whose name has the same case.
fn of_field<'a>(order: Option<&'a Node>, name: &str) -> Option<&'a Node> {
    let mut fields = order?.fields().iter();
    fields
        .find(|(known, _)| known == name)
        .map(|(_, node)| node)
}

/// The value without fields of steps that hold their defaults.
fn pruned(mut value: Value) -> Value {
    let sections = [Section::Inbound, Section::Outbound, Section::OnError];
    for on_handshake in ["/onHandshake", "/spec/onHandshake"] {
        for section in sections {
            let place = format!("{on_handshake}/{}", section.field());
            prune_all(value.pointer_mut(&place), section);
        }
    }
    if value["kind"] == "PolicyFragment" {
        let section = fragment_section(&value);
        prune_all(value.pointer_mut("/spec/steps"), section);
    }
    value
}

/// A section that supports all steps of a fragment.
fn fragment_section(fragment: &Value) -> Section {
    let steps = fragment.pointer("/spec/steps").and_then(Value::as_array);
    let all = [Section::Inbound, Section::Outbound, Section::OnError];
    let fits = |section: &Section| {
        let mut steps = steps.into_iter().flatten();
        steps.all(|step| of_step(&without_comments(step), *section).is_some())
    };
    all.into_iter().find(fits).unwrap_or(Section::Inbound)
}

fn prune_all(steps: Option<&mut Value>, section: Section) {
    for step in steps.and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(whole) = of_step(&without_comments(step), section) {
            let is_same =
                |step: &Value| of_step(&without_comments(step), section).as_ref() == Some(&whole);
            for place in places(step, String::new()) {
                prune(step, &place, &is_same);
            }
        }
    }
}

fn of_step(step: &Value, section: Section) -> Option<OnHandshake> {
    serde_json::from_value(json!({section.field(): [step]})).ok()
}

/// Pointers to all fields, the inner ones first.
fn places(value: &Value, at: String) -> Vec<String> {
    match value {
        Value::Object(fields) => {
            let of = |(name, value): (&String, &Value)| {
                let own = format!("{at}/{}", name.replace('~', "~0").replace('/', "~1"));
                let mut found = places(value, own.clone());
                found.push(own);
                found
            };
            fields
                .iter()
                .filter(|(name, _)| *name != COMMENT)
                .flat_map(of)
                .collect()
        }
        Value::Array(items) => {
            let of = |(i, item): (usize, &Value)| places(item, format!("{at}/{i}"));
            items.iter().enumerate().flat_map(of).collect()
        }
        _ => Vec::new(),
    }
}

/// Removes a field if the step is the same without it.
fn prune(step: &mut Value, place: &str, is_same: &dyn Fn(&Value) -> bool) {
    let Some((parent, name)) = place.rsplit_once('/') else {
        return;
    };
    let mut other = step.clone();
    let fields: Option<&mut Map<_, _>> = other.pointer_mut(parent).and_then(Value::as_object_mut);
    let removed = fields.and_then(|fields| fields.remove(name));
    if removed.is_some() && is_same(&other) {
        *step = other;
    }
}

impl Serialize for Manifest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl Serialize for Tree {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Plain(value) => value.serialize(serializer),
            Self::List(items) => items.serialize(serializer),
            Self::Map(fields) => {
                let mut map = serializer.serialize_map(Some(fields.len()))?;
                for (name, value) in fields {
                    map.serialize_entry(name, value)?;
                }
                map.end()
            }
            Self::Commented(value, comment) => {
                Commented(value, comment.clone()).serialize(serializer)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_saphyr::CommentPosition;

    use super::*;

    #[test]
    fn a_block_reads_like_one_that_a_person_writes() {
        let block = json!({"onHandshake": {
            "inherit": false,
            "inbound": [
                {"base": {}},
                {
                    "#": "who it is", "when": "true",
                    "setHeader": {"values": ["1"], "name": "X-A", "ifExists": "Override"},
                },
            ],
        }});
        let options = serde_saphyr::ser_options! { comment_position: CommentPosition::Above };
        let text = serde_saphyr::to_string_with_options(&Manifest::of(&block), options).unwrap();
        let wanted = "onHandshake:\n  inherit: false\n  inbound:\n  - base: {}\n  - \n    # who it is\n    \
                      when: \"true\"\n    setHeader:\n      name: X-A\n      values:\n      - \"1\"\n";
        assert_eq!(text, wanted);
    }
}
