mod handshakes;
mod ids;
mod truth;

use std::time::{Duration, UNIX_EPOCH};

use serde_json::{Value, json};
use tidegate_expr::{Program, Stage, Variables};

use super::{Cel, IdUse, Result as Translation};
use crate::service::Service;

fn translate(text: &str) -> Translation<Cel> {
    super::translate(text, &Service::default(), IdUse::Forwarded)
}

#[test]
fn idioms_become_cel() {
    let cases = [
        (
            r#"@(context.Request.Headers.GetValueOrDefault("X-A","none"))"#,
            r#"("x-a" in request.headers ? request.headers["x-a"].join(",") : "none")"#,
        ),
        (
            r#"@((string)context.Variables["a-b"] + "/{{region}}")"#,
            r#"((vars.a_b == null ? "" : vars.a_b) + ("/" + values.region))"#,
        ),
        (
            r#"@(context.Request.Method == "GET" || context.Api.Id != "a" && true)"#,
            r#"((request.method == "GET") || (!(api.name == "a") && true))"#,
        ),
        (
            r#"@(((Jwt)context.Variables["t"]).Subject)"#,
            "vars.t.claims.sub",
        ),
        (
            r#"@(context.Request.IpAddress.Substring(2, 3).Length + 1)"#,
            "(size(client.ip.substring(2, 5)) + 1)",
        ),
        (
            r#"@{ var m = context.Request.Method; if (m == "GET") { return 1; } else { return 2; } }"#,
            r#"((request.method == "GET") ? 1 : 2)"#,
        ),
        (
            r#"@(Convert.ToBase64String(Encoding.UTF8.GetBytes("a\"b")))"#,
            r#"base64.encode("a\"b")"#,
        ),
        (
            r#"@(((IResponse)context.Variables["neg"]).Body.As<JObject>()["a"]["b"] != null)"#,
            r#"("b" in vars.neg.json["a"])"#,
        ),
        (r#"@($"a/{context.Api.Id}")"#, r#"("a/" + api.name)"#),
    ];
    for (given, wanted) in cases {
        let found = translate(given).map(|found| found.text);
        assert_eq!(found.as_deref(), Ok(wanted), "{given}");
    }
}

/// A handshake as expressions see it.
fn handshake() -> Variables {
    let mut variables = Variables::new();
    let negotiated = json!({
        "url": "https://s.example:8443/client/?hub=chat&asrs.op=%2Fchat", "accessToken": "t0ken",
        "expires": 3600, "blocked": false, "nothing": null, "user": {"name": "ann"},
        "availableTransports": [{"transport": "LongPolling"}, {"transport": "WebSockets"}],
    });
    for (name, value) in [
        (
            "request",
            json!({
                "id": "7f3a", "method": "GET", "scheme": "wss", "host": "chat.example.com",
                "path": "/chat", "originalUrl": "wss://chat.example.com/chat?room=blue",
                "rawQuery": "room=blue", "params": {}, "subprotocols": [],
                "headers": {"authorization": ["Basic YW5uOnNlY3JldA=="], "x-many": ["a", "b"]},
                "query": {"room": ["blue"]},
            }),
        ),
        (
            "client",
            json!({"ip": "10.1.2.3", "port": 1, "tls": null, "certificate": null}),
        ),
        (
            "api",
            json!({"name": "chat", "namespace": "a", "displayName": "Chat", "path": "/chat"}),
        ),
        (
            "subscription",
            json!({"name": "s", "namespace": "a", "displayName": "S", "owner": "ann"}),
        ),
        ("values", json!({"region": "eu"})),
        (
            "vars",
            json!({
                "neg": {"status": 200, "headers": {"content-type": ["application/json"]},
                        "text": negotiated.to_string(), "json": negotiated},
                "failed": null, "name": "Ann", "number": 5, "yes": true,
            }),
        ),
    ] {
        variables.set(name, tidegate_expr::from_json(value));
    }
    variables.set_now(UNIX_EPOCH + Duration::from_secs(1_772_366_400));
    variables
}

/// What an expression gives; `Err`: why it fails.
fn evaluated(text: &str) -> Result<Value, String> {
    let cel = translate(text).map_err(|why| format!("not translated: {why}"))?;
    let cel = cel.kept().map_err(|why| format!("not translated: {why}"))?;
    let program = Program::value(&cel.text, Stage::Outbound);
    let program = program.map_err(|error| format!("{}: {error}", cel.text))?;
    let value = program.evaluate(&handshake());
    let value = value.map_err(|error| format!("fails: {}: {error}", cel.text))?;
    tidegate_expr::to_json(&value).map_err(|error| error.to_string())
}

/// An answer that a request has kept.
const ANSWER: &str = r#"((IResponse)context.Variables["neg"])"#;

#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn idioms_give_what_they_give_there() {
    let json = format!("{ANSWER}.Body.As<JObject>(preserveContent: true)");
    let uri = format!(r#"new Uri((string){json}["url"])"#);
    let cases = [
        ("status", format!("{ANSWER}.StatusCode == 200"), json!(true)),
        (
            "conditional status",
            format!("{ANSWER}?.StatusCode == 200"),
            json!(true),
        ),
        (
            "status of nothing",
            r#"((IResponse)context.Variables["failed"])?.StatusCode == 200"#.to_owned(),
            json!(false),
        ),
        (
            "no answer",
            r#"context.Variables.GetValueOrDefault<IResponse>("failed") == null"#.to_owned(),
            json!(true),
        ),
        (
            "header of an answer",
            format!(r#"{ANSWER}.Headers.GetValueOrDefault("Content-Type", "")"#),
            json!("application/json"),
        ),
        (
            "body as text",
            format!(r#"{ANSWER}.Body.As<string>().Contains("t0ken")"#),
            json!(true),
        ),
        (
            "nested field",
            format!(r#"(string){json}["user"]["name"]"#),
            json!("ann"),
        ),
        (
            "field as text",
            format!(r#"{json}["user"]["name"].ToString()"#),
            json!("ann"),
        ),
        (
            "missing field",
            format!(r#"(string){json}["missing"] == null"#),
            json!(true),
        ),
        (
            "missing field with a default",
            format!(r#"(string){json}["missing"] ?? "none""#),
            json!("none"),
        ),
        (
            "conditional text",
            format!(r#"{json}["missing"]?.ToString() ?? "none""#),
            json!("none"),
        ),
        ("null field", format!(r#"{json}["nothing"] == null"#), json!(false)),
        (
            "null field as text",
            format!(r#"(string){json}["nothing"] == null"#),
            json!(true),
        ),
        ("number", format!(r#"(int){json}["expires"] + 1"#), json!(3601)),
        ("value", format!(r#"{json}.Value<int>("expires")"#), json!(3600)),
        ("flag", format!(r#"(bool){json}["blocked"]"#), json!(false)),
        ("contains", format!(r#"{json}.ContainsKey("user")"#), json!(true)),
        (
            "path",
            format!(r#"(string){json}.SelectToken("user.name")"#),
            json!("ann"),
        ),
        (
            "any of a list",
            format!(
                r#"((JArray){json}["availableTransports"]).Any(t => (string)t["transport"] == "WebSockets")"#
            ),
            json!(true),
        ),
        (
            "item of a list",
            format!(r#"(string){json}["availableTransports"][0]["transport"]"#),
            json!("LongPolling"),
        ),
        ("host of a URL", format!("{uri}.Host"), json!("s.example")),
        (
            "authority of a URL",
            format!("{uri}.Authority"),
            json!("s.example:8443"),
        ),
        (
            "authority without a port",
            r#"new Uri("https://s.example/a").Authority"#.to_owned(),
            json!("s.example"),
        ),
        ("port of a URL", format!("{uri}.Port"), json!(8443)),
        ("path of a URL", format!("{uri}.AbsolutePath"), json!("/client/")),
        (
            "query of a URL",
            format!("{uri}.Query"),
            json!("?hub=chat&asrs.op=%2Fchat"),
        ),
        (
            "parameter of a URL",
            format!(r#"HttpUtility.ParseQueryString({uri}.Query)["asrs.op"]"#),
            json!("/chat"),
        ),
        (
            "missing parameter of a URL",
            format!(r#"System.Web.HttpUtility.ParseQueryString({uri}.Query).Get("id") == null"#),
            json!(true),
        ),
        (
            "parsed text",
            r#"(string)JObject.Parse("{\"a\":\"b\"}")["a"]"#.to_owned(),
            json!("b"),
        ),
        (
            "made JSON",
            r#"new JObject(new JProperty("a", context.Api.Id), new JProperty("b", new JArray(1, true))).ToString()"#
                .to_owned(),
            json!(r#"{"a":"chat","b":[1,true]}"#),
        ),
        (
            "anonymous object",
            "JsonConvert.SerializeObject(new { a = context.Api.Id })".to_owned(),
            json!(r#"{"a":"chat"}"#),
        ),
        (
            "interpolated",
            r#"$"{context.Api.Id}/{1 + 1}/{{region}}/{(string)context.Variables["name"]}""#.to_owned(),
            json!("chat/2/eu/Ann"),
        ),
        (
            "format",
            r#"string.Format("{0}-{1}", context.Api.Id, 7)"#.to_owned(),
            json!("chat-7"),
        ),
        ("concat", r#"String.Concat("a", context.Api.Id)"#.to_owned(), json!("achat")),
        (
            "choice",
            r#"context.Api.Id == "chat" ? "yes" : "no""#.to_owned(),
            json!("yes"),
        ),
        (
            "variable with a default",
            r#"context.Variables.GetValueOrDefault("missing", "d").ToUpper()"#.to_owned(),
            json!("D"),
        ),
        (
            "variable that is there",
            r#"context.Variables.ContainsKey("name")"#.to_owned(),
            json!(true),
        ),
        (
            "all values of a header",
            r#"context.Request.Headers.GetValueOrDefault("X-Many")"#.to_owned(),
            json!("a,b"),
        ),
        (
            "first value of a header",
            r#"context.Request.Headers["X-Many"].First()"#.to_owned(),
            json!("a"),
        ),
        (
            "joined header",
            r#"string.Join(";", context.Request.Headers["X-Many"])"#.to_owned(),
            json!("a;b"),
        ),
        (
            "length of a missing header",
            r#"context.Request.Headers.GetValueOrDefault("X-None")?.Length > 0"#.to_owned(),
            json!(false),
        ),
        (
            "credentials",
            r#"context.Request.Headers.GetValueOrDefault("Authorization","").AsBasic().UserId"#.to_owned(),
            json!("ann"),
        ),
        (
            "query string",
            "context.Request.OriginalUrl.QueryString".to_owned(),
            json!("?room=blue"),
        ),
        ("user", "context.User?.Id".to_owned(), json!("ann")),
        ("split", r#""a/b/c".Split('/')[1]"#.to_owned(), json!("b")),
        ("last", r#""a/b/c".Split('/').Last()"#.to_owned(), json!("c")),
        (
            "filtered",
            r#""a,b,a".Split(',').Where(x => x == "a").Count()"#.to_owned(),
            json!(2),
        ),
        ("index of", r#""a-b".IndexOf("-")"#.to_owned(), json!(1)),
        ("trimmed end", r#""/a//".TrimEnd('/')"#.to_owned(), json!("/a")),
        ("trimmed start", r#""//a/".TrimStart('/')"#.to_owned(), json!("a/")),
        ("trimmed to nothing", r#""//".TrimEnd('/')"#.to_owned(), json!("")),
        (
            "pattern",
            r#"Regex.IsMatch(context.Api.Id, @"^CH\w+$", RegexOptions.IgnoreCase)"#.to_owned(),
            json!(true),
        ),
        (
            "compared",
            r#"string.Equals("A", "a", StringComparison.OrdinalIgnoreCase)"#.to_owned(),
            json!(true),
        ),
        (
            "base64",
            r#"System.Text.Encoding.UTF8.GetString(System.Convert.FromBase64String("aGk="))"#.to_owned(),
            json!("hi"),
        ),
        ("encoded", r#"WebUtility.UrlEncode("a/b")"#.to_owned(), json!("a%2Fb")),
        ("parsed number", r#"int.Parse("41") + 1"#.to_owned(), json!(42)),
        ("rest", "7 % 4 - -1".to_owned(), json!(4)),
        (
            "seconds",
            "DateTimeOffset.UtcNow.ToUnixTimeSeconds()".to_owned(),
            json!(1_772_366_400),
        ),
        (
            "hour",
            "DateTime.UtcNow.AddHours(2).Hour".to_owned(),
            json!(14),
        ),
        (
            "later",
            "DateTime.UtcNow < DateTime.UtcNow.AddMinutes(5)".to_owned(),
            json!(true),
        ),
        ("guid", "Guid.NewGuid().ToString().Length".to_owned(), json!(36)),
    ];
    let found: Vec<_> = cases
        .iter()
        .filter_map(
            |(name, text, wanted)| match evaluated(&format!("@({text})")) {
                Ok(found) if found == *wanted => None,
                other => Some(format!("{name}: {text}: {other:?}, not {wanted}")),
            },
        )
        .collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn blocks_give_what_they_give_there() {
    for (text, wanted) in [
        (
            r#"@{
                // The host, unless "nobody" is known.
                string host = "lobby"; /* { */
                if (context.Variables.ContainsKey("name")) { host = (string)context.Variables["name"]; }
                host += ".example";
                return host.ToLower();
            }"#,
            json!("ann.example"),
        ),
        (
            r#"@{
                JObject body = ((IResponse)context.Variables["neg"]).Body.As<JObject>();
                if (body["error"] != null) { return (string)body["error"]; }
                else if (body["user"] != null) { return (string)body["user"]["name"]; }
                return "nobody";
            }"#,
            json!("ann"),
        ),
        (
            r#"@{ var parts = "a.b.c".Split('.'); return parts.Length == 3 ? parts[1] : null; }"#,
            json!("b"),
        ),
    ] {
        assert_eq!(evaluated(text), Ok(wanted), "{text}");
    }
}

/// C# would throw, or print something else.
#[test]
fn what_has_no_sure_value_fails_when_it_is_evaluated() {
    let json = format!("{ANSWER}.Body.As<JObject>()");
    for text in [
        format!(r#"{json}["missing"]["name"]"#),
        format!(r#"(string){json}["missing"]["name"] != "blocked""#),
        format!(r#"(string){json}["blocked"] == "False""#),
        format!(r#""a" + {json}["expires"]"#),
        r#"((IResponse)context.Variables["failed"]).StatusCode != 403"#.to_owned(),
        r#"(string)((IResponse)context.Variables["failed"]).Body.As<JObject>()["a"] != "b""#
            .to_owned(),
        r#"context.Request.Headers["X-None"].First() != "a""#.to_owned(),
        r#"context.Variables["yes"].ToString() == "True""#.to_owned(),
        r#""a/b".Split('/')[2] != "c""#.to_owned(),
    ] {
        let found = evaluated(&format!("@({text})"));
        let fails = found.as_ref().is_err_and(|why| why.starts_with("fails"));
        assert!(fails, "{text}: {found:?}");
    }
}

#[test]
fn what_could_mean_something_else_is_refused() {
    let deep = format!("@({}1{})", "(".repeat(5_000), ")".repeat(5_000));
    let long = format!("@(1{})", "+1".repeat(5_000));
    let chain = format!("@(null{})", " ?? null".repeat(50_000));
    let locals = format!("@{{ {} return 1; }}", "var a = 1; ".repeat(50_000));
    let nested = format!("@{{ {} return 1; }}", "if (true) ".repeat(50_000));
    let falling = format!(
        "@{{ var a = 1; {} return a; }}",
        "if (true) { a = 2; } ".repeat(39)
    );
    let holes = format!("@($\"{}\")", "{1}".repeat(5_000));
    let inner = format!("@({}1{})", "$\"{".repeat(5_000), "}\"".repeat(5_000));
    let double = format!(
        "@{{ var a = \"x\"; {} return a; }}",
        "a = a + a; ".repeat(39)
    );
    for given in [
        "@(context.Request.Url.Host)",
        r#"@(context.Request.Body.As<string>())"#,
        r#"@(context.LastError.Source == "validate-jwt")"#,
        "@(1 + )",
        "@(1) trailing",
        "@{ var a = 1; }",
        r#"@("no end)"#,
        "@{ var id = Guid.NewGuid(); return id; }",
        r#"@("a".Replace(newValue: "b", oldValue: "c"))"#,
        r#"@(((IResponse)context.Variables["a"]).Body.As<JObject>()["b"] == "c")"#,
        r#"@(new Random().Next())"#,
        r#"@("a".Select(x => y))"#,
        "@{ foreach (var a in b) { return 1; } return 2; }",
        "@{ try { return 1; } catch { return 2; } }",
        r#"@($"{1:N2}")"#,
        "@(1 /* no end)",
        &deep,
        &long,
        &chain,
        &locals,
        &nested,
        &falling,
        &holes,
        &inner,
        &double,
    ] {
        assert!(translate(given).is_err(), "{given:.60}");
    }
}
