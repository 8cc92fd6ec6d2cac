//! Request heads that two readers could read in two ways, or that are no heads at all: each is refused
//! with one answer, and no byte of it reaches the backend.

use tokio::task::JoinSet;

use crate::handshake::parts;
use crate::support::backend::Backend;
use crate::support::client::{connect, raw};
use crate::support::config::Config;
use crate::support::gateway::TestGateway;
use crate::support::within;

/// What would be smuggled: a whole request behind the first one.
const BEHIND: &str = "GET /internal HTTP/1.1\r\nHost: harbour.example\r\n\r\n";

const LINE: &str = "GET /chat HTTP/1.1\r\n";
const HOST: &str = "Host: harbour.example\r\n";
const UPGRADE: &str = "Upgrade: websocket\r\nConnection: Upgrade\r\n";
const VERSION: &str = "Sec-WebSocket-Version: 13\r\n";
const KEY: &str = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

type Row = (String, String, u16);

fn row(name: &str, head: impl Into<String>, status: u16) -> Row {
    (name.to_owned(), head.into(), status)
}

/// A handshake that is right but for its first line.
fn line(line: &str) -> String {
    format!("{line}\r\n{HOST}{UPGRADE}{VERSION}{KEY}\r\n")
}

/// A right handshake with further bytes among its fields.
fn fields(lines: &str) -> String {
    format!("{LINE}{HOST}{UPGRADE}{VERSION}{KEY}{lines}\r\n")
}

fn first_lines() -> Vec<Row> {
    let bad = [
        "GET /chat",
        "GET /chat HTTP/0.9",
        "GET /chat HTTP/1.0",
        "GET /chat HTTP/1.2",
        "GET /chat HTTP/2.0",
        "GET /chat HTTP/11",
        "GET /chat HTTP/1.1 ",
        "GET /chat http/1.1",
        "GET /chat HTTP/1.1x",
        "GET /chat HTTP /1.1",
        "GET  /chat HTTP/1.1",
        "GET /chat  HTTP/1.1",
        " GET /chat HTTP/1.1",
        "GET\t/chat\tHTTP/1.1",
        "get /chat HTTP/1.1",
        "POST /chat HTTP/1.1",
        "OPTIONS /chat HTTP/1.1",
        "CONNECT harbour.example:80 HTTP/1.1",
        "GET chat HTTP/1.1",
        "GET * HTTP/1.1",
        "GET harbour.example/chat HTTP/1.1",
        "GET file:///chat HTTP/1.1",
        "GET http://other.example/chat HTTP/1.1",
        "GET http:///chat HTTP/1.1",
        "GET http://harbour.example@other.example/chat HTTP/1.1",
        "GET /chat#x HTTP/1.1",
        "GET /chat\u{0}x HTTP/1.1",
        "GET /ch\u{e4}t HTTP/1.1",
        "GET /chat\u{7f} HTTP/1.1",
        "G@T /chat HTTP/1.1",
        "GET\0 /chat HTTP/1.1",
        "GET /chat HTTP/1.1\rX: y",
        "PRI * HTTP/2.0",
    ];
    bad.map(|text| row(&format!("{text:?}"), line(text), 400))
        .into()
}

fn field_lines() -> Vec<Row> {
    let bad = [
        "Content-Length: 51\r\n",
        "Content-Length: 0\r\nContent-Length: 51\r\n",
        "Content-Length: 0, 51\r\n",
        "Content-Length: +0\r\n",
        "Content-Length: -0\r\n",
        "Content-Length: 0x0\r\n",
        "Content-Length: 00\r\n",
        "Content-Length: \r\n",
        "Content-Length: 0 1\r\n",
        "Transfer-Encoding: chunked\r\n",
        "Transfer-Encoding: identity\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding:\u{b}chunked\r\n",
        "transfer-encoding: Chunked\r\nContent-Length: 0\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        "Transfer-Encoding : chunked\r\n",
        "Transfer-Encoding\t: chunked\r\n",
        "X: y\r\n Transfer-Encoding: chunked\r\n",
        "X: y\r\n\tz\r\n",
        " X: y\r\n",
        "X: y\rTransfer-Encoding: chunked\r\n",
        "X: y\u{0}\r\n",
        "X: \u{7f}\r\n",
        "X\u{0}: y\r\n",
        ": y\r\n",
        "X y\r\n",
        "X\r\n",
        "X(y): z\r\n",
        "X\u{e4}: y\r\n",
        "\u{b}X: y\r\n",
        "Host: harbour.example\r\n",
        "host: other.example\r\n",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
        "Sec-WebSocket-Version: 13\r\n",
        "Sec-WebSocket-Version: 8\r\n",
        "Origin: https://a.example\r\nOrigin: https://b.example\r\n",
    ];
    bad.map(|text| row(&format!("{text:?}"), fields(text), 400))
        .into()
}

