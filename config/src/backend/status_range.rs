//! Statuses as users write them: `429` or `500-599`.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

const EXPECTED: &str = "a status such as 429, or a range such as 500-599";

/// A status, or a range of them with its first and last one. A range that ends before it begins has no
/// status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatusRange {
    /// The first status.
    pub first: u16,
    /// The last status.
    pub last: u16,
}

impl StatusRange {
    /// Is this status in the range?
    pub const fn contains(self, status: u16) -> bool {
        self.first <= status && status <= self.last
    }

    fn parse(text: &str) -> Option<Self> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        Some(Self {
            first: first.parse().ok()?,
            last: last.parse().ok()?,
        })
    }
}

impl From<u16> for StatusRange {
    fn from(status: u16) -> Self {
        Self {
            first: status,
            last: status,
        }
    }
}

impl fmt::Display for StatusRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self { first, last } if first == last => write!(f, "{first}"),
            Self { first, last } => write!(f, "{first}-{last}"),
        }
    }
}

impl Serialize for StatusRange {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.first == self.last {
            true => serializer.serialize_u16(self.first),
            false => serializer.collect_str(self),
        }
    }
}

impl<'de> Deserialize<'de> for StatusRange {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Statuses;
        impl Visitor<'_> for Statuses {
            type Value = StatusRange;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(EXPECTED)
            }

            fn visit_u64<E: Error>(self, status: u64) -> Result<StatusRange, E> {
                let range = u16::try_from(status).map(StatusRange::from);
                range.map_err(|_| E::invalid_value(Unexpected::Unsigned(status), &self))
            }

            fn visit_i64<E: Error>(self, status: i64) -> Result<StatusRange, E> {
                let range = u16::try_from(status).map(StatusRange::from);
                range.map_err(|_| E::invalid_value(Unexpected::Signed(status), &self))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<StatusRange, E> {
                let range = StatusRange::parse(text);
                range.ok_or_else(|| E::invalid_value(Unexpected::Str(text), &self))
            }
        }
        deserializer.deserialize_any(Statuses)
    }
}

impl JsonSchema for StatusRange {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "StatusRange".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        // Bounds are for numbers, the pattern is for text.
        json_schema!({
            "x-kubernetes-int-or-string": true,
            "minimum": 400,
            "maximum": 599,
            "pattern": "^[45][0-9]{2}(-[45][0-9]{2})?$",
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_status_is_a_number_or_a_range() {
        for (text, inside, outside, written) in [
            (json!(429), &[429][..], &[428, 430][..], json!(429)),
            (json!("503"), &[503], &[502], json!(503)),
            (
                json!("500-599"),
                &[500, 550, 599],
                &[499, 600],
                json!("500-599"),
            ),
            (json!("599-500"), &[], &[500, 599], json!("599-500")),
        ] {
            let range: StatusRange = serde_json::from_value(text.clone()).unwrap();
            assert!(
                inside.iter().all(|status| range.contains(*status)),
                "{text}"
            );
            assert!(
                !outside.iter().any(|status| range.contains(*status)),
                "{text}"
            );
            assert_eq!(serde_json::to_value(range).unwrap(), written);
        }
    }

    #[test]
    fn what_is_no_status_says_what_one_is() {
        for bad in [
            json!(-1),
            json!(70000),
            json!("5xx"),
            json!("500-"),
            json!(null),
        ] {
            let error = serde_json::from_value::<StatusRange>(bad.clone()).unwrap_err();
            assert!(error.to_string().contains(EXPECTED), "{bad}: {error}");
        }
    }
}
