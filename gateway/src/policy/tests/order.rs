use super::*;
use crate::refusal::{Origin, Reason};

/// A scope whose steps leave its letter in the header x-path, or what `on` says.
fn scope(scope: Scope, on: Value, services: &Services) -> ScopePolicies {
    let declared = Declared {
        scope,
        on,
        values: &[],
        secret_data: &SecretData::default(),
    };
    declared.compile(services).unwrap()
}

fn mark(letter: &str) -> Value {
    json!({"setHeader": {"name": "x-path", "values": [letter], "ifExists": "Append"}})
}

fn base() -> Value {
    json!({"base": {}})
}

/// Runs a section of gateway, product and API, and gives the letters in order.
async fn path(section: &str, [gateway, product, api]: [Value; 3]) -> String {
    let services = services();
    let gateway = scope(Scope::Gateway, gateway, &services);
    let product = scope(Scope::Product, product, &services);
    let api = scope(Scope::Api, api, &services);
    let pipeline = Pipeline::merge(&[&gateway, &product, &api]);
    let mut exchange = exchange(&[]);
    let mut headers = HeaderMap::new();
    match section {
        "inbound" => {
            pipeline.inbound(&mut exchange, &services).await.unwrap();
            headers = exchange.upstream.headers;
        }
        "outbound" => {
            pipeline
                .outbound(&mut exchange, &answer(101), &services)
                .await
                .unwrap();
            exchange.answer.apply(&mut headers);
        }
        _ => {
            let refusal = Refusal::new(401, Reason::TokenMissing, Origin::Policy, "no");
            let refusal = pipeline.on_error(&mut exchange, refusal, &services).await;
            headers.extend(refusal.headers);
        }
    }
    let path = headers
        .get("x-path")
        .map(|path| path.to_str().unwrap().replace(", ", ""));
    path.unwrap_or_default()
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
async fn scopes_run_in_their_order_and_base_moves_the_wider_ones() {
    let plain = |letter: &str| vec![mark(letter)];
    let base_first = vec![base(), mark("a")];
    let around = vec![mark("a"), base(), mark("A")];
    let when = |condition: &str| vec![json!({"when": condition, "base": {}}), mark("a")];
    for (section, name, steps, inherit, expected) in [
        (
            "inbound",
            "wide to narrow",
            [plain("g"), plain("p"), plain("a")],
            [true, true],
            "gpa",
        ),
        (
            "outbound",
            "narrow to wide",
            [plain("g"), plain("p"), plain("a")],
            [true, true],
            "apg",
        ),
        (
            "onError",
            "narrow to wide",
            [plain("g"), plain("p"), plain("a")],
            [true, true],
            "apg",
        ),
        (
            "inbound",
            "base between",
            [plain("g"), plain("p"), around.clone()],
            [true, true],
            "agpA",
        ),
        (
            "outbound",
            "base first",
            [plain("g"), plain("p"), base_first.clone()],
            [true, true],
            "pga",
        ),
        (
            "onError",
            "base first in the product",
            [plain("g"), vec![base(), mark("p")], plain("a")],
            [true, true],
            "agp",
        ),
        (
            "inbound",
            "cut off",
            [plain("g"), plain("p"), plain("a")],
            [true, false],
            "a",
        ),
        (
            "inbound",
            "the product cut off",
            [plain("g"), plain("p"), plain("a")],
            [false, true],
            "pa",
        ),
        (
            "outbound",
            "cut off",
            [plain("g"), plain("p"), plain("a")],
            [true, false],
            "a",
        ),
        (
            "inbound",
            "base though cut off",
            [plain("g"), plain("p"), base_first],
            [true, false],
            "gpa",
        ),
        (
            "inbound",
            "no own steps",
            [plain("g"), vec![], vec![]],
            [true, true],
            "g",
        ),
        (
            "inbound",
            "base when true",
            [plain("g"), plain("p"), when("true")],
            [true, true],
            "gpa",
        ),
        (
            "inbound",
            "base when false",
            [plain("g"), plain("p"), when("false")],
            [true, true],
            "a",
        ),
        (
            "inbound",
            "base in the widest scope",
            [vec![base(), mark("g")], plain("p"), plain("a")],
            [true, true],
            "gpa",
        ),
    ] {
        let [gateway, product, api] = steps;
        let scopes = [
            json!({section: gateway}),
            json!({section: product, "inherit": inherit[0]}),
            json!({section: api, "inherit": inherit[1]}),
        ];
        assert_eq!(path(section, scopes).await, expected, "{section}: {name}");
    }
}

#[test]
fn the_wider_scope_stands_in_one_place() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let _inside = runtime.enter();
    let declared = Declared {
        scope: Scope::Api,
        on: json!({"inbound": [base(), mark("a"), base()]}),
        values: &[],
        secret_data: &SecretData::default(),
    };
    let error = declared.compile(&services()).unwrap_err().to_string();
    assert_eq!(
        error,
        "onHandshake.inbound[2].base: the wider scope's steps can stand in one place only"
    );
}

