use std::time::Duration;

use serde_json::{Value, json};
use tidegate_config::SecretData;

use crate::policy::call::testing::{Answer, Server, json as answer};
use crate::policy::tests::{compile_error, exchange, pipeline, services};
use crate::refusal::{Reason, Refusal};

/// A server that answers at /a and /b, and never at /silent.
async fn server() -> Server {
    Server::start(|_, asked| match asked.target() {
        "/silent" => Answer::Silence,
        path => answer(200, &format!("\"{path}\"")),
    })
    .await
}

/// What the variables a and b hold in the end.
async fn read(requests: Value, wait_for: &str) -> Result<String, Refusal> {
    let services = services();
    let shown = json!({"setHeader": {"name": "x-out", "values": ["${vars.a.?json.orValue('-')} ${vars.b.?json.orValue('-')}"]}});
    let nulls = json!({"setVariable": {"name": "a", "value": "vars.a == null ? {} : vars.a"}});
    let more = json!({"setVariable": {"name": "b", "value": "vars.b == null ? {} : vars.b"}});
    let step = json!({"sendRequests": {"requests": requests, "waitFor": wait_for}});
    let steps = json!({"inbound": [step, nulls, more, shown]});
    let pipeline = pipeline(steps, &SecretData::default(), &services);
    let mut exchange = exchange(&[]);
    pipeline.inbound(&mut exchange, &services).await?;
    Ok(exchange.upstream.headers["x-out"]
        .to_str()
        .unwrap()
        .to_owned())
}

#[tokio::test]
async fn all_or_any_of_the_answers_are_waited_for() {
    let server = server().await;
    let within = |timeout: &str, variable: &str, path: &str| json!({"as": variable, "url": format!("{}{path}", server.url), "timeout": timeout});
    // Longer than the test takes: others decide.
    let at = |variable: &str, path: &str| within("20s", variable, path);
    let late = |variable: &str| within("1s", variable, "/silent");
    let calm = |mut request: Value| {
        request["ignoreError"] = json!(true);
        request
    };
    let gone = json!({"as": "b", "url": "http://127.0.0.1:1/"});
    let lost = Err((502, Reason::RequestFailed));
    let timed_out = Err((504, Reason::RequestTimeout));
    for (name, requests, wait_for, expected) in [
        (
            "both",
            json!([at("a", "/a"), at("b", "/b")]),
            "All",
            Ok("/a /b"),
        ),
        (
            "one is ignored",
            json!([at("a", "/a"), calm(gone.clone())]),
            "All",
            Ok("/a -"),
        ),
        (
            "one fails",
            json!([at("a", "/silent"), gone.clone()]),
            "All",
            lost,
        ),
        (
            "the first",
            json!([at("a", "/silent"), at("b", "/b")]),
            "Any",
            Ok("- /b"),
        ),
        (
            "a failure does not matter",
            json!([at("a", "/a"), gone.clone()]),
            "Any",
            Ok("/a -"),
        ),
        (
            "all fail",
            json!([late("a"), gone.clone()]),
            "Any",
            timed_out,
        ),
        (
            "nobody minds",
            json!([calm(late("a")), calm(gone)]),
            "Any",
            Ok("- -"),
        ),
    ] {
        let got = read(requests, wait_for).await;
        let got = got.as_deref().map_err(|got| (got.status, got.reason));
        assert_eq!(got, expected, "{name}");
    }
}

#[tokio::test]
async fn they_are_sent_at_the_same_time() {
    let server = Server::start(|_, _| Answer::Silence).await;
    let request = |variable: &str| json!({"as": variable, "url": server.url, "ignoreError": true});
    let reading = read(json!([request("a"), request("b")]), "All");
    let both = async {
        while server.asked().len() < 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        got = reading => panic!("nobody answers: {got:?}"),
        () = both => {}
    }
}

#[test]
fn each_request_has_a_variable_of_its_own() {
    let request = json!({"as": "a", "url": "http://a"});
    let error = compile_error(json!({"sendRequests": {"requests": [request, request]}}));
    assert!(
        error.contains("sendRequests.requests[1].as: another request"),
        "{error}"
    );
}
