//! A process with few descriptors: who asks for nothing takes none from those who do, and when they run out
//! all the same, clients are told, and it recovers.

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use futures::{SinkExt as _, StreamExt as _};
use tidegate_gateway::StateDir;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::net::TcpStream;
use tokio::process::{Child, ChildStdout, Command};
use tokio_tungstenite::MaybeTlsStream;
use tokio_tungstenite::tungstenite::Message;

use crate::handshake::parts;
use crate::idle::{ask, from};
use crate::support::backend::Backend;
use crate::support::client::{echo, read_to_end};
use crate::support::config::Config;
use crate::support::http2::Http2;
use crate::support::{until, within};

/// Kept open: what is not read stays far below what a pipe holds.
type Log = Lines<BufReader<ChildStdout>>;

/// The binary with so many descriptors.
async fn serving(directory: &std::path::Path, descriptors: u32) -> (Child, Log, SocketAddr) {
    let binary = env!("CARGO_BIN_EXE_tidegate-gateway");
    let script = format!("ulimit -n {descriptors} && exec \"$0\" \"$@\"");
    let mut child = Command::new("sh")
        .args(["-c", &script, binary])
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

/// Serves `/chat` from a directory.
async fn chat(descriptors: u32) -> (tempfile::TempDir, Backend, Child, Log, SocketAddr) {
    let directory = tempfile::tempdir().unwrap();
    let backend = Backend::echo().await;
    let config = Config::new()
        .api("chat", backend.address)
        .settings(|settings| {
            settings.listeners[0].port = 0;
            settings.listeners[0].http2 = true;
        });
    StateDir::new(directory.path())
        .save(&config.update(1))
        .unwrap();
    let (child, log, address) = serving(directory.path(), descriptors).await;
    (directory, backend, child, log, address)
}

/// Of 60 descriptors half are the gateway's own, 4 are for connections that wait, 26 for 13 tunnels.
#[tokio::test]
async fn idle_connections_keep_nobody_out_and_leave_descriptors_to_backends() {
    let (_directory, _backend, _child, _log, address) = chat(60).await;
    let mut patient = from([127, 0, 0, 5], address).await;
    let mut idle = Vec::new();
    let mut tunnels = Vec::new();
    for number in 0..120 {
        idle.push(from([127, 0, 0, 9], address).await);
        if number % 10 == 0 {
            let mut other = from([127, 0, 1, number + 1], address).await;
            assert_eq!(ask(&mut other).await, 101, "{number}");
            tunnels.push(other);
        }
    }
    assert_eq!(
        ask(&mut patient).await,
        101,
        "who has one is not pushed out"
    );
    let mut one_more = from([127, 0, 0, 6], address).await;
    assert_eq!(ask(&mut one_more).await, 503, "the pod is full of tunnels");
    drop(tunnels.pop());
    within("a place", async {
        while ask(&mut from([127, 0, 0, 6], address).await).await != 101 {}
    })
    .await;
}

/// Whatever a connection that asks for nothing has begun with.
#[tokio::test]
async fn connections_of_http2_without_a_tunnel_make_room_and_those_with_one_stay() {
    let (_directory, _backend, _child, _log, address) = chat(60).await;
    let mut busy = Http2::plain(address).await;
    let mut tunnel = busy.open("/chat").await;
    let mut idle = Vec::new();
    for _ in 0..20 {
        let mut client = Http2::plain(address).await;
        // A request that is refused is none that counts.
        let refused = client.request("GET", "/none", None, &[]).await.unwrap();
        assert_eq!(refused.0.status(), 404);
        idle.push(client);
    }
    let ended = || idle.iter().filter(|client| client.end.is_finished());
    until("the oldest to be closed", || ended().count() >= 16).await;
    tunnel.send(Message::text("still here")).await.unwrap();
    let answer = within("the echo", tunnel.next()).await.unwrap().unwrap();
    assert_eq!(answer, Message::text("still here"));
}

#[tokio::test]
async fn clients_are_turned_away_while_there_is_no_descriptor_left() {
    // Fewer than the process needs besides what it lets clients have.
    let (_directory, _backend, _child, _log, address) = chat(28).await;
    let mut kept = Vec::new();
    loop {
        let mut stream = TcpStream::connect(address).await.unwrap();
        match ask(&mut stream).await {
            101 => kept.push(stream),
            // Unanswered where the answer to a connection was overtaken by its end.
            0 | 503 => break,
            other => panic!("{other}"),
        }
    }
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
    let url = format!("ws://{address}/chat");
    let mut socket = within("a place for a tunnel", async {
        loop {
            let stream = MaybeTlsStream::Plain(TcpStream::connect(address).await.unwrap());
            if let Ok((socket, _)) = tokio_tungstenite::client_async(&url, stream).await {
                return socket;
            }
        }
    })
    .await;
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
