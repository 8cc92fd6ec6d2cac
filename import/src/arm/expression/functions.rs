//! Functions of ARM templates.

use super::super::super::json::{Kind, Node};

/// Longer than any policy document.
const MAX_LENGTH: usize = 4 * 1024 * 1024;

/// The value of a call; `None`: unknown.
pub(super) fn call(function: &str, arguments: Vec<Option<Kind>>) -> Option<Kind> {
    // These functions do not need all arguments.
    match (function, arguments.as_slice()) {
        ("if", [Some(Kind::Bool(condition)), then, otherwise]) => {
            let chosen = if *condition { then } else { otherwise };
            return chosen.clone();
        }
        ("coalesce", all) => {
            let known = all.iter().cloned().collect::<Option<Vec<_>>>()?;
            return known.into_iter().find(|value| *value != Kind::Null);
        }
        _ => {}
    }
    let known = arguments.into_iter().collect::<Option<Vec<_>>>()?;
    if let Some(found) = of_truths(function, &known) {
        return Some(found);
    }
    if let Some(found) = of_lists(function, &known) {
        return Some(found);
    }
    if let Some(number) = of_numbers(function, &known) {
        return Some(Kind::Number(number.to_string()));
    }
    let texts = known.iter().map(text).collect::<Option<Vec<_>>>()?;
    let found = of_texts(function, &texts)?;
    (found.len() <= MAX_LENGTH).then_some(Kind::Text(found))
}

fn of_lists(function: &str, known: &[Kind]) -> Option<Kind> {
    match (function, known) {
        ("createarray", _) => Some(list(known.to_vec())),
        ("array", [Kind::List(items)]) => Some(Kind::List(items.clone())),
        ("array", [_]) => Some(list(known.to_vec())),
        ("concat", [Kind::List(_), ..]) => {
            let items = known.iter().flat_map(|kind| match kind {
                Kind::List(items) => items.clone(),
                _ => Vec::new(),
            });
            Some(Kind::List(items.collect()))
        }
        ("first", [Kind::List(items)]) => items.first().map(|node| node.kind.clone()),
        ("last", [Kind::List(items)]) => items.last().map(|node| node.kind.clone()),
        ("split", [Kind::Text(text), Kind::Text(by)]) if !by.is_empty() => {
            let parts = text.split(by.as_str()).map(str::to_owned);
            Some(list(parts.map(Kind::Text).collect()))
        }
        _ => None,
    }
}

fn of_numbers(function: &str, known: &[Kind]) -> Option<i64> {
    let number = |kind: &Kind| match kind {
        Kind::Number(number) | Kind::Text(number) => number.parse::<i64>().ok(),
        _ => None,
    };
    let length = |length: usize| i64::try_from(length).ok();
    match (function, known) {
        ("length", [Kind::List(items)]) => length(items.len()),
        ("length", [Kind::Map(fields)]) => length(fields.len()),
        ("length", [Kind::Text(text)]) => length(text.chars().count()),
        ("int", [one]) => number(one),
        ("add", [a, b]) => number(a)?.checked_add(number(b)?),
        ("sub", [a, b]) => number(a)?.checked_sub(number(b)?),
        ("mul", [a, b]) => number(a)?.checked_mul(number(b)?),
        _ => None,
    }
}

