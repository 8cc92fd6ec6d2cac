use std::time::Duration;

use serde_json::json;

use super::*;

#[test]
fn json_survives_the_round_trip() {
    let json = json!({
        "text": "ü", "int": -3, "big": u64::MAX, "half": 0.5, "yes": true, "none": null,
        "list": [1, [2, {"a": "b"}]],
    });
    assert_eq!(to_json(&from_json(json.clone())), Ok(json));
}

#[test]
fn values_print_as_documented() {
    let time = SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_250);
    let cases = [
        ("null", Value::Null, Ok("")),
        ("text", text("a b"), Ok("a b")),
        ("int", Value::Int(-1), Ok("-1")),
        ("uint", Value::UInt(7), Ok("7")),
        ("double", Value::Float(1.5), Ok("1.5")),
        ("whole double", Value::Float(2.0), Ok("2")),
        ("bool", Value::Bool(true), Ok("true")),
        ("bytes", Value::from(b"hi".to_vec()), Ok("hi")),
        (
            "bytes that are no text",
            Value::from(vec![0xff_u8]),
            Err(ConversionError::NotUtf8),
        ),
        ("timestamp", from_time(time), Ok("2023-11-14T22:13:20.250Z")),
        (
            "duration",
            Value::Duration(TimeDelta::milliseconds(90_500)),
            Ok("90.5s"),
        ),
        (
            "negative duration",
            Value::Duration(TimeDelta::seconds(-2)),
            Ok("-2s"),
        ),
        (
            "list",
            list(vec![Value::Int(1), text("x")]),
            Ok(r#"[1,"x"]"#),
        ),
        (
            "map",
            map([("b", Value::Null), ("a", Value::Int(1))]),
            Ok(r#"{"a":1,"b":null}"#),
        ),
        (
            "optional",
            optional(None),
            Err(ConversionError::NoText("optional")),
        ),
    ];
    for (name, value, expected) in cases {
        assert_eq!(to_text(&value), expected.map(str::to_owned), "{name}");
    }
}

#[test]
fn what_json_cannot_say_is_an_error() {
    let nan = Err(ConversionError::NoJson("a double that is not a number"));
    assert_eq!(to_json(&Value::Float(f64::NAN)), nan);
    assert_eq!(
        to_json(&list(vec![optional(None)])),
        Err(ConversionError::NoJson("optional"))
    );
}
