//! Conversions between types.

use cel::Value;

use super::{Call, Overload};
use crate::error::Fault;
use crate::types::Type;
use crate::value::{scalar_text, text, type_name};

pub(super) const OVERLOADS: &[Overload] = &[
    Overload::global("string", &[Type::Scalar], Type::Text, string),
    Overload::global("int", &[Type::Timestamp], Type::Int, unix_seconds),
    Overload::foreign("int", &[Type::Int], Type::Int),
    Overload::foreign("int", &[Type::Uint], Type::Int),
    Overload::foreign("int", &[Type::Double], Type::Int),
    Overload::foreign("int", &[Type::Text], Type::Int),
    Overload::foreign("uint", &[Type::Uint], Type::Uint),
    Overload::foreign("uint", &[Type::Int], Type::Uint),
    Overload::foreign("uint", &[Type::Double], Type::Uint),
    Overload::foreign("uint", &[Type::Text], Type::Uint),
    Overload::foreign("double", &[Type::Double], Type::Double),
    Overload::foreign("double", &[Type::Int], Type::Double),
    Overload::foreign("double", &[Type::Uint], Type::Double),
    Overload::foreign("double", &[Type::Text], Type::Double),
    Overload::global("bool", &[Type::Bool], Type::Bool, same),
    Overload::global("bool", &[Type::Text], Type::Bool, bool_of_text),
    Overload::global("bytes", &[Type::Octets], Type::Bytes, bytes),
    Overload::global("dyn", &[Type::Any], Type::Any, same),
];

fn same(call: &mut Call<'_>) -> Result<Value, Fault> {
    call.value(0).cloned()
}

fn string(call: &mut Call<'_>) -> Result<Value, Fault> {
    match call.value(0)? {
        Value::String(text) => Ok(Value::String(text.clone())),
        Value::Bytes(bytes) => {
            call.budget.spend_bytes(bytes.len())?;
            match std::str::from_utf8(bytes) {
                Ok(content) => Ok(text(content)),
                Err(_) => Err(Fault::new("string: the bytes are not UTF-8 text")),
            }
        }
        other => scalar_text(other)
            .map(text)
            .ok_or_else(|| Fault::new(format!("string does not take {}", type_name(other)))),
    }
}

fn unix_seconds(call: &mut Call<'_>) -> Result<Value, Fault> {
    match call.value(0)? {
        Value::Timestamp(time) => Ok(Value::Int(time.timestamp())),
        _ => Err(Fault::new("int needs a timestamp")),
    }
}

/// The words that CEL accepts.
fn bool_of_text(call: &mut Call<'_>) -> Result<Value, Fault> {
    match call.text(0)? {
        "true" | "True" | "TRUE" | "t" | "1" => Ok(Value::Bool(true)),
        "false" | "False" | "FALSE" | "f" | "0" => Ok(Value::Bool(false)),
        _ => Err(Fault::new("bool: the text is neither true nor false")),
    }
}

fn bytes(call: &mut Call<'_>) -> Result<Value, Fault> {
    call.budget.spend_bytes(call.octets(0)?.len())?;
    Ok(Value::from(call.octets(0)?.to_vec()))
}
