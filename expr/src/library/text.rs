//! Strings: CEL's own functions and Kubernetes' extensions.

use cel::Value;

use super::{Call, Overload};
use crate::error::Fault;
use crate::types::{Item, Type};

const TEXT: Type = Type::Text;
const INT: Type = Type::Int;

pub(super) const OVERLOADS: &[Overload] = &[
    Overload::global("size", &[Type::Sized], INT, size),
    Overload::global("size", &[Type::Sized], INT, size).method(),
    Overload::global("contains", &[TEXT, TEXT], Type::Bool, contains).method(),
    Overload::global("startsWith", &[TEXT, TEXT], Type::Bool, starts_with).method(),
    Overload::global("endsWith", &[TEXT, TEXT], Type::Bool, ends_with).method(),
    Overload::foreign("charAt", &[TEXT, INT], TEXT).method(),
    Overload::foreign("indexOf", &[TEXT, TEXT], INT)
        .method()
        .guarded(searched),
    Overload::foreign("indexOf", &[TEXT, TEXT, INT], INT)
        .method()
        .guarded(searched),
    Overload::foreign("lastIndexOf", &[TEXT, TEXT], INT)
        .method()
        .guarded(searched),
    Overload::foreign("lastIndexOf", &[TEXT, TEXT, INT], INT)
        .method()
        .guarded(searched),
    Overload::foreign("lowerAscii", &[TEXT], TEXT).method(),
    Overload::foreign("upperAscii", &[TEXT], TEXT).method(),
    Overload::foreign("replace", &[TEXT, TEXT, TEXT], TEXT)
        .method()
        .guarded(replaced),
    Overload::foreign("replace", &[TEXT, TEXT, TEXT, INT], TEXT)
        .method()
        .guarded(replaced),
    Overload::foreign("split", &[TEXT, TEXT], Type::List(Item::Text))
        .method()
        .guarded(parts),
    Overload::foreign("split", &[TEXT, TEXT, INT], Type::List(Item::Text))
        .method()
        .guarded(parts),
    Overload::foreign("substring", &[TEXT, INT], TEXT).method(),
    Overload::foreign("substring", &[TEXT, INT, INT], TEXT).method(),
    Overload::foreign("trim", &[TEXT], TEXT).method(),
    Overload::foreign("reverse", &[TEXT], TEXT).method(),
    Overload::foreign("strings.quote", &[TEXT], TEXT),
    Overload::foreign("format", &[TEXT, Type::LIST], TEXT)
        .method()
        .guarded(formatted),
];

/// CEL counts the characters of a text, not its bytes.
fn size(call: &mut Call<'_>) -> Result<Value, Fault> {
    let size = match call.value(0)? {
        Value::String(text) => {
            call.budget.spend_bytes(text.len())?;
            text.chars().count()
        }
        Value::Bytes(bytes) => bytes.len(),
        Value::List(items) => items.len(),
        Value::Map(map) => map.map.len(),
        _ => return Err(Fault::new("size: the value has none")),
    };
    Ok(Value::Int(i64::try_from(size).unwrap_or(i64::MAX)))
}

fn contains(call: &mut Call<'_>) -> Result<Value, Fault> {
    call.budget.spend_bytes(call.text(0)?.len())?;
    Ok(Value::Bool(call.text(0)?.contains(call.text(1)?)))
}

fn starts_with(call: &mut Call<'_>) -> Result<Value, Fault> {
    Ok(Value::Bool(call.text(0)?.starts_with(call.text(1)?)))
}

fn ends_with(call: &mut Call<'_>) -> Result<Value, Fault> {
    Ok(Value::Bool(call.text(0)?.ends_with(call.text(1)?)))
}

/// The library compares at every place of the text.
fn searched(call: &mut Call<'_>) -> Result<(), Fault> {
    let product = call.text(0)?.len().saturating_mul(call.text(1)?.len());
    call.budget.spend_bytes(product)
}

/// The result can be much longer than everything that went in.
fn replaced(call: &mut Call<'_>) -> Result<(), Fault> {
    let (text, from, to) = (call.text(0)?, call.text(1)?, call.text(2)?);
    let length = text.len();
    let grows = to.len().saturating_sub(from.len());
    let longest = length.saturating_add(text.matches(from).count().saturating_mul(grows));
    call.budget.spend_bytes(length)?;
    call.budget.spend_text(longest)
}

/// One list item per part, also for many short ones.
fn parts(call: &mut Call<'_>) -> Result<(), Fault> {
    let text = call.text(0)?;
    let parts = text.matches(call.text(1)?).count() as u64;
    call.budget.spend(parts.saturating_mul(2))
}

/// The precision decides how long the text of a number gets, and the formatter refuses a huge one by a panic.
fn formatted(call: &mut Call<'_>) -> Result<(), Fault> {
    const MAX_PRECISION: usize = 100;
    for part in call.text(0)?.split("%.").skip(1) {
        let digits: String = part.chars().take_while(char::is_ascii_digit).collect();
        if digits
            .parse::<usize>()
            .is_ok_and(|precision| precision > MAX_PRECISION)
            || digits.len() > 6
        {
            return Err(Fault::new("format: the precision is out of range"));
        }
    }
    // Every byte and item may be printed with up to 64 characters.
    call.budget.spend_values(call.args, 4)
}
