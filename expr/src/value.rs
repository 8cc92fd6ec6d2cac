//! Values: from and to JSON, and how a template prints them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cel::Value;
use cel::objects::{Key, KeyRef, Map, OptionalValue};
use chrono::{DateTime, FixedOffset, SecondsFormat, TimeDelta, Utc};

use crate::registry::address_text;

/// Why a value has no JSON or text form.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConversionError {
    /// JSON cannot express it.
    #[error("{0} has no JSON form")]
    NoJson(&'static str),
    /// It cannot be printed.
    #[error("{0} has no text form")]
    NoText(&'static str),
    /// Bytes that are not UTF-8 text.
    #[error("the bytes are not UTF-8 text")]
    NotUtf8,
}

/// A value from JSON. Whole numbers become int (uint above the range of int), others double.
pub fn from_json(json: serde_json::Value) -> Value {
    use serde_json::Value as Json;
    match json {
        Json::Null => Value::Null,
        Json::Bool(b) => Value::Bool(b),
        Json::Number(n) => match (n.as_i64(), n.as_u64()) {
            (Some(i), _) => Value::Int(i),
            (None, Some(u)) => Value::UInt(u),
            (None, None) => Value::Float(n.as_f64().unwrap_or(f64::NAN)),
        },
        Json::String(s) => Value::String(Arc::new(s)),
        Json::Array(items) => list(items.into_iter().map(from_json).collect()),
        Json::Object(fields) => map(fields.into_iter().map(|(k, v)| (k, from_json(v)))),
    }
}

/// A value as JSON. Bytes become base64, timestamps and durations text, IP addresses and CIDRs text.
///
/// # Errors
///
/// When JSON cannot express the value, or a part of it.
pub fn to_json(value: &Value) -> Result<serde_json::Value, ConversionError> {
    use serde_json::Value as Json;
    Ok(match value {
        Value::Null => Json::Null,
        Value::Bool(b) => Json::Bool(*b),
        Value::Int(i) => Json::from(*i),
        Value::UInt(u) => Json::from(*u),
        Value::Float(f) => match serde_json::Number::from_f64(*f) {
            Some(number) => Json::Number(number),
            None => return Err(ConversionError::NoJson("a double that is not a number")),
        },
        Value::String(s) => Json::String(s.as_str().to_owned()),
        Value::Bytes(b) => Json::String(STANDARD.encode(b.as_slice())),
        Value::List(items) => Json::Array(items.iter().map(to_json).collect::<Result<_, _>>()?),
        Value::Map(fields) => {
            // In order, so that equal values print equally.
            let mut entries: Vec<_> = fields.map.iter().collect();
            entries.sort_unstable_by_key(|(key, _)| *key);
            let json = |(key, value): (&Key, &Value)| Ok((key.to_string(), to_json(value)?));
            Json::Object(entries.into_iter().map(json).collect::<Result<_, _>>()?)
        }
        Value::Timestamp(_) | Value::Duration(_) | Value::Opaque(_) => match scalar_text(value) {
            Some(text) => Json::String(text),
            None => return Err(ConversionError::NoJson(type_name(value))),
        },
        Value::Function(..) => return Err(ConversionError::NoJson(type_name(value))),
    })
}

/// A value as a template prints it: text as it is, null as nothing, lists and maps as JSON.
///
/// # Errors
///
/// When the value has no text form, such as bytes that are not UTF-8.
pub fn to_text(value: &Value) -> Result<String, ConversionError> {
    match value {
        Value::Null => Ok(String::new()),
        Value::String(s) => Ok(s.as_str().to_owned()),
        Value::Bytes(b) => match std::str::from_utf8(b) {
            Ok(text) => Ok(text.to_owned()),
            Err(_) => Err(ConversionError::NotUtf8),
        },
        Value::List(_) | Value::Map(_) => Ok(to_json(value)?.to_string()),
        _ => scalar_text(value).ok_or(ConversionError::NoText(type_name(value))),
    }
}

/// A point in time as the timestamp value that `now` is.
pub fn from_time(time: SystemTime) -> Value {
    Value::Timestamp(DateTime::<Utc>::from(time).fixed_offset())
}

/// The text of what has exactly one: numbers, bools, times, addresses.
pub(crate) fn scalar_text(value: &Value) -> Option<String> {
    match value {
        Value::Bool(b) => Some(b.to_string()),
        Value::Int(i) => Some(i.to_string()),
        Value::UInt(u) => Some(u.to_string()),
        Value::Float(f) => Some(f.to_string()),
        Value::Timestamp(t) => Some(timestamp_text(t)),
        Value::Duration(d) => Some(duration_text(d)),
        Value::Opaque(_) => address_text(value),
        Value::Null
        | Value::String(_)
        | Value::Bytes(_)
        | Value::List(_)
        | Value::Map(_)
        | Value::Function(..) => None,
    }
}

fn timestamp_text(time: &DateTime<FixedOffset>) -> String {
    time.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

/// CEL's form of a duration: seconds with as many decimals as needed, `1.5s`.
fn duration_text(duration: &TimeDelta) -> String {
    let sign = if *duration < TimeDelta::zero() {
        "-"
    } else {
        ""
    };
    let duration = duration.abs();
    let (seconds, nanos) = (duration.num_seconds(), duration.subsec_nanos());
    match nanos {
        0 => format!("{sign}{seconds}s"),
        _ => {
            let decimals = format!("{nanos:09}");
            format!("{sign}{seconds}.{}s", decimals.trim_end_matches('0'))
        }
    }
}

/// The name of a value's type, as users know it from CEL.
pub(crate) fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Int(_) => "int",
        Value::UInt(_) => "uint",
        Value::Float(_) => "double",
        Value::String(_) => "string",
        Value::Bytes(_) => "bytes",
        Value::List(_) => "list",
        Value::Map(_) => "map",
        Value::Timestamp(_) => "timestamp",
        Value::Duration(_) => "duration",
        Value::Function(..) => "function",
        Value::Opaque(opaque) => match opaque.runtime_type_name() {
            "net.IP" => "IP",
            "net.CIDR" => "CIDR",
            "kubernetes.URL" => "URL",
            _ => "optional",
        },
    }
}

pub(crate) fn text(text: impl Into<String>) -> Value {
    Value::String(Arc::new(text.into()))
}

pub(crate) fn list(items: Vec<Value>) -> Value {
    Value::List(Arc::new(items))
}

pub(crate) fn map<K: Into<Key>>(entries: impl IntoIterator<Item = (K, Value)>) -> Value {
    let entries: HashMap<Key, Value> = entries.into_iter().map(|(k, v)| (k.into(), v)).collect();
    Value::Map(Map {
        map: Arc::new(entries),
    })
}

pub(crate) fn optional(value: Option<Value>) -> Value {
    Value::Opaque(Arc::new(match value {
        Some(value) => OptionalValue::of(value),
        None => OptionalValue::none(),
    }))
}

pub(crate) fn as_optional(value: &Value) -> Option<&OptionalValue> {
    match value {
        Value::Opaque(opaque) => opaque.downcast_ref::<OptionalValue>(),
        _ => None,
    }
}

/// A field of a map by its name.
pub(crate) fn field<'a>(map: &'a Map, name: &str) -> Option<&'a Value> {
    map.get(&KeyRef::String(name))
}

#[cfg(test)]
mod tests;
