//! Headers and query parameters by name, with a default.

use cel::Value;

use super::{Call, Overload};
use crate::error::Fault;
use crate::types::{Object, Type};
use crate::value::field;

const TEXT: Type = Type::Text;
const REQUEST: Type = Type::Object(Object::Request);
const RESPONSE: Type = Type::Object(Object::Response);

pub(super) const OVERLOADS: &[Overload] = &[
    Overload::global("header", &[REQUEST, TEXT], TEXT, header).method(),
    Overload::global("header", &[REQUEST, TEXT, TEXT], TEXT, header).method(),
    Overload::global("header", &[REQUEST, TEXT, Type::Any], Type::Any, header).method(),
    Overload::global("header", &[RESPONSE, TEXT], TEXT, header).method(),
    Overload::global("header", &[RESPONSE, TEXT, TEXT], TEXT, header).method(),
    Overload::global("header", &[RESPONSE, TEXT, Type::Any], Type::Any, header).method(),
    Overload::global("query", &[REQUEST, TEXT], TEXT, query).method(),
    Overload::global("query", &[REQUEST, TEXT, TEXT], TEXT, query).method(),
    Overload::global("query", &[REQUEST, TEXT, Type::Any], Type::Any, query).method(),
];

/// RFC 9110 §5.1: header names have no case; the map holds them in lower case.
fn header(call: &mut Call<'_>) -> Result<Value, Fault> {
    let name = call.text(1)?.to_ascii_lowercase();
    first(call, "headers", &name)
}

fn query(call: &mut Call<'_>) -> Result<Value, Fault> {
    let name = call.text(1)?.to_owned();
    first(call, "query", &name)
}

/// The first value of that name, or the default, or null.
fn first(call: &mut Call<'_>, of: &str, name: &str) -> Result<Value, Fault> {
    call.budget.spend_bytes(name.len())?;
    let values = match field(call.map(0)?, of) {
        Some(Value::Map(map)) => field(map, name),
        _ => None,
    };
    let found = match values {
        Some(Value::List(items)) => items.first().cloned(),
        other => other.cloned(),
    };
    let default = call.args.get(2).cloned().unwrap_or(Value::Null);
    Ok(found
        .filter(|value| *value != Value::Null)
        .unwrap_or(default))
}
