//! From what was read to what is wrong. Pure.

use std::fmt::Display;
use std::sync::Arc;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt as _;
use tidegate_api::Reason;

use super::facts::{CheckedOperator, Facts};
use super::operators::{Election, OperatorFacts, elections, is_gateway_image, tag};
use super::row::{CheckRow, Problem};
use super::{kinds, planned};
use crate::cluster::Trouble;
use crate::status::StatusView;

/// Why a container waits that cannot get its image.
const IMAGE_TROUBLE: [&str; 6] = [
    "ErrImagePull",
    "ImagePullBackOff",
    "InvalidImageName",
    "ErrImageNeverPull",
    "ImageInspectError",
    "RegistryUnavailable",
];

/// Rights that a message names.
const SHOWN: usize = 3;

pub(super) fn judge(facts: &Facts, now: Timestamp) -> Vec<CheckRow> {
    let mut rows = Vec::new();
    match &facts.server {
        Ok(version) => rows.push(CheckRow::ok(
            "api-server",
            format!("Kubernetes {version} answers"),
        )),
        Err(trouble) => {
            // Nothing else can be known.
            let problem = Problem::ApiServerAway;
            return vec![CheckRow::failed("api-server", problem, trouble.to_string())];
        }
    }
    rows.extend(read("kinds", &facts.kinds, |document| {
        kinds::rows(document.as_ref())
    }));
    rows.extend(read("operator", &facts.operators, |found| operators(found)));
    rows.extend(read("leader", &facts.leases, |leases| {
        let known = facts.operators.as_deref().unwrap_or_default();
        leader(&elections(leases, now), known)
    }));
    rows.extend(images(facts));
    rows.extend(read("pods", &facts.view, pods));
    rows.extend(read("objects", &facts.view, |view| {
        planned::objects(&view.objects)
    }));
    rows
}

/// The rows of something that was read, or one that says why it was not.
fn read<T>(
    check: &'static str,
    found: &Result<T, Trouble>,
    rows: impl FnOnce(&T) -> Vec<CheckRow>,
) -> Vec<CheckRow> {
    match found {
        Ok(found) => rows(found),
        Err(trouble) => vec![CheckRow::skipped(check, trouble.to_string())],
    }
}

fn operators(found: &[CheckedOperator]) -> Vec<CheckRow> {
    const CHECK: &str = "operator";
    if found.is_empty() {
        let text =
            "no Deployment has the chart's labels: an operator that runs otherwise is not checked";
        return vec![CheckRow::skipped(CHECK, text)];
    }
    let mut rows = Vec::new();
    for (operator, missing) in found {
        let key = &operator.key;
        rows.push(match operator.available {
            0 => {
                let text = format!("Deployment {key} has no available pod: see kubectl describe");
                CheckRow::failed(CHECK, Problem::NoOperator, text)
            }
            _ => CheckRow::ok(CHECK, format!("Deployment {key} is available")),
        });
        rows.push(rights(operator, missing));
        rows.push(version(operator));
    }
    for (at, (one, _)) in found.iter().enumerate() {
        let others = found[at + 1..]
            .iter()
            .filter(|(other, _)| one.overlaps(other));
        rows.extend(others.map(|(other, _)| {
            let text = format!(
                "Deployments {} and {} serve the same namespaces: remove one, or set watchNamespaces",
                one.key, other.key
            );
            CheckRow::failed(CHECK, Problem::TwoOperators, text)
        }));
    }
    rows
}

fn rights(operator: &OperatorFacts, missing: &Result<Vec<String>, Trouble>) -> CheckRow {
    let user = operator.user();
    match missing {
        Err(trouble) => CheckRow::skipped("rights", trouble.to_string()),
        Ok(missing) if missing.is_empty() => {
            CheckRow::ok("rights", format!("{user} has every right that it needs"))
        }
        Ok(missing) => {
            let text = format!(
                "{user} may not {}: upgrade the chart, or apply deploy/operator-rbac.yaml",
                shortened(missing)
            );
            CheckRow::failed("rights", Problem::MissingRight, text)
        }
    }
}

fn version(operator: &OperatorFacts) -> CheckRow {
    let ours = env!("CARGO_PKG_VERSION");
    match tag(&operator.image) {
        Some(tag) if tag.trim_start_matches('v') == ours => {
            CheckRow::ok("version", format!("operator and tidegate are {ours}"))
        }
        _ => {
            let text = format!("the operator is {}, tidegate is {ours}", operator.image);
            CheckRow::warning("version", text)
        }
    }
}

