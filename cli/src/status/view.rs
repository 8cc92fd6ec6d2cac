//! From objects and acknowledgements to what is shown. Pure.

use std::collections::BTreeMap;

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt as _;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tidegate_api::{ConditionType, Gateway};
use tidegate_config::{
    ANNOTATION_CONFIG_ERROR, ANNOTATION_REJECTED, ANNOTATION_REVISION, ANNOTATION_UNREACHABLE,
    LABEL_GATEWAY, ObjectKey, Rejected, Unreachable,
};

use super::rows::{GatewayRow, ObjectRow, PodRow, PodState};

/// After so many seconds without a renewal a pod counts as silent: the operator counts it as gone soon after.
const SILENT_SECONDS: i64 = 40;

/// A pod that was silent for so many seconds is gone.
const GONE_SECONDS: i64 = 120;

/// What is shown.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct View {
    pub(crate) gateways: Vec<GatewayRow>,
    pub(crate) pods: Vec<PodRow>,
    /// Only those that are not well.
    pub(crate) objects: Vec<ObjectRow>,
    /// Some manifests could not be read; what they are is said elsewhere.
    #[serde(skip)]
    pub(crate) is_incomplete: bool,
}

/// An object of any kind, as far as it matters here.
#[derive(Clone, Debug)]
pub(crate) struct ObjectState {
    pub(crate) kind: &'static str,
    pub(crate) key: ObjectKey,
    pub(crate) generation: Option<i64>,
    pub(crate) observed: Option<i64>,
    pub(crate) conditions: Vec<Condition>,
    /// It is meant to be served nowhere.
    pub(crate) is_off: bool,
}

impl View {
    /// Is nothing wrong?
    pub(crate) fn is_well(&self) -> bool {
        let mut pods = self.pods.iter();
        !self.is_incomplete
            && self.objects.is_empty()
            && pods.all(|pod| pod.state == PodState::Current && pod.problems.is_empty())
    }

    /// What is wrong with each pod that does not serve the latest configuration.
    pub(crate) fn lagging(&self) -> impl Iterator<Item = String> {
        let pods = self.pods.iter();
        let lagging = pods.filter(|pod| pod.state != PodState::Current);
        lagging.map(|pod| {
            let cells = crate::print::Row::cells(pod);
            let why = match pod.problems.is_empty() {
                true => "see its log".to_owned(),
                false => pod.problems.join("; "),
            };
            format!(
                "pod {}/{} of Gateway {} serves revision {} ({}): {why}",
                pod.namespace, pod.pod, pod.gateway, pod.revision, cells[4]
            )
        })
    }

    pub(crate) fn sort(&mut self) {
        self.gateways.sort_by_key(crate::print::Row::id);
        self.pods.sort_by_key(crate::print::Row::id);
        self.objects.sort_by_key(crate::print::Row::id);
    }
}

/// A Gateway of a cluster.
pub(crate) fn gateway(gateway: &Gateway, state: &ObjectState) -> GatewayRow {
    let status = gateway.status.clone().unwrap_or_default();
    GatewayRow {
        namespace: state.key.namespace.clone(),
        name: state.key.name.clone(),
        revision: status.revision,
        pods: status.pods.as_ref().map(|pods| pods.summary.clone()),
        ready: status.pods.as_ref().map(|pods| pods.ready),
        apis: status.apis,
        state: flaw(state).map_or_else(|| "OK".to_owned(), |row| row.reason),
    }
}

/// The first thing that is wrong with an object.
pub(crate) fn flaw(object: &ObjectState) -> Option<ObjectRow> {
    let row = |condition: &str, reason: &str, message: String| ObjectRow {
        kind: object.kind.to_owned(),
        namespace: object.key.namespace.clone(),
        name: object.key.name.clone(),
        condition: condition.to_owned(),
        reason: reason.to_owned(),
        message,
    };
    if object.observed < object.generation {
        let text = "the operator has not seen this version; see tidegate check";
        return Some(row("observed", "NotObserved", text.to_owned()));
    }
    let is_false = |found: &&Condition| {
        found.status == "False" && !(object.is_off && found.type_ == "Programmed")
    };
    let wrong = object.conditions.iter().filter(is_false);
    // What is missing is often the cause of what is not accepted.
    let found = wrong.min_by_key(|found| found.type_ != ConditionType::ResolvedRefs.as_str())?;
    Some(row(&found.type_, &found.reason, found.message.clone()))
}

/// An object that is not valid as it is in its file.
pub(crate) fn broken(kind: &str, key: &ObjectKey, message: String) -> ObjectRow {
    ObjectRow {
        kind: kind.to_owned(),
        namespace: key.namespace.clone(),
        name: key.name.clone(),
        condition: "valid".to_owned(),
        reason: "Invalid".to_owned(),
        message,
    }
}

/// A pod, by its Lease; `latest` are the revisions of all Gateways. `None`: it is long gone.
pub(crate) fn pod(
    lease: &Lease,
    latest: &BTreeMap<ObjectKey, u64>,
    now: Timestamp,
) -> Option<PodRow> {
    let namespace = lease.namespace().unwrap_or_default();
    let gateway = lease.labels().get(LABEL_GATEWAY)?.clone();
    let spec = lease.spec.as_ref()?;
    let age = now.as_second() - spec.renew_time.as_ref()?.0.as_second();
    if age > GONE_SECONDS {
        return None;
    }
    let revision = lease.annotations().get(ANNOTATION_REVISION);
    let revision = revision
        .and_then(|text| text.parse().ok())
        .unwrap_or_default();
    let wanted = latest.get(&ObjectKey::new(&namespace, &gateway));
    let mut problems = problems(lease);
    let state = if age > SILENT_SECONDS {
        problems.insert(0, format!("not heard of for {age} s"));
        PodState::Silent
    } else if wanted.is_some_and(|wanted| revision < *wanted) {
        PodState::Lagging
    } else {
        PodState::Current
    };
    Some(PodRow {
        namespace,
        gateway,
        pod: lease.name_any(),
        revision,
        state,
        problems,
    })
}

/// What a pod says is wrong.
fn problems(lease: &Lease) -> Vec<String> {
    let text = |name: &str| lease.annotations().get(name);
    let rejected: Vec<Rejected> = parsed(text(ANNOTATION_REJECTED));
    let unreachable: Vec<Unreachable> = parsed(text(ANNOTATION_UNREACHABLE));
    let error = text(ANNOTATION_CONFIG_ERROR).cloned().into_iter();
    let rejected = rejected.into_iter();
    let rejected = rejected.map(|of| format!("rejects {} {}: {}", of.kind, of.key, of.message));
    let unreachable = unreachable.into_iter();
    let unreachable = unreachable.map(|of| {
        format!(
            "cannot reach {} since {}: {}",
            of.place, of.since, of.message
        )
    });
    error.chain(rejected).chain(unreachable).collect()
}

/// What cannot be parsed says nothing: a pod may write anything here.
fn parsed<T: DeserializeOwned>(text: Option<&String>) -> Vec<T> {
    text.and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests;
