//! Policies that ask others over HTTP: what they send, what they do with the answer, and what the
//! client, the log and the metrics get when there is none.

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use tidegate_e2e::http::{HttpServer, Response};
use tidegate_e2e::wait::{WAIT_TIMEOUT, eventually};

use crate::stage::{EchoStage, echo_stage};

impl EchoStage {
    /// The handshakes refused for this reason: counted, and the last one's line in the access log.
    pub(crate) async fn told(&self, reason: &str) -> anyhow::Result<Value> {
        let what = format!("{reason} in metrics and log");
        eventually(&what, WAIT_TIMEOUT, async || {
            let scrape = self.edge.gateway.metrics().await?;
            scrape.value("tidegate_handshakes_total", &[("reason", reason)])?;
            let log = self.edge.gateway.process.stdout();
            let lines = log
                .lines()
                .filter_map(|line| serde_json::from_str(line).ok());
            let mut lines = lines.filter(|line: &Value| line["reason"] == reason);
            lines.next_back().with_context(|| log.clone())
        })
        .await
    }
}

#[tokio::test]
async fn send_request_asks_and_the_answer_decides() -> anyhow::Result<()> {
    let stage = echo_stage("send-request", "").await?;
    let directory = HttpServer::start(|_, request| match request.head.target() {
        "/tenants/blue" => Response::json(r#"{"name": "Blue", "plan": ["gold"]}"#),
        "/tenants/slow" => Response::with("503 Service Unavailable", "{}"),
        _ => Response::not_found(),
    })
    .await?;
    let url = format!("http://{}", directory.address());
    stage
        .in_force(json!([
            {"id": "ask", "sendRequest": {
                "as": "tenant", "method": "POST", "body": "${request.host}",
                "url": format!("{url}/tenants/${{url.encode(request.query('tenant', ''))}}"),
                "retry": {"count": 1, "interval": "1ms"},
            }},
            {"when": "vars.tenant.status != 200",
             "returnResponse": {"status": 403, "message": "${vars.tenant.status}"}},
            {"setHeader": {"name": "X-Tenant", "values": ["${vars.tenant.json.name}/${vars.tenant.json.plan[0]}"]}},
        ]))
        .await?;
    let got = stage
        .backend_header(stage.request("?tenant=blue"), "x-tenant")
        .await?;
    assert_eq!(got, ["Blue/gold"]);
    let asked = directory.requests();
    let asked = asked.last().context("nobody was asked")?;
    assert_eq!(asked.body, "127.0.0.1");
    let climbing = stage.request("?tenant=..%2Fred").refused_with(500).await?;
    assert_eq!(climbing.message()?, "Internal server error");
    for (tenant, status) in [("red", "404"), ("slow", "503")] {
        let refused = stage
            .request(&format!("?tenant={tenant}"))
            .refused_with(403)
            .await?;
        assert_eq!(refused.message()?, status);
    }
    let asked: Vec<_> = directory
        .requests()
        .iter()
        .map(|r| r.head.target().to_owned())
        .collect();
    assert_eq!(
        asked,
        [
            "/tenants/blue",
            "/tenants/red",
            "/tenants/slow",
            "/tenants/slow"
        ]
    );
    Ok(())
}

#[tokio::test]
async fn external_auth_lets_a_server_decide_who_passes() -> anyhow::Result<()> {
    let stage = echo_stage("external-auth", "").await?;
    let server = HttpServer::start(|_, request| match request.head.get("authorization") {
        Some("Bearer good") => Response::json("{}"),
        Some(_) => Response::with("403 Forbidden", "{}"),
        None => Response::with("401 Unauthorized", "{}"),
    })
    .await?;
    stage
        .in_force(json!([{"id": "gate", "externalAuth": {
            "url": format!("http://{}/may${{request.path}}", server.address()),
            "cacheFor": "300s", "copyHeaders": ["X-User", "Content-Type"],
        }}]))
        .await?;
    let with = |token: &str| {
        let request = stage.request("").header("x-user", "admin");
        request.header("authorization", token)
    };
    for _ in 0..2 {
        with("Bearer good").open().await?.echo("in").await?;
        let head = stage.echo.last_head()?;
        assert_eq!(head.get("x-user"), None, "only the server may say it");
        assert_eq!(head.get("content-type"), Some("application/json"));
    }
    for _ in 0..2 {
        let refused = with("Bearer bad").refused_with(403).await?;
        assert_eq!(refused.message()?, "Access denied.");
    }
    stage.request("").refused_with(401).await?;
    let line = stage.told("external_auth_refused").await?;
    ensure!(line["step"] == "gate", "{line}");
    let asked = server.requests();
    let asked = asked.iter().map(|request| request.head.target());
    assert_eq!(
        asked.collect::<Vec<_>>(),
        ["/may/api"; 3],
        "verdicts are kept"
    );
    Ok(())
}

#[tokio::test]
async fn a_value_that_one_handshake_keeps_another_one_finds() -> anyhow::Result<()> {
    let stage = echo_stage("cache", "").await?;
    stage
        .policies(json!({
            "inbound": [
                {"cacheLookup": {"key": "request.query('room')", "as": "shard"}},
                {"setHeader": {"name": "X-Shard", "values": ["${vars.shard == null ? 'none' : vars.shard.n}"]}},
            ],
            "outbound": [
                {"when": "request.query('do') == 'keep'",
                 "cacheStore": {"key": "request.query('room')", "value": "{'n': 'seven'}", "for": "300s"}},
                {"when": "request.query('do') == 'forget'",
                 "cacheRemove": {"key": "request.query('room')"}},
            ],
        }))
        .await?;
    for (query, expected) in [
        ("?room=blue&do=keep", "none"),
        ("?room=blue&do=read", "seven"),
        ("?room=red&do=read", "none"),
        ("?room=blue&do=forget", "seven"),
        ("?room=blue&do=read", "none"),
    ] {
        let got = stage
            .backend_header(stage.request(query), "x-shard")
            .await?;
        assert_eq!(got, [expected], "{query}");
    }
    Ok(())
}

#[tokio::test]
async fn a_request_without_answer_refuses_and_says_so_everywhere() -> anyhow::Result<()> {
    let stage = echo_stage("no-answer", "").await?;
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let silent = format!("http://{}/?key=hidden", silent.local_addr()?);
    let cases = [
        (
            "http://127.0.0.1:1/?key=hidden",
            502,
            "request_failed",
            "A request of a policy failed",
        ),
        (
            &silent,
            504,
            "request_timeout",
            "A request of a policy timed out",
        ),
        (
            "http://169.254.169.254/?key=hidden",
            502,
            "request_failed",
            "A request of a policy failed",
        ),
    ];
    for (url, status, reason, message) in cases {
        let step = json!({"as": "x", "url": url, "timeout": "500ms"});
        stage
            .in_force(json!([{"id": "ask", "sendRequest": step}]))
            .await?;
        let refused = stage.request("").refused_with(status).await?;
        assert_eq!(refused.message()?, message, "{url}");
        let line = stage.told(reason).await?;
        ensure!(
            line["step"] == "ask" && !line.to_string().contains("hidden"),
            "{line}"
        );
    }
    let slow = json!({"as": "x", "url": silent, "ignoreError": true, "retry": {"count": 50}});
    let spec = json!({
        "timeouts": {"handshakeTotal": "700ms"},
        "onHandshake": {"inbound": [{"id": "ask", "sendRequest": slow}]},
    });
    stage.patch("WebSocketApi", "api", &spec).await?;
    let refused = stage.request("").refused_with(504).await?;
    assert_eq!(refused.message()?, "Handshake took too long");
    let line = stage.told("handshake_deadline").await?;
    ensure!(line["step"] == "ask", "{line}");
    ensure!(stage.echo.heads().is_empty(), "nothing reached the backend");
    Ok(())
}

#[tokio::test]
async fn several_are_asked_at_a_time_and_one_without_waiting() -> anyhow::Result<()> {
    let stage = echo_stage("send-requests", "").await?;
    let server = HttpServer::start(|_, request| Response::json(request.head.target())).await?;
    let url = format!("http://{}", server.address());
    stage
        .in_force(json!([
            {"sendRequests": {"requests": [
                {"as": "a", "url": format!("{url}/a")},
                {"as": "b", "url": "http://127.0.0.1:1/", "ignoreError": true},
            ]}},
            {"setHeader": {"name": "X-Got", "values": ["${vars.a.text} ${vars.b == null}"]}},
            {"notify": {"url": format!("{url}/told"), "body": "${client.ip}"}},
        ]))
        .await?;
    let got = stage.backend_header(stage.request(""), "x-got").await?;
    assert_eq!(got, ["/a true"]);
    eventually("the notification", WAIT_TIMEOUT, async || {
        let told = server.requests();
        let told = told.iter().find(|request| request.head.target() == "/told");
        let told = told.context("nobody was told")?;
        ensure!(told.body == "127.0.0.1", "{told:?}");
        let scrape = stage.edge.gateway.metrics().await?;
        let sent = scrape.value("tidegate_notifications_total", &[("result", "answered")])?;
        ensure!(sent >= 1.0, "{sent}");
        Ok(())
    })
    .await
}
