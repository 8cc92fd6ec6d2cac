//! The close codes that the gateway sends: the one table, by cause.

use super::outcome::{Initiator, Side};
use crate::close_cause::CloseCause;

/// RFC 6455 §7.4.1 and IANA's registry.
const GOING_AWAY: u16 = 1001;
const PROTOCOL_ERROR: u16 = 1002;
const POLICY: u16 = 1008;
const TOO_BIG: u16 = 1009;
const INTERNAL: u16 = 1011;
const BAD_GATEWAY: u16 = 1014;

/// The Close for each side; `None`: it gets none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CloseCodes {
    pub(super) client: Option<u16>,
    pub(super) backend: Option<u16>,
}

impl CloseCodes {
    const fn both(client: u16, backend: u16) -> Self {
        Self {
            client: Some(client),
            backend: Some(backend),
        }
    }

    pub(super) const fn to(self, side: Side) -> Option<u16> {
        match side {
            Side::Client => self.client,
            Side::Backend => self.backend,
        }
    }
}

impl CloseCause {
    /// What each side is told. `offender` is who broke a rule; `code` is the configured one of a
    /// drain and of ended access.
    pub(super) fn close_codes(self, offender: Option<Side>, code: Option<u16>) -> CloseCodes {
        let blame = |blamed: u16, other: u16| match offender {
            Some(Side::Backend) => CloseCodes::both(other, blamed),
            Some(Side::Client) | None => CloseCodes::both(blamed, other),
        };
        match self {
            // A peer's own Close is passed through, and when time is up both sockets are cut.
            Self::ClientClosed | Self::BackendClosed | Self::Cut => CloseCodes {
                client: None,
                backend: None,
            },
            Self::ClientLost => CloseCodes {
                client: None,
                backend: Some(GOING_AWAY),
            },
            Self::BackendLost => CloseCodes {
                client: Some(BAD_GATEWAY),
                backend: None,
            },
            Self::Idle
            | Self::MaxDuration
            | Self::PongTimeout
            | Self::Drain
            | Self::ApiChanged
            | Self::ApiRemoved
            | Self::AdminClosed => CloseCodes::both(code.unwrap_or(GOING_AWAY), GOING_AWAY),
            Self::TokenExpired
            | Self::SubscriptionExpired
            | Self::SubscriptionEnded
            | Self::KeyRotated
            | Self::ProductEnded
            | Self::QuotaExceeded => CloseCodes::both(code.unwrap_or(POLICY), GOING_AWAY),
            Self::MessageTooBig => blame(TOO_BIG, GOING_AWAY),
            Self::MessageRate | Self::ByteRate | Self::WriteStall => blame(POLICY, GOING_AWAY),
            Self::ProtocolViolation if offender == Some(Side::Backend) => {
                CloseCodes::both(BAD_GATEWAY, PROTOCOL_ERROR)
            }
            Self::ProtocolViolation => CloseCodes::both(PROTOCOL_ERROR, GOING_AWAY),
            Self::Fault => CloseCodes::both(INTERNAL, INTERNAL),
        }
    }

    /// Does a peer that takes nothing have `closeTimeout` only, and not `writeStall`? So it is for whom
    /// access was taken from, who broke a rule or does not answer, and behind a client that is gone.
    pub(super) const fn is_strict(self) -> bool {
        !matches!(
            self,
            Self::ClientClosed
                | Self::BackendClosed
                | Self::BackendLost
                | Self::Idle
                | Self::MaxDuration
                | Self::Drain
                | Self::ApiChanged
                | Self::ApiRemoved
        )
    }

    /// Who ended it.
    pub(super) const fn initiator(self) -> Initiator {
        match self {
            Self::ClientClosed | Self::ClientLost => Initiator::Client,
            Self::BackendClosed | Self::BackendLost => Initiator::Backend,
            _ => Initiator::Gateway,
        }
    }

