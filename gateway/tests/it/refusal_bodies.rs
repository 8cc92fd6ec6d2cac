//! Bodies of refusals: whole, or seen to be cut; replaced by policies; counted while they pass.

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::answers::answering;
use crate::handshake::parts;
use crate::logs::{listen, wait_for};
use crate::support::backend::Backend;
use crate::support::client::{connect, handshake, raw};
use crate::support::config::Config;
use crate::support::gateway::TestGateway;
use crate::support::http2::Http2;
use crate::support::{until, within};

/// A body of so many bytes in a framing.
fn framed(framing: &str, body: &str) -> String {
    let lines = "HTTP/1.1 404 No\r\nContent-Type: text/plain\r\nETag: \"v1\"\r\n";
    match framing {
        "length" => format!("{lines}Content-Length: {}\r\n\r\n{body}", body.len()),
        "chunks" => format!(
            "{lines}Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n",
            body.len()
        ),
        _ => format!("{lines}\r\n{body}"),
    }
}

/// The body of an answer, whatever its framing, and whether it came to its end.
fn unframed(answer: &str) -> (String, bool) {
    let (head, mut rest) = answer.split_once("\r\n\r\n").unwrap();
    let length = head.split_once("Content-Length: ").map(|(_, after)| {
        let digits = after.split("\r\n").next().unwrap();
        digits.parse::<usize>().unwrap()
    });
    if let Some(length) = length {
        return (rest.to_owned(), rest.len() == length);
    }
    assert!(head.contains("\r\nTransfer-Encoding: chunked"), "{head}");
    let mut body = String::new();
    while let Some((size, after)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).unwrap();
        if size == 0 {
            return (body, true);
        }
        let size = size.min(after.len());
        body.push_str(&after[..size]);
        rest = after[size..].strip_prefix("\r\n").unwrap_or_default();
    }
    (body, false)
}

#[tokio::test]
async fn the_body_of_a_refusal_is_whole_or_seen_to_be_cut() {
    listen();
    let body: String = (0..300_000_u32)
        .map(|i| char::from(b'a' + (i % 26) as u8))
        .collect();
    for framing in ["length", "chunks", "until close"] {
        for (limit, whole) in [(None, true), (Some(100_000), false), (Some(2000), false)] {
            let backend = answering(framed(framing, &body)).await;
            let config = Config::new().api_with("chat", backend.address, |api| {
                api.limits.max_response_body_bytes = limit;
            });
            let gateway = TestGateway::start(&config).await;
            let name = format!("{framing}, {limit:?}");
            let answer = raw(gateway.address("plain"), handshake("/chat", "").as_bytes()).await;
            assert!(answer.contains("\r\nEtag: \"v1\"\r\n"), "{name}");
            let (found, ended) = unframed(&answer);
            let expected = limit.map_or(&body[..], |limit| &body[..limit as usize]);
            assert!(found == expected, "{name}: {} bytes", found.len());
            assert_eq!(ended, whole, "{name}");
        }
    }
}

