//! backendAuth.awsSigV4 before a backend that checks signatures with botocore, AWS's own library.

use std::fs;

use anyhow::ensure;
use serde_json::{Value, json};
use tidegate_e2e::client::Request;
use tidegate_e2e::process::Process;
use tidegate_e2e::third_party::{python, set_up};

use crate::import::Import;

const ROLE: &str = "arn:aws:iam::123456789012:role/edge";

/// A Gateway, and an API whose pool has two names of the same backend.
fn manifests(port: &str) -> String {
    let object = |kind: &str, name: &str, spec: Value| {
        json!({"apiVersion": "tidegate.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec}).to_string()
    };
    let listener = json!({"name": "plain", "port": 8080, "protocol": "WS"});
    let gateway =
        json!({"listeners": [listener], "deployment": {"tokenAudiences": ["sts.amazonaws.com"]}});
    let signing = json!({
        "service": "execute-api", "region": "eu-west-1", "roleArn": ROLE, "sessionName": "edge",
        "stsUrl": format!("http://127.0.0.1:{port}/sts"),
        "webIdentityToken": {"serviceAccountToken": {"audience": "sts.amazonaws.com"}},
    });
    let member = |host: &str, priority: u8| json!({"url": format!("ws://{host}:{port}/prod"), "priority": priority});
    let api = json!({
        "gateways": [{"name": "edge"}], "path": "/signed", "subscriptionRequired": false,
        "pathMatch": "Prefix",
        // Nothing listens at the first one, so the handshake is signed for the second one, too.
        "backend": {"pool": [{"url": "ws://127.0.0.1:1/prod"}, member("localhost", 1)]},
        "onHandshake": {"inbound": [
            {"setQueryParameter": {"name": "room", "values": ["blue & green"]}},
            {"backendAuth": {"awsSigV4": signing}},
        ]},
    });
    [
        object("Gateway", "edge", gateway),
        object("WebSocketApi", "signed", api),
    ]
    .join("\n---\n")
}

#[tokio::test]
async fn a_handshake_is_signed_as_aws_checks_it() -> anyhow::Result<()> {
    let Some(interpreter) = set_up("python").await? else {
        return Ok(());
    };
    let command = python(&interpreter, "aws.py", &["of-the-account", ROLE]);
    let mut aws = Process::spawn("aws", command)?;
    let port = aws.line("its port", |line| {
        line.strip_prefix("listening on ").map(str::to_owned)
    });
    let port = port.await?;
    let files = tempfile::tempdir()?;
    for name in ["served", "state"] {
        fs::create_dir(files.path().join(name))?;
    }
    fs::write(files.path().join("served/all.yaml"), manifests(&port))?;
    let import = Import {
        account: Some(("sts.amazonaws.com", "of-the-account")),
        ..Import::default()
    };
    let edge = import.run(files).await?;
    for target in ["/signed/a%20b?x=1&y=%2F%20&x=0", "/signed"] {
        let request = Request::new(edge.url(target));
        let request = request.header("x-amz-date", "20200101T000000Z");
        let request = request.header("x-amz-content-sha256", "UNSIGNED-PAYLOAD");
        request.open().await?.echo("here").await?;
    }
    let said = aws.stdout();
    let lines: Vec<Value> = said
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect();
    ensure!(
        lines[0] == json!({"sts": true, "session": "edge"}),
        "{said}"
    );
    let signed: Vec<_> = lines[1..].iter().map(|line| &line["signed"]).collect();
    // Two handshakes with keys that were issued once.
    assert_eq!(signed, [true, true], "{said}");
    assert_eq!(lines[1]["host"], format!("localhost:{port}"));
    Ok(())
}
