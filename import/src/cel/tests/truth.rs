//! Each construct that is carried over holds for the same handshakes as in C#, and for no others.

use serde_json::{Value, json};
use tidegate_expr::{Program, Stage, Variables};

use super::translate;

/// Whether an expression holds for a handshake with these headers and variables.
fn holds(text: &str, headers: &Value, vars: &Value) -> Result<Value, String> {
    let mut variables = Variables::new();
    let request = json!({
        "id": "7f3a", "method": "GET", "scheme": "wss", "host": "chat.example.com", "path": "/chat",
        "originalUrl": "wss://chat.example.com/chat", "rawQuery": "", "params": {}, "query": {},
        "headers": headers,
    });
    for (name, value) in [
        ("request", request),
        ("vars", vars.clone()),
        (
            "values",
            json!({"secret": "key", "deployment_region": "West Europe"}),
        ),
        ("product", Value::Null),
        ("subscription", json!({"name": "s", "displayName": "S"})),
        ("client", json!({"ip": "10.1.2.3"})),
    ] {
        variables.set(name, tidegate_expr::from_json(value));
    }
    let cel = translate(text).map_err(|why| format!("not translated: {why}"))?;
    let program = Program::value(&cel.text, Stage::Inbound)
        .map_err(|error| format!("{}: {error}", cel.text))?;
    let value = program.evaluate(&variables);
    let value = value.map_err(|error| format!("fails: {}: {error}", cel.text))?;
    tidegate_expr::to_json(&value).map_err(|error| error.to_string())
}

fn header(value: &str) -> Value {
    json!({"x-a": [value]})
}

fn claims(claims: Value) -> Value {
    json!({"jwt": {"header": {}, "claims": claims}})
}

/// The header that most expressions read.
const A: &str = r#"context.Request.Headers.GetValueOrDefault("X-A")"#;

/// The same, never null.
const TEXT: &str = r#"context.Request.Headers.GetValueOrDefault("X-A", "")"#;