#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn missing_and_wrong() -> Vec<Row> {
    let rest = format!("{UPGRADE}{VERSION}{KEY}\r\n");
    let key = |key: &str| format!("{LINE}{HOST}{UPGRADE}{VERSION}Sec-WebSocket-Key: {key}\r\n\r\n");
    let host = |host: &str| format!("{LINE}Host: {host}\r\n{rest}");
    let version = |version: &str| {
        format!("{LINE}{HOST}{UPGRADE}Sec-WebSocket-Version: {version}\r\n{KEY}\r\n")
    };
    let upgrade = |lines: &str| format!("{LINE}{HOST}{lines}{VERSION}{KEY}\r\n");
    vec![
        row("no Host", format!("{LINE}{rest}"), 400),
        row("an empty Host", host(""), 400),
        row(
            "two names in Host",
            host("harbour.example, other.example"),
            400,
        ),
        row("a user in Host", host("me@harbour.example"), 400),
        row("a path in Host", host("harbour.example/x"), 400),
        row("a port that is none", host("harbour.example:80x"), 400),
        row("half an address", host("[::1"), 400),
        row("a key of 15 bytes", key("AAAAAAAAAAAAAAAAAAAA"), 400),
        row("a key of 18 bytes", key("AAAAAAAAAAAAAAAAAAAAAAAA"), 400),
        row("a key without padding", key("dGhlIHNhbXBsZSBub25jZQ"), 400),
        row(
            "a key that is no base64",
            key("dGhlIHNhbXBsZSBub25jZ!=="),
            400,
        ),
        row(
            "a key in the other alphabet",
            key("____________________-w=="),
            400,
        ),
        row(
            "two keys in one line",
            key("dGhlIHNhbXBsZSBub25jZQ==, dGhlIHNhbXBsZSBub25jZQ=="),
            400,
        ),
        row("no key", format!("{LINE}{HOST}{UPGRADE}{VERSION}\r\n"), 400),
        row("no version", format!("{LINE}{HOST}{UPGRADE}{KEY}\r\n"), 400),
        row("two versions in one line", version("13, 8"), 426),
        row("a version with a sign", version("+13"), 426),
        row("a version with a zero", version("013"), 426),
        row("no Connection", upgrade("Upgrade: websocket\r\n"), 400),
        row("no Upgrade", upgrade("Connection: Upgrade\r\n"), 400),
        row(
            "a longer word in Connection",
            upgrade("Upgrade: websocket\r\nConnection: xUpgrade\r\n"),
            400,
        ),
        row(
            "a longer word in Upgrade",
            upgrade("Upgrade: websockets\r\nConnection: Upgrade\r\n"),
            400,
        ),
        row(
            "h2c",
            upgrade("Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\n"),
            400,
        ),
        // Bare CR ends no line: such a head never ends, and is not waited for.
        row(
            "lines that end in CR",
            fields("").replace("\r\n", "\r"),
            408,
        ),
        row("half a head", fields("").trim_end(), 408),
    ]
}

#[tokio::test]
async fn no_ambiguous_head_reaches_a_backend() {
    let backend = Backend::echo().await;
    let config = Config::new()
        .api("chat", backend.address)
        .settings(|settings| {
            settings.timeouts.handshake = tidegate_config::Duration::from_secs(2);
        });
    let gateway = TestGateway::start(&config).await;
    let address = gateway.address("plain");
    let all = [first_lines(), field_lines(), missing_and_wrong()].concat();
    assert!(all.len() > 80, "{}", all.len());
    let mut asking = JoinSet::new();
    for (name, head, status) in all {
        asking.spawn(async move {
            // Half a head swallows what is behind it.
            let request = if status == 408 { head } else { head + BEHIND };
            let answer = raw(address, request.as_bytes()).await;
            assert_eq!(parts(&answer).0, status, "{name}: {answer}");
            assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{name}: {answer}");
        });
    }
    within("all answers", asking.join_all()).await;
    assert!(backend.heads().is_empty(), "{:?}", backend.heads());
    connect(&gateway.url("/chat"), &[])
        .await
        .expect("a right one passes");
}