fn leader(elections: &[Election], known: &[CheckedOperator]) -> Vec<CheckRow> {
    const CHECK: &str = "leader";
    if known.iter().any(|(operator, _)| !operator.elects) {
        return vec![CheckRow::ok(
            CHECK,
            "there is no election: the operator is a single replica",
        )];
    }
    let led: Vec<_> = elections
        .iter()
        .filter_map(|of| Some((of, of.leader.as_ref()?)))
        .collect();
    match led.as_slice() {
        [] => {
            let text = match elections.first() {
                Some(election) => format!(
                    "nobody holds Lease {}: see the operator's log",
                    election.lease
                ),
                None => "no operator has written a Lease: install one, or see its log".to_owned(),
            };
            vec![CheckRow::failed(CHECK, Problem::NoLeader, text)]
        }
        [(election, leader)] => {
            vec![CheckRow::ok(
                CHECK,
                format!("{leader} holds Lease {}", election.lease),
            )]
        }
        // Deployments that serve different namespaces may well each have a leader.
        several if known.len() >= several.len() => {
            let leases = several
                .iter()
                .map(|(election, _)| election.lease.to_string());
            vec![CheckRow::ok(
                CHECK,
                format!("leaders hold Leases {}", join(leases)),
            )]
        }
        several => {
            let text = several
                .iter()
                .map(|(election, leader)| format!("{leader} (Lease {})", election.lease));
            let text = format!("{} lead at the same time: stop all but one", join(text));
            vec![CheckRow::failed(CHECK, Problem::TwoOperators, text)]
        }
    }
}

fn images(facts: &Facts) -> Vec<CheckRow> {
    const CHECK: &str = "images";
    let mut rows = read(CHECK, &facts.pods, |pods| {
        pods.iter().filter_map(pull).collect()
    });
    let operators = facts.operators.as_deref().unwrap_or_default();
    let wanted = operators
        .first()
        .and_then(|(operator, _)| operator.gateway_image.as_deref());
    if let (Some(wanted), [_]) = (wanted, operators) {
        rows.extend(read(CHECK, &facts.gateways, |gateways| {
            gateways
                .iter()
                .filter_map(|gateway| other_image(gateway, wanted))
                .collect()
        }));
    }
    if rows.is_empty() {
        rows.push(CheckRow::ok(
            CHECK,
            "every pod has the image that it should have",
        ));
    }
    rows
}

/// A pod that cannot get its image.
fn pull(pod: &Arc<Pod>) -> Option<CheckRow> {
    let containers = pod.status.as_ref()?.container_statuses.iter().flatten();
    let mut waiting = containers.filter_map(|container| {
        let waiting = container.state.as_ref()?.waiting.as_ref()?;
        let reason = waiting.reason.as_deref()?;
        IMAGE_TROUBLE
            .contains(&reason)
            .then_some((container, reason))
    });
    let (container, reason) = waiting.next()?;
    let text = format!(
        "pod {}/{} cannot get the image {} ({reason}): check its name and the pull secrets",
        pod.namespace().unwrap_or_default(),
        pod.name_any(),
        container.image
    );
    Some(CheckRow::failed("images", Problem::WrongImage, text))
}

/// A Gateway whose Deployment has another image than its operator gives.
fn other_image(gateway: &Arc<Deployment>, wanted: &str) -> Option<CheckRow> {
    let pod = gateway.spec.template.spec.as_ref()?;
    let found = pod
        .containers
        .iter()
        .filter_map(|container| container.image.as_deref());
    let mut found = found.filter(|image| is_gateway_image(image) && wanted != *image);
    let text = format!(
        "Deployment {}/{} has the image {}, the operator gives {wanted}: see the operator's log",
        gateway.namespace().unwrap_or_default(),
        gateway.name_any(),
        found.next()?
    );
    Some(CheckRow::failed("images", Problem::WrongImage, text))
}

fn pods(view: &StatusView) -> Vec<CheckRow> {
    const CHECK: &str = "pods";
    let mut rows: Vec<_> = view
        .lagging()
        .map(|text| match text.contains("Secret ") {
            true => CheckRow::failed(CHECK, Problem::UnreadableSecret, text),
            false => CheckRow::failed(CHECK, Problem::LaggingPods, text),
        })
        .collect();
    if rows.is_empty() {
        let text = format!("{} pods serve the latest configuration", view.pods.len());
        rows.push(CheckRow::ok(CHECK, text));
    }
    rows
}

/// The problem that a condition stands for.
pub(super) fn problem_of(reason: &str, message: &str) -> Problem {
    let is = |known: Reason| reason == known.as_str();
    if is(Reason::CountersUnavailable) {
        Problem::UnreachableRedis
    } else if is(Reason::KeySetUnavailable) || is(Reason::BackendUnhealthy) {
        Problem::UnreachableDependency
    } else if is(Reason::SecretNotFound)
        || is(Reason::InvalidMaterial) && message.contains("Secret")
    {
        Problem::UnreadableSecret
    } else if is(Reason::Pending) || is(Reason::NoPods) || is(Reason::Rejected) {
        Problem::LaggingPods
    } else {
        Problem::InvalidObject
    }
}

fn shortened(texts: &[String]) -> String {
    let shown = join(texts.iter().take(SHOWN));
    match texts.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

fn join(texts: impl Iterator<Item = impl Display>) -> String {
    texts
        .map(|text| text.to_string())
        .collect::<Vec<_>>()
        .join(", ")
}

#[cfg(test)]
mod tests;
