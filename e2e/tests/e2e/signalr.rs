//! examples/signalr: Microsoft's own client, and each way in which the negotiations can fail.

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use tidegate_e2e::process::Process;
use tidegate_e2e::scene::{Scene, Served};
use tidegate_e2e::third_party::{node, run, set_up};

use crate::examples::example;

/// The example in front of an application and a service that the test plays.
struct Stage {
    service: Process,
    edge: Served,
    /// Last, so that it goes last.
    scene: Scene,
}

async fn stage() -> anyhow::Result<Option<Stage>> {
    let Some(modules) = set_up("node").await? else {
        return Ok(None);
    };
    let mut service = Process::spawn("signalr-service", node(&modules, "signalr_service.js", &[]))?;
    let port = service.line("its port", |line| {
        line.strip_prefix("listening on ").map(str::to_owned)
    });
    let port = port.await?;
    let nobody = [("chat", "ws://127.0.0.1:1/")];
    let (scene, mut served) = example("signalr", &["edge"], &nobody).await?;
    let values = json!({"spec": {"values": [
        {"name": "app", "value": format!("http://127.0.0.1:{port}")},
        {"name": "service", "value": "127.0.0.1"},
    ]}});
    scene.kubectl().patch("wsapi/chat", &values).await?;
    scene.programmed("WebSocketApi", "chat").await?;
    let edge = served.pop().context("no gateway")?;
    Ok(Some(Stage {
        service,
        edge,
        scene,
    }))
}

impl Stage {
    /// As the client library wants it.
    fn hub(&self, target: &str) -> String {
        self.edge.url(target).replacen("ws:", "http:", 1)
    }

    /// What the application and the service were asked.
    fn asked(&self) -> Vec<Value> {
        let said = self.service.stdout();
        let lines = said
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok());
        lines.collect()
    }
}

#[tokio::test]
async fn the_real_client_talks_to_the_hub() -> anyhow::Result<()> {
    let Some(stage) = stage().await? else {
        return Ok(());
    };
    let modules = set_up("node").await?.context("it was there")?;
    // What the client puts into the query does not reach the service.
    let url = stage.hub("/chat?hub=other&id=mine&access_token=mine");
    let seen = run(
        "signalr-client",
        node(&modules, "signalr.js", &[&url, "ann"]),
    )
    .await?;
    assert_eq!(seen, json!({"result": "ann: grüße", "said": "grüße"}));
    let asked = stage.asked();
    let targets: Vec<_> = asked
        .iter()
        .filter_map(|line| line["target"].as_str())
        .collect();
    assert_eq!(targets[0], "/chat/negotiate?negotiateVersion=1");
    let query = "hub=chat&asrs.op=%2Fchat&negotiateVersion=1&asrs_request_id=a%2Bb%2Fc%3D";
    assert_eq!(targets[1], format!("/client/negotiate?{query}"));
    let upgrade = asked.iter().find_map(|line| line["upgrade"].as_str());
    let upgrade = upgrade.context("no WebSocket came")?;
    ensure!(
        upgrade.starts_with(&format!("/client/?{query}&id=token-1%2F%3D&access_token=")),
        "{upgrade}"
    );
    ensure!(
        !upgrade.contains("mine") && !upgrade.contains("other"),
        "{upgrade}"
    );
    // The next client gets a connection of its own.
    let url = stage.hub("/chat");
    let seen = run(
        "signalr-client",
        node(&modules, "signalr.js", &[&url, "bob"]),
    )
    .await?;
    assert_eq!(seen["result"], "bob: grüße");
    let refused = run(
        "signalr-client",
        node(&modules, "signalr.js", &[&url, "403"]),
    )
    .await?;
    assert!(refused["refused"].is_string(), "{refused}");
    stage.scene.programmed("WebSocketApi", "chat").await
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
async fn each_failed_negotiation_has_its_answer() -> anyhow::Result<()> {
    let Some(stage) = stage().await? else {
        return Ok(());
    };
    let failed = "The negotiation failed.";
    let cases = [
        (
            "401",
            401,
            "Not signed in.",
            Some(("www-authenticate", r#"Bearer realm="chat""#)),
        ),
        ("403", 403, "Not allowed.", None),
        (
            "429",
            429,
            "Too many connections.",
            Some(("retry-after", "17")),
        ),
        (
            "503",
            503,
            "The application is not available.",
            Some(("retry-after", "18")),
        ),
        ("500", 502, "The application refused to negotiate.", None),
        ("error", 502, "The application refused to negotiate.", None),
        (
            "no-token",
            502,
            "The application refused to negotiate.",
            None,
        ),
        (
            "elsewhere",
            502,
            "The application named another service.",
            None,
        ),
        (
            "no-json",
            502,
            "The application refused to negotiate.",
            None,
        ),
        ("list", 502, failed, None),
        ("number", 502, failed, None),
        ("silent", 504, "A request of a policy timed out", None),
        ("hangup", 502, "A request of a policy failed", None),
        (
            "service-401",
            502,
            "The service refused to negotiate.",
            None,
        ),
        (
            "service-429",
            503,
            "The service is not available.",
            Some(("retry-after", "19")),
        ),
        (
            "service-error",
            502,
            "The service refused to negotiate.",
            None,
        ),
        (
            "service-silent",
            504,
            "A request of a policy timed out",
            None,
        ),
        (
            "no-websockets",
            502,
            "The service offers no WebSockets.",
            None,
        ),
        ("no-transports", 502, failed, None),
    ];
    for (name, status, message, header) in cases {
        let request = stage.edge.request("/chat");
        let request = request.header("authorization", format!("Bearer {name}"));
        let refused = request.refused_with(status).await.context(name)?;
        assert_eq!(refused.message()?, message, "{name}");
        if let Some((header, value)) = header {
            assert_eq!(refused.header(header), Some(value), "{name}");
        }
    }
    ensure!(
        stage.asked().iter().all(|line| line["upgrade"].is_null()),
        "no WebSocket was opened"
    );
    Ok(())
}
