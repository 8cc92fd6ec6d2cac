//! What docs/import.md lists under Expressions, for handshakes that differ in one thing.

use serde_json::{Value, json};
use tidegate_expr::{Program, Stage, Variables};

use super::translate;

const NAMES: [&str; 8] = [
    "request",
    "client",
    "api",
    "product",
    "subscription",
    "response",
    "vars",
    "values",
];

/// A handshake with everything that an expression can read.
fn plain() -> Value {
    json!({
        "request": {
            "id": "7f3a", "method": "GET", "scheme": "wss", "host": "chat.example.com", "path": "/chat",
            "originalUrl": "wss://chat.example.com/chat?room=blue", "rawQuery": "room=blue", "params": {},
            "subprotocols": [], "headers": {"x-a": ["a"]}, "query": {"room": ["blue"]},
        },
        "client": {"ip": "10.1.2.3", "port": 1, "tls": null, "certificate": null},
        "api": {"name": "chat", "namespace": "a", "displayName": "Chat", "path": "/chat"},
        "product": {"name": "gold", "namespace": "a", "displayName": "Gold"},
        "subscription": {"name": "s", "namespace": "a", "displayName": "S", "owner": "ann"},
        "response": {"status": 101, "headers": {"x-b": ["b"]}},
        "vars": {
            "text": "beta", "flag": true, "number": 3, "answer": {
                "status": 200, "headers": {"x-c": ["c"]}, "text": "{\"a\":{\"b\":\"c\"},\"n\":[1]}",
                "json": {"a": {"b": "c"}, "n": [{"id": "x"}]},
            },
            "jwt": {"header": {}, "claims": {"sub": "ann", "iss": "https://i.example", "jti": "1"}},
            "url": "https://s.example:8443/hub?room=blue",
        },
        "values": {"plan": "gold", "deployment_region": "West Europe"},
    })
}

/// The same, with these parts instead.
fn with(overlay: &Value) -> Variables {
    let mut all = plain();
    merge(&mut all, overlay);
    let mut variables = Variables::new();
    for name in NAMES {
        variables.set(name, tidegate_expr::from_json(all[name].take()));
    }
    variables
}

/// In place of a value: there is none.
const ABSENT: &str = "(absent)";

fn merge(into: &mut Value, from: &Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (name, value) in from {
                match value == ABSENT {
                    true => drop(into.remove(name)),
                    false => merge(into.entry(name.clone()).or_insert(Value::Null), value),
                }
            }
        }
        (into, from) => *into = from.clone(),
    }
}

/// Whether an expression holds; `Err`: it fails.
fn holds(text: &str, overlay: &Value) -> Result<Value, String> {
    let cel = translate(&format!("@({text})")).map_err(|why| format!("not translated: {why}"))?;
    let program = Program::value(&cel.text, Stage::Outbound);
    let program = program.map_err(|error| format!("{}: {error}", cel.text))?;
    let value = program.evaluate(&with(overlay));
    let value = value.map_err(|error| format!("fails: {}: {error}", cel.text))?;
    tidegate_expr::to_json(&value).map_err(|error| error.to_string())
}

const URI: &str = r#"new Uri((string)context.Variables["url"])"#;
const ANSWER: &str = r#"((IResponse)context.Variables["answer"])"#;
const JWT: &str = r#"((Jwt)context.Variables["jwt"])"#;

