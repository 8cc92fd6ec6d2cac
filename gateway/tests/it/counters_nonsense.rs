//! A Redis that answers nonsense: no handshake hangs, no pod falls, and counting goes on alone.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tidegate_config::OnFailure;
use tidegate_config::policy::OnHandshake;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::support::backend::Backend;
use crate::support::client::{connect, open};
use crate::support::config::Config;
use crate::support::gateway::TestGateway;
use crate::support::redis::counters;
use crate::support::within;

const UP: &str = "tidegate_shared_counters_up";

/// What scripts are answered; nothing: the connection is closed.
type Nonsense = Arc<Mutex<Vec<u8>>>;

/// A server that takes every command and means none of it.
#[expect(
    clippy::disallowed_methods,
    reason = "a server of a test, which ends with it"
)]
async fn liar() -> (String, Nonsense) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("redis://{}", listener.local_addr().unwrap());
    let nonsense = Nonsense::default();
    let told = Arc::clone(&nonsense);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(converse(stream, Arc::clone(&told)));
        }
    });
    (url, nonsense)
}

async fn converse(stream: TcpStream, nonsense: Nonsense) {
    let mut stream = BufReader::new(stream);
    while let Some(words) = command(&mut stream).await {
        let is_script = words[0].eq_ignore_ascii_case("EVALSHA")
            || words[0].eq_ignore_ascii_case("EVAL")
            || words[0].eq_ignore_ascii_case("SCRIPT");
        let answer = if is_script {
            nonsense.lock().unwrap().clone()
        } else {
            b"+OK\r\n".to_vec()
        };
        if answer.is_empty() || stream.get_mut().write_all(&answer).await.is_err() {
            return;
        }
    }
}

/// The words of one command; none at the end.
async fn command(stream: &mut BufReader<TcpStream>) -> Option<Vec<String>> {
    let count = number(stream).await?;
    let mut words = Vec::new();
    for _ in 0..count {
        let mut word = vec![0; number(stream).await? + 2];
        stream.read_exact(&mut word).await.ok()?;
        words.push(String::from_utf8_lossy(&word).trim_end().to_owned());
    }
    Some(words)
}

/// `*3` and `$17`.
async fn number(stream: &mut BufReader<TcpStream>) -> Option<usize> {
    let mut line = String::new();
    stream.read_line(&mut line).await.ok()?;
    line.get(1..)?.trim().parse().ok()
}

/// A pod that counts so, and may go on alone.
async fn pod(step: Value, url: &str) -> (Backend, TestGateway) {
    let backend = Backend::echo().await;
    let on: OnHandshake = serde_json::from_value(json!({"inbound": [step]})).unwrap();
    let config = Config::new()
        .api_with("chat", backend.address, |api| api.on_handshake = on)
        .settings(|settings| settings.counters = Some(counters(url, OnFailure::Local)));
    let pod = TestGateway::start(&config).await;
    (backend, pod)
}

async fn status(pod: &TestGateway, name: &str) -> u16 {
    let url = pod.url("/chat");
    match within(name, connect(&url, &[])).await {
        Ok(_) => 101,
        Err(refused) => refused.status,
    }
}

#[tokio::test]
async fn what_is_no_answer_is_as_good_as_none() {
    let (url, nonsense) = liar().await;
    let step = json!({"rateLimitByKey": {"key": "'all'", "calls": 1000, "period": "300s"}});
    let (_backend, pod) = pod(step, &url).await;
    for (name, answer) in [
        ("an error", "-ERR I do not feel like it\r\n".to_owned()),
        ("another type", ":-1\r\n".to_owned()),
        ("too short", "*1\r\n:1\r\n".to_owned()),
        (
            "text for numbers",
            "*3\r\n$1\r\nx\r\n$1\r\ny\r\n$1\r\nz\r\n".to_owned(),
        ),
        ("a text without end", "$9999999999\r\nx".to_owned()),
        ("a list without end", "*1000000000\r\n:1\r\n".to_owned()),
        ("lists in lists", "*1\r\n".repeat(100_000)),
        (
            "another protocol",
            "HTTP/1.1 400 Bad Request\r\n\r\n".to_owned(),
        ),
        ("the end", String::new()),
    ] {
        pod.metric_is(UP, 1.0).await;
        *nonsense.lock().unwrap() = answer.into_bytes();
        assert_eq!(status(&pod, name).await, 101, "{name}");
        pod.metric_is(UP, 0.0).await;
        *nonsense.lock().unwrap() = b"*4\r\n:1\r\n:9\r\n$1\r\n0\r\n:1\r\n".to_vec();
    }
    open(&pod.url("/chat")).await;
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
async fn numbers_that_no_redis_would_say_are_taken_as_they_are() {
    let rate = json!({"rateLimitByKey": {"key": "'all'", "calls": 9, "period": "300s", "remainingHeader": "x-left"}});
    let quota = json!({"quotaByKey": {"key": "'all'", "calls": 9, "period": "1h"}});
    let places = json!({"limitConnections": {"key": "'all'", "max": 9}});
    let least = "-9223372036854775808";
    let most = "9223372036854775807";
    for (name, step, answer, expected) in [
        (
            "less than nothing remains",
            &rate,
            format!("*4\r\n:1\r\n:{least}\r\n$1\r\nx\r\n:{most}\r\n"),
            101,
        ),
        (
            "more than all remains",
            &rate,
            format!("*4\r\n:1\r\n:{most}\r\n$1\r\n0\r\n:{most}\r\n"),
            101,
        ),
        (
            "wait for ever",
            &rate,
            format!("*4\r\n:0\r\n:{most}\r\n$1\r\n0\r\n:{most}\r\n"),
            429,
        ),
        (
            "wait since ever",
            &rate,
            format!("*4\r\n:0\r\n:{least}\r\n$1\r\n0\r\n:{most}\r\n"),
            429,
        ),
        (
            "renewed in ages",
            &quota,
            format!("*5\r\n:2\r\n:0\r\n:{most}\r\n:{most}\r\n:{least}\r\n"),
            403,
        ),
        (
            "renewed ages ago",
            &quota,
            format!("*5\r\n:1\r\n:0\r\n:{least}\r\n:{least}\r\n:{least}\r\n"),
            403,
        ),
        (
            "another verdict",
            &quota,
            format!("*5\r\n:99\r\n:0\r\n:0\r\n:{least}\r\n:{least}\r\n"),
            101,
        ),
        (
            "no verdict on a place",
            &places,
            format!(":{least}\r\n"),
            429,
        ),
    ] {
        let (url, nonsense) = liar().await;
        *nonsense.lock().unwrap() = answer.into_bytes();
        let (_backend, pod) = pod(step.clone(), &url).await;
        pod.metric_is(UP, 1.0).await;
        assert_eq!(status(&pod, name).await, expected, "{name}");
        pod.metric_is(UP, 1.0).await;
    }
}
