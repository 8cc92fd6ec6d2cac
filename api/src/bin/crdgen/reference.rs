//! `docs/reference.md`: every field of every kind, from the definitions as they are installed, with
//! examples from `api/samples/`.

mod field;
mod samples;
#[cfg(test)]
mod tests;

use serde_json::Value;
use tidegate_api::{API_VERSION, Crd, crds};

use self::field::{HEAD, Row, code, meaning, shape, yaml};
use self::samples::Samples;

/// How the page begins.
const INTRODUCTION: &str = include_str!("reference/introduction.md");
/// What it says about policies before it lists them.
const POLICIES: &str = include_str!("reference/policies.md");

/// Fields whose types are Kubernetes' own: the end of their path, and the type.
const KUBERNETES: [(&str, &str); 11] = [
    (".conditions", "`Condition`"),
    ("spec.apiSelector", "`LabelSelector`"),
    ("apiNamespaces.selector", "`LabelSelector`"),
    ("deployment.resources", "`ResourceRequirements`"),
    ("deployment.tolerations", "`Toleration`"),
    ("deployment.affinity", "`Affinity`"),
    (
        "deployment.topologySpreadConstraints",
        "`TopologySpreadConstraint`",
    ),
    ("deployment.extraEnv", "`EnvVar`"),
    ("deployment.readinessGates", "`PodReadinessGate`"),
    ("autoscaling.metrics", "`MetricSpec`"),
    ("autoscaling.behavior", "`HorizontalPodAutoscalerBehavior`"),
];

/// The whole page.
pub(crate) fn page() -> String {
    let page = Page::new();
    let kinds: String = page.crds.iter().map(|crd| page.kind(crd)).collect();
    let policies: String = page.policies().map(|name| page.policy(name)).collect();
    [INTRODUCTION, &kinds, &page.steps(), &policies].concat()
}

/// What the page is made of.
struct Page {
    crds: Vec<Crd>,
    samples: Samples,
}

/// Objects whose fields are listed: where samples have them, and what their names begin with.
struct Place<'p> {
    kind: &'p str,
    path: String,
    prefix: String,
}

impl Page {
    fn new() -> Self {
        Self {
            crds: crds(),
            samples: Samples::read(),
        }
    }

    /// A chapter: the kind, an example, its fields.
    fn kind(&self, crd: &Crd) -> String {
        let kind = crd.kind.as_str();
        let names = &crd.json["spec"]["names"];
        let schema = crd.schema();
        let head = format!(
            "\n## {kind}\n\n{}\n\n`apiVersion: {API_VERSION}`; `kubectl get {}`, or `{}.tidegate.dev`.\n\n```yaml\n{}\n```\n",
            meaning(schema),
            names["shortNames"][0].as_str().unwrap_or_default(),
            names["plural"].as_str().unwrap_or_default(),
            Samples::shown(kind),
        );
        let (spec, status) = (
            &schema["properties"]["spec"],
            &schema["properties"]["status"],
        );
        let place = |path: &str| Place {
            kind,
            path: path.to_owned(),
            prefix: String::new(),
        };
        let top = table(&format!("{kind}.spec"), spec, &self.top_rows(kind, spec));
        let below = fields(spec).filter(|(name, field)| has_section(name, field));
        let below = below.map(|(name, field)| {
            let path = format!("spec.{name}{}", list_mark(field));
            table(
                &format!("{kind}.{path}"),
                field,
                &self.rows(&place(&path), element(field)),
            )
        });
        let below: String = below.collect();
        let status = table(
            &format!("{kind}.status"),
            status,
            &self.rows(&place("status"), status),
        );
        [head, top, below, status].concat()
    }

    /// The fields of the spec itself; what is inside them has tables of its own.
    fn top_rows(&self, kind: &str, spec: &Value) -> Vec<Row> {
        let rows = fields(spec).map(|(name, field)| {
            let target = match (name.as_str(), has_section(name, field)) {
                ("onHandshake" | "steps", _) => Some("policies".to_owned()),
                (_, true) => Some(format!("{kind}spec{name}").to_lowercase()),
                _ => None,
            };
            let path = format!("spec.{name}");
            let kind_of = match target {
                Some(target) => shape(field)
                    .replacen("objects", &format!("[objects](#{target})"), 1)
                    .replacen(
                        "object",
                        &format!("[object](#{target})"),
                        usize::from(field["type"] == "object"),
                    ),
                None => kubernetes(&path, field).unwrap_or_else(|| shape(field)),
            };
            let row = Row::new(name.clone(), kind_of, field, is_required(spec, name));
            let has_table =
                element(field)["properties"].is_object() && kubernetes(&path, field).is_none();
            self.with_example(row, (kind, &path), has_table)
        });
        rows.collect()
    }

    /// The fields of an object and, below each, the fields inside it.
    fn rows(&self, place: &Place<'_>, object: &Value) -> Vec<Row> {
        let mut rows = Vec::new();
        for (name, field) in fields(object) {
            let (path, shown) = (
                format!("{}.{name}", place.path),
                format!("{}{name}", place.prefix),
            );
            let inner = element(field);
            let same = self.same_policy(place, inner);
            let own = kubernetes(&path, field);
            let goes_on = inner["properties"].is_object() && own.is_none() && same.is_none();
            let kind = match same {
                Some(policy) => format!(
                    "{}, each as [{policy}](#{})",
                    shape(field),
                    policy.to_lowercase()
                ),
                None => own.unwrap_or_else(|| shape(field)),
            };
            let row = Row::new(shown.clone(), kind, field, is_required(object, name));
            rows.push(self.with_example(row, (place.kind, &path), goes_on));
            if goes_on {
                let mark = list_mark(field);
                let below = Place {
                    kind: place.kind,
                    path: format!("{path}{mark}"),
                    prefix: format!("{shown}{mark}."),
                };
                rows.extend(self.rows(&below, inner));
            }
        }
        rows
    }