#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn conditions_on_a_header_hold_for_the_same_values() {
    let sha = "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae";
    let digest = format!("SHA256.Create().ComputeHash(Encoding.UTF8.GetBytes({TEXT}))");
    let cases = [
        (
            "equal to a constant",
            format!(r#""beta".Equals({A}, StringComparison.OrdinalIgnoreCase)"#),
            "BETA",
            "alpha",
        ),
        (
            "equal by a static method",
            format!(r#"string.Equals({A}, "beta", StringComparison.OrdinalIgnoreCase)"#),
            "Beta",
            "x",
        ),
        (
            "equal without how",
            format!(r#""beta".Equals({A})"#),
            "beta",
            "BETA",
        ),
        (
            "both operands",
            format!(r#"{A} != null && {TEXT}.StartsWith("b")"#),
            "beta",
            "alpha",
        ),
        (
            "either operand",
            format!(r#"{A} == "a" || {A} == "b""#),
            "b",
            "c",
        ),
        ("not", format!(r#"!({A} == "a")"#), "b", "a"),
        (
            "a list",
            format!(r#"new[] {{"a", "b"}}.Contains({TEXT})"#),
            "b",
            "c",
        ),
        (
            "a typed list",
            format!(
                r#"new List<string> {{"a", "b"}}.Contains({TEXT}, StringComparer.OrdinalIgnoreCase)"#
            ),
            "B",
            "c",
        ),
        (
            "parts",
            format!(
                r#"{TEXT}.Split(new[] {{','}}, StringSplitOptions.RemoveEmptyEntries).Length == 2"#
            ),
            "a,,b",
            "a",
        ),
        (
            "the first part",
            format!(r#"{TEXT}.Split(',').FirstOrDefault() == "a""#),
            "a,b",
            "b,a",
        ),
        (
            "the first that fits",
            format!(r#"{TEXT}.Split(',').FirstOrDefault(x => x.StartsWith("b")) == "beta""#),
            "a,beta",
            "a",
        ),
        (
            "any part",
            format!(r#"{TEXT}.Split(',').Any(x => x.Trim() == "b")"#),
            "a, b",
            "a",
        ),
        (
            "conditional member",
            format!(r#"{A}?.Contains("et") ?? false"#),
            "beta",
            "alpha",
        ),
        (
            "conditional member compared",
            format!(r#"{A}?.StartsWith("b") == true"#),
            "beta",
            "alpha",
        ),
        (
            "a truth printed",
            format!(r#"({A} == "a").ToString() == "True""#),
            "a",
            "b",
        ),
        (
            "a truth in a text",
            format!(r#"("is " + ({A} == "a")) == "is True""#),
            "a",
            "b",
        ),
        (
            "a truth parsed",
            format!("bool.Parse({TEXT})"),
            "True",
            "false",
        ),
        ("a number", format!("int.Parse({TEXT}) > 3"), "4", "3"),
        (
            "hexadecimal SHA-256",
            format!(r#"BitConverter.ToString({digest}).Replace("-", "").ToLower() == "{sha}""#),
            "foo",
            "bar",
        ),
        (
            "the same in the other order",
            format!(
                r#"BitConverter.ToString({digest}).ToLower().Replace("-", string.Empty) == "{sha}""#
            ),
            "foo",
            "bar",
        ),
        (
            "the same by byte",
            format!(r#"string.Concat({digest}.Select(b => b.ToString("x2"))) == "{sha}""#),
            "foo",
            "bar",
        ),
        (
            "base64 SHA-256",
            format!(
                r#"Convert.ToBase64String({digest}) == "LCa0a2j/xo/5m0U8HTBBNBNCLXBkg7+g+YpeiGJm564=""#
            ),
            "foo",
            "bar",
        ),
        (
            "base64",
            format!(r#"Encoding.UTF8.GetString(Convert.FromBase64String({TEXT})) == "hi""#),
            "aGk=",
            "aGE=",
        ),
        (
            "a comparison by its full name",
            format!(r#"{TEXT}.Equals("beta", System.StringComparison.InvariantCultureIgnoreCase)"#),
            "BETA",
            "alpha",
        ),
        ("empty", format!("string.IsNullOrEmpty({A})"), "", "x"),
        ("blank", format!("string.IsNullOrWhiteSpace({A})"), " ", "x"),
        (
            "a pattern",
            format!(r#"Regex.IsMatch({TEXT}, "^b.ta$")"#),
            "beta",
            "alpha",
        ),
        (
            "a pattern and a line end",
            format!(r#"Regex.IsMatch({TEXT}, "^b.ta$")"#),
            "beta\n",
            "beta\n\n",
        ),
        (
            "a pattern with a dollar",
            format!(r#"Regex.IsMatch({TEXT}, @"^\d+\$")"#),
            "5$",
            "5",
        ),
        (
            "a choice",
            format!(r#"({A} == "a" ? "1" : "2") == "1""#),
            "a",
            "b",
        ),
        ("a default", format!(r#"({A} ?? "none") == "a""#), "a", "b"),
        (
            "an index",
            r#"context.Request.Headers["X-A"][0] == "a""#.to_owned(),
            "a",
            "b",
        ),
    ];
    for (name, text, yes, no) in cases {
        let text = format!("@({text})");
        let none = json!({});
        assert_eq!(
            holds(&text, &header(yes), &none),
            Ok(json!(true)),
            "{name}: {yes}"
        );
        assert_eq!(
            holds(&text, &header(no), &none),
            Ok(json!(false)),
            "{name}: {no}"
        );
    }
}

#[test]
fn a_missing_header_equals_nothing() {
    for text in [
        format!(r#""beta".Equals({A}, StringComparison.OrdinalIgnoreCase)"#),
        format!(r#""beta".Equals({A})"#),
        format!(r#"string.Equals({A}, "beta", StringComparison.OrdinalIgnoreCase)"#),
        format!(r#"{A}?.Contains("b") ?? false"#),
        format!(r#"{A} == "beta""#),
    ] {
        let found = holds(&format!("@({text})"), &json!({}), &json!({}));
        assert_eq!(found, Ok(json!(false)), "{text}");
    }
    // Null has no methods.
    for text in [
        format!(r#"{A}.Equals("a")"#),
        format!(r#"!{A}.Equals("a", StringComparison.Ordinal)"#),
    ] {
        let found = holds(&format!("@({text})"), &json!({}), &json!({}));
        assert!(
            found.as_ref().is_err_and(|why| why.starts_with("fails")),
            "{text}: {found:?}"
        );
    }
}

#[test]
fn a_claim_is_a_list_or_one_text() {
    const JWT: &str = r#"((Jwt)context.Variables["jwt"])"#;
    for (name, text, yes, no) in [
        (
            "joined",
            format!(r#"{JWT}.Claims.GetValueOrDefault("roles", "").Contains("speaker")"#),
            json!({"roles": ["reader", "speaker"]}),
            json!({"roles": ["reader"]}),
        ),
        (
            "one text",
            format!(r#"{JWT}.Claims.GetValueOrDefault("roles", "").Contains("speaker")"#),
            json!({"roles": "speaker"}),
            json!({}),
        ),
        (
            "exactly",
            format!(r#"{JWT}.Claims.GetValueOrDefault("roles") == "a,b""#),
            json!({"roles": ["a", "b"]}),
            json!({"roles": ["a"]}),
        ),
        (
            "a number",
            format!(r#"{JWT}.Claims.GetValueOrDefault("level") == "3""#),
            json!({"level": 3}),
            json!({"level": 4}),
        ),
        (
            "a list",
            format!(r#"{JWT}.Claims["groups"].Contains("g")"#),
            json!({"groups": ["f", "g"]}),
            json!({"groups": "f"}),
        ),
        (
            "the first",
            format!(r#"{JWT}.Claims["groups"].FirstOrDefault() == "g""#),
            json!({"groups": "g"}),
            json!({"groups": ["f", "g"]}),
        ),
        (
            "any",
            format!(r#"{JWT}.Claims["groups"].Any(g => g.StartsWith("g"))"#),
            json!({"groups": ["f", "g"]}),
            json!({"groups": []}),
        ),
    ] {
        let text = format!("@({text})");
        let none = json!({});
        assert_eq!(holds(&text, &none, &claims(yes)), Ok(json!(true)), "{name}");
        assert_eq!(holds(&text, &none, &claims(no)), Ok(json!(false)), "{name}");
    }
}

#[test]
fn blocks_with_chains_and_declarations_give_the_same() {
    let tier = format!(
        r#"@{{
            var plan = {TEXT};
            string result;
            if (plan == "gold") {{ result = "1"; }} else if (plan == "silver") {{ result = "2"; }} else {{ result = "3"; }}
            return result;
        }}"#
    );
    let hmac = format!(
        r#"@{{
            using (var hmac = new System.Security.Cryptography.HMACSHA256(Encoding.UTF8.GetBytes("{{{{secret}}}}")))
            {{
                byte[] hash = hmac.ComputeHash(Encoding.UTF8.GetBytes({TEXT}));
                context.Trace("signed");
                return Convert.ToBase64String(hash);
            }}
        }}"#
    );
    for (text, given, wanted) in [
        (&tier, "gold", "1"),
        (&tier, "silver", "2"),
        (&tier, "free", "3"),
        (
            &hmac,
            "text",
            "avqQRqlXnK0UOjhMG1ZLmiUNJ9b2pj+fIL86dZTJ4sY=",
        ),
    ] {
        let found = holds(text, &header(given), &json!({}));
        assert_eq!(found, Ok(json!(wanted)), "{given}");
    }
}

#[test]
fn the_region_is_a_named_value() {
    for (region, wanted) in [("West Europe", true), ("East US", false)] {
        let text = format!(r#"@(context.Deployment.Region == "{region}")"#);
        assert_eq!(holds(&text, &json!({}), &json!({})), Ok(json!(wanted)));
    }
}

#[test]
fn patterns_that_mean_something_else_here_are_not_translated() {
    for (pattern, is_same) in [
        (r"^[a-z-]+[\w.-]*\d{2,3}?$", true),
        (r"\A(?:x|(?<y>\x41\u0042))\b(?i:z)[^\]\[]\p{Lu}\z", true),
        (r"^[a-z-[aeiou]]+$", false),
        (r"[a-z&&[^b]]", false),
        (r"[+--]", false),
        (r"[a~~b]", false),
        (r"[[:alpha:]]", false),
        (r"[[a]]", false),
        (r"\<admin\>", false),
        (r"\b{start}admin", false),
        (r"(?U)a+", false),
        (r"(?x)a b", false),
        (r"(?P<x>a)", false),
        (r"\x{41}", false),
        (r"\U00000041", false),
        (r"\pL", false),
        (r"\p{Greek}", false),
        (r"a**", false),
    ] {
        let text = format!(r#"@(Regex.IsMatch({TEXT}, @"{pattern}"))"#);
        assert_eq!(translate(&text).is_ok(), is_same, "{pattern}");
    }
}

#[test]
fn what_fails_in_csharp_fails() {
    let json = r#"((IResponse)context.Variables["r"]).Body.As<JObject>()["level"]"#;
    for (name, text, level) in [
        (
            "a method of an absent item",
            format!(r#"!new[] {{ {A} }}.First().Equals("bad")"#),
            json!(1),
        ),
        (
            "in a condition on items",
            format!(r#"!new[] {{ {A} }}.Any(x => x.Equals("bad"))"#),
            json!(1),
        ),
        (
            "a fraction, which C# rounds",
            format!("(int){json} < 2"),
            json!(1.7),
        ),
    ] {
        let vars = json!({"r": {"json": {"level": level}}});
        let found = holds(&format!("@({text})"), &json!({}), &vars);
        assert!(
            found.as_ref().is_err_and(|why| why.starts_with("fails")),
            "{name}: {found:?}"
        );
    }
    for (level, wanted) in [(json!(1), true), (json!("1"), true), (json!(3), false)] {
        let vars = json!({"r": {"json": {"level": level}}});
        let found = holds(&format!("@((int){json} < 2)"), &json!({}), &vars);
        assert_eq!(found, Ok(json!(wanted)), "{level}");
    }
}
