//! The policy emitMetric.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Expression, ExpressionKind};

/// Adds to a counter of the gateway's metrics: `tidegate_custom_NAME`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EmitMetric {
    /// Name behind `tidegate_custom_`, for example `logins_total`.
    #[schemars(length(min = 1, max = 63), regex(pattern = "^[a-z][a-z0-9_]*$"))]
    pub name: String,
    /// What is added, a number from 0. Template. Default: 1.
    #[serde(default = "one")]
    #[schemars(length(min = 1, max = 1024))]
    pub value: String,
    /// Labels besides `api`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("maxItems" = 5))]
    pub labels: Vec<MetricLabel>,
}

/// A label of a metric.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MetricLabel {
    /// Its name; `api` is taken.
    #[schemars(length(min = 1, max = 63), regex(pattern = "^[a-z][a-z0-9_]*$"))]
    pub name: String,
    /// Its value; take something that has few values. Template.
    #[schemars(length(max = 1024))]
    pub value: String,
}

impl EmitMetric {
    /// A label that is there twice, or that is ours.
    pub fn clash(&self) -> Option<&str> {
        let names = self.labels.iter().map(|label| label.name.as_str());
        let mut seen = vec!["api"];
        for name in names {
            if seen.contains(&name) {
                return Some(name);
            }
            seen.push(name);
        }
        None
    }

    pub(crate) fn expressions(&self) -> Vec<Expression<'_>> {
        let template = ExpressionKind::Template;
        let value = Expression::new("emitMetric.value", template, &self.value);
        let labels = self.labels.iter().enumerate().map(|(i, label)| {
            let field = format!("emitMetric.labels[{i}].value");
            Expression::new(field, template, &label.value)
        });
        std::iter::once(value).chain(labels).collect()
    }
}

fn one() -> String {
    "1".to_owned()
}
