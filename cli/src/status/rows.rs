//! What `tidegate status` shows: Gateways, their pods, and objects that are not well. Pure.

use serde::Serialize;

use crate::print::Row;

/// A Gateway.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct GatewayRow {
    pub(super) namespace: String,
    pub(super) name: String,
    /// Latest revision of its configuration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) revision: Option<u64>,
    /// Pods that serve it, of all live pods.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) pods: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ready: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) apis: Option<u32>,
    /// `OK`, or the reason of its first condition that is false.
    pub(super) state: String,
}

impl Row for GatewayRow {
    const COLUMNS: &'static [&'static str] = &[
        "NAMESPACE",
        "GATEWAY",
        "REVISION",
        "PODS",
        "READY",
        "APIS",
        "STATE",
    ];

    fn cells(&self) -> Vec<String> {
        let number = |number: Option<u64>| number.map(|n| n.to_string()).unwrap_or_default();
        vec![
            self.namespace.clone(),
            self.name.clone(),
            number(self.revision),
            self.pods.clone().unwrap_or_default(),
            number(self.ready.map(u64::from)),
            number(self.apis.map(u64::from)),
            self.state.clone(),
        ]
    }

    fn id(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }

    fn name(&self) -> String {
        format!("gateway.tidegate.dev/{}", self.name)
    }
}

/// How a pod keeps up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum PodState {
    /// It serves the latest revision.
    Current,
    /// It serves an older one.
    Lagging,
    /// It has not been heard of for too long.
    Silent,
}

impl PodState {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Current => "current",
            Self::Lagging => "lagging",
            Self::Silent => "silent",
        }
    }
}

/// A gateway pod.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PodRow {
    pub(super) namespace: String,
    pub(super) gateway: String,
    pub(super) pod: String,
    pub(super) revision: u64,
    pub(super) state: PodState,
    /// Why it lags, what it refuses, and what it cannot reach.
    pub(super) problems: Vec<String>,
}

impl Row for PodRow {
    const COLUMNS: &'static [&'static str] = &[
        "NAMESPACE",
        "GATEWAY",
        "POD",
        "REVISION",
        "STATE",
        "PROBLEM",
    ];

    fn cells(&self) -> Vec<String> {
        vec![
            self.namespace.clone(),
            self.gateway.clone(),
            self.pod.clone(),
            self.revision.to_string(),
            self.state.as_str().to_owned(),
            self.problems.join("; "),
        ]
    }

    fn id(&self) -> String {
        format!("{}/{}", self.namespace, self.pod)
    }

    fn name(&self) -> String {
        format!("pod/{}", self.pod)
    }
}

/// An object that is not well.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ObjectRow {
    pub(super) kind: String,
    pub(super) namespace: String,
    pub(super) name: String,
    /// Type of the condition that is false.
    pub(super) condition: String,
    pub(super) reason: String,
    /// What is wrong, and what to change.
    pub(super) message: String,
}

impl Row for ObjectRow {
    const COLUMNS: &'static [&'static str] = &[
        "KIND",
        "NAMESPACE",
        "NAME",
        "NOT",
        "REASON",
        "WHAT TO CHANGE",
    ];

    const GONE: &'static str = "is well again, or deleted";

    fn cells(&self) -> Vec<String> {
        vec![
            self.kind.clone(),
            self.namespace.clone(),
            self.name.clone(),
            self.condition.clone(),
            self.reason.clone(),
            self.message.clone(),
        ]
    }

    fn id(&self) -> String {
        format!("{} {}/{}", self.kind, self.namespace, self.name)
    }

    fn name(&self) -> String {
        format!("{}.tidegate.dev/{}", self.kind.to_lowercase(), self.name)
    }
}