    /// As metric label and log field.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ClientClosed => "client_closed",
            Self::BackendClosed => "backend_closed",
            Self::ClientLost => "client_lost",
            Self::BackendLost => "backend_lost",
            Self::Idle => "idle",
            Self::MaxDuration => "max_duration",
            Self::PongTimeout => "pong_timeout",
            Self::Drain => "drain",
            Self::ApiChanged => "api_changed",
            Self::ApiRemoved => "api_removed",
            Self::AdminClosed => "admin_closed",
            Self::TokenExpired => "token_expired",
            Self::SubscriptionExpired => "subscription_expired",
            Self::SubscriptionEnded => "subscription_ended",
            Self::KeyRotated => "key_rotated",
            Self::ProductEnded => "product_ended",
            Self::MessageTooBig => "message_too_big",
            Self::MessageRate => "message_rate",
            Self::ByteRate => "byte_rate",
            Self::QuotaExceeded => "quota_exceeded",
            Self::WriteStall => "write_stall",
            Self::ProtocolViolation => "protocol_violation",
            Self::Cut => "cut",
            Self::Fault => "fault",
        }
    }

    /// The reason in our Close frames.
    pub(super) const fn text(self) -> &'static str {
        match self {
            Self::ClientClosed | Self::BackendClosed => "",
            Self::ClientLost => "client lost",
            Self::BackendLost => "backend lost",
            Self::Idle => "idle",
            Self::MaxDuration => "maximum duration reached",
            Self::PongTimeout => "no answer to a ping",
            Self::Drain => "gateway is going away",
            Self::ApiChanged => "API changed",
            Self::ApiRemoved => "API removed",
            Self::AdminClosed => "closed by an administrator",
            Self::TokenExpired => "token expired",
            Self::SubscriptionExpired => "subscription expired",
            Self::SubscriptionEnded => "subscription ended",
            Self::KeyRotated => "subscription key is no longer valid",
            Self::ProductEnded => "product is no longer available",
            Self::MessageTooBig => "message too big",
            Self::MessageRate => "message rate exceeded",
            Self::ByteRate => "byte rate exceeded",
            Self::QuotaExceeded => "quota exceeded",
            Self::WriteStall => "nothing was read for too long",
            Self::ProtocolViolation => "protocol violation",
            Self::Cut => "cut",
            Self::Fault => "internal error",
        }
    }
}

#[cfg(test)]
mod tests {
    use tidegate_config::CloseCode;

    use super::*;
    use CloseCause as C;

    /// Cause, who broke the rule, configured code, code to the client, code to the backend.
    type Row = (C, Option<Side>, Option<u16>, Option<u16>, Option<u16>);

    const CLIENT: Option<Side> = Some(Side::Client);
    const BACKEND: Option<Side> = Some(Side::Backend);

    const TABLE: &[Row] = &[
        (C::ClientClosed, None, None, None, None),
        (C::BackendClosed, None, None, None, None),
        (C::ClientLost, None, None, None, Some(1001)),
        (C::BackendLost, None, None, Some(1014), None),
        (C::Idle, None, None, Some(1001), Some(1001)),
        (C::MaxDuration, None, None, Some(1001), Some(1001)),
        (C::PongTimeout, CLIENT, None, Some(1001), Some(1001)),
        (C::Drain, None, Some(1012), Some(1012), Some(1001)),
        (C::ApiChanged, None, None, Some(1001), Some(1001)),
        (C::ApiRemoved, None, None, Some(1001), Some(1001)),
        (C::TokenExpired, None, None, Some(1008), Some(1001)),
        (C::TokenExpired, None, Some(4001), Some(4001), Some(1001)),
        (C::SubscriptionExpired, None, None, Some(1008), Some(1001)),
        (C::SubscriptionEnded, None, None, Some(1008), Some(1001)),
        (C::KeyRotated, None, None, Some(1008), Some(1001)),
        (C::ProductEnded, None, None, Some(1008), Some(1001)),
        (C::QuotaExceeded, None, None, Some(1008), Some(1001)),
        (C::MessageTooBig, CLIENT, None, Some(1009), Some(1001)),
        (C::MessageTooBig, BACKEND, None, Some(1001), Some(1009)),
        (C::MessageRate, CLIENT, None, Some(1008), Some(1001)),
        (C::MessageRate, BACKEND, None, Some(1001), Some(1008)),
        (C::ByteRate, CLIENT, None, Some(1008), Some(1001)),
        (C::WriteStall, CLIENT, None, Some(1008), Some(1001)),
        (C::ProtocolViolation, CLIENT, None, Some(1002), Some(1001)),
        (C::ProtocolViolation, BACKEND, None, Some(1014), Some(1002)),
        (C::Fault, None, None, Some(1011), Some(1011)),
        (C::Cut, None, None, None, None),
    ];

    #[test]
    fn every_cause_has_its_codes() {
        for &(cause, offender, code, client, backend) in TABLE {
            let codes = cause.close_codes(offender, code);
            assert_eq!(
                codes,
                CloseCodes { client, backend },
                "{cause:?} {offender:?}"
            );
            for code in [client, backend].into_iter().flatten() {
                assert!(CloseCode::is_sendable(code), "{cause:?} {code}");
            }
        }
    }
}
