//! Points in time, as people write them in Kubernetes: `2026-01-31T00:00:00Z`.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use jiff::ToSpan;
use jiff::civil::{Date, DateTime, Time};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A second in UTC, from 0000-01-01T00:00:00Z to 9999-12-31T23:59:59Z.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(DateTime);

/// Why a text is not a [`Timestamp`].
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("\"{0}\" is not a time in UTC: write it like 2026-01-31T00:00:00Z")]
pub struct InvalidTimestamp(String);

impl Timestamp {
    /// Azure API Management's first moment: 0001-01-01T00:00:00Z, a Monday.
    pub const FIRST: Self = Self(DateTime::constant(1, 1, 1, 0, 0, 0, 0));

    /// Seconds since 1970-01-01T00:00:00Z; negative before.
    pub fn unix_seconds(self) -> i64 {
        let epoch = DateTime::constant(1970, 1, 1, 0, 0, 0, 0);
        self.0.duration_since(epoch).as_secs()
    }

    /// Reads what the schema's pattern describes. The day may be one that its month does not have: it
    /// is a day of the next month then, so that every text of the pattern is a time.
    fn read(text: &str) -> Option<Self> {
        const SHAPE: &[u8] = b"0000-00-00T00:00:00Z";
        let fits = |(have, want): (u8, &u8)| match want {
            b'0' => have.is_ascii_digit(),
            other => have == *other,
        };
        if text.len() != SHAPE.len() || !text.bytes().zip(SHAPE).all(fits) {
            return None;
        }
        let number = |at: Range<usize>| text.get(at)?.parse::<i8>().ok();
        let year = text.get(..4)?.parse().ok()?;
        let day = number(8..10).filter(|day| (1..=31).contains(day))?;
        let month = Date::new(year, number(5..7)?, 1).ok()?;
        let date = month.checked_add(i64::from(day - 1).days()).ok()?;
        let time = Time::new(number(11..13)?, number(14..16)?, number(17..19)?, 0);
        Some(Self(date.to_datetime(time.ok()?)))
    }
}

impl FromStr for Timestamp {
    type Err = InvalidTimestamp;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::read(text).ok_or_else(|| InvalidTimestamp(text.to_owned()))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A year from 0 to 9999 has four digits.
        write!(f, "{}Z", self.0)
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Timestamp {
    fn schema_name() -> Cow<'static, str> {
        "Timestamp".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "maxLength": 20,
            "pattern": "^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]Z$",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_and_written_back() {
        for (text, seconds) in [
            ("1970-01-01T00:00:00Z", 0),
            ("1969-12-31T23:59:59Z", -1),
            ("0001-01-01T00:00:00Z", Timestamp::FIRST.unix_seconds()),
            ("0001-01-01T00:00:00Z", -62_135_596_800),
            ("0000-01-01T00:00:00Z", -62_167_219_200),
            ("0000-02-29T12:00:00Z", -62_162_078_400),
            ("2000-02-29T23:59:59Z", 951_868_799),
            ("2024-02-29T00:00:00Z", 1_709_164_800),
            ("2026-11-21T16:00:00Z", 1_795_276_800),
            ("9999-12-31T23:59:59Z", 253_402_300_799),
        ] {
            let time: Timestamp = text.parse().unwrap();
            assert_eq!(time.unix_seconds(), seconds, "{text}");
            assert_eq!(time.to_string(), text);
        }
    }

    #[test]
    fn a_day_that_its_month_does_not_have_is_one_of_the_next_month() {
        for (text, written) in [
            ("2026-02-29T00:00:00Z", "2026-03-01T00:00:00Z"),
            ("2026-02-30T00:00:00Z", "2026-03-02T00:00:00Z"),
            ("2024-02-30T00:00:00Z", "2024-03-01T00:00:00Z"),
            ("1900-02-29T00:00:00Z", "1900-03-01T00:00:00Z"),
            ("2026-04-31T23:59:59Z", "2026-05-01T23:59:59Z"),
        ] {
            let time: Timestamp = text.parse().unwrap();
            assert_eq!(time.to_string(), written, "{text}");
        }
    }

    #[test]
    fn every_day_of_four_centuries_follows_the_one_before() {
        let first: Timestamp = "1800-01-01T00:00:00Z".parse().unwrap();
        let mut before = first.unix_seconds() - 86_400;
        for year in 1800..2200 {
            for month in 1..=12 {
                for day in 1..=31 {
                    let text = format!("{year:04}-{month:02}-{day:02}T00:00:00Z");
                    let time: Timestamp = text.parse().unwrap();
                    // Others are days of the next month.
                    if time.to_string() == text {
                        assert_eq!(time.unix_seconds(), before + 86_400, "{text}");
                        before = time.unix_seconds();
                    }
                }
            }
        }
        assert_eq!(before - first.unix_seconds(), (146_097 - 1) * 86_400);
    }

    #[test]
    fn what_is_not_a_time_is_refused_with_the_cure() {
        for text in [
            "",
            "2026-01-31",
            "2026-01-31T00:00:00",
            "2026-01-31T00:00:00+01:00",
            "2026-13-01T00:00:00Z",
            "2026-00-01T00:00:00Z",
            "2026-01-32T00:00:00Z",
            "2026-01-01T24:00:00Z",
            "2026-01-00T00:00:00Z",
            "2026-01-01T00:60:00Z",
            "2026-01-01t00:00:00Z",
            "2026-01-01T00:00:00z",
            "2026-01-01 00:00:00Z",
            // A leap second, a fraction, an offset, a fifth digit and a sign.
            "2026-06-30T23:59:60Z",
            "2026-01-01T00:00:00.5Z",
            "2026-01-01T00:00:00+00",
            "10000-01-01T00:00:00Z",
            "-001-01-01T00:00:00Z",
            "+026-01-01T00:00:00Z",
            "2026-+1-01T00:00:00Z",
            "２026-01-01T00:00:00Z",
        ] {
            let error = text.parse::<Timestamp>().unwrap_err().to_string();
            assert!(error.contains("is not a time"), "{text:?}");
        }
    }
}