#[tokio::test]
async fn a_body_that_breaks_off_is_seen_to_be_cut_and_logged() {
    listen();
    for (i, (name, answer)) in [
        (
            "a length",
            "HTTP/1.1 403 No\r\nContent-Length: 9\r\n\r\nbroken",
        ),
        (
            "chunks",
            "HTTP/1.1 403 No\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nbroken\r\n",
        ),
        (
            "a bad chunk",
            "HTTP/1.1 403 No\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nbroken\r\nzz\r\n",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let backend = Backend::answering(answer).await;
        let api = format!("broken-{i}-body");
        let gateway = TestGateway::start(&Config::new().api(&api, backend.address)).await;
        let request = handshake(&format!("/{api}"), "");
        let answer = raw(gateway.address("plain"), request.as_bytes()).await;
        assert_eq!(unframed(&answer), ("broken".to_owned(), false), "{name}");
        let has_cut = |line: &Value| line["message"] == "the body of a backend's refusal was cut";
        let (lines, _) = wait_for(&format!("harbour/{api}\""), 2).await;
        let line = lines.iter().find(|line| has_cut(line)).unwrap();
        assert!(
            line["why"].as_str().is_some_and(|why| !why.is_empty()),
            "{name}"
        );
    }
}

#[tokio::test]
async fn over_http2_a_large_body_is_whole_and_a_cut_one_is_reset() {
    let body = "x".repeat(300_000);
    for (limit, whole) in [(None, true), (Some(100_000), false), (Some(1024), false)] {
        let backend = answering(framed("length", &body)).await;
        let config = Config::new().api_with("chat", backend.address, |api| {
            api.limits.max_response_body_bytes = limit;
        });
        let config = config.settings(|settings| settings.listeners[0].http2 = true);
        let gateway = TestGateway::start(&config).await;
        let mut client = Http2::plain(gateway.address("plain")).await;
        let fields = [("sec-websocket-version", "13")];
        let asked = client.request("CONNECT", "/chat", Some("websocket"), &fields);
        let (answer, _send) = asked.await.unwrap();
        assert_eq!(answer.status(), 404);
        assert!(!answer.headers().contains_key("connection"));
        let mut receive = answer.into_body();
        let (mut found, mut end) = (0, Ok(()));
        while let Some(data) = within("a piece", receive.data()).await {
            match data {
                Ok(data) => {
                    found += data.len();
                    let _ = receive.flow_control().release_capacity(data.len());
                }
                Err(error) => {
                    end = Err(error);
                    break;
                }
            }
        }
        assert_eq!(end.is_ok(), whole, "{end:?}");
        if whole {
            assert_eq!(found, body.len());
        }
    }
}

#[tokio::test]
async fn a_policy_replaces_a_large_body_with_all_that_describes_it() {
    let body = "x".repeat(300_000);
    let answer = framed("length", &body).replace("\r\nETag", "\r\nContent-Encoding: gzip\r\nETag");
    for (name, step, expected) in [
        (
            "setStatus",
            json!({"setStatus": {"status": 502, "message": "later"}}),
            (502, "{\"statusCode\":502,\"message\":\"later\"}"),
        ),
        (
            "returnResponse",
            json!({"returnResponse": {"status": 503, "body": "later"}}),
            (503, "later"),
        ),
    ] {
        let backend = answering(answer.clone()).await;
        let config = Config::new().api_with("chat", backend.address, |api| {
            api.on_handshake = serde_json::from_value(json!({"onError": [step]})).unwrap();
        });
        let gateway = TestGateway::start(&config).await;
        let answer = raw(gateway.address("plain"), handshake("/chat", "").as_bytes()).await;
        assert_eq!(parts(&answer), expected, "{name}");
        for gone in ["gzip", "v1", "chunked"] {
            assert!(!answer.contains(gone), "{name}: {answer}");
        }
    }
}

#[tokio::test]
async fn a_client_that_takes_no_body_keeps_its_place_and_loses_it_when_it_goes() {
    let backend = answering(framed("length", &"x".repeat(900_000))).await;
    let config = Config::new().api_with("chat", backend.address, |api| {
        api.limits.max_connections = Some(1);
    });
    let gateway = TestGateway::start(&config).await;
    let mut slow = TcpStream::connect(gateway.address("plain")).await.unwrap();
    // So little that most of the body must wait.
    socket2::SockRef::from(&slow)
        .set_recv_buffer_size(4096)
        .unwrap();
    slow.write_all(handshake("/chat", "").as_bytes())
        .await
        .unwrap();
    let mut start = [0; 64];
    slow.read_exact(&mut start).await.unwrap();
    let refused = connect(&gateway.url("/chat"), &[]).await.unwrap_err();
    assert_eq!(refused.status, 503, "one connection of the API is there");
    drop(slow);
    until("the place to be free", || {
        gateway.metric("tidegate_connections_active") == 0.0
    })
    .await;
    let answer = raw(gateway.address("plain"), handshake("/chat", "").as_bytes()).await;
    assert_eq!(parts(&answer).0, 404);
}
