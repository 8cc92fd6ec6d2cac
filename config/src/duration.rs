//! Go-style durations (`10s`, `1h30m`, `250ms`), as people write them in Kubernetes.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A length of time with a resolution of milliseconds, up to about 290 years, written as in Go:
/// `1h30m`, `10s`, `250ms`, `0`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Duration(std::time::Duration);

/// Why a text is not a [`Duration`].
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum InvalidDuration {
    /// A number is missing, or the text is empty.
    #[error("\"{0}\" is not a duration: write a number and a unit, for example 10s, 1h30m, 250ms")]
    Malformed(String),
    /// No unit `h`, `m`, `s` or `ms` follows a number.
    #[error("\"{0}\" lacks a unit: use h, m, s or ms")]
    Unit(String),
    /// The length is more than about 290 years.
    #[error("\"{0}\" is too long")]
    TooLong(String),
}

impl Duration {
    /// No time at all, which means "off" in most fields.
    pub const ZERO: Self = Self(std::time::Duration::ZERO);

    /// The pattern of its text in schemas.
    pub const PATTERN: &str = r"^(0|([0-9]+(\.[0-9]+)?(h|m|s|ms))+)$";

    /// A length in seconds.
    pub const fn from_secs(seconds: u64) -> Self {
        Self(std::time::Duration::from_secs(seconds))
    }

    /// A length in milliseconds.
    pub const fn from_millis(millis: u64) -> Self {
        Self(std::time::Duration::from_millis(millis))
    }

    /// The length as the standard library's type, in whole milliseconds.
    pub const fn get(self) -> std::time::Duration {
        self.0
    }

    /// Whether the length is zero.
    pub const fn is_zero(self) -> bool {
        self.0.is_zero()
    }

    /// The length, or `None` for zero, which means "off" in most fields.
    pub fn enabled(self) -> Option<std::time::Duration> {
        (!self.is_zero()).then_some(self.0)
    }
}

impl FromStr for Duration {
    type Err = InvalidDuration;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "0" {
            return Ok(Self::ZERO);
        }
        let malformed = || InvalidDuration::Malformed(text.to_owned());
        if text.is_empty() {
            return Err(malformed());
        }
        let mut rest = text;
        let mut millis: f64 = 0.0;
        while !rest.is_empty() {
            let digits = rest
                .find(|c: char| !c.is_ascii_digit() && c != '.')
                .unwrap_or(rest.len());
            let number: f64 = rest[..digits].parse().map_err(|_| malformed())?;
            rest = &rest[digits..];
            let letters = rest
                .find(|c: char| !c.is_ascii_alphabetic())
                .unwrap_or(rest.len());
            let unit = match &rest[..letters] {
                "h" => 3_600_000.0,
                "m" => 60_000.0,
                "s" => 1_000.0,
                "ms" => 1.0,
                _ => return Err(InvalidDuration::Unit(text.to_owned())),
            };
            millis += number * unit;
            rest = &rest[letters..];
        }
        if millis > i64::MAX as f64 / 1e6 {
            return Err(InvalidDuration::TooLong(text.to_owned()));
        }
        Ok(Self::from_millis(millis.round() as u64))
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.as_millis();
        if millis == 0 {
            return f.write_str("0s");
        }
        let units = [(3_600_000, "h"), (60_000, "m"), (1_000, "s"), (1, "ms")];
        let mut rest = millis;
        for (size, unit) in units {
            if rest >= size {
                write!(f, "{}{unit}", rest / size)?;
                rest %= size;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Duration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Duration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Duration {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "maxLength": 32,
            "pattern": Self::PATTERN,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn go_style_texts_are_read_and_written_back() {
        for (text, millis, written) in [
            ("0", 0, "0s"),
            ("0s", 0, "0s"),
            ("10s", 10_000, "10s"),
            ("1h30m", 5_400_000, "1h30m"),
            ("250ms", 250, "250ms"),
            ("1.5s", 1_500, "1s500ms"),
            ("90m", 5_400_000, "1h30m"),
        ] {
            let read: Duration = text.parse().unwrap();
            assert_eq!(read, Duration::from_millis(millis), "{text}");
            assert_eq!(read.to_string(), written, "{text}");
        }
    }

    #[test]
    fn what_is_not_a_duration_is_refused_with_the_cure() {
        for text in [
            "",
            "s",
            "10",
            "10 s",
            "-1s",
            "1d",
            "10s5",
            "1..2s",
            "99999999999h",
        ] {
            assert!(text.parse::<Duration>().is_err(), "{text:?}");
        }
        assert_eq!(
            "10".parse::<Duration>().unwrap_err().to_string(),
            "\"10\" lacks a unit: use h, m, s or ms"
        );
    }
}
