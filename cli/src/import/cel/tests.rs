use super::translate;

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
            r#"((request.method == "GET") ? true : ((api.name != "a") ? true : false))"#,
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
    ];
    for (given, wanted) in cases {
        let found = translate(given).map(|found| found.text);
        assert_eq!(found.as_deref(), Ok(wanted), "{given}");
    }
}

#[test]
fn what_could_mean_something_else_is_refused() {
    let deep = format!("@({}1{})", "(".repeat(5_000), ")".repeat(5_000));
    let long = format!("@(1{})", "+1".repeat(5_000));
    let chain = format!("@(null{})", " ?? null".repeat(50_000));
    let locals = format!("@{{ {} return 1; }}", "var a = 1; ".repeat(50_000));
    let nested = format!("@{{ {} return 1; }}", "if (true) ".repeat(50_000));
    for given in [
        "@(context.Request.Url.Host)",
        r#"@(context.Request.Headers["X-A"])"#,
        r#"@(context.Request.Body.As<string>())"#,
        r#"@(context.LastError.Source == "validate-jwt")"#,
        r#"@("a" + true)"#,
        "@(1 + )",
        "@(1) trailing",
        "@{ var a = 1; }",
        r#"@("no end)"#,
        "@(Guid.NewGuid())",
        &deep,
        &long,
        &chain,
        &locals,
        &nested,
    ] {
        assert!(translate(given).is_err(), "{given:.60}");
    }
}