#[tokio::test]
async fn a_step_runs_only_when_its_condition_holds() {
    let step = |when: &str| json!({"when": when, "setHeader": {"name": "x-a", "values": ["1"]}});
    for (when, runs) in [
        ("request.host == 'example.com'", true),
        (
            "client.ip == '192.0.2.7' && request.params.room == 'red'",
            false,
        ),
        (
            "api.name == 'chat' && gateway.name == 'edge' && product == null",
            true,
        ),
        ("request.header('x-none') == null", true),
    ] {
        let mut exchange = exchange(&[]);
        run_inbound(&[step(when)], &mut exchange).await.unwrap();
        assert_eq!(
            exchange.upstream.headers.contains_key("x-a"),
            runs,
            "{when}"
        );
    }
}

#[tokio::test]
async fn a_fault_of_an_expression_is_500_and_tells_the_client_nothing() {
    let step = json!({"when": "int(request.header('x-n')) > 3", "setHeader": {"name": "x-a", "values": ["1"]}});
    let refusal = refused(inbound(&[step], &[("x-n", "many")]).await);
    assert_eq!(
        (refusal.status, refusal.reason),
        (500, Reason::ExpressionFailed)
    );
    assert_eq!(refusal.message, "Internal server error");
    assert_eq!(refusal.step.as_deref(), Some("api.inbound[0]"));
    assert!(refusal.detail.is_some());
}

#[test]
fn a_broken_expression_names_its_place() {
    let error = compile_error(json!({"when": "request.hots == ''", "base": {}}));
    assert!(
        error.starts_with("onHandshake.inbound[0].when: at "),
        "{error}"
    );
    assert!(error.contains("host"), "{error}");
    let error = compile_error(json!({"setVariable": {"name": "a", "value": "response.status"}}));
    assert!(error.contains("setVariable.value"), "{error}");
}

#[tokio::test]
async fn secrets_do_not_leave_in_details_and_errors() {
    let secret_data = secret_data(&[("s", "k", b"hunter2-hunter2")]);
    let secret = ResolvedValue::Secret(SecretDataId::secret("apps", "s", "k"));
    let services = services();
    let declared = Declared {
        scope: Scope::Api,
        on: json!({
            "inbound": [
                {"setBackend": {"url": "http://${values.token}/"}},
            ],
            "onError": [
                {"setHeader": {"name": "x-message", "values": ["${error.reason} ${error.source} ${error.step}"]}},
            ],
        }),
        values: &[("token", secret)],
        secret_data: &secret_data,
    };
    let pipeline = Pipeline::merge(&[&declared.compile(&services).unwrap()]);
    let mut exchange = exchange(&[]);
    let refusal = refused(pipeline.inbound(&mut exchange, &services).await);
    let detail = refusal.detail.clone().unwrap();
    assert!(detail.contains("http://***/"), "{detail}");
    assert_eq!(exchange.masked("it is hunter2-hunter2."), "it is ***.");
    let refusal = pipeline.on_error(&mut exchange, refusal, &services).await;
    let (_, value) = &refusal.headers[0];
    assert_eq!(value, "expression_failed policy api.inbound[0]");
}