    /// An object has its examples in the rows of its fields.
    fn with_example(&self, mut row: Row, (kind, path): (&str, &str), is_object: bool) -> Row {
        if let Some(value) = self.samples.value(kind, path).filter(|_| !is_object) {
            row.example = code(&yaml(value));
        }
        row
    }

    /// The properties of a step of a PolicyFragment, which may have any policy.
    fn any_step(&self) -> &Value {
        let fragment = self.crds.iter().find(|crd| crd.kind == "PolicyFragment");
        let schema = fragment.expect("it is one of the kinds").schema();
        &schema["properties"]["spec"]["properties"]["steps"]["items"]
    }

    fn policies(&self) -> impl Iterator<Item = &String> {
        let steps = fields(self.any_step());
        steps
            .filter(|(name, _)| !matches!(name.as_str(), "id" | "when"))
            .map(|(name, _)| name)
    }

    /// The policy whose data an object inside another policy is.
    fn same_policy(&self, place: &Place<'_>, object: &Value) -> Option<&String> {
        let properties = &object["properties"];
        let mut steps = fields(self.any_step());
        let (name, _) = steps.find(|(_, policy)| policy["properties"] == *properties)?;
        (properties.is_object() && place.path.starts_with("spec.steps[]")).then_some(name)
    }

    fn on_handshake(&self) -> &Value {
        let api = self.crds.iter().find(|crd| crd.kind == "WebSocketApi");
        let schema = api.expect("it is one of the kinds").schema();
        &schema["properties"]["spec"]["properties"]["onHandshake"]
    }

    /// The chapter of policies, up to the first of them.
    fn steps(&self) -> String {
        let sections = self.on_handshake();
        let place = Place {
            kind: "WebSocketApi",
            path: "spec.onHandshake".to_owned(),
            prefix: String::new(),
        };
        let rows = fields(sections).map(|(name, field)| {
            let row = Row::new(name.clone(), shape(field), field, false);
            let path = format!("{}.{name}", place.path);
            self.with_example(row, (place.kind, &path), field["type"] == "array")
        });
        let rows: Vec<_> = rows.collect();
        let step = &sections["properties"]["inbound"]["items"];
        let common = ["base", "id", "when"].map(|name| {
            let field = &step["properties"][name];
            let row = Row::new(name.to_owned(), shape(field), field, false);
            self.with_example(
                row,
                ("PolicyFragment", &format!("spec.steps[].{name}")),
                name == "base",
            )
        });
        let lines = |rows: &[Row]| rows.iter().map(Row::line).collect::<String>();
        format!(
            "{POLICIES}\n### onHandshake\n\n{HEAD}{}\n### Every step\n\n{HEAD}{}",
            lines(&rows),
            lines(&common)
        )
    }

    fn policy(&self, name: &str) -> String {
        let schema = &self.any_step()["properties"][name];
        let sections = fields(self.on_handshake())
            .filter(|(_, section)| section["items"]["properties"][name].is_object());
        let sections: Vec<_> = sections.map(|(section, _)| code(section)).collect();
        let place = Place {
            kind: "PolicyFragment",
            path: format!("spec.steps[].{name}"),
            prefix: String::new(),
        };
        let lines: String = self.rows(&place, schema).iter().map(Row::line).collect();
        format!(
            "\n### {name}\n\n{} In {}; [more](policies.md#{}).\n\n{HEAD}{lines}",
            meaning(schema),
            sections.join(", "),
            name.to_lowercase()
        )
    }
}

fn table(title: &str, schema: &Value, rows: &[Row]) -> String {
    let lines: String = rows.iter().map(Row::line).collect();
    format!("\n### {title}\n\n{}\n\n{HEAD}{lines}", meaning(schema))
}

fn fields(object: &Value) -> impl Iterator<Item = (&String, &Value)> {
    object["properties"].as_object().into_iter().flatten()
}

/// What a list has in it; anything else is itself.
fn element(field: &Value) -> &Value {
    match &field["items"] {
        Value::Null => field,
        items => items,
    }
}

fn list_mark(field: &Value) -> &'static str {
    if field["items"].is_null() { "" } else { "[]" }
}

fn is_required(object: &Value, name: &str) -> bool {
    let required = object["required"].as_array().into_iter().flatten();
    required.into_iter().any(|required| required == name)
}

/// Does a field of the spec have a table of its own?
fn has_section(name: &str, field: &Value) -> bool {
    let is_ours = kubernetes(&format!("spec.{name}"), field).is_none();
    let has_chapter = matches!(name, "onHandshake" | "steps");
    element(field)["properties"].is_object() && is_ours && !has_chapter
}

/// The type of a field that Kubernetes defines.
fn kubernetes(path: &str, field: &Value) -> Option<String> {
    let (_, name) = KUBERNETES.iter().find(|(end, _)| path.ends_with(end))?;
    Some(match field["type"] == "array" {
        true => format!("list of Kubernetes' {name}"),
        false => format!("Kubernetes' {name}"),
    })
}
