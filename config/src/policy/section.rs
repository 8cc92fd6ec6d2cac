//! Sections: where a step runs, and the steps of a scope.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ErrorStep, InboundStep, OutboundStep, Step};

/// Section of a scope's policies, in which a step runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Section {
    /// Before the backend's handshake.
    Inbound,
    /// After the backend's answer.
    Outbound,
    /// When the handshake is refused.
    OnError,
}

impl Section {
    /// Name of the section in resources.
    pub const fn field(self) -> &'static str {
        match self {
            Self::Inbound => "inbound",
            Self::Outbound => "outbound",
            Self::OnError => "onError",
        }
    }
}

/// Runs the wider scope's steps of the same section at this place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Base {}

/// Policies of one scope. Gateway is the widest scope, then Product, then WebSocketApi.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OnHandshake {
    /// Whether the wider scope's steps run in sections without a `base` step. Default: true.
    #[serde(default = "yes")]
    pub inherit: bool,
    /// Steps before the backend's handshake, at most 32.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("maxItems" = 32))]
    pub inbound: Vec<InboundStep>,
    /// Steps after the backend's answer, at most 32.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("maxItems" = 32))]
    pub outbound: Vec<OutboundStep>,
    /// Steps after a handshake was refused, at most 32.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("maxItems" = 32))]
    pub on_error: Vec<ErrorStep>,
}

impl Default for OnHandshake {
    fn default() -> Self {
        Self {
            inherit: true,
            inbound: Vec::new(),
            outbound: Vec::new(),
            on_error: Vec::new(),
        }
    }
}

impl OnHandshake {
    /// Every step with its section and position.
    pub fn steps(&self) -> impl Iterator<Item = (Section, usize, &dyn Step)> {
        let inbound = self.inbound.iter().enumerate();
        let outbound = self.outbound.iter().enumerate();
        let on_error = self.on_error.iter().enumerate();
        inbound
            .map(|(i, step)| (Section::Inbound, i, step as &dyn Step))
            .chain(outbound.map(|(i, step)| (Section::Outbound, i, step as &dyn Step)))
            .chain(on_error.map(|(i, step)| (Section::OnError, i, step as &dyn Step)))
    }
}

fn yes() -> bool {
    true
}
