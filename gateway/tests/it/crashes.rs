//! The process is killed, and disks are full: what was written is whole, what can be served is served.

use std::fs::File;
use std::os::unix::fs::symlink;
use std::process::Stdio;

use serde_json::json;
use tidegate_gateway::{Options, StateDir};
use tokio::net::TcpStream;

use crate::policies::steps;
use crate::process::{Process, command, save};
use crate::support::backend::Backend;
use crate::support::client::{connect, echo, open};
use crate::support::config::Config;
use crate::support::gateway::TestGateway;
use crate::support::port::FreePort;
use crate::support::within;

/// Listening on this port; 0: on any.
fn config(port: u16) -> Config {
    Config::new().settings(|settings| settings.listeners[0].port = port)
}

/// With changes under way: whatever the moment, the directory holds one whole configuration.
#[tokio::test]
async fn a_killed_process_serves_its_directory_again() {
    let root = tempfile::tempdir().unwrap();
    let dir = StateDir::new(root.path());
    let backend = Backend::echo().await;
    let served = config(0).api("chat", backend.address);
    save(&dir, &served, 1);
    for round in 0..4u64 {
        let mut process = Process::serving(root.path());
        let address = process.listening().await;
        let mut tunnel = open(&format!("ws://{address}/chat")).await;
        echo(&mut tunnel, "before").await;
        for change in 0..3 {
            let other = served
                .clone()
                .api(&format!("other-{change}"), backend.address);
            save(&dir, &other, 2 + 3 * round + change);
        }
        process.signal("-KILL").await;
        assert_eq!(process.exit().await, None, "no exit code: it was killed");
    }
    let mut process = Process::serving(root.path());
    let address = process.listening().await;
    for path in ["chat", "other-2"] {
        let mut tunnel = open(&format!("ws://{address}/{path}")).await;
        echo(&mut tunnel, path).await;
    }
}

#[tokio::test]
async fn a_full_disk_of_logs_holds_up_nobody() {
    let root = tempfile::tempdir().unwrap();
    let backend = Backend::echo().await;
    let port = FreePort::new();
    let address = port.address;
    let served = config(port.number()).api("chat", backend.address);
    save(&StateDir::new(root.path()), &served, 1);
    let full = || Stdio::from(File::options().write(true).open("/dev/full").unwrap());
    let mut child = command()
        .args([
            "--bind-address",
            "127.0.0.1",
            "--admin-address",
            "127.0.0.1:0",
        ])
        .args(["--workers", "1", "--config-dir"])
        .arg(root.path())
        .stdout(full())
        .stderr(full())
        .spawn()
        .unwrap();
    within("the listener", async {
        while TcpStream::connect(address).await.is_err() {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    })
    .await;
    let url = format!("ws://{address}/chat");
    for round in 0..50 {
        let mut tunnel = open(&url).await;
        echo(&mut tunnel, &format!("round {round}")).await;
        let nowhere = connect(&format!("ws://{address}/nowhere"), &[]).await;
        assert_eq!(nowhere.expect_err("no such API").status, 404);
    }
    assert!(child.try_wait().unwrap().is_none(), "it still runs");
}

/// Whoever is served without a disk is still counted, and nothing is given away.
#[tokio::test]
async fn a_full_disk_of_quotas_changes_no_answer() {
    let backend = Backend::echo().await;
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("quotas");
    symlink("/dev/full", file.with_extension("new")).unwrap();
    let quota = json!({"quotaByKey": {"key": "'all'", "calls": 2, "period": "0"}});
    let config = Config::new().api_with("chat", backend.address, |api| {
        api.on_handshake = steps(json!({"inbound": [quota]}));
    });
    let options = || Options {
        quota_file: Some(file.clone()),
        ..Options::local()
    };
    let mut gateway = TestGateway::start_empty(options()).await;
    gateway.apply(&config).await;
    within("the listener", gateway.gateway.ready()).await;
    let url = gateway.url("/chat");
    for _ in 0..2 {
        let mut tunnel = open(&url).await;
        echo(&mut tunnel, "counted").await;
    }
    let refused = connect(&url, &[]).await.expect_err("used up");
    assert_eq!(refused.status, 403);
    within("the end", gateway.gateway.shutdown()).await;
    assert!(!file.exists(), "nothing of it was written");
    // With room again, what was counted is written at the end, and read by the next.
    std::fs::remove_file(file.with_extension("new")).unwrap();
    for expected in [None, Some(403)] {
        let mut gateway = TestGateway::start_empty(options()).await;
        gateway.apply(&config).await;
        within("the listener", gateway.gateway.ready()).await;
        let url = gateway.url("/chat");
        assert_eq!(
            connect(&url, &[]).await.err().map(|refused| refused.status),
            expected
        );
        let _ = connect(&url, &[]).await;
        within("the end", gateway.gateway.shutdown()).await;
    }
}
