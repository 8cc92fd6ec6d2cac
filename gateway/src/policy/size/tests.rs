use serde_json::{Value, json};
use tidegate_config::SecretData;

use crate::exchange::Exchange;
use crate::policy::tests::{answer, exchange, pipeline, refused, run_inbound, services};
use crate::refusal::{Reason, Refusal};

const HALF: usize = 512 * 1024;

/// With `vars.half`, a text of half a megabyte, and `vars.angles`, which is as long before it is encoded.
fn half() -> Exchange {
    let mut exchange = exchange(&[]);
    for (name, letter) in [("half", "x"), ("angles", "<")] {
        exchange.set_var(name, tidegate_expr::Value::from(letter.repeat(HALF)));
    }
    exchange
}

fn is_fault(name: &str, refusal: &Refusal, detail: &str) {
    let told = (refusal.status, refusal.reason, refusal.message.as_str());
    let fault = (500, Reason::ExpressionFailed, "Internal server error");
    assert_eq!(told, fault, "{name}");
    assert_eq!(refusal.detail.as_deref(), Some(detail), "{name}");
}

#[tokio::test]
async fn steps_cannot_make_the_backends_handshake_grow_without_bound() {
    let four = json!([
        "${vars.half}",
        "${vars.half}",
        "${vars.half}",
        "${vars.half}"
    ]);
    let append =
        json!({"setHeader": {"name": "x-a", "values": ["${vars.half}"], "ifExists": "Append"}});
    let one_each =
        |i: usize| json!({"setHeader": {"name": format!("x-{i}"), "values": ["${vars.half}"]}});
    let rewrite = json!({"rewritePath": {"path": "/${vars.half}"}});
    let cases: [(&str, Vec<Value>); 6] = [
        (
            "one step",
            vec![json!({"setHeader": {"name": "x-a", "values": four}})],
        ),
        ("one header again and again", vec![append; 5]),
        ("many headers", (0..200).map(one_each).collect()),
        (
            "the query",
            vec![json!({"setQueryParameter": {"name": "a", "values": four}})],
        ),
        (
            "path and query",
            vec![
                json!({"setQueryParameter": {"name": "a", "values": ["${vars.half}", "${vars.half}"]}}),
                json!({"setQueryParameter": {"name": "b", "values": ["${vars.half}"]}}),
                rewrite,
            ],
        ),
        (
            "what takes three times as much when it is encoded",
            vec![
                json!({"setQueryParameter": {"name": "a", "values": ["${vars.half}", "${vars.half}"]}}),
                json!({"rewritePath": {"path": "/${vars.angles}"}}),
            ],
        ),
    ];
    for (name, steps) in cases {
        let mut exchange = half();
        let refusal = refused(run_inbound(&steps, &mut exchange).await);
        let detail = "the backend's handshake has more than 2097152 bytes";
        is_fault(name, &refusal, detail);
        let taken = exchange.upstream.size();
        assert!(taken < 8 * HALF, "{name}: {taken}");
    }
    let some = json!({"setHeader": {"name": "x-a", "values": ["${vars.half}", "${vars.half}"]}});
    assert!(run_inbound(&[some], &mut half()).await.is_ok());
}

#[tokio::test]
async fn steps_cannot_make_what_is_sent_later_grow_without_bound() {
    let set = json!({"setHeader": {"name": "x-a", "values": ["${vars.half}"]}});
    let say = json!({"onOpen": {"sendText": "${vars.half}"}});
    for (name, step, detail) in [
        (
            "the client's answer",
            set,
            "what policies add to the answer has more than 1048576 bytes",
        ),
        (
            "messages",
            say,
            "what onOpen says has more than 1048576 bytes",
        ),
    ] {
        let services = services();
        let on = json!({"outbound": [step, step, step]});
        let pipeline = pipeline(on, &SecretData::default(), &services);
        let result = pipeline
            .outbound(&mut half(), &answer(101), &services)
            .await;
        is_fault(name, &refused(result), detail);
    }
}

#[tokio::test]
async fn variables_cannot_double_for_ever() {
    let set = |name: &str, value: &str| json!({"setVariable": {"name": name, "value": value}});
    let many = (0..20).map(|i| set(&format!("v{i}"), "vars.half + 'x'"));
    let in_all = "vars.v15: the variables of the handshake are too large";
    for (name, steps, detail) in [
        (
            "a text",
            vec![set("half", "vars.half + vars.half"); 20],
            "at 10: a text or list is too long",
        ),
        (
            "a list of itself",
            vec![set("half", "[vars.half, vars.half]"); 60],
            "at 0: the expression takes too many steps",
        ),
        (
            "a list in a list",
            vec![
                set("list", "[[[[[[[[jwt]]]]]]]]"),
                set("list", "[[[[vars.list]]]]"),
            ]
            .into_iter()
            .chain(vec![set("list", "[[[[vars.list]]]]"); 40])
            .collect(),
            "at 0: a value is nested deeper than 128 levels",
        ),
        ("many", many.collect(), in_all),
    ] {
        let refusal = refused(run_inbound(&steps, &mut half()).await);
        is_fault(name, &refusal, detail);
    }
}

#[tokio::test]
async fn a_request_cannot_be_larger_than_a_text() {
    let url = "http://127.0.0.1:1/";
    let field = |name: &str| json!({"name": name, "value": "${vars.half}"});
    for (name, request) in [
        ("headers", json!({"headers": [field("x-a"), field("x-b")]})),
        (
            "header and body",
            json!({"headers": [field("x-a")], "body": "${vars.half}"}),
        ),
    ] {
        let mut send = request.clone();
        (send["url"], send["as"]) = (json!(url), json!("x"));
        let mut notify = request;
        notify["url"] = json!(url);
        for step in [json!({"sendRequest": send}), json!({"notify": notify})] {
            let refusal = refused(run_inbound(&[step], &mut half()).await);
            is_fault(name, &refusal, "the request has more than 1048576 bytes");
        }
    }
}
