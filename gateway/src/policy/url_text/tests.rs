use serde_json::json;

use crate::policy::call::testing::{Server, json as answer};
use crate::policy::tests::{compile_error, exchange, exchange_to, refused, run_inbound};
use crate::refusal::Reason;

/// What `room` may not be.
const HOSTILE: [&str; 9] = [
    "..",
    ".",
    "%2e%2e",
    "..;x",
    "a/../../b",
    "..\\",
    ".\t.",
    "",
    "x#",
];

#[tokio::test]
async fn no_value_leads_a_request_elsewhere_encoded_or_not() {
    let server = Server::start(|_, _| answer(200, "{}")).await;
    let encoded = format!("{}/rooms/${{url.encode(vars.room)}}/check", server.url);
    let raw = format!("{}/rooms/${{vars.room}}/check", server.url);
    for (url, is_raw) in [(&encoded, false), (&raw, true)] {
        for step in [
            json!({"externalAuth": {"url": url}}),
            json!({"sendRequest": {"as": "r", "url": url}}),
            json!({"sendRequest": {"as": "r", "url": url, "ignoreError": true}}),
            json!({"sendRequests": {"requests": [{"as": "r", "url": url}]}}),
            json!({"notify": {"url": url}}),
        ] {
            for room in HOSTILE {
                // What is encoded is no separator any more, and none of it is dots.
                if !is_raw && [".\t.", "x#"].contains(&room) {
                    continue;
                }
                let mut exchange = exchange(&[]);
                exchange.set_var("room", room.into());
                let refusal =
                    refused(run_inbound(std::slice::from_ref(&step), &mut exchange).await);
                let found = (refusal.status, refusal.reason, refusal.message.as_str());
                let expected = (500, Reason::UrlNotSafe, "Internal server error");
                assert_eq!(found, expected, "{step} {room:?}");
                let detail = refusal.detail.unwrap();
                assert!(
                    detail.contains(".url: ") || detail.contains("].url: "),
                    "{detail}"
                );
            }
        }
    }
    assert!(server.asked().is_empty(), "{:?}", server.asked());
    let mut exchange = exchange(&[]);
    exchange.set_var("room", "a/b c".into());
    run_inbound(&[json!({"externalAuth": {"url": encoded}})], &mut exchange)
        .await
        .unwrap();
    assert_eq!(server.asked()[0].path(), "/rooms/a%2Fb%20c/check");
}

#[tokio::test]
async fn no_value_leads_a_handshake_elsewhere() {
    for url in [
        "ws://other/public/${url.encode(vars.room)}/socket",
        "ws://other/public/${vars.room}/socket",
    ] {
        for room in ["..", "%2e%2e", "..;x", ""] {
            let mut exchange = exchange_to("ws://backend/b", None);
            exchange.set_var("room", room.into());
            let step = json!({"setBackend": {"url": url}});
            let refusal = refused(run_inbound(&[step], &mut exchange).await);
            assert_eq!(refusal.reason, Reason::UrlNotSafe, "{url} {room}");
            assert_eq!(exchange.upstream.target.authority(), "backend");
        }
    }
    for (url, value) in [
        ("ws://other${vars.room}", "@evil.example/"),
        ("ws://other${vars.room}", ".evil.example/"),
        ("ws://${vars.room}.other/x", "evil.example/"),
        ("ws://other:${vars.room}/x", "80@evil.example"),
    ] {
        let mut exchange = exchange_to("ws://backend/b", None);
        exchange.set_var("room", value.into());
        let step = json!({"setBackend": {"url": url}});
        let refusal = refused(run_inbound(&[step], &mut exchange).await);
        assert_eq!(refusal.reason, Reason::UrlNotSafe, "{url} {value}");
    }
}

#[test]
fn what_an_author_writes_is_checked_when_compiled() {
    for (step, field) in [
        (
            json!({"externalAuth": {"url": "http://a/${request.id}/../b"}}),
            "externalAuth.url: the path has a segment",
        ),
        (
            json!({"sendRequest": {"as": "r", "url": "http://a/b#${request.id}"}}),
            "sendRequest.url: it contains a #",
        ),
        (
            json!({"setBackend": {"url": "ws://a/%2e%2e/${request.id}"}}),
            "setBackend.url: the path has a segment",
        ),
        (
            json!({"setBackend": {"url": "ws://a/b/../c"}}),
            "setBackend.url: the path has a segment",
        ),
        (
            json!({"rewritePath": {"path": "/${request.id}/..;x"}}),
            "rewritePath.path: the path has a segment",
        ),
    ] {
        let error = compile_error(step);
        assert!(error.contains(field), "{error}");
    }
}
