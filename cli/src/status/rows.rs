//! What `tidegate status` shows: Gateways, their pods, and objects that are not well. Pure.

use serde::Serialize;

use crate::print::Row;

/// A Gateway.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct GatewayRow {
    pub(crate) namespace: String,
    pub(crate) name: String,
    /// Latest revision of its configuration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) revision: Option<u64>,
    /// Pods that serve it, of all live pods.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) pods: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ready: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) apis: Option<u32>,
    /// `OK`, or the reason of its first condition that is false.
    pub(crate) state: String,
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
pub(crate) enum PodState {
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
pub(crate) struct PodRow {
    pub(crate) namespace: String,
    pub(crate) gateway: String,
    pub(crate) pod: String,
    pub(crate) revision: u64,
    pub(crate) state: PodState,
    /// Why it lags, what it refuses, and what it cannot reach.
    pub(crate) problems: Vec<String>,
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
pub(crate) struct ObjectRow {
    pub(crate) kind: String,
    pub(crate) namespace: String,
    pub(crate) name: String,
    /// Type of the condition that is false.
    pub(crate) condition: String,
    pub(crate) reason: String,
    /// What is wrong, and what to change.
    pub(crate) message: String,
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