#[tokio::test]
async fn each_scope_sees_its_own_and_wider_values() {
    let plain = |text: &str| ResolvedValue::Plain(text.to_owned());
    let show = |name: &str| json!({"inbound": [{"setHeader": {"name": name, "values": ["${values.a} ${'b' in values}"]}}]});
    let services = services();
    let none = SecretData::default();
    let gateway = Declared {
        scope: Scope::Gateway,
        on: show("x-gateway"),
        values: &[("a", plain("wide"))],
        secret_data: &none,
    };
    let api = Declared {
        scope: Scope::Api,
        on: show("x-api"),
        values: &[("a", plain("narrow")), ("b", plain("x"))],
        secret_data: &none,
    };
    let pipeline = Pipeline::merge(&[
        &gateway.compile(&services).unwrap(),
        &api.compile(&services).unwrap(),
    ]);
    let mut exchange = exchange(&[]);
    pipeline.inbound(&mut exchange, &services).await.unwrap();
    assert_eq!(exchange.upstream.headers["x-gateway"], "wide false");
    assert_eq!(exchange.upstream.headers["x-api"], "narrow true");
}

#[test]
fn a_missing_secret_is_named() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let _inside = runtime.enter();
    let declared = Declared {
        scope: Scope::Api,
        on: json!({}),
        values: &[(
            "a",
            ResolvedValue::Secret(SecretDataId::secret("apps", "s", "k")),
        )],
        secret_data: &SecretData::default(),
    };
    let error = declared.compile(&services()).unwrap_err().to_string();
    assert_eq!(error, "values.a: secret/apps/s/k is missing");
}

async fn answered(on: Value, refusal: Refusal) -> Refusal {
    let services = services();
    let pipeline = pipeline(on, &SecretData::default(), &services);
    let mut exchange = exchange(&[]);
    pipeline.on_error(&mut exchange, refusal, &services).await
}

fn missing_token() -> Refusal {
    Refusal::new(
        401,
        Reason::TokenMissing,
        Origin::Policy,
        "JWT not present.",
    )
    .header(
        http::header::WWW_AUTHENTICATE,
        HeaderValue::from_static("Bearer"),
    )
}

#[tokio::test]
async fn on_error_answers_instead_and_the_reason_stays() {
    let on = json!({"onError": [
        {"setHeader": {"name": "X-Reason", "values": ["${error.reason}"]}},
        {"when": "error.reason == 'token_missing'", "returnResponse": {"status": 302, "headers": [{"name": "Location", "value": "/login"}]}},
        {"setHeader": {"name": "X-Never", "values": ["1"]}},
    ]});
    let refusal = answered(on.clone(), missing_token()).await;
    assert_eq!(
        (refusal.status, refusal.reason),
        (302, Reason::TokenMissing)
    );
    let names: Vec<_> = refusal
        .headers
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    assert_eq!(names, ["www-authenticate", "x-reason", "location"]);
    let other = Refusal::new(403, Reason::CallerIpBlocked, Origin::Policy, "Forbidden");
    let refusal = answered(on, other).await;
    assert_eq!(
        (refusal.status, refusal.message.as_str()),
        (403, "Forbidden")
    );
}

#[tokio::test]
async fn a_fault_in_on_error_does_not_hide_the_first_one() {
    let on =
        json!({"onError": [{"setHeader": {"name": "x-a", "values": ["${int(request.host)}"]}}]});
    let refusal = answered(on, missing_token().detail("first")).await;
    assert_eq!(
        (refusal.status, refusal.reason),
        (401, Reason::TokenMissing)
    );
    let detail = refusal.detail.unwrap();
    assert!(
        detail.starts_with("first; besides, api.onError[0] failed: "),
        "{detail}"
    );
}

