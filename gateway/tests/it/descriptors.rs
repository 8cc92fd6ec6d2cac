//! A process that runs out of descriptors says so to its clients, and recovers.

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use tidegate_gateway::StateDir;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::net::TcpStream;
use tokio::process::{Child, ChildStdout, Command};
use tokio_tungstenite::MaybeTlsStream;

use crate::handshake::parts;
use crate::support::backend::Backend;
use crate::support::client::{echo, read_to_end};
use crate::support::config::Config;
use crate::support::within;

/// Kept open: what is not read stays far below what a pipe holds.
type Log = Lines<BufReader<ChildStdout>>;

/// The binary with so few descriptors that no limit follows from them: they really run out.
async fn serving(directory: &std::path::Path) -> (Child, Log, SocketAddr) {
    let binary = env!("CARGO_BIN_EXE_tidegate-gateway");
    let mut child = Command::new("sh")
        .args(["-c", "ulimit -n 60 && exec \"$0\" \"$@\"", binary])
        .args([
            "--bind-address",
            "127.0.0.1",
            "--admin-address",
            "127.0.0.1:0",
        ])
        .args(["--workers", "1", "--config-dir"])
        .arg(directory)
        .kill_on_drop(true)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut log = BufReader::new(child.stdout.take().unwrap()).lines();
    let address = within("the listener's address", async {
        loop {
            let line = log.next_line().await.unwrap().expect("the process ended");
            let line: serde_json::Value = serde_json::from_str(&line).unwrap();
            if line["message"] == "listening" {
                return line["address"].as_str().unwrap().parse().unwrap();
            }
        }
    })
    .await;
    (child, log, address)
}

#[tokio::test]
async fn clients_are_turned_away_while_there_is_no_descriptor_left() {
    let directory = tempfile::tempdir().unwrap();
    let backend = Backend::echo().await;
    let config = Config::new()
        .api("chat", backend.address)
        .settings(|settings| settings.listeners[0].port = 0);
    StateDir::new(directory.path())
        .save(&config.update(1))
        .unwrap();
    let (_child, _log, address) = serving(directory.path()).await;
    let mut kept = Vec::new();
    let mut turned_away = within("a client to be turned away", async {
        loop {
            match knock(address).await {
                Ok(stream) => kept.push(stream),
                Err(stream) => return stream,
            }
        }
    })
    .await;
    let answer = read_to_end(&mut turned_away).await;
    assert_eq!(
        parts(&answer),
        (503, r#"{"statusCode":503,"message":"Gateway is full"}"#)
    );

    kept.clear();
    let stream = within("a place for a tunnel", async {
        loop {
            if let Ok(stream) = knock(address).await {
                return stream;
            }
        }
    })
    .await;
    let url = format!("ws://{address}/chat");
    let stream = MaybeTlsStream::Plain(stream);
    let (mut socket, _) = tokio_tungstenite::client_async(url, stream).await.unwrap();
    echo(&mut socket, "room again").await;
}

/// Connects and says nothing: `Ok` for who is let in, `Err` for who is answered nevertheless.
async fn knock(address: SocketAddr) -> Result<TcpStream, TcpStream> {
    let stream = TcpStream::connect(address).await.unwrap();
    let mut first = [0];
    match tokio::time::timeout(Duration::from_millis(20), stream.peek(&mut first)).await {
        Err(_) => Ok(stream),
        Ok(_) => Err(stream),
    }
}
