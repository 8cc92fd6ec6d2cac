//! Operators on values.

use std::cmp::Ordering;

use cel::Value;
use cel::objects::KeyRef;

use crate::budget::Budget;
use crate::error::Fault;
use crate::syntax::ast::{Binary, Unary};
use crate::value::type_name;

type Result<T = Value> = std::result::Result<T, Fault>;

pub(super) fn unary(operator: Unary, operand: Value) -> Result {
    match (operator, operand) {
        (Unary::Not, Value::Bool(value)) => Ok(Value::Bool(!value)),
        (Unary::Not, other) => Err(needs("!", "a bool", &other)),
        (Unary::Negate, Value::Int(value)) => match value.checked_neg() {
            Some(negated) => Ok(Value::Int(negated)),
            None => Err(out_of_range("-")),
        },
        (Unary::Negate, Value::Float(value)) => Ok(Value::Float(-value)),
        (Unary::Negate, Value::Duration(value)) => Ok(Value::Duration(-value)),
        (Unary::Negate, other) => Err(needs("-", "a number", &other)),
    }
}

pub(super) fn binary(operator: Binary, left: Value, right: Value, budget: &mut Budget) -> Result {
    match operator {
        Binary::Add | Binary::Subtract | Binary::Multiply | Binary::Divide | Binary::Modulo => {
            arithmetic(operator, left, right, budget)
        }
        Binary::Equal | Binary::NotEqual => {
            budget.spend_values(std::slice::from_ref(&left), 1)?;
            Ok(Value::Bool((left == right) == (operator == Binary::Equal)))
        }
        Binary::In => contained(&left, &right, budget).map(Value::Bool),
        Binary::Less | Binary::LessOrEqual | Binary::Greater | Binary::GreaterOrEqual => {
            let order = compare(operator, &left, &right, budget)?;
            Ok(Value::Bool(
                order.is_some_and(|order| holds(operator, order)),
            ))
        }
    }
}

fn arithmetic(operator: Binary, left: Value, right: Value, budget: &mut Budget) -> Result {
    let undefined = format!(
        "{} {} {} does not exist",
        type_name(&left),
        operator.sign(),
        type_name(&right)
    );
    let result = match (operator, left, right) {
        (Binary::Add, Value::String(l), Value::String(r)) => {
            budget.spend_text(l.len() + r.len())?;
            Value::String(l) + Value::String(r)
        }
        (Binary::Add, Value::Bytes(l), Value::Bytes(r)) => {
            budget.spend_text(l.len() + r.len())?;
            Ok(Value::from([l.as_slice(), r.as_slice()].concat()))
        }
        (Binary::Add, Value::List(l), Value::List(r)) => {
            budget.spend((l.len() + r.len()) as u64)?;
            Value::List(l) + Value::List(r)
        }
        (Binary::Add, l, r) => l + r,
        (Binary::Subtract, l, r) => l - r,
        (Binary::Multiply, l, r) => l * r,
        (Binary::Divide, l, r) => l / r,
        (_, l, r) => l % r,
    };
    result.map_err(|error| match error {
        cel::ExecutionError::DivisionByZero(_) | cel::ExecutionError::RemainderByZero(_) => {
            Fault::new("division by zero")
        }
        cel::ExecutionError::Overflow(..) => out_of_range(operator.sign()),
        _ => Fault::Failed(undefined),
    })
}

/// The order of two values; none where one is not a number.
fn compare(
    operator: Binary,
    left: &Value,
    right: &Value,
    budget: &mut Budget,
) -> Result<Option<Ordering>> {
    let nan = |value: &Value| matches!(value, Value::Float(f) if f.is_nan());
    let order = match (left, right) {
        (Value::Bytes(l), Value::Bytes(r)) => Some(l.cmp(r)),
        (Value::Null, Value::Null) => None,
        _ => left.partial_cmp(right),
    };
    budget.spend_values(std::slice::from_ref(left), 1)?;
    if order.is_none() && !nan(left) && !nan(right) {
        let (sign, l, r) = (operator.sign(), type_name(left), type_name(right));
        return Err(Fault::new(format!("{l} {sign} {r} does not exist")));
    }
    Ok(order)
}

fn holds(operator: Binary, order: Ordering) -> bool {
    match operator {
        Binary::Less => order.is_lt(),
        Binary::LessOrEqual => order.is_le(),
        Binary::Greater => order.is_gt(),
        _ => order.is_ge(),
    }
}

fn contained(needle: &Value, haystack: &Value, budget: &mut Budget) -> Result<bool> {
    match haystack {
        Value::List(items) => {
            budget.spend_values(std::slice::from_ref(haystack), 1)?;
            Ok(items.contains(needle))
        }
        Value::Map(_) => Ok(lookup(haystack, needle)?.is_some()),
        other => Err(needs("in", "a list or map on its right", other)),
    }
}

/// `of[index]`.
pub(super) fn index(of: &Value, index: &Value) -> Result {
    match lookup(of, index)? {
        Some(value) => Ok(value),
        None => Err(Fault::new(match index {
            Value::String(key) => format!("there is no \"{key}\""),
            Value::Int(i) => format!("there is no [{i}]"),
            _ => "there is no such element".to_owned(),
        })),
    }
}

/// What stands at an index or key, if anything does.
pub(super) fn lookup(of: &Value, index: &Value) -> Result<Option<Value>> {
    match of {
        Value::List(items) => {
            let place = match index {
                Value::Int(i) => usize::try_from(*i).ok(),
                Value::UInt(u) => usize::try_from(*u).ok(),
                other => return Err(needs("[ ] of a list", "an int", other)),
            };
            Ok(place.and_then(|place| items.get(place)).cloned())
        }
        Value::Map(map) => match KeyRef::try_from(index) {
            Ok(key) => Ok(map.get(&key).cloned()),
            Err(other) => Err(needs("[ ] of a map", "a key", &other)),
        },
        other => Err(needs("[ ]", "a list or map", other)),
    }
}

fn needs(sign: &str, wanted: &str, got: &Value) -> Fault {
    Fault::new(format!("\"{sign}\" needs {wanted}, not {}", type_name(got)))
}

fn out_of_range(sign: &str) -> Fault {
    Fault::new(format!("the result of \"{sign}\" is out of range"))
}
