//! The rights that an operator needs, and which of them it lacks.

use futures::StreamExt as _;
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec,
};
use kube::api::PostParams;
use kube::{Api, Client};

use super::operators::OperatorFacts;
use crate::cluster::{Trouble, answer};

/// Questions at the same time.
const PARALLEL: usize = 16;

/// A rule of the chart: group, resources, verbs.
type Rule = (
    &'static str,
    &'static [&'static str],
    &'static [&'static str],
);

const READ: &[&str] = &["get", "list", "watch"];
const OWN: &[&str] = &["get", "list", "watch", "create", "patch", "delete"];
const WRITE: &[&str] = &[
    "get", "list", "watch", "create", "update", "patch", "delete",
];

/// As in the chart's role; a test compares.
pub(super) const RULES: &[Rule] = &[
    (
        "tidegate.dev",
        &[
            "gateways",
            "websocketapis",
            "products",
            "policyfragments",
            "subscriptions",
        ],
        READ,
    ),
    (
        "tidegate.dev",
        &["subscriptionrequests"],
        &["get", "list", "watch", "create", "delete"],
    ),
    (
        "tidegate.dev",
        &[
            "gateways/status",
            "websocketapis/status",
            "products/status",
            "policyfragments/status",
            "subscriptions/status",
            "subscriptionrequests/status",
        ],
        &["patch"],
    ),
    ("", &["configmaps", "secrets"], WRITE),
    ("", &["services", "serviceaccounts"], OWN),
    ("apps", &["deployments"], OWN),
    ("autoscaling", &["horizontalpodautoscalers"], OWN),
    ("policy", &["poddisruptionbudgets"], OWN),
    ("rbac.authorization.k8s.io", &["roles", "rolebindings"], OWN),
    ("", &["pods"], READ),
    ("coordination.k8s.io", &["leases"], WRITE),
    ("events.k8s.io", &["events"], &["create", "patch"]),
];

/// The rights that this operator lacks, for example `patch deployments.apps in namespace shop`.
///
/// # Errors
///
/// [`Trouble`]: the user may not ask, or the API server does not answer.
pub(super) async fn missing(
    client: &Client,
    operator: &OperatorFacts,
) -> Result<Vec<String>, Trouble> {
    let api = Api::<SubjectAccessReview>::all(client.clone());
    let questions = questions(operator).into_iter();
    let asked = questions.map(|attributes| ask(&api, operator, attributes));
    let mut answers = futures::stream::iter(asked).buffered(PARALLEL);
    let mut missing = Vec::new();
    while let Some(answer) = answers.next().await {
        missing.extend(answer?);
    }
    Ok(missing)
}

fn questions(operator: &OperatorFacts) -> Vec<ResourceAttributes> {
    let everywhere = [None];
    let named: Vec<_> = operator.namespaces.iter().cloned().map(Some).collect();
    let places = if named.is_empty() {
        &everywhere[..]
    } else {
        &named
    };
    let mut questions = Vec::new();
    for namespace in places {
        for (group, resources, verbs) in RULES {
            for resource in *resources {
                for verb in *verbs {
                    let (resource, subresource) = match resource.split_once('/') {
                        Some((resource, subresource)) => (resource, Some(subresource.to_owned())),
                        None => (*resource, None),
                    };
                    questions.push(ResourceAttributes {
                        namespace: namespace.clone(),
                        group: Some((*group).to_owned()),
                        resource: Some(resource.to_owned()),
                        subresource,
                        verb: Some((*verb).to_owned()),
                        ..ResourceAttributes::default()
                    });
                }
            }
        }
    }
    questions
}

/// What is missing, if it is.
async fn ask(
    api: &Api<SubjectAccessReview>,
    operator: &OperatorFacts,
    attributes: ResourceAttributes,
) -> Result<Option<String>, Trouble> {
    let review = SubjectAccessReview {
        spec: SubjectAccessReviewSpec {
            user: Some(operator.user()),
            groups: Some(groups(&operator.key.namespace)),
            resource_attributes: Some(attributes.clone()),
            ..SubjectAccessReviewSpec::default()
        },
        ..SubjectAccessReview::default()
    };
    let answered = answer(api.create(&PostParams::default(), &review)).await;
    let answered = answered.map_err(|trouble| trouble.about("ask for the operator's rights"))?;
    let is_allowed = answered.status.is_some_and(|status| status.allowed);
    Ok((!is_allowed).then(|| text(&attributes)))
}

/// Groups of a service account.
fn groups(namespace: &str) -> Vec<String> {
    vec![
        "system:authenticated".to_owned(),
        "system:serviceaccounts".to_owned(),
        format!("system:serviceaccounts:{namespace}"),
    ]
}

fn text(of: &ResourceAttributes) -> String {
    let word = |word: &Option<String>| word.clone().unwrap_or_default();
    let group = of.group.as_deref().filter(|group| !group.is_empty());
    let group = group.map(|group| format!(".{group}")).unwrap_or_default();
    let part = of
        .subresource
        .as_ref()
        .map(|part| format!("/{part}"))
        .unwrap_or_default();
    let place = of
        .namespace
        .as_ref()
        .map(|name| format!(" in namespace {name}"));
    format!(
        "{} {}{group}{part}{}",
        word(&of.verb),
        word(&of.resource),
        place.unwrap_or_default()
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// `group resource verb` of each right in the chart's template.
    fn chart() -> BTreeSet<String> {
        let template = include_str!("../../../charts/tidegate/templates/_rules.tpl");
        let list = |line: &str| -> Vec<String> {
            let inner = line.split_once('[').unwrap().1.trim_end_matches(']');
            inner
                .split(',')
                .map(|word| word.trim().trim_matches('"').to_owned())
                .collect()
        };
        let (mut groups, mut resources, mut found) = (Vec::new(), Vec::new(), BTreeSet::new());
        for line in template.lines().map(str::trim) {
            if line.starts_with("- apiGroups:") {
                groups = list(line);
            } else if line.starts_with("resources:") {
                resources = list(line);
            } else if line.starts_with("verbs:") {
                for verb in list(line) {
                    let all = groups
                        .iter()
                        .flat_map(|group| resources.iter().map(move |of| (group, of)));
                    found.extend(all.map(|(group, of)| format!("{group} {of} {verb}")));
                }
            }
        }
        found
    }

    #[test]
    fn the_rights_are_those_of_the_chart() {
        let each = RULES.iter().flat_map(|(group, resources, verbs)| {
            let pairs = resources
                .iter()
                .flat_map(|of| verbs.iter().map(move |verb| (of, verb)));
            pairs.map(move |(of, verb)| format!("{group} {of} {verb}"))
        });
        assert_eq!(each.collect::<BTreeSet<_>>(), chart());
    }
}
