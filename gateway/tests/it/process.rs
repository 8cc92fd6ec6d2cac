//! The binary itself: flags, log lines, a configuration directory, signals, exit status.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;

use tidegate_gateway::StateDir;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use crate::support::admin::{ask, token_file};
use crate::support::backend::Backend;
use crate::support::client::{closed, connect, echo, handshake, open, raw};
use crate::support::config::Config;
use crate::support::within;

pub(crate) struct Process {
    child: Child,
    log: Lines<BufReader<ChildStdout>>,
}

pub(crate) fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate-gateway"));
    command.kill_on_drop(true).env_clear();
    command
}

impl Process {
    pub(crate) fn serving(dir: &Path) -> Self {
        let mut child = command()
            .args([
                "--bind-address",
                "127.0.0.1",
                "--admin-address",
                "127.0.0.1:0",
            ])
            .arg("--admin-token-file")
            .arg(token_file())
            .args(["--workers", "1", "--config-dir"])
            .arg(dir)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let log = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, log }
    }

    /// Reads the log up to a line with this message.
    async fn log(&mut self, message: &str) -> serde_json::Value {
        let line = async {
            loop {
                let line = self.log.next_line().await.unwrap();
                let line = line.expect("the process ended");
                let line: serde_json::Value = serde_json::from_str(&line).expect(&line);
                if line["message"] == message {
                    return line;
                }
            }
        };
        within(&format!("the log line {message:?}"), line).await
    }

    pub(crate) async fn listening(&mut self) -> SocketAddr {
        let line = self.log("listening").await;
        assert_eq!(line["listener"], "plain");
        line["address"].as_str().unwrap().parse().unwrap()
    }

    pub(crate) async fn signal(&self, signal: &str) {
        let pid = self.child.id().unwrap().to_string();
        let sent = Command::new("kill").args([signal, &pid]).status().await;
        assert!(sent.unwrap().success());
    }

    pub(crate) async fn exit(&mut self) -> Option<i32> {
        within("the process to end", self.child.wait())
            .await
            .unwrap()
            .code()
    }
}

/// On any free port.
fn config() -> Config {
    Config::new().settings(|settings| settings.listeners[0].port = 0)
}

pub(crate) fn save(dir: &StateDir, config: &Config, revision: u64) {
    dir.save(&config.update(revision)).unwrap();
}

#[tokio::test]
async fn a_directory_is_served_and_followed_until_a_signal() {
    let root = tempfile::tempdir().unwrap();
    let dir = StateDir::new(root.path());
    let backend = Backend::echo().await;
    let chat = config().api("chat", backend.address);
    save(&dir, &chat, 1);
    let mut process = Process::serving(root.path());
    let admin = process.log("admin server listening").await;
    let admin: SocketAddr = admin["address"].as_str().unwrap().parse().unwrap();
    let address = process.listening().await;
    let mut tunnel = open(&format!("ws://{address}/chat")).await;
    echo(&mut tunnel, "one").await;

    save(&dir, &chat.clone().api("news", backend.address), 2);
    process.log("configuration applied").await;
    let mut news = open(&format!("ws://{address}/news")).await;
    echo(&mut news, "two").await;
    echo(&mut tunnel, "three").await;

    std::fs::write(root.path().join("index.json"), "{").unwrap();
    within("the problem in the status", async {
        while !ask(admin, "GET /status", "")
            .await
            .1
            .contains("is not an index")
        {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    })
    .await;
    echo(&mut tunnel, "four").await;

    process.signal("-TERM").await;
    for tunnel in [&mut tunnel, &mut news] {
        assert_eq!(closed(tunnel).await.map(|(code, _)| code), Some(1001));
    }
    drop((tunnel, news));
    assert_eq!(process.exit().await, Some(0));
}

#[tokio::test]
async fn a_second_signal_cuts() {
    let root = tempfile::tempdir().unwrap();
    let dir = StateDir::new(root.path());
    let backend = Backend::echo().await;
    let slow = config().api("chat", backend.address).settings(|settings| {
        settings.drain.window = tidegate_config::Duration::from_secs(3600);
        settings.drain.hard_stop = tidegate_config::Duration::from_secs(3600);
    });
    save(&dir, &slow, 1);
    let mut process = Process::serving(root.path());
    let address = process.listening().await;
    let url = format!("ws://{address}/chat");
    let mut tunnels = Vec::new();
    for _ in 0..20 {
        tunnels.push(open(&url).await);
    }
    process.signal("-TERM").await;
    process.log("draining").await;
    assert_eq!(connect(&url, &[]).await.unwrap_err().status, 503);
    process.signal("-INT").await;
    assert_eq!(process.exit().await, Some(0));
}

#[tokio::test]
async fn a_log_that_nobody_reads_holds_up_nobody() {
    let root = tempfile::tempdir().unwrap();
    save(&StateDir::new(root.path()), &config(), 1);
    let mut process = Process::serving(root.path());
    let address = process.listening().await;
    // Far more lines than the pipe between the processes takes (64 KiB).
    for _ in 0..400 {
        let answer = raw(address, handshake("/nowhere", "").as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
    }
}

#[tokio::test]
async fn wrong_settings_exit_64_and_help_does_not() {
    let run = async |arguments: &[&str]| {
        let output = command().args(arguments).output();
        let output = within("the process to end", output).await.unwrap();
        let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        (output.status.code(), text)
    };
    let (status, text) = run(&["--gateway", "edge"]).await;
    assert_eq!(status, Some(64), "{text}");
    assert!(text.contains("--namespace"), "{text}");
    let (status, text) = run(&["--help"]).await;
    assert_eq!(status, Some(0), "{text}");
    assert!(text.contains("TIDEGATE_STATE_DIR"), "{text}");
}

#[tokio::test]
async fn a_taken_admin_address_ends_the_start() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = command()
        .args(["--config-dir", "/nonexistent", "--admin-address", &address])
        .output();
    let output = within("the process to end", output).await.unwrap();
    assert_eq!(output.status.code(), Some(1));
    let log = String::from_utf8(output.stdout).unwrap();
    assert!(
        log.contains(&format!("failed to bind the admin address {address}")),
        "{log}"
    );
}
