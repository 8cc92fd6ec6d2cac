//! Asking admin servers.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::OnceLock;

use tidegate_gateway::Options;

use crate::support::client::raw;

/// What the admin servers of the tests want to be shown.
pub(crate) const TOKEN: &str = "a-token-of-the-harbour-master";

/// The file with it.
pub(crate) fn token_file() -> PathBuf {
    static WRITTEN: OnceLock<PathBuf> = OnceLock::new();
    let write = || {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("admin-token");
        std::fs::write(&path, TOKEN).unwrap();
        path
    };
    WRITTEN.get_or_init(write).clone()
}

/// With an admin server that can be asked.
pub(crate) fn with_admin() -> Options {
    Options {
        admin_address: Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))),
        admin_token_file: Some(token_file()),
        ..Options::local()
    }
}

/// An answer of an admin server.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

/// Sends `METHOD PATH` with these lines and nothing else that could help.
pub(crate) async fn ask_with(
    admin: SocketAddr,
    request: &str,
    lines: &[&str],
    body: &str,
) -> Answer {
    let lines: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
    let length = body.len();
    let text = format!("{request} HTTP/1.1\r\n{lines}Content-Length: {length}\r\n\r\n{body}");
    let answer = raw(admin, text.as_bytes()).await;
    let (head, body) = answer.split_once("\r\n\r\n").expect("no head");
    Answer {
        status: head.split(' ').nth(1).unwrap().parse().unwrap(),
        head: head.to_owned(),
        body: body.to_owned(),
    }
}

/// Asks as one who may: status and body.
pub(crate) async fn ask(admin: SocketAddr, request: &str, body: &str) -> (u16, String) {
    let authorization = format!("Authorization: Bearer {TOKEN}");
    let lines = [
        "Host: 127.0.0.1",
        &authorization,
        "Content-Type: application/json",
    ];
    let answer = ask_with(admin, request, &lines, body).await;
    (answer.status, answer.body)
}