fn of_truths(function: &str, known: &[Kind]) -> Option<Kind> {
    let truth = |kind: &Kind| match kind {
        Kind::Bool(value) => Some(*value),
        _ => None,
    };
    let all = || known.iter().map(truth).collect::<Option<Vec<_>>>();
    Some(Kind::Bool(match (function, known) {
        ("true", []) => true,
        ("false", []) => false,
        ("not", [one]) => !truth(one)?,
        ("and", _) => all()?.into_iter().all(|value| value),
        ("or", _) => all()?.into_iter().any(|value| value),
        ("bool", [Kind::Text(text)]) => text.eq_ignore_ascii_case("true"),
        ("equals", [a, b]) => match (a, b) {
            (Kind::Text(a), Kind::Text(b)) | (Kind::Number(a), Kind::Number(b)) => a == b,
            (Kind::Bool(a), Kind::Bool(b)) => a == b,
            (Kind::Null, Kind::Null) => true,
            _ => return None,
        },
        ("empty", [Kind::Text(text)]) => text.is_empty(),
        ("empty", [Kind::List(items)]) => items.is_empty(),
        ("empty", [Kind::Map(fields)]) => fields.is_empty(),
        ("empty", [Kind::Null]) => true,
        ("contains", [Kind::Text(text), Kind::Text(part)]) => text.contains(part.as_str()),
        ("contains", [Kind::List(items), Kind::Text(part)]) => {
            items.iter().any(|item| item.text() == Some(part.as_str()))
        }
        ("startswith", [Kind::Text(text), Kind::Text(part)]) => {
            text.to_lowercase().starts_with(&part.to_lowercase())
        }
        ("endswith", [Kind::Text(text), Kind::Text(part)]) => {
            text.to_lowercase().ends_with(&part.to_lowercase())
        }
        _ => return None,
    }))
}

fn of_texts(function: &str, texts: &[String]) -> Option<String> {
    match (function, texts) {
        ("concat", _) => {
            let length: usize = texts.iter().map(String::len).sum();
            (length <= MAX_LENGTH).then(|| texts.concat())
        }
        ("format", _) => format(texts),
        ("resourceid", _) => Some(resource_id(texts)),
        ("tolower", [text]) => Some(text.to_lowercase()),
        ("toupper", [text]) => Some(text.to_uppercase()),
        ("trim", [text]) => Some(text.trim().to_owned()),
        ("string", [text]) => Some(text.clone()),
        ("substring", [text, start]) => text.get(start.parse().ok()?..).map(str::to_owned),
        ("substring", [text, start, length]) => {
            let start: usize = start.parse().ok()?;
            let end = start.checked_add(length.parse().ok()?)?;
            text.get(start..end).map(str::to_owned)
        }
        ("take", [text, count]) => Some(text.chars().take(count.parse().ok()?).collect()),
        ("replace", [text, from, to]) if !from.is_empty() => {
            let more = text.matches(from.as_str()).count().checked_mul(to.len())?;
            (text.len() + more <= MAX_LENGTH).then(|| text.replace(from, to))
        }
        _ => None,
    }
}

/// A value as text.
fn text(kind: &Kind) -> Option<String> {
    match kind {
        Kind::Text(text) | Kind::Number(text) => Some(text.clone()),
        Kind::Bool(true) => Some("True".to_owned()),
        Kind::Bool(false) => Some("False".to_owned()),
        Kind::Null | Kind::List(_) | Kind::Map(_) => None,
    }
}

fn list(items: Vec<Kind>) -> Kind {
    let node = |kind| Node { line: 1, kind };
    Kind::List(items.into_iter().map(node).collect())
}

/// The part of an ID after the provider: types and names alternate.
fn resource_id(arguments: &[String]) -> String {
    let at = arguments.iter().position(|argument| argument.contains('/'));
    let Some((kind, names)) = at.and_then(|at| arguments[at..].split_first()) else {
        return arguments.join("/");
    };
    let kinds = kind.split('/').skip(1);
    let parts = kinds
        .zip(names)
        .map(|(kind, name)| format!("/{kind}/{name}"));
    parts.collect()
}

/// Replaces `{0}` and so on; other braces are doubled.
fn format(arguments: &[String]) -> Option<String> {
    let (pattern, values) = arguments.split_first()?;
    let mut found = String::new();
    let mut rest = pattern.as_str();
    while let Some(at) = rest.find(['{', '}']) {
        found.push_str(&rest[..at]);
        let brace = &rest[at..=at];
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix(brace) {
            found.push_str(brace);
            rest = after;
            continue;
        }
        let (number, after) = rest.split_once('}')?;
        found.push_str(values.get(number.parse::<usize>().ok()?)?);
        if found.len() > MAX_LENGTH {
            return None;
        }
        rest = after;
    }
    found.push_str(rest);
    Some(found)
}
