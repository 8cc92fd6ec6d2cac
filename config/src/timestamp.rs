//! Points in time, as people write them in Kubernetes: `2026-01-31T00:00:00Z`.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A second in UTC from year 0 to 9999, in seconds since 1970.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// Why a text is not a [`Timestamp`].
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("\"{0}\" is not a time in UTC: write it like 2026-01-31T00:00:00Z")]
pub struct InvalidTimestamp(String);

impl Timestamp {
    /// Azure API Management's first moment: 0001-01-01T00:00:00Z, a Monday.
    pub const FIRST: Self = Self(-62_135_596_800);

    /// Seconds since 1970.
    pub const fn unix_seconds(self) -> i64 {
        self.0
    }
}

/// Days from 1970-01-01 in the Gregorian calendar, counted from a March to have leap days last. A
/// day behind the month's last is one of the next month, so that every text of the schema's
/// pattern is a time.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// The other way.
fn date(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let march = (5 * of_year + 2) / 153;
    let month = if march < 10 { march + 3 } else { march - 9 };
    let year = year + era * 400 + i64::from(month <= 2);
    (year, month, of_year - (153 * march + 2) / 5 + 1)
}

impl FromStr for Timestamp {
    type Err = InvalidTimestamp;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let shape = b"0000-00-00T00:00:00Z";
        let fits = |(have, want): (u8, &u8)| match want {
            b'0' => have.is_ascii_digit(),
            other => have == *other,
        };
        let number = |from: usize, to: usize, most: i64| {
            let number: i64 = text.get(from..to)?.parse().ok()?;
            (number <= most).then_some(number)
        };
        let read = || {
            if text.len() != shape.len() || !text.bytes().zip(shape).all(fits) {
                return None;
            }
            let (year, month) = (number(0, 4, 9999)?, number(5, 7, 12)?);
            let day = number(8, 10, 31)?;
            if month == 0 || day == 0 {
                return None;
            }
            let (hour, minute) = (number(11, 13, 23)?, number(14, 16, 59)?);
            let second = number(17, 19, 59)?;
            Some(days(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second)
        };
        read()
            .map(Self)
            .ok_or_else(|| InvalidTimestamp(text.to_owned()))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = date(self.0.div_euclid(86_400));
        let second = self.0.rem_euclid(86_400);
        let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z"
        )
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
            ("0001-01-01T00:00:00Z", Timestamp::FIRST.0),
            ("2000-02-29T23:59:59Z", 951_868_799),
            ("2026-11-21T16:00:00Z", 1_795_276_800),
            ("1969-12-31T23:59:59Z", -1),
        ] {
            let time: Timestamp = text.parse().unwrap();
            assert_eq!(time.unix_seconds(), seconds, "{text}");
            assert_eq!(time.to_string(), text);
        }
        let leap: Timestamp = "2026-02-30T00:00:00Z".parse().unwrap();
        assert_eq!(leap.to_string(), "2026-03-02T00:00:00Z");
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
            "2026-01-01t00:00:00Z",
        ] {
            let error = text.parse::<Timestamp>().unwrap_err().to_string();
            assert!(error.contains("is not a time"), "{text:?}");
        }
    }
}
