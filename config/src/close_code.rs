//! Close codes that may be configured: RFC 6455 §7.4 minus the reserved ones.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// A close code that an endpoint may send: 1000–1003, 1007–1014, 3000–4999.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "u16", into = "u16")]
pub struct CloseCode(u16);

/// A number that an endpoint must not put into a Close frame.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0} is not a close code that may be sent: use 1000-1003, 1007-1014 or 3000-4999")]
pub struct InvalidCloseCode(pub u16);

impl CloseCode {
    /// 1001, "going away".
    pub const GOING_AWAY: Self = Self(1001);
    /// 1008, "policy violation".
    pub const POLICY: Self = Self(1008);

    /// The number as it is sent on the wire.
    pub const fn get(self) -> u16 {
        self.0
    }

    /// Whether an endpoint may send this number (RFC 6455 §7.4; 1012–1014 are registered with
    /// IANA).
    pub const fn is_sendable(code: u16) -> bool {
        matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
    }
}

impl TryFrom<u16> for CloseCode {
    type Error = InvalidCloseCode;

    fn try_from(code: u16) -> Result<Self, Self::Error> {
        if Self::is_sendable(code) {
            Ok(Self(code))
        } else {
            Err(InvalidCloseCode(code))
        }
    }
}

impl From<CloseCode> for u16 {
    fn from(code: CloseCode) -> Self {
        code.0
    }
}

impl JsonSchema for CloseCode {
    fn schema_name() -> Cow<'static, str> {
        "CloseCode".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "integer",
            "minimum": 1000,
            "maximum": 4999,
            "x-kubernetes-validations": [{
                "rule": "self <= 1003 || (self >= 1007 && self <= 1014) || self >= 3000",
                "message": "not a close code that may be sent: use 1000-1003, 1007-1014 or 3000-4999",
            }],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserved_codes_cannot_be_configured() {
        for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 2000, 2999, 5000] {
            assert_eq!(CloseCode::try_from(code), Err(InvalidCloseCode(code)));
        }
        for code in [1000, 1001, 1008, 1014, 3000, 4999] {
            assert_eq!(CloseCode::try_from(code).map(CloseCode::get), Ok(code));
        }
    }
}
