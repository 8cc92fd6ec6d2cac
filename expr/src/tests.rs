//! Tests of the whole language: through the public interface, by tables.

mod checks;
mod document;
mod hostile;
mod oracle;
mod properties;
mod secrets;

use std::fmt::Debug;

use serde_json::{Value as Json, json};

use crate::{CompileError, EvalError, Program, Stage, Value, Variables, from_json};

/// Variables of the types that a gateway sets.
pub(crate) fn handshake() -> Variables {
    variables(json!({
        "request": {
            "id": "r1", "method": "GET", "scheme": "wss", "host": "h", "path": "/p",
            "originalUrl": "wss://h/p?a=1", "rawQuery": "a=1",
            "headers": {"x-one": ["1"], "x-two": ["a", "b"]},
            "query": {"a": ["1"]}, "params": {"room": "blue"}, "subprotocols": ["v1"],
        },
        "client": {"ip": "10.1.2.3", "port": 4000},
        "api": {"name": "chat", "namespace": "ns", "displayName": "Chat", "path": "/p"},
        "values": {"limit": "5"},
        "vars": {"n": 3, "none": null, "list": [1, 2], "deep": {"a": {"b": "c"}}},
        "jwt": {"header": {}, "claims": {"sub": "ann", "roles": ["reader"]}},
        "now": "2026-03-01T12:00:00Z",
    }))
}

/// Sets one variable per field; `now` from its text.
pub(crate) fn variables(fields: Json) -> Variables {
    let mut vars = Variables::new();
    let Json::Object(fields) = fields else {
        panic!("variables are an object");
    };
    for (name, value) in fields {
        let name: &'static str = name.leak();
        let value = match (name, &value) {
            ("now", Json::String(text)) => now(text),
            _ => from_json(value),
        };
        vars.set(name, value);
    }
    vars
}

fn now(text: &str) -> Value {
    let source = format!("timestamp({text:?})");
    let program = Program::value(&source, Stage::Inbound).expect("a timestamp");
    program.evaluate(&Variables::new()).expect("a timestamp")
}

/// The value of an expression in the stage where every variable exists.
pub(crate) fn evaluate(source: &str, vars: &Variables) -> Result<Value, String> {
    let program = Program::value(source, Stage::OnError).map_err(|e| e.to_string())?;
    program.evaluate(vars).map_err(|e| e.to_string())
}

/// Whether both expressions give the same value.
pub(crate) fn assert_same(source: &str, expected: &str, vars: &Variables) {
    let (left, right) = (evaluate(source, vars), evaluate(expected, vars));
    assert!(right.is_ok(), "{expected}: {right:?}");
    assert_eq!(left, right, "{source} => {expected}");
}

pub(crate) fn assert_fails<T: Debug>(name: &str, result: Result<T, impl ToString>, text: &str) {
    match result {
        Ok(value) => panic!("{name}: expected \"{text}\", got {value:?}"),
        Err(error) => assert_eq!(error.to_string(), text, "{name}"),
    }
}

pub(crate) fn pem(der: &[u8]) -> String {
    use base64::Engine as _;
    let base64 = base64::engine::general_purpose::STANDARD.encode(der);
    format!("-----BEGIN PRIVATE KEY-----\n{base64}\n-----END PRIVATE KEY-----\n")
}

/// A fresh private key.
pub(crate) fn ec_pem() -> String {
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key");
    pem(pair.to_pkcs8v1().expect("DER").as_ref())
}

#[test]
fn programs_and_variables_cross_threads() {
    fn crosses<T: Send + Sync + Clone>() {}
    crosses::<Program>();
    crosses::<crate::Template>();
    crosses::<Variables>();
    crosses::<EvalError>();
    crosses::<CompileError>();
}
