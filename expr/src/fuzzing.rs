//! What must hold for any expression and any template: the checks of the fuzz target.
//!
//! Only tests, which replay the seeds of `fuzz/seeds`, and the crate `fuzz` compile this module:
//! without the feature `fuzzing` the crate's interface is what it was.

#[cfg(test)]
mod tests;

use cel::Value;
use serde_json::json;

use crate::budget::{Budget, MAX_STEPS, MAX_TEXT_BYTES};
use crate::error::EvalError;
use crate::{CompileError, Program, Stage, Template, Variables, from_json, mask};

/// A text that no error may show. Nothing else has these letters.
const SECRET: &str = "Qx7-Zj9k\"Wv";

/// Functions that give something else each time.
const CHANGING: [&str; 3] = ["uuid", "random", "sign"];

/// Compiles and evaluates a text as a value, as a condition and as a template.
pub fn expressions(data: &[u8]) {
    let Some((&choice, text)) = data.split_first() else {
        return;
    };
    let Ok(text) = std::str::from_utf8(text) else {
        return;
    };
    let stage = match choice % 3 {
        0 => Stage::Inbound,
        1 => Stage::Outbound,
        _ => Stage::OnError,
    };
    let vars = handshake();
    value(text, stage, &vars);
    condition(text, stage, &vars);
    template(text, stage, &vars);
    literal(text, stage);
}

/// Variables of every type that a gateway sets.
fn handshake() -> Variables {
    let mut vars = Variables::new();
    let list: Vec<i64> = (0..300).collect();
    let text = "ab, c=1; ".repeat(300);
    for (name, value) in [
        (
            "request",
            json!({
                "id": "r1", "method": "GET", "scheme": "wss", "host": "h", "path": "/p",
                "originalUrl": "wss://h/p?a=1", "rawQuery": "a=1",
                "headers": {"x-one": ["1"], "x-two": ["a", "b"], "authorization": [SECRET]},
                "query": {"a": ["1"]}, "params": {"room": "blue"}, "subprotocols": ["v1"],
            }),
        ),
        ("client", json!({"ip": "10.1.2.3", "port": 4000})),
        (
            "api",
            json!({"name": "chat", "namespace": "ns", "path": "/p"}),
        ),
        (
            "response",
            json!({"status": 101, "headers": {"server": ["s"]}}),
        ),
        (
            "error",
            json!({"source": "validateJwt", "reason": "token_expired", "message": "m"}),
        ),
        ("values", json!({"limit": "5", "key": SECRET})),
        (
            "vars",
            json!({
                "n": 3, "f": 0.5, "none": null, "yes": true, "list": list, "text": text,
                "deep": {"a": {"b": "c"}}, "mixed": [1, "a", null, [2], {"k": 1.5}],
            }),
        ),
        (
            "jwt",
            json!({"header": {"alg": "ES256"}, "claims": {"sub": "ann", "roles": ["reader"]}}),
        ),
    ] {
        vars.set(name, from_json(value));
    }
    vars.set_now(std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_772_366_400));
    vars.add_secret(SECRET);
    vars
}

/// As text, because NaN is not itself; the fields of maps in one order, because they have none.
fn written(result: &Result<Value, EvalError>) -> String {
    fn value_of(value: &Value) -> String {
        let mut parts: Vec<String> = match value {
            Value::Map(map) => map
                .map
                .iter()
                .map(|(key, field)| format!("{key:?}: {}", value_of(field)))
                .collect(),
            Value::List(items) => {
                let items: Vec<String> = items.iter().map(value_of).collect();
                return format!("[{}]", items.join(", "));
            }
            other => return format!("{other:?}"),
        };
        parts.sort();
        format!("{{{}}}", parts.join(", "))
    }
    result
        .as_ref()
        .map_or_else(|error| format!("{error:?}"), value_of)
}

fn value(text: &str, stage: Stage, vars: &Variables) {
    let program = match Program::value(text, stage) {
        Ok(program) => program,
        Err(error) => return is_inside(text, &error),
    };
    let shown = program.evaluate(vars);
    match &shown {
        Ok(value) => is_bounded(value),
        Err(error) => is_presentable(text, error),
    }
    if CHANGING.iter().any(|name| text.contains(name)) {
        return;
    }
    let mut budget = Budget::new(MAX_STEPS);
    let first = program.evaluate_within(vars, &mut budget);
    if first.as_ref().is_err_and(EvalError::is_cost) {
        return;
    }
    let cost = MAX_STEPS - budget.left();
    let mut exact = Budget::new(cost);
    let again = program.evaluate_within(vars, &mut exact);
    assert!(
        written(&first) == written(&again),
        "{text:?} costs {cost} once and more again"
    );
    assert_eq!(exact.left(), 0, "{text:?} has two prices");
    if cost > 0 {
        let short = program.evaluate_within(vars, &mut Budget::new(cost - 1));
        assert!(
            short.is_err_and(|error| error.is_cost()),
            "{text:?} is not paid for"
        );
    }
}

fn condition(text: &str, stage: Stage, vars: &Variables) {
    match Program::condition(text, stage) {
        Ok(program) => {
            let answer = program.evaluate_bool(vars);
            if let Err(error) = answer {
                is_presentable(text, &error);
            }
        }
        Err(error) => is_inside(text, &error),
    }
}

fn template(text: &str, stage: Stage, vars: &Variables) {
    match Template::compile(text, stage) {
        Ok(template) => match template.render(vars) {
            Ok(rendered) => assert!(rendered.len() <= MAX_TEXT_BYTES.max(text.len())),
            Err(error) => is_presentable(text, &error),
        },
        Err(error) => is_inside(text, &error),
    }
}

/// Every text can be said as a template, as the documentation says how.
fn literal(text: &str, stage: Stage) {
    let escaped = text.replace("${", "$${");
    match Template::compile(&escaped, stage) {
        Ok(template) => assert_eq!(template.literal(), Some(text)),
        // It may be too long now.
        Err(error) => assert!(error.message.starts_with("longer"), "{escaped:?}: {error}"),
    }
}

fn is_inside(text: &str, error: &CompileError) {
    assert!(error.position <= text.chars().count(), "{text:?}: {error}");
}

fn is_bounded(value: &Value) {
    match value {
        Value::String(text) => assert!(text.len() <= MAX_TEXT_BYTES),
        Value::Bytes(bytes) => assert!(bytes.len() <= MAX_TEXT_BYTES),
        _ => {}
    }
}

/// An error points into the text, is short, and shows no secret.
fn is_presentable(text: &str, error: &EvalError) {
    let said = error.to_string();
    assert!(said.chars().count() < 400, "{text:?}: {said}");
    let escaped = SECRET.escape_debug().to_string();
    let masked = mask(&said, &[SECRET, &escaped]);
    assert_eq!(masked, said, "{text:?} shows a secret");
    if let EvalError::Cost { position, .. } | EvalError::Failed { position, .. } = error {
        assert!(*position <= text.chars().count(), "{text:?}: {said}");
    }
}
