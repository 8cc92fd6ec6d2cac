//! Timestamps and durations.

use cel::Value;
use chrono::{DateTime, TimeDelta, Utc};

use super::{Call, Overload};
use crate::error::Fault;
use crate::types::Type;

const TIME: Type = Type::Timestamp;
const SPAN: Type = Type::Duration;

pub(super) const OVERLOADS: &[Overload] = &[
    Overload::foreign("timestamp", &[Type::Text], TIME),
    Overload::global("timestamp", &[Type::Int], TIME, from_unix_seconds),
    Overload::global("timestamp", &[TIME], TIME, same),
    Overload::global("duration", &[Type::Text], SPAN, duration),
    Overload::global("duration", &[SPAN], SPAN, same),
    Overload::foreign("getFullYear", &[TIME], Type::Int).method(),
    Overload::foreign("getMonth", &[TIME], Type::Int).method(),
    Overload::foreign("getDate", &[TIME], Type::Int).method(),
    Overload::foreign("getDayOfMonth", &[TIME], Type::Int).method(),
    Overload::foreign("getDayOfWeek", &[TIME], Type::Int).method(),
    Overload::foreign("getDayOfYear", &[TIME], Type::Int).method(),
    Overload::foreign("getHours", &[TIME], Type::Int).method(),
    Overload::foreign("getMinutes", &[TIME], Type::Int).method(),
    Overload::foreign("getSeconds", &[TIME], Type::Int).method(),
    Overload::foreign("getMilliseconds", &[TIME], Type::Int).method(),
    Overload::global("getHours", &[SPAN], Type::Int, hours).method(),
    Overload::global("getMinutes", &[SPAN], Type::Int, minutes).method(),
    Overload::global("getSeconds", &[SPAN], Type::Int, seconds).method(),
    Overload::global("getMilliseconds", &[SPAN], Type::Int, milliseconds).method(),
];

fn same(call: &mut Call<'_>) -> Result<Value, Fault> {
    call.value(0).cloned()
}

fn from_unix_seconds(call: &mut Call<'_>) -> Result<Value, Fault> {
    /// The years that a timestamp's text can show, 0001 to 9999, as CEL wants it.
    const YEARS: std::ops::RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;
    let seconds = call.int(0)?;
    match DateTime::<Utc>::from_timestamp(seconds, 0) {
        Some(time) if YEARS.contains(&seconds) => Ok(Value::Timestamp(time.fixed_offset())),
        _ => Err(Fault::new("timestamp: out of range")),
    }
}

/// Go's form: `1h30m`, `1.5s`, `-250ms`.
fn duration(call: &mut Call<'_>) -> Result<Value, Fault> {
    match parse_duration(call.text(0)?) {
        Some(duration) => Ok(Value::Duration(duration)),
        None => Err(Fault::new(
            "duration: not of the form 1h30m, 90s, 1.5s or 250ms",
        )),
    }
}

fn parse_duration(text: &str) -> Option<TimeDelta> {
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(TimeDelta::zero());
    }
    if rest.is_empty() {
        return None;
    }
    let mut nanos = 0_i64;
    while !rest.is_empty() {
        let (part, after) = parse_part(rest)?;
        nanos = nanos.checked_add(part)?;
        rest = after;
    }
    Some(TimeDelta::nanoseconds(sign * nanos))
}

/// One number with its unit, in nanoseconds.
fn parse_part(text: &str) -> Option<(i64, &str)> {
    const UNITS: [(&str, i64); 7] = [
        ("ns", 1),
        ("us", 1_000),
        ("µs", 1_000),
        ("ms", 1_000_000),
        ("s", 1_000_000_000),
        ("m", 60_000_000_000),
        ("h", 3_600_000_000_000),
    ];
    let number_end = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (number, rest) = text.split_at(number_end);
    let (unit, nanos) = UNITS.iter().find(|(unit, _)| rest.starts_with(unit))?;
    let (whole, decimals) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && decimals.is_empty() {
        return None;
    }
    let whole: i64 = if whole.is_empty() {
        0
    } else {
        whole.parse().ok()?
    };
    let mut sum = whole.checked_mul(*nanos)?;
    let mut scale = *nanos;
    for digit in decimals.chars() {
        scale /= 10;
        sum = sum.checked_add(i64::from(digit.to_digit(10)?) * scale)?;
    }
    Some((sum, &rest[unit.len()..]))
}

fn span(call: &Call<'_>) -> Result<TimeDelta, Fault> {
    match call.value(0)? {
        Value::Duration(duration) => Ok(*duration),
        _ => Err(Fault::new("not a duration")),
    }
}

fn hours(call: &mut Call<'_>) -> Result<Value, Fault> {
    Ok(Value::Int(span(call)?.num_hours()))
}

fn minutes(call: &mut Call<'_>) -> Result<Value, Fault> {
    Ok(Value::Int(span(call)?.num_minutes()))
}

fn seconds(call: &mut Call<'_>) -> Result<Value, Fault> {
    Ok(Value::Int(span(call)?.num_seconds()))
}

fn milliseconds(call: &mut Call<'_>) -> Result<Value, Fault> {
    Ok(Value::Int(span(call)?.num_milliseconds()))
}
