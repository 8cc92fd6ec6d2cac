//! Which operators can work on which known types, and what they give.

use crate::syntax::ast::{Binary, Unary};
use crate::types::{Item, Type};

/// The type of the result, or why the operator can never work on these.
pub(super) fn binary(operator: Binary, left: Type, right: Type) -> Result<Type, String> {
    match operator {
        Binary::Add => arithmetic(operator, left, right, add),
        Binary::Subtract => arithmetic(operator, left, right, subtract),
        Binary::Multiply | Binary::Divide => arithmetic(operator, left, right, same_number),
        Binary::Modulo => arithmetic(operator, left, right, |l, r| {
            same_number(l, r).filter(|t| *t != Type::Double)
        }),
        Binary::Equal | Binary::NotEqual => {
            if left.comparable(right) {
                return Ok(Type::Bool);
            }
            let hint = if matches!(left, Type::List(_)) || matches!(right, Type::List(_)) {
                ": a list has several values, take one with [0] or use \"in\""
            } else {
                ""
            };
            Err(format!("{left} can never equal {right}{hint}"))
        }
        Binary::Less | Binary::LessOrEqual | Binary::Greater | Binary::GreaterOrEqual => {
            ordered(operator, left, right)
        }
        Binary::In => contained(left, right),
    }
}

pub(super) fn unary(operator: Unary, operand: Type) -> Result<Type, String> {
    match (operator, operand) {
        (Unary::Not, Type::Any | Type::Bool) => Ok(Type::Bool),
        (Unary::Not, _) => Err(format!("\"!\" needs a bool, not {operand}")),
        (Unary::Negate, Type::Any | Type::Int | Type::Double | Type::Duration) => Ok(operand),
        (Unary::Negate, _) => Err(format!("\"-\" needs a number, not {operand}")),
    }
}

/// Why the operand of `&&`, `||` or `?:` can never be a bool.
pub(super) fn logical(sign: &str, operand: Type) -> Result<(), String> {
    match operand {
        Type::Any | Type::Bool => Ok(()),
        _ => Err(format!("\"{sign}\" needs a bool, not {operand}")),
    }
}

fn arithmetic(
    operator: Binary,
    left: Type,
    right: Type,
    known: fn(Type, Type) -> Option<Type>,
) -> Result<Type, String> {
    match (left, right) {
        (Type::Any, Type::Any) => Ok(Type::Any),
        // The known side alone can already rule the operator out; time is added to time of another kind.
        (Type::Any, t) | (t, Type::Any) => match known(t, t) {
            _ if matches!(t, Type::Timestamp | Type::Duration) => Ok(Type::Any),
            Some(result) => Ok(result),
            None => Err(undefined(operator, left, right)),
        },
        _ => known(left, right).ok_or_else(|| undefined(operator, left, right)),
    }
}

fn undefined(operator: Binary, left: Type, right: Type) -> String {
    let text = |t| t == Type::Text;
    let hint = if operator == Binary::Add && (text(left) || text(right)) {
        ": turn the other side into text with string(…)"
    } else {
        ""
    };
    format!("{left} {} {right} does not exist{hint}", operator.sign())
}

fn add(left: Type, right: Type) -> Option<Type> {
    match (left, right) {
        (Type::Text, Type::Text) | (Type::Bytes, Type::Bytes) => Some(left),
        (Type::List(a), Type::List(b)) => Some(if a == b { left } else { Type::LIST }),
        (Type::Timestamp, Type::Duration) | (Type::Duration, Type::Timestamp) => {
            Some(Type::Timestamp)
        }
        (Type::Duration, Type::Duration) => Some(Type::Duration),
        _ => same_number(left, right),
    }
}

fn subtract(left: Type, right: Type) -> Option<Type> {
    match (left, right) {
        (Type::Timestamp, Type::Duration) => Some(Type::Timestamp),
        (Type::Timestamp, Type::Timestamp) | (Type::Duration, Type::Duration) => {
            Some(Type::Duration)
        }
        _ => same_number(left, right),
    }
}

fn same_number(left: Type, right: Type) -> Option<Type> {
    (left == right && left.is_number()).then_some(left)
}

fn ordered(operator: Binary, left: Type, right: Type) -> Result<Type, String> {
    let has_order = |t: Type| {
        t.is_number()
            || matches!(
                t,
                Type::Any
                    | Type::Bool
                    | Type::Text
                    | Type::Bytes
                    | Type::Timestamp
                    | Type::Duration
            )
    };
    let alike = left == Type::Any
        || right == Type::Any
        || left == right
        || (left.is_number() && right.is_number());
    if has_order(left) && has_order(right) && alike {
        return Ok(Type::Bool);
    }
    Err(format!("{left} {} {right} does not exist", operator.sign()))
}

fn contained(left: Type, right: Type) -> Result<Type, String> {
    let element = match right {
        Type::Any => return Ok(Type::Bool),
        Type::List(item) => item.its_type(),
        Type::Map(_) | Type::Object(_) => Type::Any,
        Type::Text => {
            return Err(
                "\"in\" needs a list or map on its right; for text use contains(…)".to_owned(),
            );
        }
        _ => {
            return Err(format!(
                "\"in\" needs a list or map on its right, not a {right}"
            ));
        }
    };
    if element.comparable(left) {
        return Ok(Type::Bool);
    }
    Err(format!(
        "{left} can never be in a list of {}",
        plural(element)
    ))
}

fn plural(element: Type) -> String {
    match element {
        Type::List(Item::Text) => "lists".to_owned(),
        _ => format!("{element}s"),
    }
}
