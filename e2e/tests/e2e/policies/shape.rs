//! Policies that change the handshake on its way, or its answer.

use serde_json::{Value, json};

use crate::stage::echo_stage;

#[tokio::test]
async fn set_header_overrides_skips_appends_and_deletes() -> anyhow::Result<()> {
    let stage = echo_stage("set-header", "").await?;
    let cases: [(&str, Value, &[&str], &[&str]); 4] = [
        ("Override", json!(["new"]), &["new"], &["new"]),
        ("Skip", json!(["new"]), &["old"], &["new"]),
        ("Append", json!(["new"]), &["old", "new"], &["new"]),
        ("Delete", json!([]), &[], &[]),
    ];
    for (if_exists, values, with, without) in cases {
        let mut step = json!({"name": "X-Test", "ifExists": if_exists});
        if if_exists != "Delete" {
            step["values"] = values;
        }
        stage.in_force(json!([{ "setHeader": step }])).await?;
        let split = |values: Vec<String>| -> Vec<String> {
            let all = values.join(",");
            let parts = all.split(',').map(|part| part.trim().to_owned());
            parts.filter(|part| !part.is_empty()).collect()
        };
        let request = stage.request("").header("x-test", "old");
        let got = split(stage.backend_header(request, "x-test").await?);
        assert_eq!(got, with, "{if_exists}, the client sent it");
        let got = split(stage.backend_header(stage.request(""), "x-test").await?);
        assert_eq!(got, without, "{if_exists}, the client did not");
    }
    Ok(())
}

#[tokio::test]
async fn set_query_parameter_changes_one_and_leaves_the_rest_as_it_was() -> anyhow::Result<()> {
    let stage = echo_stage("set-query", "").await?;
    let cases = [
        (
            json!({"name": "a", "values": ["x y&z"]}),
            "/?b=%7e+1&a=x%20y%26z",
        ),
        (
            json!({"name": "a", "values": ["x"], "ifExists": "Skip"}),
            "/?a=1&b=%7e+1",
        ),
        (json!({"name": "b", "ifExists": "Delete"}), "/?a=1"),
    ];
    for (step, target) in cases {
        stage
            .in_force(json!([{ "setQueryParameter": step }]))
            .await?;
        stage.request("?a=1&b=%7e+1").open().await?;
        let got = stage.echo.last_head()?.target().to_owned();
        let sorted = |target: &str| {
            let query = target.trim_start_matches("/?").replace("%20", "+");
            let mut pairs: Vec<_> = query.split('&').map(str::to_owned).collect();
            pairs.sort();
            pairs
        };
        assert_eq!(sorted(&got), sorted(target), "{step}");
    }
    Ok(())
}

#[tokio::test]
async fn set_backend_sends_a_handshake_elsewhere() -> anyhow::Result<()> {
    let stage = echo_stage("set-backend", "").await?;
    let other = tidegate_e2e::backend::Echo::start().await?;
    let port = other.address().port();
    stage
        .in_force(json!([{
            "when": "request.query('room', '') != ''",
            "setBackend": {"url": format!("ws://127.0.0.1:{port}/rooms/${{request.query('room')}}")},
        }]))
        .await?;
    stage.request("?room=7").open().await?.echo("there").await?;
    assert_eq!(other.last_head()?.target(), "/rooms/7?room=7");
    stage.request("").open().await?.echo("here").await?;
    assert_eq!(stage.echo.heads().len(), 1);
    Ok(())
}

#[tokio::test]
async fn rewrite_path_asks_the_backend_for_another_one() -> anyhow::Result<()> {
    let stage = echo_stage("rewrite", "").await?;
    let cases = [
        (json!({"path": "/fixed"}), "/fixed?room=7"),
        (
            json!({"path": "/rooms/${request.query('room')}?a=b", "keepQuery": false}),
            "/rooms/7?a=b",
        ),
    ];
    for (step, target) in cases {
        stage.in_force(json!([{ "rewritePath": step }])).await?;
        stage.request("?room=7").open().await?.echo("in").await?;
        assert_eq!(stage.echo.last_head()?.target(), target, "{step}");
    }
    // A client may not climb out of the path by what it sends.
    stage.request("?room=..%2f..%2fadmin").send().await?;
    let target = stage.echo.last_head()?.target().to_owned();
    assert!(
        target.starts_with("/rooms/") && !target.contains("../"),
        "{target}"
    );
    Ok(())
}

#[tokio::test]
async fn set_status_changes_a_refusal() -> anyhow::Result<()> {
    let stage = echo_stage("set-status", "").await?;
    stage
        .policies(json!({
            "inbound": [{"checkHeader": {"name": "X-Ticket"}}],
            "onError": [{
                "when": "error.reason == 'header_not_found'",
                "setStatus": {"status": 402, "message": "buy a ticket, ${request.path}"},
            }],
        }))
        .await?;
    let refused = stage.request("").refused_with(402).await?;
    assert_eq!(refused.message()?, "buy a ticket, /api");
    stage.request("").header("x-ticket", "1").open().await?;
    Ok(())
}

#[tokio::test]
async fn return_response_answers_instead_of_the_backend() -> anyhow::Result<()> {
    let stage = echo_stage("return", "").await?;
    stage
        .in_force(json!([
            {"setVariable": {"name": "who", "value": "request.query('who', 'nobody')"}},
            {
                "when": "vars.who == 'nobody'",
                "returnResponse": {"status": 403, "message": "${vars.who} is not ${'wel' + 'come'}"},
            },
            {
                "when": "vars.who == 'mover'",
                "returnResponse": {
                    "status": 307, "body": "gone",
                    "headers": [{"name": "Location", "value": "wss://${vars.who}.example/"}],
                },
            },
        ]))
        .await?;
    let refused = stage.request("").refused_with(403).await?;
    assert_eq!(refused.message()?, "nobody is not welcome");
    let moved = stage.request("?who=mover").refused_with(307).await?;
    assert_eq!(moved.header("location"), Some("wss://mover.example/"));
    assert_eq!(moved.body, "gone");
    stage.request("?who=alice").open().await?.echo("in").await?;
    assert_eq!(stage.echo.heads().len(), 1);
    Ok(())
}
