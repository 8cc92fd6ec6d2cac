//! The access log as a Gateway asks for it: which lines, of which fields, in which form.

use std::net::SocketAddr;

use tidegate_config::{AccessLog, LineField, LogFormat, LogSampling, TextLines};

use crate::logs::{listen, text_lines, wait_for};
use crate::support::backend::Backend;
use crate::support::client::{connect, echo, open};
use crate::support::config::Config;
use crate::support::gateway::TestGateway;
use crate::support::until;

/// An open API `name`, logged like that.
fn config(name: &str, backend: SocketAddr, log: AccessLog) -> Config {
    let config = Config::new().api(name, backend);
    config.settings(|settings| settings.telemetry.access_log = Some(log))
}

fn text(handshake: &str, close: &str) -> AccessLog {
    AccessLog {
        format: LogFormat::Text,
        text: Some(TextLines {
            handshake: handshake.to_owned(),
            close: close.to_owned(),
        }),
        ..AccessLog::default()
    }
}

#[tokio::test]
async fn text_lines_are_what_the_gateway_says_and_clients_cannot_break_them() {
    listen();
    let backend = Backend::echo().await;
    let log = text(
        "${event} ${api} \"${method} ${path}?${query}\" ${status} [${user_agent}] ${reason} $${id}",
        "${event} ${api} ${cause} ${client_code} ${from_client_messages}+${from_backend_messages}",
    );
    let gateway = TestGateway::start(&config("written", backend.address, log)).await;
    let url = gateway.url("/written?token=hush");
    let agent = [("User-Agent", "a\"b\\c")];
    let mut socket = connect(&url, &agent).await.unwrap();
    echo(&mut socket, "hello").await;
    socket.close(None).await.unwrap();
    until("two lines", || text_lines("harbour/written").len() == 2).await;
    let expected = [
        r#"handshake harbour/written "GET /written?token=***" 101 [a\x22b\x5Cc] - ${id}"#,
        "close harbour/written client_closed - 1+1",
    ];
    assert_eq!(text_lines("harbour/written"), expected);
}

#[tokio::test]
async fn json_lines_have_the_fields_that_were_asked_for() {
    listen();
    let backend = Backend::echo().await;
    let log = AccessLog {
        fields: Some(vec![
            LineField::Api,
            LineField::Status,
            LineField::ClientCode,
            LineField::DurationMs,
        ]),
        ..AccessLog::default()
    };
    let gateway = TestGateway::start(&config("chosen", backend.address, log)).await;
    let mut socket = open(&gateway.url("/chosen")).await;
    socket.close(None).await.unwrap();
    let (lines, text) = wait_for("harbour/chosen", 2).await;
    let names = |line: &serde_json::Value| {
        let names = line.as_object().unwrap().keys().cloned();
        names.collect::<Vec<_>>()
    };
    let always = ["level", "target", "timestamp"];
    let sorted = |own: &[&'static str]| {
        let mut names = [own, &always].concat();
        names.sort_unstable();
        names
    };
    let mut opened = names(&lines[0]);
    opened.sort();
    assert_eq!(opened, sorted(&["api", "status", "duration_ms"]), "{text}");
    let mut ended = names(&lines[1]);
    ended.sort();
    assert_eq!(ended, sorted(&["api", "duration_ms"]), "{text}");
}

#[tokio::test]
async fn what_failed_is_told_however_small_the_share() {
    listen();
    let backend = Backend::echo().await;
    let nobody: SocketAddr = "127.0.0.1:9".parse().unwrap();
    let log = AccessLog {
        sample_percent: LogSampling {
            accepted: 0,
            refused: 0,
        },
        ..AccessLog::default()
    };
    let config = config("seldom", backend.address, log)
        .api("seldom-down", nobody)
        .api_with("seldom-keyed", backend.address, |api| {
            api.subscription_required = true;
        });
    let gateway = TestGateway::start(&config).await;
    let mut socket = open(&gateway.url("/seldom")).await;
    socket.close(None).await.unwrap();
    let closed =
        r#"tidegate_tunnels_closed_total{api="harbour/seldom",code="none",initiator="client"}"#;
    gateway.metric_is(closed, 1.0).await;
    for (path, status) in [("/seldom-keyed", 401), ("/seldom-down", 502)] {
        let refused = connect(&gateway.url(path), &[]).await.unwrap_err();
        assert_eq!(refused.status, status);
    }
    let _cut = open(&gateway.url("/seldom")).await;
    drop(gateway);
    // The line of the cut tunnel is the last one.
    let (lines, text) = wait_for("harbour/seldom", 2).await;
    let told: Vec<_> = lines
        .iter()
        .map(|line| (&line["name"], &line["api"]))
        .collect();
    let error = serde_json::Value::from("Error");
    let expected = ["harbour/seldom-down", "harbour/seldom"].map(serde_json::Value::from);
    assert_eq!(
        told,
        [(&error, &expected[0]), (&error, &expected[1])],
        "{text}"
    );
}

#[tokio::test]
async fn another_form_holds_at_once_for_open_tunnels_too() {
    listen();
    let backend = Backend::echo().await;
    let plain = Config::new().api("reformed", backend.address);
    let mut gateway = TestGateway::start(&plain).await;
    let mut socket = open(&gateway.url("/reformed")).await;
    let (before, _) = wait_for("harbour/reformed", 1).await;
    let log = text("${api} up", "${api} down ${id}");
    gateway
        .apply(&config("reformed", backend.address, log))
        .await;
    socket.close(None).await.unwrap();
    until("the line", || !text_lines("harbour/reformed").is_empty()).await;
    let id = before[0]["id"].as_str().unwrap();
    let line = format!("harbour/reformed down {id}");
    assert_eq!(text_lines("harbour/reformed"), [line]);
    let off = AccessLog {
        format: LogFormat::Off,
        ..AccessLog::default()
    };
    gateway
        .apply(&config("reformed", backend.address, off))
        .await;
    let mut silent = open(&gateway.url("/reformed")).await;
    silent.close(None).await.unwrap();
    let closed =
        r#"tidegate_tunnels_closed_total{api="harbour/reformed",code="none",initiator="client"}"#;
    gateway.metric_is(closed, 2.0).await;
    assert_eq!(text_lines("harbour/reformed").len(), 1);
    assert_eq!(wait_for("harbour/reformed", 1).await.0.len(), 1);
}

#[tokio::test]
async fn a_text_that_cannot_be_read_is_rejected_and_the_log_stays() {
    listen();
    let backend = Backend::echo().await;
    let good = config("misread", backend.address, text("${api} in", "${api} out"));
    let mut gateway = TestGateway::start(&good).await;
    let bad = config("misread", backend.address, text("${nope}", "${api} out"));
    gateway.apply(&bad).await;
    let applied = gateway.gateway.status().borrow().clone();
    let expected = "telemetry.accessLog.text: there is no field \"nope\"";
    assert_eq!(applied.rejected[0].message, expected);
    let _socket = open(&gateway.url("/misread")).await;
    until("the line", || !text_lines("harbour/misread").is_empty()).await;
    assert_eq!(text_lines("harbour/misread"), ["harbour/misread in"]);
}
