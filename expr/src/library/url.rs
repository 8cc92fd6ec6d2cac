//! URLs as maps, and percent encoding.

use std::collections::HashMap;

use cel::Value;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use super::{Call, Overload};
use crate::error::Fault;
use crate::types::{Object, Type};
use crate::value::{map, text};

const TEXT: Type = Type::Text;

/// RFC 3986 §2.3: all but the unreserved characters.
const COMPONENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

pub(super) const OVERLOADS: &[Overload] = &[
    Overload::global("url.parse", &[TEXT], Type::Object(Object::ParsedUrl), parse),
    Overload::global("url.encode", &[TEXT], TEXT, encode),
    Overload::global("url.decode", &[TEXT], TEXT, decode),
];

/// `{scheme, host, port, path, rawQuery, query}`; `query` has the first value by name, decoded.
fn parse(call: &mut Call<'_>) -> Result<Value, Fault> {
    let source = call.text(0)?;
    call.budget.spend_bytes(source.len().saturating_mul(8))?;
    let Ok(url) = url::Url::parse(source) else {
        return Err(Fault::new("url.parse: not an absolute URL"));
    };
    let mut query: HashMap<String, Value> = HashMap::new();
    for (name, value) in url.query_pairs() {
        query
            .entry(name.into_owned())
            .or_insert_with(|| text(value));
    }
    let port = url.port_or_known_default().map(i64::from);
    Ok(map([
        ("scheme", text(url.scheme())),
        ("host", text(url.host_str().unwrap_or_default())),
        ("port", Value::from(port)),
        ("path", text(url.path())),
        ("rawQuery", text(url.query().unwrap_or_default())),
        ("query", map(query)),
    ]))
}

/// Makes a text fit for any place of a URL.
fn encode(call: &mut Call<'_>) -> Result<Value, Fault> {
    let encoded_length = call.text(0)?.len().saturating_mul(3);
    call.budget.spend_text(encoded_length)?;
    Ok(text(
        utf8_percent_encode(call.text(0)?, COMPONENT).to_string(),
    ))
}

/// The exact inverse; `+` stays what it is.
fn decode(call: &mut Call<'_>) -> Result<Value, Fault> {
    call.budget.spend_bytes(call.text(0)?.len())?;
    match percent_decode_str(call.text(0)?).decode_utf8() {
        Ok(decoded) => Ok(text(decoded)),
        Err(_) => Err(Fault::new("url.decode: the result is not UTF-8 text")),
    }
}