#[tokio::test]
async fn a_return_response_is_no_error() {
    let services = services();
    let on = json!({
        "inbound": [{"returnResponse": {"status": 410, "message": "gone"}}],
        "onError": [{"returnResponse": {"status": 500, "message": "never"}}],
    });
    let pipeline = pipeline(on, &SecretData::default(), &services);
    let mut exchange = exchange(&[]);
    let refusal = refused(pipeline.inbound(&mut exchange, &services).await);
    let refusal = pipeline.on_error(&mut exchange, refusal, &services).await;
    assert_eq!((refusal.status, refusal.message.as_str()), (410, "gone"));
}

#[tokio::test]
async fn outbound_reads_and_changes_the_backends_answer() {
    let services = services();
    let on = json!({"outbound": [
        {"setHeader": {"name": "X-Status", "values": ["${response.status} ${response.header('server')}"]}},
        {"setHeader": {"name": "Server", "ifExists": "Delete"}},
        {"when": "response.status == 403", "returnResponse": {"status": 404, "message": "no such room"}},
    ]});
    let pipeline = pipeline(on, &SecretData::default(), &services);
    let mut head = answer(101);
    head.headers.insert("server", HeaderValue::from_static("b"));
    let mut switched = exchange(&[]);
    pipeline
        .outbound(&mut switched, &head, &services)
        .await
        .unwrap();
    switched.answer.apply(&mut head.headers);
    assert_eq!(head.headers["x-status"], "101 b");
    assert!(!head.headers.contains_key("server"));
    let mut turned_down = exchange(&[]);
    let result = pipeline
        .outbound(&mut turned_down, &answer(403), &services)
        .await;
    let refusal = pipeline
        .on_error(&mut turned_down, refused(result), &services)
        .await;
    assert_eq!(
        (refusal.status, refusal.message.as_str()),
        (404, "no such room")
    );
}

#[tokio::test]
async fn a_backends_refusal_carries_what_outbound_set() {
    let services = services();
    let on = json!({"outbound": [{"setHeader": {"name": "X-A", "values": ["policy"]}}]});
    let pipeline = pipeline(on, &SecretData::default(), &services);
    let mut exchange = exchange(&[]);
    pipeline
        .outbound(&mut exchange, &answer(403), &services)
        .await
        .unwrap();
    let refusal = Refusal::new(403, Reason::BackendRefused, Origin::Backend, "")
        .header(
            HeaderName::from_static("x-a"),
            HeaderValue::from_static("backend"),
        )
        .header(
            HeaderName::from_static("x-b"),
            HeaderValue::from_static("backend"),
        );
    let refusal = pipeline.on_error(&mut exchange, refusal, &services).await;
    let headers: HeaderMap = refusal.headers.into_iter().collect();
    assert_eq!(
        (&headers["x-a"], &headers["x-b"]),
        (&"policy".parse().unwrap(), &"backend".parse().unwrap())
    );
}

#[tokio::test]
async fn the_condition_of_an_include_is_asked_once_for_all_its_steps() {
    let services = services();
    let mark = |word: &str| json!({"setHeader": {"name": "x-trace", "values": [word], "ifExists": "Append"}});
    let on = json!({"inbound": [
        {"setVariable": {"name": "go", "value": "request.header('x-go', '') == '1'"}},
        {"when": "vars.go", "includeFragment": {"name": "outer", "steps": 4}},
        {"setVariable": {"name": "go", "value": "false"}},
        {"when": "true", "includeFragment": {"name": "inner", "steps": 1}},
        mark("inner"),
        mark("outer"),
        mark("last"),
    ]});
    let pipeline = pipeline(on, &SecretData::default(), &services);
    for (go, expected) in [("1", &["inner", "outer", "last"][..]), ("0", &["last"])] {
        let mut exchange = exchange(&[("x-go", go)]);
        pipeline.inbound(&mut exchange, &services).await.unwrap();
        let marks = exchange.upstream.headers.get_all("x-trace").iter();
        let marks: Vec<_> = marks.map(|mark| mark.to_str().unwrap()).collect();
        assert_eq!(marks.join(",").replace(' ', ""), expected.join(","), "{go}");
    }
}
