//! The stages of a connection's life, with one name each: what Azure API Management's log of
//! WebSocket connections calls its events. `docs/logs.md` lists them; a test compares.

use crate::refusal::{Origin, Reason, Refusal};
use tidegate_tunnel::close_cause::CloseCause;

/// A stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    HandshakeReceived,
    HandshakeRejected,
    PolicyRejected,
    BackendConnecting,
    BackendAccepted,
    BackendRejected,
    Established,
    ClientClosed,
    BackendClosed,
    ClientLost,
    BackendLost,
    IdleTimeout,
    MaxDuration,
    PongTimeout,
    MessageTooBig,
    RateExceeded,
    WriteStall,
    ProtocolViolation,
    AccessEnded,
    ApiChanged,
    AdminClosed,
    GatewayDraining,
    Error,
}

impl Stage {
    /// All of them, in the order of the documentation.
    #[cfg(test)]
    const ALL: [Self; 23] = [
        Self::HandshakeReceived,
        Self::HandshakeRejected,
        Self::PolicyRejected,
        Self::BackendConnecting,
        Self::BackendAccepted,
        Self::BackendRejected,
        Self::Established,
        Self::ClientClosed,
        Self::BackendClosed,
        Self::ClientLost,
        Self::BackendLost,
        Self::IdleTimeout,
        Self::MaxDuration,
        Self::PongTimeout,
        Self::MessageTooBig,
        Self::RateExceeded,
        Self::WriteStall,
        Self::ProtocolViolation,
        Self::AccessEnded,
        Self::ApiChanged,
        Self::AdminClosed,
        Self::GatewayDraining,
        Self::Error,
    ];

    /// How a handshake ended that has no tunnel.
    pub(super) fn of_refusal(refusal: &Refusal) -> Self {
        match (refusal.reason, refusal.origin) {
            (Reason::ClientGone, _) => Self::ClientLost,
            (Reason::Draining, _) => Self::GatewayDraining,
            (Reason::BackendRefused, _) => Self::BackendRejected,
            (reason, _) if reason.is_failure() => Self::Error,
            (_, Origin::Policy) => Self::PolicyRejected,
            _ => Self::HandshakeRejected,
        }
    }

    /// How a tunnel ended.
    pub(super) const fn of_close(cause: CloseCause) -> Self {
        match cause {
            CloseCause::ClientClosed => Self::ClientClosed,
            CloseCause::BackendClosed => Self::BackendClosed,
            CloseCause::ClientLost => Self::ClientLost,
            CloseCause::BackendLost => Self::BackendLost,
            CloseCause::Idle => Self::IdleTimeout,
            CloseCause::MaxDuration => Self::MaxDuration,
            CloseCause::PongTimeout => Self::PongTimeout,
            CloseCause::Drain => Self::GatewayDraining,
            CloseCause::ApiChanged | CloseCause::ApiRemoved => Self::ApiChanged,
            CloseCause::AdminClosed => Self::AdminClosed,
            CloseCause::TokenExpired
            | CloseCause::SubscriptionExpired
            | CloseCause::SubscriptionEnded
            | CloseCause::KeyRotated
            | CloseCause::ProductEnded => Self::AccessEnded,
            CloseCause::MessageTooBig => Self::MessageTooBig,
            CloseCause::MessageRate | CloseCause::ByteRate | CloseCause::QuotaExceeded => {
                Self::RateExceeded
            }
            CloseCause::WriteStall => Self::WriteStall,
            CloseCause::ProtocolViolation => Self::ProtocolViolation,
            CloseCause::Cut | CloseCause::Fault => Self::Error,
        }
    }

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::HandshakeReceived => "HandshakeReceived",
            Self::HandshakeRejected => "HandshakeRejected",
            Self::PolicyRejected => "PolicyRejected",
            Self::BackendConnecting => "BackendConnecting",
            Self::BackendAccepted => "BackendAccepted",
            Self::BackendRejected => "BackendRejected",
            Self::Established => "Established",
            Self::ClientClosed => "ClientClosed",
            Self::BackendClosed => "BackendClosed",
            Self::ClientLost => "ClientLost",
            Self::BackendLost => "BackendLost",
            Self::IdleTimeout => "IdleTimeout",
            Self::MaxDuration => "MaxDuration",
            Self::PongTimeout => "PongTimeout",
            Self::MessageTooBig => "MessageTooBig",
            Self::RateExceeded => "RateExceeded",
            Self::WriteStall => "WriteStall",
            Self::ProtocolViolation => "ProtocolViolation",
            Self::AccessEnded => "AccessEnded",
            Self::ApiChanged => "ApiChanged",
            Self::AdminClosed => "AdminClosed",
            Self::GatewayDraining => "GatewayDraining",
            Self::Error => "Error",
        }
    }

    /// Who acts, and on whom.
    const fn ends(self) -> (&'static str, &'static str) {
        match self {
            Self::HandshakeReceived => ("client", "gateway"),
            Self::BackendConnecting => ("gateway", "backend"),
            Self::BackendAccepted => ("backend", "gateway"),
            Self::BackendRejected | Self::BackendClosed | Self::BackendLost => {
                ("backend", "client")
            }
            Self::ClientClosed | Self::ClientLost => ("client", "backend"),
            _ => ("gateway", "client"),
        }
    }

    pub(super) const fn source(self) -> &'static str {
        self.ends().0
    }

    pub(super) const fn destination(self) -> &'static str {
        self.ends().1
    }

    /// Tells of a stage within a handshake. The lines of its end and of the tunnel's end have the
    /// others.
    pub(super) fn tell(self, id: &str, backend: Option<&str>) {
        tracing::debug!(
            target: "tidegate::connection",
            event = "connection",
            name = self.as_str(),
            from = self.source(),
            to = self.destination(),
            id,
            backend,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documentation_lists_every_stage_and_no_other() {
        let page = include_str!("../../../../docs/logs.md");
        let (_, page) = page.split_once("# Stages").expect("a heading");
        let rows = page.lines().filter_map(|line| line.strip_prefix("| `"));
        let rows = rows.take(Stage::ALL.len() + 1).map(|row| {
            let cells: Vec<&str> = row
                .split('|')
                .map(|cell| cell.trim().trim_matches('`'))
                .collect();
            (cells[0], cells[1])
        });
        let known = Stage::ALL.map(|stage| {
            let way = format!("{} → {}", stage.source(), stage.destination());
            (stage.as_str(), way)
        });
        let rows: Vec<(&str, String)> = rows.map(|(name, way)| (name, way.to_owned())).collect();
        assert_eq!(rows[..Stage::ALL.len()], known);
    }

    #[test]
    fn a_refusal_is_named_by_who_said_no() {
        for (reason, origin, name) in [
            (Reason::RouteNotFound, Origin::Client, "HandshakeRejected"),
            (
                Reason::SubscriptionKeyInvalid,
                Origin::Client,
                "HandshakeRejected",
            ),
            (Reason::GatewayFull, Origin::Gateway, "HandshakeRejected"),
            (Reason::Draining, Origin::Gateway, "GatewayDraining"),
            (Reason::TokenExpired, Origin::Policy, "PolicyRejected"),
            (Reason::ExpressionFailed, Origin::Policy, "Error"),
            (Reason::BackendRefused, Origin::Backend, "BackendRejected"),
            (Reason::BackendTimeout, Origin::Backend, "Error"),
            (Reason::ClientGone, Origin::Client, "ClientLost"),
        ] {
            let stage = Stage::of_refusal(&Refusal::new(500, reason, origin, ""));
            assert_eq!(stage.as_str(), name, "{reason:?}");
        }
    }
}
