//! Are the kinds of a cluster those of this program? Pure.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use serde_json::Value;
use tidegate_api::{Crd, crds};

use super::row::{CheckRow, Problem};

const CHECK: &str = "kinds";

/// Fields that a message names.
const SHOWN: usize = 3;

/// A kind as this program knows it.
struct OurKind {
    name: String,
    fields: BTreeSet<String>,
    #[cfg(test)]
    schema: Value,
}

/// Made once: it takes a while.
static OURS: LazyLock<Vec<OurKind>> = LazyLock::new(|| {
    let of = |crd: Crd| OurKind {
        fields: fields(crd.schema()),
        #[cfg(test)]
        schema: crd.schema().clone(),
        name: crd.kind,
    };
    crds().into_iter().map(of).collect()
});

/// The OpenAPI document of the group, or `None` when the cluster has no such group.
pub(super) fn rows(document: Option<&Value>) -> Vec<CheckRow> {
    let schemas = document.map(|document| &document["components"]["schemas"]);
    let row = |ours: &OurKind| match schemas.and_then(|schemas| schemas.get(schema_name(ours))) {
        Some(theirs) => differ(&ours.name, &ours.fields, &fields(theirs)),
        None => {
            let text = format!(
                "{} is not installed: apply crds/, or upgrade the chart",
                ours.name
            );
            Some(CheckRow::failed(CHECK, Problem::MissingKind, text))
        }
    };
    let mut rows: Vec<_> = OURS.iter().filter_map(row).collect();
    if rows.is_empty() {
        rows.push(CheckRow::ok(
            CHECK,
            "all kinds are installed as this program knows them",
        ));
    }
    rows
}

fn schema_name(kind: &OurKind) -> String {
    format!("dev.tidegate.v1alpha1.{}", kind.name)
}

/// The OpenAPI document of a cluster whose kinds are ours.
#[cfg(test)]
pub(super) fn our_document() -> Value {
    let schemas = OURS
        .iter()
        .map(|kind| (schema_name(kind), kind.schema.clone()));
    serde_json::json!({"components": {"schemas": schemas.collect::<serde_json::Map<_, _>>()}})
}

fn differ(kind: &str, ours: &BTreeSet<String>, theirs: &BTreeSet<String>) -> Option<CheckRow> {
    let list = |fields: Vec<&String>| {
        let shown = fields.iter().take(SHOWN).map(|field| field.as_str());
        let shown = shown.collect::<Vec<_>>().join(", ");
        match fields.len().saturating_sub(SHOWN) {
            0 => shown,
            more => format!("{shown} and {more} more"),
        }
    };
    let missing: Vec<_> = ours.difference(theirs).collect();
    if !missing.is_empty() {
        let text = format!(
            "{kind} is older than this program, it lacks {}: apply crds/, or upgrade the chart",
            list(missing)
        );
        return Some(CheckRow::failed(CHECK, Problem::OldKind, text));
    }
    let unknown: Vec<_> = theirs.difference(ours).collect();
    (!unknown.is_empty()).then(|| {
        let text = format!(
            "{kind} is newer than this program, which does not know {}: install the version of the cluster",
            list(unknown)
        );
        CheckRow::warning(CHECK, text)
    })
}

/// Paths of all fields below spec and status.
fn fields(schema: &Value) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for part in ["spec", "status"] {
        add(&schema["properties"][part], part, &mut found);
    }
    found
}

fn add(schema: &Value, path: &str, found: &mut BTreeSet<String>) {
    if let Some(properties) = schema["properties"].as_object() {
        for (name, schema) in properties {
            let path = format!("{path}.{name}");
            add(schema, &path, found);
            found.insert(path);
        }
    }
    if schema["items"].is_object() {
        add(&schema["items"], &format!("{path}[]"), found);
    }
    if schema["additionalProperties"].is_object() {
        add(
            &schema["additionalProperties"],
            &format!("{path}{{}}"),
            found,
        );
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::print::Row as _;

    fn document(change: impl Fn(&mut Value)) -> Value {
        let mut document = our_document();
        change(&mut document["components"]["schemas"]);
        document
    }

    const PRODUCT: &str = "dev.tidegate.v1alpha1.Product";

    /// The fields of a Product's spec.
    fn spec(schemas: &mut Value) -> &mut serde_json::Map<String, Value> {
        let spec = &mut schemas[PRODUCT]["properties"]["spec"]["properties"];
        spec.as_object_mut().unwrap()
    }

    type Change = fn(&mut Value);

    /// What differs, and what is then said.
    const CASES: &[(&str, Change, &str)] = &[
        ("right", |_| (), "kinds ok "),
        (
            "missing",
            |schemas| drop(schemas.as_object_mut().unwrap().remove(PRODUCT)),
            "kinds FAILED missing-kind Product is not installed",
        ),
        (
            "old",
            |schemas| drop(spec(schemas).remove("terms")),
            "kinds FAILED old-kind Product is older than this program, it lacks spec.terms:",
        ),
        (
            "new",
            |schemas| drop(spec(schemas).insert("colour".to_owned(), json!({"type": "string"}))),
            "kinds warning  Product is newer than this program, which does not know spec.colour:",
        ),
    ];

    #[test]
    fn a_kind_is_missing_old_new_or_right() {
        for (name, change, expected) in CASES {
            let rows = rows(Some(&document(change)));
            let text = rows[0].cells().join(" ");
            assert!(text.starts_with(expected), "{name}: {text}");
            assert_eq!(rows.len(), 1, "{name}");
        }
        assert_eq!(rows(None).len(), OURS.len(), "no group at all");
    }
}
