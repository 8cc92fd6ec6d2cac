//! An answer as expressions see it. What a server sends is hostile until it is measured: text that
//! costs little to send can become a thousand times as much in memory, or a nesting that no stack
//! holds.

use serde_json::{Map, Value as Json, json};
use tidegate_expr::{Value, from_json};

use crate::http_client::{CallError, Reply};

/// Values in an answer's JSON, counted as separators: each takes up to a hundred bytes.
const MAX_JSON_VALUES: usize = 16 * 1024;

/// Deeper than any answer that somebody reads fields of.
const MAX_JSON_DEPTH: usize = 64;

/// An answer, whatever its status.
#[derive(Debug)]
pub(in crate::policy) struct Answer {
    pub(in crate::policy) status: u16,
    pub(in crate::policy) headers: http::HeaderMap,
    /// `{status, headers, text, json}`.
    pub(in crate::policy) value: Value,
    /// Bytes it takes, roughly.
    pub(in crate::policy) weight: u32,
}

impl Answer {
    /// Measures and parses.
    pub(in crate::policy) fn read(reply: Reply) -> Result<Self, CallError> {
        let parsed = parse(&reply.body)?;
        let values = parsed.as_ref().map_or(0, |_| measure(&reply.body).values);
        let text = String::from_utf8_lossy(&reply.body);
        let headers: usize = reply
            .headers
            .iter()
            .map(|(name, value)| name.as_str().len() + value.len() + 100)
            .sum();
        let weight = 512 + 2 * headers + 2 * text.len() + 100 * values;
        let value = from_json(json!({
            "status": reply.status,
            "headers": header_lists(&reply.headers),
            "text": text,
            "json": parsed,
        }));
        Ok(Self {
            status: reply.status,
            headers: reply.headers,
            value,
            weight: u32::try_from(weight).unwrap_or(u32::MAX),
        })
    }
}

/// The body's JSON; `None` when it is none.
fn parse(body: &[u8]) -> Result<Option<Json>, CallError> {
    let Measure { values, depth } = measure(body);
    let begins_like_json = matches!(body.trim_ascii_start().first(), Some(b'{' | b'['));
    if begins_like_json && depth > MAX_JSON_DEPTH {
        return Err(CallError::Json("is nested more than 64 levels deep"));
    }
    if begins_like_json && values > MAX_JSON_VALUES {
        return Err(CallError::Json("has more than 16384 values"));
    }
    if depth > MAX_JSON_DEPTH || values > MAX_JSON_VALUES {
        return Ok(None);
    }
    Ok(serde_json::from_slice(body).ok())
}

struct Measure {
    /// At least as many as there are.
    values: usize,
    depth: usize,
}

/// Counts what opens and separates values outside of strings, in one pass and without memory.
fn measure(body: &[u8]) -> Measure {
    let (mut values, mut depth, mut deepest) = (1, 0_usize, 0);
    let mut bytes = body.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => {
                while let Some(byte) = bytes.next() {
                    match byte {
                        b'\\' => drop(bytes.next()),
                        b'"' => break,
                        _ => {}
                    }
                }
            }
            b'[' | b'{' => {
                depth += 1;
                deepest = deepest.max(depth);
                values += 1;
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            b',' => values += 1,
            _ => {}
        }
    }
    Measure {
        values,
        depth: deepest,
    }
}

fn header_lists(headers: &http::HeaderMap) -> Map<String, Json> {
    let list = |name: &http::HeaderName| {
        let values = headers.get_all(name).iter();
        let values = values.map(|value| json!(String::from_utf8_lossy(value.as_bytes())));
        (name.as_str().to_owned(), Json::Array(values.collect()))
    };
    headers.keys().map(list).collect()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::HeaderMap;
    use tidegate_expr::to_json;

    use super::*;

    fn read(body: &str) -> Result<Json, String> {
        let reply = Reply {
            status: 200,
            headers: HeaderMap::new(),
            body: Bytes::from(body.to_owned()),
        };
        let answer = Answer::read(reply).map_err(|error| error.to_string())?;
        Ok(to_json(&answer.value).unwrap()["json"].take())
    }

    #[test]
    fn json_is_what_parses_and_anything_else_is_null() {
        for (body, expected) in [
            (r#"{"a": [1, "x,[{"]}"#, json!({"a": [1, "x,[{"]})),
            ("7", json!(7)),
            ("", Json::Null),
            ("<html>", Json::Null),
            (r#"{"a": "#, Json::Null),
            (r#"{"a": 1} x"#, Json::Null),
            ("\u{0}\"\\", Json::Null),
            // RFC 8259 §4 leaves it open which one counts; for us it is the last, always.
            (r#"{"a": 1, "b": 2, "a": 3}"#, json!({"a": 3, "b": 2})),
            ("[1e999]", Json::Null),
            (
                "[1e308, -0, 18446744073709551615]",
                json!([1e308, -0.0, u64::MAX]),
            ),
            ("[99999999999999999999999999]", json!([1e26])),
            (r#"["\ud800"]"#, Json::Null),
        ] {
            assert_eq!(read(body), Ok(expected), "{body}");
        }
    }

    #[test]
    fn json_that_harms_is_no_answer() {
        let deep = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
        assert!(read(&deep(64)).is_ok());
        let wide = |values: usize| format!("[{}0]", "0,".repeat(values));
        assert!(read(&wide(16_000)).is_ok());
        for (name, body, expected) in [
            ("deep", deep(65), "is nested more than 64 levels deep"),
            (
                "very deep",
                "[".repeat(200_000),
                "is nested more than 64 levels deep",
            ),
            (
                "deep objects",
                "{\"a\":".repeat(100_000),
                "is nested more than 64 levels deep",
            ),
            ("wide", wide(17_000), "has more than 16384 values"),
            (
                "many empty lists",
                format!("[{}[]]", "[],".repeat(60_000)),
                "has more than 16384 values",
            ),
        ] {
            let problem = read(&body).unwrap_err();
            assert_eq!(problem, format!("the answer's JSON {expected}"), "{name}");
        }
        // What is no UTF-8 is no JSON, however deep it looks.
        let bytes = Bytes::from([b"[\"".as_slice(), &[0xff], b"\"]"].concat());
        let headers = HeaderMap::new();
        let status = 200;
        let reply = Reply {
            status,
            headers,
            body: bytes,
        };
        let answer = to_json(&Answer::read(reply).unwrap().value).unwrap();
        assert_eq!(
            (&answer["json"], &answer["text"]),
            (&Json::Null, &json!("[\"\u{fffd}\"]"))
        );
        let text = "no json, ".repeat(20_000);
        assert_eq!(
            read(&text),
            Ok(Json::Null),
            "text may have as many commas as it likes"
        );
    }
}
