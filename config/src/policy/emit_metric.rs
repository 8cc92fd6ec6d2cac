//! The policy emitMetric.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::expression::HasExpressions;
use crate::{Expression, ExpressionKind};

/// Adds to a counter `tidegate_custom_NAME` among the gateway's metrics.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EmitMetric {
    /// Name of the counter after the prefix `tidegate_custom_`, for example `logins_total`.
    #[schemars(length(min = 1, max = 63), regex(pattern = "^[a-z][a-z0-9_]*$"))]
    pub name: String,
    /// Number to add, 0 or more, as a template. Default: 1.
    #[serde(default = "one")]
    #[schemars(length(min = 1, max = 1024))]
    pub value: String,
    /// Labels of the counter besides `api`, at most 5.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("maxItems" = 5))]
    pub labels: Vec<MetricLabel>,
}

/// A label of a counter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MetricLabel {
    /// Name of the label, other than `api`, which every such counter has.
    #[schemars(length(min = 1, max = 63), regex(pattern = "^[a-z][a-z0-9_]*$"))]
    pub name: String,
    /// Value of the label, as a template. Each value makes a time series, so use something that has
    /// few.
    #[schemars(length(max = 1024))]
    pub value: String,
}

impl EmitMetric {
    /// Name of a label that occurs twice or that the gateway sets itself.
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
}

impl HasExpressions for EmitMetric {
    fn expressions(&self) -> Vec<Expression<'_>> {
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