/// An expression that holds for the plain handshake, and a change after which it does not.
#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn cases() -> Vec<(String, Value)> {
    let request = |field: &str, value: Value| json!({"request": {field: value}});
    let var = |name: &str, value: Value| json!({"vars": {name: value}});
    let answer = |field: &str, value: Value| json!({"vars": {"answer": {field: value}}});
    let claim = |name: &str| json!({"vars": {"jwt": {"claims": {name: "other"}}}});
    let url = json!({"vars": {"url": "http://t.example/x?room=red"}});
    let mut all = vec![
        (
            r#"context.Request.Method == "GET""#.to_owned(),
            request("method", json!("CONNECT")),
        ),
        (
            r#"context.Request.IpAddress == "10.1.2.3""#.to_owned(),
            json!({"client": {"ip": "::1"}}),
        ),
        (
            r#"context.Request.OriginalUrl.Host == "chat.example.com""#.to_owned(),
            request("host", json!("x")),
        ),
        (
            r#"context.Request.OriginalUrl.Path.StartsWith("/chat")"#.to_owned(),
            request("path", json!("/x")),
        ),
        (
            r#"context.Request.OriginalUrl.Scheme == "wss""#.to_owned(),
            request("scheme", json!("ws")),
        ),
        (
            r#"context.Request.OriginalUrl.QueryString == "?room=blue""#.to_owned(),
            request("rawQuery", json!("")),
        ),
        (
            r#"context.Request.Headers.ContainsKey("X-A")"#.to_owned(),
            request("headers", json!({"x-a": ABSENT})),
        ),
        (
            r#"context.Request.Url.Query.ContainsKey("room")"#.to_owned(),
            request("query", json!({"room": ABSENT})),
        ),
        (
            r#"context.Request.Url.Query.GetValueOrDefault("room", "") == "blue""#.to_owned(),
            request("query", json!({"room": ["red"]})),
        ),
        (
            r#"context.Request.Url.Query["room"][0] == "blue""#.to_owned(),
            request("query", json!({"room": ["red"]})),
        ),
        (
            r#"(string)context.Variables["text"] == "beta""#.to_owned(),
            var("text", json!("b")),
        ),
        (
            r#"context.Variables.GetValueOrDefault<string>("text", "") == "beta""#.to_owned(),
            var("text", json!("b")),
        ),
        (
            r#"context.Variables.GetValueOrDefault<bool>("flag")"#.to_owned(),
            var("flag", json!(false)),
        ),
        (
            r#"context.Variables.GetValueOrDefault<int>("number") > 2"#.to_owned(),
            var("number", json!(2)),
        ),
        (
            r#"context.Api.Name == "Chat""#.to_owned(),
            json!({"api": {"displayName": "x"}}),
        ),
        (
            r#"context.Product.Name == "Gold""#.to_owned(),
            json!({"product": {"displayName": "x"}}),
        ),
        (
            r#"context.Product?.Name == "Gold""#.to_owned(),
            json!({"product": null}),
        ),
        (
            "context.Product != null".to_owned(),
            json!({"product": null}),
        ),
        (
            r#"context.Subscription.Name == "S""#.to_owned(),
            json!({"subscription": {"displayName": "x"}}),
        ),
        (
            "context.Subscription != null".to_owned(),
            json!({"subscription": null}),
        ),
        (
            r#"context.User.Id == "ann""#.to_owned(),
            json!({"subscription": {"owner": "ben"}}),
        ),
        (
            r#"context.User?.Id == "ann""#.to_owned(),
            json!({"subscription": null}),
        ),
        (
            "context.User != null".to_owned(),
            json!({"subscription": {"owner": null}}),
        ),
        (
            "context.Response.StatusCode == 101".to_owned(),
            json!({"response": {"status": 403}}),
        ),
        (
            r#"context.Response.Headers.GetValueOrDefault("X-B", "") == "b""#.to_owned(),
            json!({"response": {"headers": {"x-b": ["x"]}}}),
        ),
        (
            r#"context.RequestId.ToString() == "7f3a""#.to_owned(),
            request("id", json!("0")),
        ),
        (
            r#"context.Deployment.Region == "West Europe""#.to_owned(),
            json!({"values": {"deployment_region": "x"}}),
        ),
        (
            r#""{{plan}}" == "gold""#.to_owned(),
            json!({"values": {"plan": "free"}}),
        ),
    ];
    let wrapped = [
        (
            format!("{ANSWER}.StatusCode == 200"),
            answer("status", json!(401)),
        ),
        (
            format!(r#"{ANSWER}.Headers.GetValueOrDefault("X-C", "") == "c""#),
            answer("headers", json!({"x-c": ["d"]})),
        ),
        (
            format!(r#"{ANSWER}.Body.As<string>().Contains("\"c\"")"#),
            answer("text", json!("")),
        ),
        (
            format!(r#"(string){ANSWER}.Body.As<JObject>()["a"]["b"] == "c""#),
            answer("json", json!({"a": {"b": "d"}})),
        ),
        (
            format!(r#"{ANSWER}.Body.As<JObject>().ContainsKey("a")"#),
            answer("json", json!([])),
        ),
        (
            format!(r#"{ANSWER}.Body.As<JObject>()["a"].Value<string>("b") == "c""#),
            answer("json", json!({"a": {"b": "d"}})),
        ),
        (
            format!(r#"(string){ANSWER}.Body.As<JObject>().SelectToken("a.b") == "c""#),
            answer("json", json!({"a": {"b": "d"}})),
        ),
        (
            format!(
                r#"((JArray){ANSWER}.Body.As<JObject>()["n"]).Any(n => (string)n["id"] == "x")"#
            ),
            answer("json", json!({"n": []})),
        ),
        (
            format!(
                r#"((JArray){ANSWER}.Body.As<JObject>()["n"]).All(n => (string)n["id"] == "x")"#
            ),
            answer("json", json!({"n": [{"id": "y"}]})),
        ),
        (format!(r#"{JWT}.Subject == "ann""#), claim("sub")),
        (
            format!(r#"{JWT}.Issuer == "https://i.example""#),
            claim("iss"),
        ),
        (format!(r#"{JWT}.Id == "1""#), claim("jti")),
        (
            format!(r#"{JWT}.Claims.ContainsKey("sub")"#),
            json!({"vars": {"jwt": {"claims": {"sub": ABSENT}}}}),
        ),
        (format!(r#"{URI}.Host == "s.example""#), url.clone()),
        (
            format!(r#"{URI}.Authority == "s.example:8443""#),
            url.clone(),
        ),
        (format!("{URI}.Port == 8443"), url.clone()),
        (format!(r#"{URI}.Scheme == "https""#), url.clone()),
        (format!(r#"{URI}.AbsolutePath == "/hub""#), url.clone()),
        (format!(r#"{URI}.Query == "?room=blue""#), url.clone()),
        (
            format!(r#"{URI}.PathAndQuery == "/hub?room=blue""#),
            url.clone(),
        ),
        (
            format!(r#"HttpUtility.ParseQueryString({URI}.Query)["room"] == "blue""#),
            url,
        ),
    ];
    all.extend(wrapped);
    all.extend(texts());
    all
}

/// Methods of strings, of the variable `text`: `beta`, or `x`.
fn texts() -> Vec<(String, Value)> {
    const TEXT: &str = r#"((string)context.Variables["text"])"#;
    let all = [
        r#"§.StartsWith("be")"#,
        r#"§.StartsWith("BE", StringComparison.OrdinalIgnoreCase)"#,
        r#"§.EndsWith("ta")"#,
        r#"§.Contains("et")"#,
        r#"§.Equals("beta")"#,
        r#"§.Replace("b", "m") == "meta""#,
        r#"§.Substring(0, 1) == "b""#,
        r#"§.IndexOf("t") == 2"#,
        r#"§.LastIndexOf("a") == 3"#,
        r#"§.Split('e')[0] == "b""#,
        r#"§.Split('e').Last() == "ta""#,
        r#"§.Split('e').LastOrDefault() == "ta""#,
        r#"§.Split('e').Count() == 2"#,
        r#"§.Split('e').Contains("ta")"#,
        r#"§.Split('e').Where(p => p.StartsWith("t")).Count() == 1"#,
        r#"§.Split('e').Select(p => p.ToUpper()).First() == "B""#,
        r#"§.Trim() == "beta""#,
        r#"§.TrimEnd('/') == "beta""#,
        r#"§.ToLower() == "beta""#,
        r#"§.ToUpperInvariant() == "BETA""#,
        "§.Length == 4",
        r#"string.Concat(§, "!") == "beta!""#,
        r#"string.Join("-", §.Split('e')) == "b-ta""#,
        r#"string.Format("{0}!", §) == "beta!""#,
        r#"$"{§}!" == "beta!""#,
        r#"Uri.EscapeDataString(§) == "beta""#,
        r#"WebUtility.UrlEncode(§) == "beta""#,
        r#"Uri.UnescapeDataString(§) == "beta""#,
        r#"Convert.ToBase64String(Encoding.UTF8.GetBytes(§)) == "YmV0YQ==""#,
        r#"(string)JObject.Parse("{\"k\":\"" + § + "\"}")["k"] == "beta""#,
        r#"new JObject(new JProperty("k", §)).ToString().Contains("beta")"#,
        r#"JsonConvert.SerializeObject(new { k = § }).Contains("beta")"#,
    ];
    // Too short to split, and to take a part of.
    let other = json!({"vars": {"text": "x"}});
    all.iter()
        .map(|text| (text.replace('§', TEXT), other.clone()))
        .collect()
}

#[test]
fn each_construct_is_true_and_false_for_the_same_handshakes() {
    let mut wrong = Vec::new();
    for (text, change) in cases() {
        for (overlay, wanted) in [(json!({}), true), (change, false)] {
            let found = holds(&text, &overlay);
            if found != Ok(json!(wanted)) {
                wrong.push(format!("{text} with {overlay}: {found:?}, not {wanted}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// In C#, null has no properties: the policy fails, and the handshake is refused.
#[test]
fn what_a_handshake_does_not_have_fails_unless_it_is_asked_for() {
    let nobody = json!({"product": null, "subscription": null});
    let unowned = json!({"subscription": {"owner": null}});
    for (text, overlay) in [
        (r#"context.Product.Name != "x""#, &nobody),
        (r#"context.Product.Id != "gold""#, &nobody),
        (r#"context.Subscription.Id != "s""#, &nobody),
        (r#"context.Subscription.Name != "x""#, &nobody),
        (r#"context.User.Id != "x""#, &nobody),
        (r#"context.User.Id != "x""#, &unowned),
        (
            r#"context.Product.Id == "gold" || context.Request.Method == "GET""#,
            &nobody,
        ),
        (r#"!context.Product.Id.Equals("gold")"#, &nobody),
    ] {
        let found = holds(text, overlay);
        let fails = found.as_ref().is_err_and(|why| why.starts_with("fails"));
        assert!(fails, "{text}: {found:?}");
    }
    for text in [
        r#"context.Product?.Name != "x""#,
        r#"context.Product?.Id != "gold""#,
        r#"context.Product == null || context.Product.Id == "x""#,
        r#"context.User?.Id != "x""#,
    ] {
        assert_eq!(holds(text, &nobody), Ok(json!(true)), "{text}");
    }
}

/// In C#, `==` of a variable that is not cast is true for the same object only.
#[test]
fn a_variable_is_compared_by_what_it_holds_only_after_a_cast() {
    for text in [
        r#"context.Variables["text"] == "beta""#,
        r#""beta" != context.Variables["text"]"#,
        r#"context.Variables["text"] == context.Variables["url"]"#,
        r#"context.Variables.GetValueOrDefault("text") != "beta""#,
    ] {
        let found = holds(text, &json!({}));
        let is_named = found
            .as_ref()
            .is_err_and(|why| why.contains("by reference there"));
        assert!(is_named, "{text}: {found:?}");
    }
    for text in [
        r#"context.Variables["text"] != null"#,
        r#"context.Variables["text"] != string.Empty"#,
        r#"context.Variables["text"] != """#,
        r#"context.Variables["text"].ToString() == "beta""#,
        r#"context.Variables.GetValueOrDefault("text", "") == "beta""#,
    ] {
        assert_eq!(holds(text, &json!({})), Ok(json!(true)), "{text}");
    }
}
